//! The keys that verify a partner's tokens: those that were handed in, or those that it publishes.
//!
//! Owns which of the published keys are used, and how long. Must not know how they are fetched.

use std::fmt;

use serde_json::{Value, json};

use crate::domain::partner::source::KeySource;
use crate::keys::client_key::{ClientKey, ClientKeySet};
use crate::outbound::fault::FetchFault;
use crate::outbound::fetch::Fetcher;

/// The fewest seconds that published keys are used, whatever the answer says.
const MIN_KEYS_TTL: u64 = 300;

/// The most seconds that published keys are used, whatever the answer says.
const MAX_KEYS_TTL: u64 = 86_400;

/// The most keys of one document that are looked at.
const MAX_PUBLISHED_KEYS: usize = 64;

/// One key that verifies tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownKey {
    /// The name that the partner gave it.
    pub kid: Option<String>,
    /// The algorithm.
    pub algorithm: &'static str,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

/// The keys of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartnerKeys {
    /// Those that are used.
    pub keys: Vec<KnownKey>,
    /// How many more the document has, which cannot be used: of another type or size, or not for
    /// signatures.
    pub unusable: usize,
    /// How many seconds they are used before they are fetched again; `None` if they were handed in.
    pub ttl: Option<u64>,
}

/// Why a partner has no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartnerKeysFault {
    /// They were not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    /// The document has no keys that can be used.
    #[error("the answer is {0}")]
    Document(Unusable),
}

impl PartnerKeysFault {
    /// Whether the partner says that its keys of before are to be trusted no more: it has none, or
    /// published the private ones.
    pub(crate) fn withdraws_keys(&self) -> bool {
        matches!(
            self,
            Self::Document(Unusable::NoKnownKey | Unusable::PrivateKey)
        )
    }
}

/// What a document is that has no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is no JSON Web Key Set.
    NoKeySet,
    /// It has none of the keys that this server knows.
    NoKnownKey,
    /// It has a private key.
    PrivateKey,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKeySet => "no JSON Web Key Set",
            Self::NoKnownKey => {
                "a key set without any key of RSA from 2048 to 4096 bits, P-256, P-384 or Ed25519"
            }
            Self::PrivateKey => "a key set with private keys, which nobody should trust any more",
        })
    }
}

/// The keys of this source, as they are now.
pub(crate) async fn current_keys(
    fetcher: &Fetcher,
    source: &KeySource,
) -> Result<PartnerKeys, PartnerKeysFault> {
    match source {
        KeySource::Set(set) => {
            let keys = ClientKeySet::of_stored(&set.keys.0);
            let keys = keys.ok_or(PartnerKeysFault::Document(Unusable::NoKeySet))?;
            Ok(PartnerKeys {
                keys: keys.keys().iter().map(known).collect(),
                unusable: 0,
                ttl: None,
            })
        }
        KeySource::Uri(uri) => {
            let published = published_keys(fetcher, uri.as_str()).await?;
            Ok(PartnerKeys {
                keys: published.keys.iter().map(known).collect(),
                unusable: published.unusable,
                ttl: Some(published.ttl),
            })
        }
    }
}

/// What a partner publishes.
pub(super) struct PublishedKeys {
    /// The keys that are used.
    pub keys: Vec<ClientKey>,
    /// How many more the document has, which cannot be used.
    unusable: usize,
    /// How many seconds they are used before they are fetched again.
    pub ttl: u64,
}

/// The keys at this address, as they are now.
pub(super) async fn published_keys(
    fetcher: &Fetcher,
    uri: &str,
) -> Result<PublishedKeys, PartnerKeysFault> {
    let answer = fetcher.fetch(uri).await?;
    let (keys, unusable) = read(&answer.body).map_err(PartnerKeysFault::Document)?;
    let ttl = answer.fresh_for.unwrap_or(MIN_KEYS_TTL);
    Ok(PublishedKeys {
        keys,
        unusable,
        ttl: ttl.clamp(MIN_KEYS_TTL, MAX_KEYS_TTL),
    })
}

/// The keys of a document that can be used, and how many more it has.
fn read(document: &[u8]) -> Result<(Vec<ClientKey>, usize), Unusable> {
    let document: Value = serde_json::from_slice(document).map_err(|_| Unusable::NoKeySet)?;
    let published = document.get("keys").and_then(Value::as_array);
    let published = published.ok_or(Unusable::NoKeySet)?;
    if published
        .iter()
        .any(|key| key.get("d").is_some() || key.get("k").is_some())
    {
        return Err(Unusable::PrivateKey);
    }
    let one = |key: &Value| ClientKeySet::parse(&json!({ "keys": [key] })).ok();
    let sets = published.iter().take(MAX_PUBLISHED_KEYS).filter_map(one);
    let keys: Vec<ClientKey> = sets.flat_map(|set| set.keys().to_vec()).collect();
    if keys.is_empty() {
        return Err(Unusable::NoKnownKey);
    }
    let unusable = published.len().saturating_sub(keys.len());
    Ok((keys, unusable))
}

fn known(key: &ClientKey) -> KnownKey {
    KnownKey {
        kid: key.kid.clone(),
        algorithm: key.algorithm.as_str(),
        thumbprint: key.thumbprint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed() -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        })
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out() {
        let document = json!({
            "keys": [
                ed(),
                {"kty": "RSA", "e": "AQAB", "n": "AQAB"},
                {"kty": "OKP", "crv": "X25519", "x": "AA", "use": "enc"},
                "no key",
            ],
            "other": true,
        });
        let (keys, unusable) = read(document.to_string().as_bytes()).unwrap();
        let expected = KnownKey {
            kid: Some("a".to_owned()),
            algorithm: "EdDSA",
            thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
        };
        assert_eq!(
            (keys.iter().map(known).collect(), unusable),
            (vec![expected], 3)
        );
    }

    #[test]
    fn a_document_without_keys_is_told_from_one_with_secrets() {
        let mut private = ed();
        private["d"] = json!("AA");
        for (document, unusable) in [
            (json!({"keys": []}), Unusable::NoKnownKey),
            (json!({"keys": [{}]}), Unusable::NoKnownKey),
            (json!({"keys": {}}), Unusable::NoKeySet),
            (json!([]), Unusable::NoKeySet),
            (json!({"keys": [ed(), private]}), Unusable::PrivateKey),
            (
                json!({"keys": [{"kty": "oct", "k": "AA"}]}),
                Unusable::PrivateKey,
            ),
        ] {
            assert_eq!(
                read(document.to_string().as_bytes()),
                Err(unusable),
                "{document}"
            );
        }
        assert_eq!(read(b"<html>"), Err(Unusable::NoKeySet));
    }
}
