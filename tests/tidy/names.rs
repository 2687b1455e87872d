//! Across all rooms, a type name belongs to one type, so that a search for a type finds one.
//!
//! The two backends of the store are an exception: a type of the same name has the same meaning in
//! both.

use std::collections::BTreeMap;

use crate::scan::Source;
use crate::{demand_none, tree};

const BACKENDS: [&str; 2] = ["src/store/postgres/", "src/store/sqlite/"];

#[test]
fn a_type_name_is_used_for_one_type() {
    demand_none(&faults(&tree::sources("src")));
}

fn faults(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources {
        for (name, line) in types(source) {
            let place = format!("{}:{line}", source.file);
            places.entry(name).or_default().push(place);
        }
    }
    places.retain(|_, places| places.len() > 1 && !are_the_backends(places));
    let fault = |(name, places): (&&str, &Vec<String>)| {
        format!(
            "{}: `{name}` is the name of {} types ({}). Name each for what it is, so that a search finds one.",
            places[0],
            places.len(),
            places.join(", ")
        )
    };
    places.iter().map(fault).collect()
}

/// Whether `places` has exactly one place in each backend.
fn are_the_backends(places: &[String]) -> bool {
    let has = |backend: &str| places.iter().any(|place| place.starts_with(backend));
    places.len() == BACKENDS.len() && BACKENDS.iter().all(|backend| has(backend))
}

/// The structs, enums and traits that a file declares outside its tests.
fn types(source: &Source) -> Vec<(&str, usize)> {
    let pairs = source.tokens.windows(2);
    let declares = |pair: &&[crate::scan::Token]| {
        ["struct", "enum", "trait"].contains(&pair[0].text.as_str())
            && !pair[0].test
            && pair[1].text.starts_with(char::is_uppercase)
    };
    pairs
        .filter(declares)
        .map(|pair| (pair[1].text.as_str(), pair[1].line))
        .collect()
}

#[test]
fn a_second_type_of_a_name_is_told_by_both_places() {
    let source = |file: &str| Source::parse(file, "struct Held;\n#[cfg(test)]\nstruct Probe;");
    let two = [source("src/a.rs"), source("src/b.rs")];
    let told = faults(&two);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("src/a.rs:1: `Held` is the name of 2 types (src/a.rs:1, src/b.rs:1)")
    );
    let backends = BACKENDS.map(|backend| source(&format!("{backend}lane.rs")));
    assert!(faults(&backends).is_empty());
    let [postgres, sqlite] = backends;
    assert_eq!(faults(&[postgres, sqlite, source("src/a.rs")]).len(), 1);
    assert_eq!(
        faults(&[
            source("src/store/postgres/a.rs"),
            source("src/store/postgres/b.rs")
        ])
        .len(),
        1
    );
}
