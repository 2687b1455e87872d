//! Who runs a command, as the operating system tells it. Must not know what the command changes.

use rustix::process::geteuid;

use crate::domain::act::Operator;

/// The user and the host of this process. A user without a name, as in many containers, is told by
/// its number.
pub(super) fn operator() -> Operator {
    let user = whoami::username().unwrap_or_else(|_| format!("uid-{}", geteuid().as_raw()));
    Operator::new(&user, &host())
}

/// The name of this machine or container; empty if it has none.
pub(super) fn host() -> String {
    whoami::hostname().unwrap_or_default()
}
