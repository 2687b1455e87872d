//! `sealwright openapi`: the document that clients are made from, as the server sends it.

use std::io::{self, Write};

use crate::app::openapi_document;
use crate::config::Config;

use super::failure::CommandFailure;

/// Prints the document. It needs no store.
pub(super) fn print(config: &Config) -> Result<(), CommandFailure> {
    Ok(io::stdout().write_all(openapi_document(config).as_bytes())?)
}
