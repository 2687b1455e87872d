//! Which requests the configuration lets the server log. Must not know what a line says.

use crate::config::{Config, LoggedRequests};
use crate::http::request_line::RequestLog;

/// Which requests get a line in the log.
pub(super) fn request_log(config: &Config) -> RequestLog {
    RequestLog {
        from_status: match config.log.requests {
            LoggedRequests::All => 0,
            LoggedRequests::Errors => 400,
            LoggedRequests::None => u16::MAX,
        },
        probes: config.log.probes,
    }
}
