//! The composition root: it turns a configuration into a store, a keyring, services, routers and
//! tasks.
//!
//! Owns start-up and shut-down; must not know protocol rules. No other module names the concrete
//! types.
//!
//! - `open` opens a store for any command, `master_key` reads its master key, and `services` builds the services over the store.
//! - `serve` runs a server from start to stop, and `first_start` sets up an empty store.
//! - `check` looks at the files that a configuration names, `plans` at the plans that agents are on,
//!   `doctor` at everything else too.
//! - `backup` makes backups of a SQLite store, and puts them in place.
//! - `beside` knows the files next to a store, `operator_file` one of them, and `files` writes them.
//! - `listen` has the listeners and their limits, `loops` the background loops, `gauges` those
//!   that measure.
//! - `certificates` reads the certificate and the key of TLS, again when they change.
//! - `reload` reads the configuration again, `signals` receives signals.
//! - `supervisor` tells systemd how the server is.
//! - `processes` tells what this process reports to the store.
//! - `operator` tells who runs a command, `openapi` writes the document for one.
//! - `request_ids` draws the number of a process, `request_log` tells which requests are logged.
//! - `restore` refuses a restored store that nobody has acknowledged.
//! - `alone` keeps the lock of the only server of a SQLite file.
//! - `announce` prints what a starting server says, `time` waits until the clock is set.

mod alone;
mod announce;
mod audience;
mod backup;
mod beside;
mod certificates;
mod check;
mod doctor;
mod error;
mod files;
mod first_start;
mod gauges;
mod listen;
pub(crate) mod loops;
mod master_key;
mod open;
mod openapi;
mod operator;
mod operator_file;
mod orgs;
mod partners;
mod plans;
mod processes;
mod reload;
mod request_ids;
mod request_log;
mod restore;
mod rotation;
mod serve;
mod services;
mod signals;
mod supervisor;
mod time;
mod verifiers;

pub(crate) use backup::{accept_copy, back_up, put_in_place};
pub(crate) use beside::NewStore;
pub(crate) use check::{file_faults, plan_fault};
pub(crate) use doctor::examine;
pub(crate) use error::AppError;
pub(crate) use open::finish;
pub(crate) use open::open_or_create;
pub use open::{Opened, Wrapping, migrate, open, open_with};
pub(crate) use openapi::openapi_document;
pub(crate) use operator_file::renew_operator_file;
pub(crate) use reload::{Reloading, Reread};
pub(crate) use serve::serve;
pub use services::compose;
pub(crate) use services::open_scopes_to_read;
pub(crate) use supervisor::{SOCKET_VARIABLE, Supervisor};
pub(crate) use time::prepare_thread;
