//! The OpenAPI document, for the command that prints it. Must not know what it says.

use crate::config::Config;
use crate::http::write_openapi;

/// The document of the configured server.
pub(crate) fn openapi_document(config: &Config) -> String {
    write_openapi(&config.token.issuer)
}
