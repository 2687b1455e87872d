//! Checks the import tables: which room may name which ([`ROOMS`]), where a crate may be named
//! ([`CRATES`]), and what is kept apart inside a room ([`KEPT_APART`]).

use crate::scan::{Name, Source, module_of};
use crate::{CRATES, KEPT_APART, ROOMS, TESTS_MAY_NAME, demand_none, tree};

#[test]
fn rooms_name_only_the_rooms_they_may() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(room_faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn crates_are_named_only_where_they_may_be() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(crate_faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn what_is_kept_apart_is_not_named() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(apart_faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_row_of_the_import_table_names_only_rows_below_it() {
    // This rules out a circle. It also orders the table from the outermost room to the innermost.
    for (row, (room, may_name)) in ROOMS.iter().enumerate() {
        for entry in may_name.split_whitespace() {
            let below = ROOMS[row + 1..]
                .iter()
                .any(|(other, _)| within(&segments(entry), other));
            assert!(
                below,
                "ROOMS: `{room}` may name `{entry}`, which is no row below it"
            );
        }
    }
}

/// Every name in the file that its room may not use, once for each named room.
fn room_faults(source: &Source) -> Vec<String> {
    let file = &source.file;
    let Some((room, may_name)) = room_of_file(file) else {
        return vec![format!(
            "{file}:1: this file is in no room of the import table. Move it into one, or give it a row in \
             ROOMS (tests/tidy.rs) and a line in the map of src/lib.rs."
        )];
    };
    let mut faults = Vec::new();
    let mut reported = Vec::new();
    for name in source.names.iter().filter(|name| name.path[0] == "crate") {
        let rights = if name.test {
            format!("{may_name} {TESTS_MAY_NAME}")
        } else {
            may_name.to_owned()
        };
        for target in forbidden(room, &rights, name) {
            if reported.contains(&target) {
                continue;
            }
            faults.push(format!(
                "{file}:{}: `{room}` names `{}`, but may name only [{may_name}] and not {target}. Take what \
                 you need as an argument, or move this code to a room that may; to change the rule, change \
                 ROOMS (tests/tidy.rs) and the map in src/lib.rs together.",
                name.line,
                name.path.join("::"),
            ));
            reported.push(target);
        }
    }
    faults
}

/// What this name reaches although `room` may not name it, as text for a message.
fn forbidden(room: &str, rights: &str, name: &Name) -> Vec<String> {
    let path: Vec<&str> = name.path[1..].iter().map(String::as_str).collect();
    let may =
        |target: &str| target == room || rights.split_whitespace().any(|right| right == target);
    let (all, path) = match path.split_last() {
        Some((&"*", parent)) => (true, parent),
        _ => (false, path.as_slice()),
    };
    let Some((target, _)) = innermost_room(path) else {
        return if room == "lib" {
            vec![]
        } else {
            vec!["the root of the crate, where nothing but rooms is".into()]
        };
    };
    let part = |right: &str| !is_room(right) && within(path, right);
    let mut reached = vec![];
    if !may(target) && !rights.split_whitespace().any(part) {
        reached.push(format!("`{target}`"));
    }
    // An import of everything in a room includes the rooms inside it. A test's `use super::*` does
    // not count.
    let inside = ROOMS
        .iter()
        .filter(|(other, _)| all && !name.test && segments(other).starts_with(path));
    reached.extend(
        inside
            .filter(|(other, _)| !may(other) && *other != target)
            .map(|(other, _)| format!("`{other}`, which `*` takes in")),
    );
    reached
}

/// The room of a file, and what that room may name. `src/lib.rs` is the map and names no room.
fn room_of_file(file: &str) -> Option<(&'static str, &'static str)> {
    match file {
        "src/lib.rs" => Some(("lib", "")),
        "src/main.rs" => ROOMS.iter().find(|(room, _)| *room == "main").copied(),
        _ => {
            let module = module_of(file);
            innermost_room(&module.iter().map(String::as_str).collect::<Vec<_>>())
        }
    }
}

/// The row of the innermost room that contains this path.
fn innermost_room(path: &[&str]) -> Option<(&'static str, &'static str)> {
    ROOMS
        .iter()
        .filter(|(room, _)| within(path, room))
        .max_by_key(|(room, _)| room.len())
        .copied()
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

fn segments(path: &str) -> Vec<&str> {
    path.split("::").collect()
}

fn within(path: &[&str], outer: &str) -> bool {
    path.starts_with(&segments(outer))
}

/// Every crate that the file may not name but does, once for each rule.
fn crate_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (names, places, why) in CRATES {
        let here = |place: &str| {
            if place.ends_with('/') {
                source.file.starts_with(place)
            } else {
                source.file == place
            }
        };
        if places.split_whitespace().any(here) {
            continue;
        }
        let breaks =
            |name: &&Name| !name.test && names.split_whitespace().any(|rule| reaches(name, rule));
        if let Some(name) = source.names.iter().find(breaks) {
            faults.push(format!(
                "{}:{}: `{}` may be named only in [{places}]: {why}. To change the rule, change CRATES \
                 (tests/tidy.rs).",
                source.file,
                name.line,
                name.path.join("::"),
            ));
        }
    }
    faults
}

/// Every name in the file that [`KEPT_APART`] forbids there.
fn apart_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (places, names, why) in KEPT_APART {
        let here = |place: &str| {
            if place.ends_with('/') {
                source.file.starts_with(place)
            } else {
                source.file == place
            }
        };
        if !places.split_whitespace().any(here) {
            continue;
        }
        let kept =
            |name: &&Name| !name.test && names.split_whitespace().any(|rule| reaches(name, rule));
        faults.extend(source.names.iter().filter(kept).map(|name| {
            let path = name.path.join("::");
            format!("{}:{}: names `{path}`, but {why}.", source.file, name.line)
        }));
    }
    faults
}

/// Whether a name is `rule`, lies inside `rule`, or includes `rule` by `*`.
fn reaches(name: &Name, rule: &str) -> bool {
    let path: Vec<&str> = name.path.iter().map(String::as_str).collect();
    match path.split_last() {
        Some((&"*", parent)) => within(parent, rule) || segments(rule).starts_with(parent),
        _ => within(&path, rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_challenges_and_a_dialect_that_reads_are_faults() {
        let apart = |file: &str, text: &str| apart_faults(&Source::parse(file, text)).len();
        assert_eq!(
            apart(
                "src/http/oauth/revoke.rs",
                "use axum::http::header::WWW_AUTHENTICATE;"
            ),
            1
        );
        assert_eq!(
            apart(
                "src/http/manage/agents.rs",
                "use crate::http::challenge::Tried;"
            ),
            1
        );
        assert_eq!(
            apart("src/http/layers.rs", "use super::challenge::Tried;"),
            0
        );
        let reads =
            "use crate::http::parameters::Parameters; fn f(p: &Parameters) { p.all(\"scope\") }";
        assert!(apart("src/http/token/airisk.rs", reads) > 0);
        assert_eq!(apart("src/http/token/grants.rs", reads), 0);
    }

    fn rooms(file: &str, text: &str) -> usize {
        room_faults(&Source::parse(file, text)).len()
    }

    fn crates(file: &str, text: &str) -> usize {
        crate_faults(&Source::parse(file, text)).len()
    }

    #[test]
    fn a_name_from_above_is_a_fault() {
        assert_eq!(rooms("src/domain/agent.rs", "use crate::store::Store;"), 1);
        assert_eq!(
            rooms(
                "src/store/mod.rs",
                "use crate::{domain::id::Jti, http::state::State};"
            ),
            1
        );
        assert_eq!(
            rooms(
                "src/service/issue.rs",
                "fn f() { tokio::join!(super::super::http::x()) }"
            ),
            1
        );
        assert_eq!(rooms("src/main.rs", "use sealwright::app;"), 1);
        assert_eq!(
            rooms("src/main.rs", "fn main() { sealwright::cli::run() }"),
            0
        );
        assert_eq!(
            rooms(
                "src/keys/mod.rs",
                "#[cfg(test)] mod tests { use crate::http::X; }"
            ),
            1
        );
        assert_eq!(
            rooms(
                "src/keys/mod.rs",
                "#[cfg(test)] mod tests { use crate::clock::FakeClock; }"
            ),
            0
        );
    }

    #[test]
    fn a_right_to_the_store_is_none_to_a_backend() {
        assert_eq!(
            rooms(
                "src/service/issue.rs",
                "use crate::store::{Store, write::Write};"
            ),
            0
        );
        assert_eq!(
            rooms(
                "src/service/issue.rs",
                "use crate::store::postgres::Postgres;"
            ),
            1
        );
        assert_eq!(
            rooms(
                "src/service/issue.rs",
                "use crate::store as s; fn f() { s::sqlite::open() }"
            ),
            1
        );
        assert_eq!(rooms("src/service/issue.rs", "use crate::store::*;"), 2);
        assert_eq!(
            rooms(
                "src/store/mod.rs",
                "pub mod sqlite; pub use sqlite::Sqlite;"
            ),
            1
        );
        assert_eq!(
            rooms(
                "src/store/mod.rs",
                "#[cfg(test)] mod tests { use super::*; }"
            ),
            0
        );
        assert_eq!(
            rooms(
                "src/store/sqlite/mod.rs",
                "use crate::store::postgres::sql;"
            ),
            1
        );
        assert_eq!(
            rooms(
                "src/app/mod.rs",
                "use crate::store::{postgres::Postgres, sqlite::Sqlite};"
            ),
            0
        );
    }

    #[test]
    fn a_right_to_a_part_is_none_to_the_whole() {
        assert_eq!(
            rooms(
                "src/store/batch.rs",
                "use crate::telemetry::metrics::batch_size;"
            ),
            0
        );
        assert_eq!(
            rooms("src/store/batch.rs", "use crate::telemetry::init;"),
            1
        );
    }

    #[test]
    fn what_is_in_no_room_is_a_fault() {
        assert_eq!(rooms("src/utils.rs", ""), 1);
        assert_eq!(rooms("src/service/issue.rs", "use crate::*;"), 1);
        assert_eq!(rooms("src/service/issue.rs", "use crate::Shortcut;"), 1);
        assert_eq!(rooms("src/lib.rs", "pub mod app; pub use app::run;"), 1);
    }

    #[test]
    fn a_crate_out_of_place_is_a_fault() {
        assert_eq!(crates("src/service/issue.rs", "use axum::Router;"), 1);
        assert_eq!(crates("src/http/mod.rs", "use axum::Router;"), 0);
        assert_eq!(crates("src/store/mod.rs", "fn f(e: sqlx::Error) {}"), 1);
        assert_eq!(
            crates("src/service/clients/secret/pool.rs", "use argon2::Argon2;"),
            0
        );
        assert_eq!(
            crates("src/service/clients/secretary.rs", "use argon2::Argon2;"),
            1
        );
        assert_eq!(crates("src/domain/time.rs", "use std::time::*;"), 1);
        assert_eq!(crates("src/domain/time.rs", "use std::time::Duration;"), 0);
        assert_eq!(
            crates(
                "src/http/mod.rs",
                "use tokio::task; fn f() { task::spawn(g()) }"
            ),
            1
        );
        assert_eq!(
            crates(
                "src/http/mod.rs",
                "use tokio::task; fn f() { task::spawn_blocking(g) }"
            ),
            0
        );
        assert_eq!(
            crates(
                "src/keys/seal.rs",
                "#[cfg(test)] mod tests { use aws_lc_rs::rand::fill; }"
            ),
            0
        );
    }
}
