//! Across all rooms, a type name belongs to one type, so that a search for a type finds one.
//!
//! The two backends of the store are an exception: a type of the same name has the same meaning in
//! both.

use std::collections::BTreeMap;

use crate::scan::{Source, module_of};
use crate::{demand_none, tree};

pub const BACKENDS: [&str; 2] = ["src/store/postgres/", "src/store/sqlite/"];

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

/// The structs, enums, unions, traits and type aliases that a file declares outside its tests. The
/// associated types of a trait, which are in braces, belong to the trait.
fn types(source: &Source) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for pair in source.tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            word => {
                let alias = word == "type" && depth == pair[0].module.len() - file_depth(source);
                let declares = alias || ["struct", "enum", "union", "trait"].contains(&word);
                if declares && !pair[0].test && pair[1].text.starts_with(char::is_uppercase) {
                    found.push((pair[1].text.as_str(), pair[1].line));
                }
            }
        }
    }
    found
}

/// How deep the file's own module is. A module inside the file is deeper, and so are its braces.
fn file_depth(source: &Source) -> usize {
    module_of(&source.file).len()
}

#[test]
fn an_alias_is_a_type_name_and_an_associated_type_is_none() {
    let held = Source::parse("src/a.rs", "struct Held;");
    let faults = |text: &str| {
        faults(&[
            Source::parse("src/b/mod.rs", text),
            Source::parse("src/a.rs", "struct Held;"),
        ])
        .len()
    };
    assert_eq!(types(&held), [("Held", 1)]);
    assert_eq!(faults("pub(crate) type Held = u8;"), 1);
    assert_eq!(faults("mod inner { type Held = u8; }"), 1);
    assert_eq!(faults("impl Iterator for B { type Held = u8; }"), 0);
    assert_eq!(faults("mod inner { trait T { type Held; } }"), 0);
    assert_eq!(faults("#[cfg(test)] type Held = u8;"), 0);
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
