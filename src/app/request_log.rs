//! Which requests the configuration lets the server log. Must not know what a line says.

use crate::config::{Config, LoggedRequests};
use crate::http::request_line::{Logged, RequestLog};

/// Which requests get a line in the log.
pub(super) fn request_log(config: &Config) -> RequestLog {
    RequestLog {
        requests: match config.log.requests {
            LoggedRequests::All => Logged::All,
            LoggedRequests::Errors => Logged::Errors,
            LoggedRequests::None => Logged::None,
        },
        probes: config.log.probes,
    }
}
