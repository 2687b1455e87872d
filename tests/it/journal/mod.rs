//! What the server makes of recorded events: the tamper-evident log, and usage. `kit` checks a log
//! against the events by the definition of its format, without the code that made it.

mod broken_off;
pub mod kit;
mod ledger;
mod prune;
mod reach;
mod restored;
mod served;
mod usage;
mod verify;

use crate::harness::on_both;
