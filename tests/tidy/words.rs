//! What must not be written: panics, silent casts, unfinished code, paths of one machine, and
//! effects in the domain.

use crate::scan::Source;
use crate::{demand_none, tree};

/// The files in which a failure may end the process, because the server does not serve yet.
pub const START_UP: &[&str] = &["src/main.rs"];

/// Methods that panic.
const PANICS: &[&str] = &["unwrap", "expect", "unwrap_err", "expect_err"];

/// Macros that panic. `debug_assert!` is in no release.
const PANIC_MACROS: &[&str] = &[
    "panic",
    "unreachable",
    "todo",
    "unimplemented",
    "assert",
    "assert_eq",
    "assert_ne",
];

/// Types for which `as` silently changes a value that does not fit.
const INTEGERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
];

/// Macros that mark unfinished code.
const UNDONE: &[&str] = &["todo", "unimplemented", "dbg"];

/// Words that only a function needs which waits, logs, counts or prints.
const EFFECTS: &[&str] = &[
    "async",
    "await",
    "async_trait",
    "futures_util",
    "tokio",
    "tracing",
    "metrics",
    "println",
    "eprintln",
];

/// Notes that mark unfinished code. Each is written in two parts, so that this file itself contains
/// none.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// Folders that exist on one machine only.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

#[test]
fn nothing_in_the_server_panics_on_purpose() {
    let sources = tree::sources("src")
        .into_iter()
        .filter(|source| !START_UP.contains(&source.file.as_str()));
    demand_none(
        &sources
            .flat_map(|source| panic_faults(&source))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_hidden_from_the_other_rules() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(hiding_faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_cast_says_why_it_cannot_lose_anything() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(cast_faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_undone_and_no_test_is_skipped() {
    let folders = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(tree::sources);
    let mut faults: Vec<String> = folders.flat_map(|source| undone_faults(&source)).collect();
    for (file, number, line) in tree::tracked_lines() {
        let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(note) = NOTES.iter().find(|note| words().any(|word| word == **note)) {
            faults.push(format!(
                "{file}:{number}: {note}. Do it now, or say in a sentence why it is so."
            ));
        }
    }
    demand_none(&faults);
}

#[test]
fn nothing_names_a_folder_of_one_machine() {
    let names = |line: &str| {
        MACHINE
            .iter()
            .find(|folder| names_folder(line, folder))
            .copied()
    };
    let lines = tree::tracked_lines().into_iter();
    let faults = lines.filter_map(|(file, number, line)| {
        let folder = names(&line)?;
        Some(format!(
            "{file}:{number}: names `{folder}`, which is nobody else's. Use a path inside the project."
        ))
    });
    demand_none(&faults.collect::<Vec<_>>());
}

#[test]
fn the_domain_never_awaits_and_never_logs() {
    demand_none(
        &tree::sources("src/domain")
            .iter()
            .flat_map(effect_faults)
            .collect::<Vec<_>>(),
    );
}

fn effect_faults(source: &Source) -> Vec<String> {
    let words = source
        .tokens
        .iter()
        .filter(|token| !token.test && EFFECTS.contains(&token.text.as_str()));
    let message = |token: &crate::scan::Token| {
        format!(
            "{}:{}: `{}` in the domain, which decides and does nothing else. Take what you need as an \
             argument, and wait or log where it is called.",
            source.file, token.line, token.text
        )
    };
    words.map(message).collect()
}

/// Whether the line names this absolute folder. `docs/home/` and `https://host/home/` do not name
/// `home` at the root.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.}~*".contains(c))
    })
}

fn panic_faults(source: &Source) -> Vec<String> {
    let calls = PANICS.iter().flat_map(|call| {
        let method = source.tokens.windows(3).filter(|run| {
            run[0].text == "." && run[1].text == **call && run[2].text == "(" && !run[1].test
        });
        // `.map(Result::unwrap)` panics in the same way.
        let named = source
            .names
            .iter()
            .filter(move |name| !name.test && name.path.last().is_some_and(|last| last == call));
        method
            .map(|run| run[1].line)
            .chain(named.map(|name| name.line))
            .map(move |line| (line, *call))
    });
    let macros = PANIC_MACROS.iter().flat_map(|name| {
        let uses = source
            .tokens
            .windows(2)
            .filter(move |run| run[0].text == **name && run[1].text == "!" && !run[0].test);
        uses.map(move |run| (run[0].line, *name))
    });
    let message = |(line, call)| {
        format!(
            "{}:{line}: `{call}` outside of tests and start-up. Return the failure with `?`, or make it \
             impossible with a type.",
            source.file
        )
    };
    calls.chain(macros).map(message).collect()
}

/// What would hide code or a name from the other rules: a name for this crate of the file's own, a
/// module from a file elsewhere, code from a file that is no module, and an import of everything,
/// after which a name does not say where it is from.
fn hiding_faults(source: &Source) -> Vec<String> {
    let runs: [&[&str]; 3] = [&["extern", "crate"], &["#", "[", "path"], &["include", "!"]];
    let written = runs.iter().flat_map(|run| {
        let places = source.runs(run).filter(|token| !token.test);
        places.map(|token| (token.line, run.concat()))
    });
    let inside_attribute = |run: &&[crate::scan::Token]| {
        run[0].text == "path" && run[1].text == "=" && run[2].string.is_some() && !run[0].test
    };
    let path_if = source
        .tokens
        .windows(3)
        .filter(inside_attribute)
        .map(|run| (run[0].line, "path =".to_owned()));
    let all = source.names.iter().filter(|name| {
        !name.test && name.path[0] == "crate" && name.path.last().is_some_and(|last| last == "*")
    });
    let all = all.map(|name| (name.line, format!("use {}", name.path.join("::"))));
    let message = |(line, what)| {
        format!(
            "{}:{line}: `{what}` hides code or names from the other rules. Put the file where its module is, and \
             import each name from where it is.",
            source.file
        )
    };
    let mut faults: Vec<String> = written.chain(path_if).chain(all).map(message).collect();
    faults.dedup();
    faults
}

fn cast_faults(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let casts = source.tokens.windows(2).filter(|run| {
        let cast = run[0].text == "as" && INTEGERS.contains(&run[1].text.as_str()) && !run[0].test;
        // The comment with the reason must be on the same line.
        cast && !lines[run[1].line - 1].contains("// ")
    });
    let message = |run: &[crate::scan::Token]| {
        format!(
            "{}:{}: `as {}` without a reason. Use `from` or `try_from`, or say on the line why nothing can be \
             lost: `// below 60`.",
            source.file, run[1].line, run[1].text
        )
    };
    casts.map(message).collect()
}

fn undone_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for name in UNDONE {
        for token in source.runs(&[name, "!"]) {
            faults.push(format!(
                "{}:{}: `{name}!`. Finish it, or leave it out.",
                source.file, token.line
            ));
        }
    }
    let skipped = source.runs(&["#", "[", "ignore"]);
    let skipped_if = source.runs(&[",", "ignore", ")", "]"]);
    faults.extend(skipped.chain(skipped_if).map(|token| {
        format!(
            "{}:{}: a test that is skipped proves nothing. Mend it or remove it.",
            source.file, token.line
        )
    }));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("src/a.rs", text)
    }

    #[test]
    fn a_panic_is_found_outside_of_tests_only() {
        assert_eq!(
            panic_faults(&source("fn f() { a.unwrap(); b.expect(\"c\"); }")).len(),
            2
        );
        assert_eq!(
            panic_faults(&source("fn f() { a.map(Result::unwrap); }")).len(),
            1
        );
        let fine = "#[expect(x, reason = \"y\")] fn f() { a.unwrap_or(1); }
                    #[cfg(test)] mod tests { fn f() { a.unwrap(); } }";
        assert!(panic_faults(&source(fine)).is_empty());
    }

    #[test]
    fn a_macro_that_panics_is_found_outside_of_tests_only() {
        for name in PANIC_MACROS {
            let text = format!("fn f() {{ {name}!(a); }} #[cfg(test)] fn g() {{ {name}!(b); }}");
            assert_eq!(panic_faults(&source(&text)).len(), 1, "{name}");
        }
        let fine = "fn f() { debug_assert!(a); std::panic::catch_unwind(g); }";
        assert!(panic_faults(&source(fine)).is_empty());
    }

    #[test]
    fn what_hides_code_or_names_is_found() {
        for text in [
            "extern crate self as me;",
            "#[path = \"../elsewhere.rs\"] mod a;",
            "#[cfg_attr(unix, path = \"elsewhere.rs\")] mod a;",
            "include!(\"elsewhere.rs\");",
            "use super::*;",
            "use crate::store::{Store, write::*};",
        ] {
            assert!(!hiding_faults(&source(text)).is_empty(), "{text}");
        }
        let fine = "const A: &str = include_str!(\"a.sql\"); use axum::http::header::*; fn f(path: &str) {}
                    #[cfg(test)] mod tests { use super::*; }";
        assert!(hiding_faults(&source(fine)).is_empty());
    }

    #[test]
    fn waiting_and_logging_are_found_in_any_form() {
        let text = "async fn f() { g().await; tracing::info!(\"x\"); } use tokio::sync;";
        assert_eq!(effect_faults(&source(text)).len(), 4);
        assert!(effect_faults(&source("/// async\nfn f() { \"await\"; }")).is_empty());
    }

    #[test]
    fn a_cast_needs_a_reason_on_its_line() {
        assert_eq!(
            cast_faults(&source("fn f(a: i64) -> u8 {\n a as u8\n}")).len(),
            1
        );
        assert!(cast_faults(&source("fn f(a: i64) -> u8 {\n a as u8 // below 60\n}")).is_empty());
        assert!(
            cast_faults(&source(
                "use a as b; #[cfg(test)] fn f(a: i64) -> u8 { a as u8 }"
            ))
            .is_empty()
        );
    }

    #[test]
    fn what_is_undone_or_skipped_is_found_in_tests_too() {
        let text = "#[cfg(test)] mod tests { #[test] #[ignore = \"slow\"] fn f() { todo!() } }
                    #[cfg_attr(windows, ignore)] fn g() { let ignore = 1; f(ignore, ignore) }";
        assert_eq!(undone_faults(&source(text)).len(), 3);
    }

    #[test]
    fn a_folder_of_one_machine_begins_at_the_root() {
        let folder = MACHINE[2];
        assert!(names_folder(&format!("cd {folder}me"), folder));
        assert!(names_folder(&format!("file://{folder}me"), folder));
        assert!(!names_folder(
            &format!("https://example.com{folder}"),
            folder
        ));
    }
}
