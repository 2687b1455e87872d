//! The shape of files: their length, their opening comment, and the completeness of the map.

use crate::scan::Source;
use crate::{demand_none, tree};

/// The most lines of a file of `src/` before its tests (`CODE_CEILING`), and the most lines of its
/// tests or of a file of `tests/` or `benches/` (`TEST_CEILING`).
const CODE_CEILING: usize = 300;
const TEST_CEILING: usize = 600;

/// Files that may be longer: flat tables with one entry on each line.
const FLAT_TABLES: &[&str] = &["src/testing.rs"];

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let mut faults = Vec::new();
    let mut measure = |file: &str, what: &str, lines: usize, ceiling: usize| {
        if lines > ceiling && !FLAT_TABLES.contains(&file) {
            faults.push(format!(
                "{file}:{ceiling}: {lines} lines of {what}, at most {ceiling}. Split the file by what its \
                 parts know; a flat table goes into FLAT_TABLES (tests/tidy/shape.rs)."
            ));
        }
    };
    for file in tree::files("src", ".rs") {
        let text = tree::read(&file);
        let (code, tests) = code_and_test_lines(&text);
        measure(&file, "code", code, CODE_CEILING);
        measure(&file, "tests", tests, TEST_CEILING);
    }
    for file in tree::files("tests", ".rs")
        .into_iter()
        .chain(tree::files("benches", ".rs"))
    {
        measure(
            &file,
            "tests",
            tree::read(&file).lines().count(),
            TEST_CEILING,
        );
    }
    demand_none(&faults);
}

#[test]
fn the_tests_of_a_file_are_its_end() {
    let faults = tree::sources("src")
        .iter()
        .filter_map(end_fault)
        .collect::<Vec<_>>();
    demand_none(&faults);
}

/// The first code behind a `#[cfg(test)]` module.
fn end_fault(source: &Source) -> Option<String> {
    let tokens = &source.tokens;
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let opens = |at: &usize| tokens[*at].test && text(*at) == "mod" && text(*at + 2) == "{";
    let mut at = (0..tokens.len()).find(opens)?;
    while at < tokens.len() {
        if text(at) == "#" && text(at + 1) == "[" {
            let mut depth = 0_i32;
            at += tokens[at + 1..]
                .iter()
                .take_while(|token| {
                    depth += i32::from(token.text == "[") - i32::from(token.text == "]");
                    depth > 0
                })
                .count()
                + 2;
        } else if tokens[at].test {
            at += 1;
        } else {
            return Some(format!(
                "{}:{}: code behind the tests, where nobody looks for it and where it counts as tests. Move it before \
                 them.",
                source.file, tokens[at].line
            ));
        }
    }
    None
}

#[test]
fn every_file_opens_with_what_it_is() {
    let opens = |file: &String| tree::read(file).starts_with("//!");
    let faults = tree::files("src", ".rs").into_iter().filter(|file| !opens(file)).map(|file| {
        format!("{file}:1: opens without `//!`. Say in its first line what the file is, and what it must not know.")
    });
    demand_none(&faults.collect::<Vec<_>>());
}

#[test]
fn every_room_says_what_it_owns_and_must_not_know() {
    let mut faults = Vec::new();
    let has_folder = |file: &String| tree::exists(&format!("{}/", file.trim_end_matches(".rs")));
    let beside = tree::files("src", ".rs").into_iter().filter(has_folder);
    for file in tree::files("src", "mod.rs").into_iter().chain(beside) {
        let head = head(&tree::read(&file)).to_lowercase();
        for words in ["owns", "must not know"] {
            if !head.contains(words) {
                faults.push(format!(
                    "{file}:1: the opening comment does not say `{words}`. Write what this folder owns and what \
                     it must not know."
                ));
            }
        }
    }
    demand_none(&faults);
}

#[test]
fn the_map_names_every_module() {
    let text = tree::read("src/lib.rs");
    let head = head(&text);
    let named: Vec<&str> = head
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let modules = text.lines().zip(1..).filter_map(|(line, number)| {
        let rest = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
            .strip_prefix("mod ")?;
        Some((number, rest.trim_end_matches(';').trim()))
    });
    let faults = modules.filter(|(_, module)| !named.contains(module)).map(|(line, module)| {
        format!("src/lib.rs:{line}: the map at the top of the file does not name `{module}`. Give it a line there.")
    });
    demand_none(&faults.collect::<Vec<_>>());
}

/// The number of lines before `#[cfg(test)] mod … {`, and the number of lines from there on.
fn code_and_test_lines(text: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let opens_tests = |i: &usize| {
        let next = lines[i + 1..].iter().find(|line| !line.starts_with("#["));
        lines[*i] == "#[cfg(test)]"
            && next.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let code = (0..lines.len()).find(opens_tests).unwrap_or(lines.len());
    (code, lines.len() - code)
}

/// The opening comment, joined to one line.
fn head(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_apart_from_code() {
        assert_eq!(
            code_and_test_lines("//! a\n#[cfg(test)]\nuse b;\nfn c() {}"),
            (4, 0)
        );
        assert_eq!(
            code_and_test_lines("//! a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}"),
            (1, 4)
        );
        assert_eq!(
            code_and_test_lines("//! a\n#[cfg(test)]\nmod b;\nfn c() {}"),
            (4, 0)
        );
    }

    #[test]
    fn code_behind_the_tests_is_told() {
        let line = |text: &str| {
            let fault = end_fault(&Source::parse("src/a.rs", text))?;
            fault.split(':').nth(1).map(str::to_owned)
        };
        let tests = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() {}\n}\n";
        assert_eq!(line(tests), None);
        assert_eq!(line(&format!("{tests}fn c() {{}}")).as_deref(), Some("7"));
        assert_eq!(
            line(&format!(
                "{tests}#[cfg(test)]\n#[derive(Debug)]\nstruct C([u8; 1]);"
            )),
            None
        );
        assert_eq!(line("#[cfg(test)]\nmod b;\nfn c() {}"), None);
    }

    #[test]
    fn an_opening_comment_is_read_across_its_lines() {
        assert_eq!(
            head("//! Owns all. Must not\n//!\n//! know. \n\n//! later"),
            "Owns all. Must not know."
        );
    }
}
