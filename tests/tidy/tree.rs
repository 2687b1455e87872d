//! Lists the files of the project and reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::link;
use crate::scan::Source;

/// The root of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the project holds this file or folder.
pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// The text of a file, by its path from the root.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// All files under a folder whose names end in `suffix`, as sorted paths from the root. The folder
/// must exist: a rule about a folder that was moved away would hold for no file.
pub fn files(folder: &str, suffix: &str) -> Vec<String> {
    assert!(
        root().join(folder).is_dir(),
        "{folder}: there is no such folder. Correct the rule that names it."
    );
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && ![".git", "target", "node_modules"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() && name.ends_with(suffix) {
                found.push(from_root(&path));
            }
        }
    }
    found.sort();
    found
}

/// All files that belong to the project: the files that git tracks, and the new files that it does
/// not ignore. Without git, every file.
pub fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            names
                .lines()
                .filter(|name| exists(name))
                .map(str::to_owned)
                .collect()
        }
        _ => files("", ""),
    }
}

/// The lines of every tracked text file, as `(file, line number, line)`.
pub fn tracked_lines() -> Vec<(String, usize, String)> {
    let mut lines = Vec::new();
    for file in tracked() {
        // Skip a file that is not UTF-8: it is not text.
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else {
            continue;
        };
        lines.extend(
            text.lines()
                .zip(1..)
                .map(|(line, number)| (file.clone(), number, line.to_owned())),
        );
    }
    lines
}

/// Every Rust file under `folder`, parsed, with its names followed through the others' imports.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut sources: Vec<Source> = files(folder, ".rs")
        .into_iter()
        .map(|file| Source::parse(&file, &read(&file)))
        .collect();
    link(&mut sources);
    sources
}

/// A command that runs cargo on this project.
pub fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root());
    command
}

fn from_root(path: &Path) -> String {
    let relative: PathBuf = path.strip_prefix(root()).unwrap().components().collect();
    relative.to_string_lossy().into_owned()
}

#[test]
#[should_panic(expected = "src/moved_away: there is no such folder")]
fn a_folder_that_is_not_there_is_no_empty_folder() {
    files("src/moved_away", ".rs");
}
