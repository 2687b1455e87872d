//! Text files that hold the configuration, or one value of it.
//!
//! Owns how many bytes are read, and what an error message may say about a file. Must not know what
//! a value means.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The largest file that is read, in bytes. A configuration is never larger. A device file has no
/// end, so this limit stops it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Which files may be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FileKinds {
    /// All, also a pipe that a shell put there. Reading waits for the writer of a pipe.
    #[default]
    Any,
    /// Regular files only, and links to them: for a process that runs already. It must wait for no
    /// pipe, and a pipe that was read at the start has no more to give.
    Regular,
}

/// Reads a text file of at most [`MAX_FILE_BYTES`]. The error may be shown to the operator.
pub(super) fn read_text(path: &Path, kinds: FileKinds) -> Result<String, String> {
    let mut options = OpenOptions::new();
    options.read(true);
    if kinds == FileKinds::Regular {
        // Opening a pipe would wait until somebody writes to it, perhaps for ever.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path).map_err(|e| e.to_string())?;
    if kinds == FileKinds::Regular && !file.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    bounded.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bounded.limit() == 0 {
        return Err("it is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Removes one newline at the end. Editors and `echo` end a file with a newline, which does not
/// belong to the value.
pub(super) fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// How an error message names the file that a `…_FILE` variable points to. The operator may have
/// put the secret itself into that variable. Such a secret looks like a bare file name, or like a
/// path below a folder that does not exist, so the message does not repeat those.
pub(super) fn named_file(path: &Path) -> String {
    let unnamed = |place: &str| format!("the file that it names, in {place},");
    match path.parent() {
        Some(folder) if folder == Path::new("") || folder == Path::new(".") => {
            unnamed("the working directory")
        }
        Some(folder) if folder == Path::new("/") => unnamed("the folder /"),
        Some(folder) if !folder.is_dir() => unnamed("a folder that is not there"),
        _ => format!("the file {}", path.display()),
    }
}
