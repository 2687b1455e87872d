//! Checks the import tables: which room may name which ([`ROOMS`]), where a crate may be named
//! ([`CRATES`]), and what is kept apart inside a room ([`KEPT_APART`]).

use crate::paths::Name;
use crate::places::is_at;
use crate::scan::{Source, Token, module_of};
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
fn a_room_exports_nothing_of_another_room() {
    let sources = tree::sources("src").into_iter();
    // It is the face for tests: it exports again what they use.
    let sources = sources.filter(|source| source.file != "src/testing.rs");
    demand_none(
        &sources
            .flat_map(|source| export_faults(&source))
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
    for name in &source.names {
        let rights = if name.test {
            format!("{may_name} {TESTS_MAY_NAME}")
        } else {
            may_name.to_owned()
        };
        for path in ways(name).filter(|path| path[0] == "crate") {
            for target in forbidden(room, &rights, path, name.test) {
                if reported.contains(&target) {
                    continue;
                }
                faults.push(format!(
                    "{file}:{}: `{room}` names `{}`, but may name only [{may_name}] and not {target}. Take what \
                     you need as an argument, or move this code to a room that may; to change the rule, change \
                     ROOMS (tests/tidy.rs) and the map in src/lib.rs together.",
                    name.line,
                    path.join("::"),
                ));
                reported.push(target);
            }
        }
    }
    faults
}

/// The path of a name in its own file, and the path to which the imports of other files lead.
fn ways(name: &Name) -> impl Iterator<Item = &[String]> {
    let elsewhere = (name.origin != name.path).then_some(name.origin.as_slice());
    [name.path.as_slice()].into_iter().chain(elsewhere)
}

/// What this path reaches although `room` may not name it, as text for a message.
fn forbidden(room: &str, rights: &str, path: &[String], test: bool) -> Vec<String> {
    let path: Vec<&str> = path[1..].iter().map(String::as_str).collect();
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
        .filter(|(other, _)| all && !test && segments(other).starts_with(path));
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
        if is_at(&source.file, places) {
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

/// Every name of another room that the file exports again.
fn export_faults(source: &Source) -> Vec<String> {
    let Some((room, _)) = room_of_file(&source.file) else {
        return vec![];
    };
    let foreign = |name: &&Name| {
        let path: Vec<&str> = name.path[1..].iter().map(String::as_str).collect();
        let other = innermost_room(&path).is_some_and(|(target, _)| target != room);
        let macro_of_this_file = |word: &str| source.runs(&["macro_rules", "!", word]).count() > 0;
        let ours = match name.path.as_slice() {
            [word] => macro_of_this_file(word),
            [first, ..] => first == "crate" && !other,
            [] => true,
        };
        name.exported && !name.test && !ours
    };
    let message = |name: &Name| {
        format!(
            "{}:{}: exports `{}`, which is not of `{room}`, so that who may name `{room}` could name it too. Let \
             each user import it from where it is, or move it to a room below both.",
            source.file,
            name.line,
            name.path.join("::"),
        )
    };
    source.names.iter().filter(foreign).map(message).collect()
}

/// Every name in the file that [`KEPT_APART`] forbids there.
fn apart_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (places, names, why) in KEPT_APART {
        if !is_at(&source.file, places) {
            continue;
        }
        let kept =
            |name: &&Name| !name.test && names.split_whitespace().any(|rule| reaches(name, rule));
        faults.extend(source.names.iter().filter(kept).map(|name| {
            let path = name.path.join("::");
            format!("{}:{}: names `{path}`, but {why}.", source.file, name.line)
        }));
        let header = |rule: &str| Some(rule.rsplit_once("::header::")?.1.replace('_', "-"));
        let headers: Vec<String> = names.split_whitespace().filter_map(header).collect();
        let written = |token: &&Token| {
            let is = |text: &String| headers.iter().any(|name| name.eq_ignore_ascii_case(text));
            !token.test && token.string.as_ref().is_some_and(is)
        };
        faults.extend(source.tokens.iter().filter(written).map(|token| {
            let text = &token.text;
            format!("{}:{}: names {text}, but {why}.", source.file, token.line)
        }));
    }
    faults
}

/// Whether a name is `rule`, lies inside `rule`, or includes `rule` by `*`.
fn reaches(name: &Name, rule: &str) -> bool {
    ways(name).any(|path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.split_last() {
            Some((&"*", parent)) => within(parent, rule) || segments(rule).starts_with(parent),
            _ => within(&path, rule),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(file: &str, text: &str) -> usize {
        apart_faults(&Source::parse(file, text)).len()
    }

    #[test]
    fn a_challenge_outside_of_its_file_is_a_fault_by_its_constant_and_by_its_text() {
        for text in [
            "use axum::http::header::WWW_AUTHENTICATE;",
            "use axum::http::header; fn f() { h.insert(header::WWW_AUTHENTICATE, v) }",
            "fn f() { headers.insert(\"www-authenticate\", v) }",
            "static NAME: HeaderName = HeaderName::from_static(\"WWW-Authenticate\");",
            "use crate::http::challenge::AuthAttempt;",
        ] {
            for file in [
                "src/http/oauth/revoke.rs",
                "src/http/reply.rs",
                "src/app/open.rs",
            ] {
                assert_eq!(apart(file, text), 1, "{file}: {text}");
            }
            assert_eq!(apart("src/http/layers.rs", text), 0, "{text}");
        }
        let in_a_sentence = "fn f() { log(\"no www-authenticate\") }";
        assert_eq!(apart("src/http/reply.rs", in_a_sentence), 0);
    }

    #[test]
    fn a_dialect_that_reads_a_request_is_a_fault_in_every_file_and_around_a_corner() {
        let reads =
            "use crate::http::parameters::Parameters; fn f(p: &Parameters) { p.all(\"scope\") }";
        for file in ["airisk", "dialect", "a_new_one", "a_folder/mod"] {
            let file = format!("src/http/token/{file}.rs");
            assert!(apart(&file, reads) > 0, "{file}");
            assert!(
                apart(&file, "use crate::service::issue::Ask;") > 0,
                "{file}"
            );
        }
        for file in ["src/http/token/grants.rs", "src/http/token/mod.rs"] {
            assert_eq!(apart(file, reads), 0);
        }
        let grants = "pub(crate) use crate::http::parameters::Parameters as Form;";
        let mut sources = [
            Source::parse("src/http/token/grants.rs", grants),
            Source::parse("src/http/token/airisk.rs", "use super::grants::Form;"),
        ];
        crate::paths::link(&mut sources);
        assert_eq!(apart_faults(&sources[1]).len(), 1);
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
    fn a_name_that_another_room_exports_again_counts_as_its_origin() {
        let mut sources = [
            Source::parse(
                "src/service/look.rs",
                "pub(crate) use crate::store::Store as Held;",
            ),
            Source::parse("src/cli/agent.rs", "use crate::service::look::Held;"),
            Source::parse("src/app/open.rs", "use crate::service::look::Held;"),
        ];
        crate::paths::link(&mut sources);
        assert_eq!(sources.map(|source| room_faults(&source).len()), [0, 1, 0]);
        let through_self = "use self::super::super::http::state::State;";
        assert_eq!(rooms("src/service/issue.rs", through_self), 1);
    }

    #[test]
    fn an_export_of_another_rooms_name_is_a_fault() {
        let exports =
            |text: &str| export_faults(&Source::parse("src/service/manage/patch.rs", text)).len();
        assert_eq!(exports("pub(crate) use crate::store::{Store, Write};"), 2);
        assert_eq!(exports("pub use crate::keys as hidden;"), 1);
        assert_eq!(exports("pub(in crate::service) use axum::Router;"), 1);
        assert_eq!(exports("pub use sqlx;"), 1);
        assert_eq!(
            exports("macro_rules! row { () => {} } pub(crate) use row;"),
            0
        );
        assert_eq!(
            exports("pub use super::row::Row; use crate::store::Store;"),
            0
        );
        assert_eq!(
            exports("#[cfg(test)] pub(crate) use crate::clock::FakeClock;"),
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
