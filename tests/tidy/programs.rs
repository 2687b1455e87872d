//! Which programs the tests may start. A bare machine has no program `ps` and no program `kill`.

use crate::scan::Source;
use crate::{demand_none, tree};

/// The programs that every machine has which builds the server, and why the tests need each.
///
/// Other programs are given by their path. A test looks for an optional program (the reverse
/// proxies of `tests/faults`), and reports it if it is missing.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "sh",
        "another program must outlive the test, or start with a signal ignored",
    ),
    (
        "chown",
        "PostgreSQL refuses to run as root, and on a file that root owns",
    ),
    (
        "runuser",
        "PostgreSQL refuses to run as root; `su` stands in where it is missing",
    ),
    (
        "git",
        "lists the files of the project; without git every file counts",
    ),
    ("strip", "comes with the compiler"),
    (
        "valgrind",
        "tests/instructions installs it, or names what is skipped",
    ),
];

#[test]
fn the_tests_start_no_program_that_a_bare_machine_lacks() {
    let sources = ["tests", "benches"].into_iter().flat_map(tree::sources);
    let sources = sources.filter(|source| !source.file.starts_with("tests/clients/"));
    demand_none(
        &sources
            .flat_map(|source| program_faults(&source))
            .collect::<Vec<_>>(),
    );
}

fn program_faults(source: &Source) -> Vec<String> {
    let started = source.tokens.windows(5).filter(|run| {
        run[0].text == "Command"
            && run[1].text == "::"
            && run[2].text == "new"
            && run[3].text == "("
    });
    let named = started.filter_map(|run| Some((run[4].line, run[4].string.as_deref()?)));
    let unknown = named.filter(|(_, program)| PROGRAMS.iter().all(|(known, _)| known != program));
    let message = |(line, program)| {
        format!(
            "{}:{line}: starts `{program}`, which a bare machine lacks. Ask the system through `rustix`, or add \
             it to PROGRAMS with the reason why every machine has it.",
            source.file
        )
    };
    unknown.map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_literal_name() {
        let faults = |text: &str| program_faults(&Source::parse("tests/a.rs", text)).len();
        assert_eq!(
            faults("fn f() { std::process::Command::new(\"kill\").args([]); }"),
            1
        );
        assert_eq!(
            faults("fn f() { Command::new(\"sh\"); Command::new(PROGRAM); }"),
            0
        );
    }
}
