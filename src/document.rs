//! A document that is made once and served many times: its bytes and their entity tag.
//!
//! A leaf: owns how a tag is computed, so that equal documents have equal tags on every replica. Must
//! not know HTTP.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

/// JSON text, ready to send.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text.
    pub body: Bytes,
    /// A strong entity tag, quotes included: base64url of the first 16 bytes of SHA-256 of the body.
    pub etag: String,
}

impl Document {
    /// Takes over `body`.
    pub fn new(body: String) -> Self {
        let hash = digest::digest(&digest::SHA256, body.as_bytes());
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
        Self { body: body.into(), etag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_have_equal_tags_and_others_do_not() {
        let tag = |text: &str| Document::new(text.to_owned()).etag;
        assert_eq!(tag("{}"), tag("{}"));
        assert_ne!(tag("{}"), tag("{ }"));
        // The first 16 bytes of SHA-256("{}").
        assert_eq!(tag("{}"), "\"RBNvo1WzZ4oRRq0W9-hkng\"");
    }
}
