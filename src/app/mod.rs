//! The composition root: from a configuration to a store, a keyring, services, routers and tasks.
//!
//! The only namer of concrete types. Owns start-up and shut-down; must not know protocol rules.
//! `open` opens a store for any command, `services` puts the services over it, `serve` is a server's life,
//! `first_start` an empty store's, `beside` the files next to a store and `files` how they are written,
//! `listen` the listeners and their limits, `loops` the background loops, `reload` a configuration read again,
//! `signals` what a server hears, `announce` what it says, `time` waits for a clock that was set.

mod announce;
mod beside;
mod error;
mod files;
mod first_start;
mod listen;
pub(crate) mod loops;
mod open;
mod reload;
mod serve;
mod services;
mod signals;
mod time;

pub(crate) use beside::{NewStore, renew_operator_file};
pub(crate) use error::AppError;
pub use open::{Opened, Wrapping, migrate, open, open_with};
pub(crate) use reload::{Reloading, Reread};
pub(crate) use serve::serve;
pub use services::compose;
pub(crate) use services::look;
