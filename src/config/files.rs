//! Text files that hold the configuration, or one value of it.
//!
//! Owns how much is read and what may be said of a file. Must not know what a value means.

use std::io::Read;
use std::path::Path;

/// The largest file that is read, in bytes: configuration is never larger, a device file always is.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A text file of bounded size; the error is fit to print.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    bounded.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bounded.limit() == 0 {
        return Err("it is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Editors and `echo` end a file with a newline that is no part of the value.
pub(super) fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// What may be said of the file that a `…_FILE` variable names: somebody may have put the secret itself
/// there, which looks like a bare name, or like one below a folder that is not there.
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
