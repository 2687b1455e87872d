//! Structure tests. They check the rules that a workspace of crates would enforce, and the
//! documents that nobody would otherwise notice to be out of date.
//!
//! The tables below describe the design. Change them only together with the map in `src/lib.rs`.
//! Every other rule is explained at the top of the file that checks it:
//!
//! - `composition`: only `app` builds services
//! - `circles`: no two files name each other, neither directly nor through other files
//! - `rooms`: which part of `src/` may name which other part, and which crates ([`ROOMS`],
//!   [`CRATES`], [`KEPT_APART`])
//! - `places`: the places and the names of these tables exist
//! - `routes`: every route is a row of a table, which says who may send a request and how long the
//!   response may take
//! - `shape`: the greatest length of a file, opening comments, the map
//! - `names`: a type name is used for one type
//! - `words`: what must not be written (panics, casts, unfinished code, paths of one machine)
//! - `programs`: which programs the tests may start
//! - `citations`: the targets of citations exist, and README.md leads to every page
//! - `papers`: documents that must agree with the code (config keys, routes, migrations)
//! - `recipes`: pages that show what the tests run, and the clients that the README lists
//! - `dependencies`: banned crates, licences and sources, as `.deny.toml` lists them
//! - `scan`, `paths`, `tree`: how the other files read a source file, follow the names in it, and
//!   list the files
//!
//! A message names the place, the rule and the way to fix it.
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
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/places.rs"]
mod places;
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

/// Which room may name which: `(room, what it may name besides itself)`. A room names only rows
/// below its own.
///
/// A room is a module under `src/` with everything in it, except the rooms inside it. So the entry
/// `store` allows the trait and its types, but never a backend. An entry that is not a room
/// (`telemetry::metrics`) allows that part alone.
const ROOMS: &[(&str, &str)] = &[
    ("main", "cli"),
    // What tests and benches use.
    (
        "testing",
        "cli app api http service outbound tasks config store::postgres store::sqlite keys store entropy clock document domain json \
         telemetry",
    ),
    ("cli", "app api service config domain telemetry"),
    // The composition root: the only place that names a backend.
    (
        "app",
        "http service outbound tasks config store::postgres store::sqlite keys store entropy clock domain telemetry",
    ),
    (
        "http",
        "api service keys clock document json domain telemetry",
    ),
    // It needs `keys` for `Claims`, which an inspection shows unchanged.
    ("api", "service keys domain"),
    (
        "service",
        "outbound keys store entropy clock document domain telemetry",
    ),
    ("outbound", "domain"),
    ("tasks", "telemetry"),
    // It needs `keys` for the master key's type.
    ("config", "keys domain"),
    ("store::postgres", "store domain telemetry::metrics"),
    ("store::sqlite", "store domain telemetry::metrics"),
    // It needs `store` for the types of what a store holds: Recorded, KeyRecord, Sealed.
    ("keys", "store entropy document json domain"),
    ("store", "domain telemetry::metrics"),
    ("entropy", "clock"),
    ("clock", "domain"),
    ("domain", "json"),
    ("document", ""),
    ("telemetry", "json"),
    ("json", ""),
];

/// What the `#[cfg(test)]` code of every room may name besides: the clock and the entropy, which
/// tests set by hand, and the domain.
const TESTS_MAY_NAME: &str = "clock entropy domain";

/// Where a crate, or a part of a crate, may be named: `(names, places, why)`. A place that ends in
/// `/` is a folder, any other place is a file. `#[cfg(test)]` code is exempt.
const CRATES: &[(&str, &str, &str)] = &[
    (
        "axum axum_server tower tower_http hyper hyper_util http_body_util",
        "src/http/ src/app/ src/outbound/",
        "services know no HTTP: hand them plain values",
    ),
    (
        "axum::routing axum::Router::route",
        "src/http/mod.rs src/http/layers.rs",
        "a route is a row of a table, which says who may ask: add the row to src/http/mod.rs or src/http/manage/mod.rs",
    ),
    (
        "sqlx",
        "src/store/postgres/ src/store/sqlite/",
        "SQL lives in two folders: add a read to src/store/records.rs, or a Write",
    ),
    (
        "jsonwebtoken aws_lc_rs::rsa",
        "src/keys/algorithm.rs",
        "one file knows how a token is signed: go through the Keyring",
    ),
    (
        "aws_lc_rs::signature",
        "src/keys/algorithm.rs src/keys/log.rs src/keys/client_jwk.rs src/keys/client_signature.rs",
        "two files sign, one tokens and one the log, and two check keys and signatures of clients: go through the Keyring, \
         the LogKey or the Assertion",
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
        "utoipa",
        "src/api/ src/http/",
        "only what is on the wire has a schema: derive it on the type of src/api/ that is made from yours",
    ),
    (
        "std::env toml",
        "src/config/raw.rs src/main.rs",
        "nothing after start reads the environment: take a value of Config",
    ),
    (
        "whoami",
        "src/app/operator.rs",
        "who runs a command is an argument: take an Act",
    ),
    (
        "std::time::SystemTime::now time::OffsetDateTime::now_utc time::OffsetDateTime::now_local",
        "src/clock.rs src/telemetry/log_line.rs",
        "time is an argument: take a Timestamp, or ask a Clock. (The time in a log line decides nothing.)",
    ),
    (
        "aws_lc_rs::rand",
        "src/entropy.rs src/keys/algorithm.rs",
        "randomness is an argument: draw it through Entropy",
    ),
    (
        "tokio::spawn tokio::task::spawn tokio::task::spawn_local",
        "src/tasks.rs src/app/listen.rs src/store/batch.rs src/store/batch/lanes.rs src/http/serve/ src/http/oauth/verifier.rs src/service/revocations/held.rs src/service/partner_key_cache.rs",
        "a task that nobody watches dies unseen: add a row to the table in src/app/loops.rs",
    ),
    (
        "std::thread::spawn std::thread::Builder",
        "src/service/clients/secret/ src/app/serve.rs src/app/reload.rs",
        "threads are counted: use the ones of clients::secret, or start it in src/app",
    ),
];

/// What is kept apart inside a room: `(places, names, why)`. The places must not name any of these
/// names; a place that begins with `!` is taken out. The name of a header field must not stand there
/// as a text either.
const KEPT_APART: &[(&str, &str, &str)] = &[
    (
        "src/http/token/ !src/http/token/mod.rs !src/http/token/grants.rs",
        "crate::http::parameters crate::http::incoming crate::http::authorization crate::http::body \
         crate::http::urlencoded crate::http::state crate::service axum::extract",
        "a dialect is a row of values and reads no request, so that it reads no parameter in its own way and skips no \
         phase: let src/http/token/mod.rs or a grant read it",
    ),
    (
        "src/ !src/http/challenge.rs !src/http/layers.rs !src/http/openapi/errors.rs",
        "crate::http::challenge axum::http::header::WWW_AUTHENTICATE",
        "how a 401 challenges is a fact of the request: src/http/challenge.rs decides it for every handler",
    ),
];

/// Fails with every fault at once, so that one run shows everything that needs fixing.
fn demand_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} to mend:\n\n{}\n",
        faults.len(),
        faults.join("\n")
    );
}
