//! The document as a server has it: made when somebody first asks for it, since most servers are
//! never asked.
//!
//! Must not know what the document says.

use std::sync::OnceLock;

use crate::document::Document;

/// A document that is made when it is first asked for.
pub struct ApiDocument {
    issuer: String,
    write: fn(&str) -> String,
    made: OnceLock<Document>,
}

impl ApiDocument {
    /// The document of the server of this issuer, which `write` writes.
    pub fn new(issuer: &str, write: fn(&str) -> String) -> Self {
        Self {
            issuer: issuer.to_owned(),
            write,
            made: OnceLock::new(),
        }
    }

    /// The document.
    pub(crate) fn document(&self) -> &Document {
        self.made
            .get_or_init(|| Document::new((self.write)(&self.issuer)))
    }
}
