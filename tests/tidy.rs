//! The rules of the house, checked: what a workspace of crates would enforce, and what rots unread.
//!
//! The tables below are the design's: change them only together with the map in `src/lib.rs`.
//! Every other rule stands at the top of the file that checks it:
//!
//! - `composition`: services are put together in `app` alone
//! - `circles`: no two files name each other, directly or around a corner
//! - `rooms`: which part of `src/` may name which, and which crates ([`ROOMS`], [`CRATES`], [`KEPT_APART`])
//! - `routes`: every row of a table of routes says who may ask and how long an answer may take
//! - `shape`: file ceilings, opening comments, the map
//! - `names`: a type name is used for one type
//! - `words`: what must not be written (panics, casts, loose ends, paths of one machine)
//! - `programs`: which programs the tests may start
//! - `citations`: what comments refer to is in the repository, and every page is reached from README.md
//! - `papers`: documents that must agree with the code (config keys, routes, migrations)
//! - `recipes`: pages that show what the tests run, and the clients that the README lists
//! - `dependencies`: banned crates, licences and sources, as `.deny.toml` lists them
//! - `scan`, `tree`: how the others read a file, and which files there are
//!
//! A message names the place, the rule and the way to mend it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot read a file must stop"
)]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/citations.rs"]
mod citations;
#[path = "tidy/composition.rs"]
mod composition;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/programs.rs"]
mod programs;
#[path = "tidy/recipes.rs"]
mod recipes;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/routes.rs"]
mod routes;
#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

/// Who may name whom: `(room, what it may name besides itself)`. A room names only rows below its own.
///
/// A room is a module under `src/` with all that is in it, less any room inside it: a right to
/// `store` is one to the trait and its types, never to a backend. An entry that is not a room
/// (`telemetry::metrics`) is a right to that part alone.
const ROOMS: &[(&str, &str)] = &[
    ("main", "cli"),
    // What tests and benches take hold of.
    (
        "testing",
        "cli app api http service tasks config store::postgres store::sqlite keys store entropy clock document domain \
         telemetry",
    ),
    ("cli", "app api service config domain telemetry"),
    // The composition root: the only place that names a backend.
    (
        "app",
        "http service tasks config store::postgres store::sqlite keys store entropy clock domain telemetry",
    ),
    ("http", "api service keys clock document domain telemetry"),
    // For Claims, which an inspection shows as they are.
    ("api", "service keys domain"),
    (
        "service",
        "keys store entropy clock document domain telemetry",
    ),
    ("tasks", "telemetry"),
    // For the master key's type.
    ("config", "keys domain"),
    ("store::postgres", "store domain telemetry::metrics"),
    ("store::sqlite", "store domain telemetry::metrics"),
    // For what a store records and holds: Recorded, KeyRecord, Sealed.
    ("keys", "store entropy document domain"),
    ("store", "domain telemetry::metrics"),
    ("entropy", "clock"),
    ("clock", "domain"),
    ("domain", ""),
    ("document", ""),
    ("telemetry", ""),
];

/// What every room's `#[cfg(test)]` code may name as well: the clock and the entropy that tests set by hand.
const TESTS_MAY_NAME: &str = "clock entropy domain";

/// Where a crate, or a part of one, may be named: `(names, places, why)`. A place that ends in `/`
/// is a folder, any other a file; `#[cfg(test)]` code is exempt.
const CRATES: &[(&str, &str, &str)] = &[
    (
        "axum axum_server tower tower_http hyper hyper_util http_body_util",
        "src/http/ src/app/",
        "services know no HTTP: hand them plain values",
    ),
    (
        "sqlx",
        "src/store/postgres/ src/store/sqlite/",
        "SQL lives in two folders: add a read to src/store/records.rs, or a Write",
    ),
    (
        "jsonwebtoken aws_lc_rs::signature aws_lc_rs::rsa",
        "src/keys/algorithm.rs",
        "one file knows how a token is signed: go through the Keyring",
    ),
    (
        "argon2 bcrypt",
        "src/service/clients/secret/",
        "hashing has threads and a queue of its own: go through service::clients::secret",
    ),
    (
        "clap clap_complete comfy_table indicatif",
        "src/cli/",
        "only the command line talks to a person: return a value and let cli print it",
    ),
    (
        "std::env toml",
        "src/config/raw.rs src/main.rs",
        "nothing after start reads the environment: take a value of Config",
    ),
    (
        "std::time::SystemTime::now time::OffsetDateTime::now_utc time::OffsetDateTime::now_local",
        "src/clock.rs",
        "time is an argument: take a Timestamp, or ask a Clock",
    ),
    (
        "aws_lc_rs::rand",
        "src/entropy.rs src/keys/algorithm.rs",
        "randomness is an argument: draw it through Entropy",
    ),
    (
        "tokio::spawn tokio::task::spawn tokio::task::spawn_local",
        "src/tasks.rs src/app/listen.rs src/store/batch.rs src/store/batch/lanes.rs src/http/serve/",
        "a task that nobody watches dies unseen: add a row to the table in src/tasks.rs",
    ),
    (
        "std::thread::spawn std::thread::Builder",
        "src/service/clients/secret/ src/app/serve.rs src/app/reload.rs",
        "threads are counted: use the ones of clients::secret, or start it in src/app",
    ),
];

/// What stays apart inside a room: `(places, names, why)`. The places may not name any of these.
const KEPT_APART: &[(&str, &str, &str)] = &[
    (
        "src/http/token/dialect.rs src/http/token/rfc6749.rs src/http/token/oculus_orum.rs src/http/token/airisk.rs",
        "crate::http::parameters crate::http::incoming crate::http::authorization",
        "a dialect is a row of values and reads no request, so that it reads no parameter in its own way and skips no \
         phase: let src/http/token/mod.rs or a grant read it",
    ),
    (
        "src/http/oauth/ src/http/manage/ src/http/ops/ src/http/token/ src/http/error.rs src/http/shape.rs",
        "crate::http::challenge axum::http::header::WWW_AUTHENTICATE",
        "how a 401 challenges is a fact of the request: src/http/challenge.rs decides it for every handler",
    ),
];

/// Fails with every fault at once, so that one run shows all there is to mend.
fn demand_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} to mend:\n\n{}\n",
        faults.len(),
        faults.join("\n")
    );
}
