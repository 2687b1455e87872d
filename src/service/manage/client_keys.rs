//! Public keys that an operator hands in for an agent. Owns in which forms they may be written. Must
//! not know which agent gets them.

use serde_json::{Value, json};

use crate::domain::credential::PublicKeys;
use crate::domain::rejection::FieldError;
use crate::keys::client_key::ClientKeySet;
use crate::keys::client_pem::{is_pem, jwk_of_pem};
use crate::keys::unique_json::{REPEATED, read_unique};

/// Public keys that were checked, for a new credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeys {
    /// The keys.
    pub keys: PublicKeys,
    /// What people tell them apart by: their RFC 7638 thumbprints.
    pub hint: Box<str>,
}

impl NewKeys {
    /// Reads a JWK Set that stands at this place (a JSON Pointer). Every fault is told.
    pub fn read(set: &Value, at: &str) -> Result<Self, Vec<FieldError>> {
        let set = ClientKeySet::parse(set).map_err(|rules| {
            let error = |(inner, why)| FieldError::new(format!("{at}{inner}"), why);
            rules.into_iter().map(error).collect::<Vec<_>>()
        })?;
        Ok(Self {
            keys: PublicKeys(set.to_text().into()),
            hint: set.thumbprints().into(),
        })
    }

    /// Reads a file: a JWK Set, one JWK, or one key in PEM.
    pub fn read_file(text: &str) -> Result<Self, Vec<FieldError>> {
        let read = if is_pem(text) {
            jwk_of_pem(text)
                .ok_or("holds PEM that is no public key of the type RSA, P-256, P-384 or Ed25519")
        } else {
            read_unique(text.as_bytes()).map_err(|why| match why {
                REPEATED => REPEATED,
                _ => "is neither a JWK Set nor a JWK nor PEM",
            })
        };
        let read: Value = read.map_err(|why| vec![FieldError::new("/jwks", why)])?;
        let is_key = read.get("kty").is_some();
        Self::read(
            &if is_key {
                json!({ "keys": [read] })
            } else {
                read
            },
            "/jwks",
        )
    }
}
