//! The places and the names of the tables: each exists, so that no rule holds for nothing.

use crate::{CRATES, KEPT_APART, ROOMS, TESTS_MAY_NAME};
use crate::{composition, demand_none, names, routes, tree, words};

#[test]
fn every_place_and_every_name_of_a_rule_exists() {
    let mut faults = Vec::new();
    let mut place = |table: &str, place: &str| {
        let folder = place.ends_with('/');
        let file = place.trim_start_matches('!');
        if !tree::exists(file) || (folder && tree::files(file, ".rs").is_empty()) {
            faults.push(format!(
                "{table} names `{place}`, where no file is. Correct the rule: it holds for nothing there."
            ));
        }
    };
    let places = CRATES.iter().map(|(_, places, _)| ("CRATES", places));
    for (table, places) in places.chain(KEPT_APART.iter().map(|row| ("KEPT_APART", &row.0))) {
        for at in places.split_whitespace() {
            place(table, at);
        }
    }
    place("composition::ROOT", composition::ROOT);
    for (table, places) in [
        ("composition::TRAITS", composition::TRAITS),
        ("names::BACKENDS", &names::BACKENDS),
        ("words::START_UP", words::START_UP),
    ] {
        for at in places {
            place(table, at);
        }
    }
    let files = routes::ROWS.iter().map(|(_, file, _)| file);
    for file in files.chain(routes::CALLS.iter().map(|(file, _)| file)) {
        place("routes::ROWS or CALLS", file);
    }
    let rooms = ROOMS.iter().flat_map(|(room, may_name)| {
        [*room]
            .into_iter()
            .chain(may_name.split_whitespace())
            .map(|name| ("ROOMS", name))
    });
    let apart = KEPT_APART
        .iter()
        .flat_map(|(_, names, _)| names.split_whitespace());
    let crates = CRATES
        .iter()
        .flat_map(|(names, _, _)| names.split_whitespace());
    let ours = apart
        .chain(crates)
        .filter_map(|name| name.strip_prefix("crate::"));
    let ours = ours.map(|name| ("KEPT_APART or CRATES", name));
    for (table, name) in rooms.chain(ours).chain(
        TESTS_MAY_NAME
            .split_whitespace()
            .map(|name| ("TESTS_MAY_NAME", name)),
    ) {
        if !is_module(name) {
            faults.push(format!(
                "{table} names `{name}`, which is no module of src. Correct the rule: it holds for nothing."
            ));
        }
    }
    demand_none(&faults);
}

/// Whether `http::token` and the like has a file.
fn is_module(name: &str) -> bool {
    let path = name.replace("::", "/");
    tree::exists(&format!("src/{path}.rs")) || tree::exists(&format!("src/{path}/mod.rs"))
}

/// Whether a file is at one of these places. A place that ends in `/` is a folder; a place that
/// begins with `!` is taken out.
pub fn is_at(file: &str, places: &str) -> bool {
    let is = |place: &str| file == place || (place.ends_with('/') && file.starts_with(place));
    let out = |place: &str| place.strip_prefix('!').is_some_and(is);
    places.split_whitespace().any(is) && !places.split_whitespace().any(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_has_no_file_is_told() {
        assert!(
            is_module("http::token")
                && is_module("store::batch")
                && is_module("telemetry::metrics")
        );
        assert!(!is_module("http::tokens") && !is_module("http::token::mod::x"));
    }

    #[test]
    fn a_place_that_is_taken_out_is_none() {
        let places = "src/a/ !src/a/b.rs src/c.rs";
        for file in ["src/a/x.rs", "src/a/b/mod.rs", "src/c.rs"] {
            assert!(is_at(file, places), "{file}");
        }
        for file in ["src/a/b.rs", "src/a.rs", "src/c.rs/x.rs"] {
            assert!(!is_at(file, places), "{file}");
        }
    }
}
