//! A document that is made once and served many times: its bytes and their entity tag.
//!
//! A leaf module: it owns how an entity tag is computed, so that equal documents have equal tags on
//! every replica. It must not know HTTP.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

/// JSON text, ready to send.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text.
    pub body: Bytes,
    /// A strong entity tag, quotes included: base64url of the first 16 bytes of the body's SHA-256.
    pub etag: String,
}

impl Document {
    /// Takes over `body`.
    pub fn new(body: String) -> Self {
        let mut hash = TagHash::default();
        hash.update(&body);
        Self::hashed(body, hash)
    }

    /// Takes over `body`. The caller has fed all of `body` to `hash`.
    pub fn hashed(body: String, hash: TagHash) -> Self {
        let hash = hash.0.finish();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
        Self {
            body: body.into(),
            etag,
        }
    }

    /// The entity tag of the gzip representation: its bytes differ, so it needs another strong tag
    /// (RFC 9110 §8.8.3).
    pub fn gzip_etag(&self) -> String {
        format!("{}-gzip\"", self.etag.trim_end_matches('"'))
    }
}

/// The hash behind an entity tag, for a text that arrives in pieces.
#[derive(Clone)]
pub struct TagHash(digest::Context);

impl Default for TagHash {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

/// `base64url(SHA-256(text))`. It does not reveal the text, but somebody who guesses the text can
/// confirm it.
pub(crate) fn text_digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl TagHash {
    /// Adds a piece.
    pub fn update(&mut self, piece: &str) {
        self.0.update(piece.as_bytes());
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
        let mut pieces = TagHash::default();
        for piece in ["{", "", "}"] {
            pieces.update(piece);
        }
        assert_eq!(Document::hashed("{}".to_owned(), pieces).etag, tag("{}"));
        // The first 16 bytes of SHA-256("{}").
        assert_eq!(tag("{}"), "\"RBNvo1WzZ4oRRq0W9-hkng\"");
    }
}
