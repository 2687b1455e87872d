//! Keys: private key bytes are here and nowhere else.
//!
//! Owns signing, verifying and publishing. Must not know who may have a token: it signs what a
//! store recorded ([`Recorded`], by value) and nothing else. Must not know the clock either.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::document::Document;
use crate::domain::{id::Kid, ttl};
use crate::store::{KeyRecord, KeyState, Recorded, Sealed, StoredKeys};

use algorithm::{PrivateKey, PublicKey};
use claims::{Claims, MAX_TOKEN_BYTES, TokenHeader};
use seal::MasterKey;

pub(crate) mod algorithm;
pub(crate) mod assertion;
mod base64url;
pub(crate) mod claims;
pub(crate) mod client_algorithm;
mod client_jwk;
pub(crate) mod client_key;
pub(crate) mod client_pem;
mod client_signature;
pub(crate) mod code;
pub(crate) mod cursor;
mod fault;
pub(crate) mod log;
mod prefixed;
pub(crate) mod reply;
pub(crate) mod reseal;
pub(crate) mod rotation;
pub(crate) mod row_seal;
pub(crate) mod seal;
pub(crate) mod store_key;
pub(crate) mod tag;
mod token;
pub(crate) mod unique_json;

pub(crate) use fault::KeyFault;
pub(crate) use token::{SignedToken, TokenTyp, Verified};

struct SigningKey {
    /// The first part of each token, with the dot behind it.
    encoded_header: String,
    pair: Arc<Pair>,
}

/// A key that was proven to be this store's: its private part opened under the master key for its
/// kid, and its public part belongs to its private part.
struct Pair {
    /// The row that the key was read from.
    row: (String, Sealed),
    public: PublicKey,
    private: PrivateKey,
    /// The public part as computed from the private part. This one is published.
    public_jwk: String,
}

struct KeySet {
    /// The version of the stored keys that were read.
    version: i64,
    signing: Option<SigningKey>,
    pairs: HashMap<Kid, Arc<Pair>>,
    jwks: Arc<Document>,
}

/// The keys of a store, as this process knows them.
pub struct Keyring {
    issuer: String,
    typ: TokenTyp,
    master_key: MasterKey,
    current: ArcSwap<KeySet>,
}

impl Keyring {
    /// An empty keyring for tokens of `issuer`; [`Keyring::load`] fills it.
    pub fn new(issuer: String, typ: TokenTyp, master_key: MasterKey) -> Self {
        let jwks = Arc::new(render_jwks(vec![]));
        let set = KeySet {
            version: 0,
            signing: None,
            pairs: HashMap::new(),
            jwks,
        };
        Self {
            issuer,
            typ,
            master_key,
            current: ArcSwap::from_pointee(set),
        }
    }

    /// Takes over the store's keys. A row is refused if it is not proven to be a key of this store,
    /// or not in the state that the store's servers gave it. A refused key does not verify and is
    /// not published; its fault is returned in the list. If the signing key is refused, that fault
    /// is the error, and the last good key set stays.
    pub fn load(&self, stored: &StoredKeys) -> Result<Vec<KeyFault>, KeyFault> {
        let before = self.current.load();
        let (mut signing, mut pairs, mut published) = (None, HashMap::new(), Vec::new());
        let mut refused = Vec::new();
        for record in &stored.keys {
            let kid = &record.kid;
            let pair = match self.prove(&before, record) {
                Ok(pair) => pair,
                Err(fault) if record.state == KeyState::Signing => return Err(fault),
                Err(fault) => {
                    refused.push(fault);
                    continue;
                }
            };
            if record.state == KeyState::Signing {
                let header = TokenHeader {
                    alg: "RS256",
                    typ: self.typ.as_str(),
                    kid: &kid.0,
                };
                let json = serde_json::to_vec(&header).map_err(|_| KeyFault::Signing)?;
                let encoded_header = URL_SAFE_NO_PAD.encode(json) + ".";
                signing = Some(SigningKey {
                    encoded_header,
                    pair: Arc::clone(&pair),
                });
            }
            published.push((record.state, pair.public_jwk.clone()));
            pairs.insert(kid.clone(), pair);
        }
        let jwks = Arc::new(render_jwks(published));
        self.current.store(Arc::new(KeySet {
            version: stored.version,
            signing,
            pairs,
            jwks,
        }));
        Ok(refused)
    }

    /// The store's keys that are proven to be its own. Rotation leaves the others alone.
    pub fn genuine(&self, mut stored: StoredKeys) -> StoredKeys {
        let known = self.current.load();
        stored
            .keys
            .retain(|record| self.prove(&known, record).is_ok());
        stored
    }

    /// Why this row's key is refused; `None` if it is proven to be this store's own.
    pub fn fault_of(&self, record: &KeyRecord) -> Option<KeyFault> {
        self.prove(&self.current.load(), record).err()
    }

    /// Proves a row. Somebody who can write to the database but lacks the master key can neither
    /// make such a row nor change its state or times.
    fn prove(&self, known: &KeySet, record: &KeyRecord) -> Result<Arc<Pair>, KeyFault> {
        let pair = self.prove_pair(known, record)?;
        let is_believed = row_seal::is_believed(&self.master_key, record);
        if is_believed {
            Ok(pair)
        } else {
            Err(KeyFault::Moved(record.kid.clone()))
        }
    }

    /// Unseals a private key and checks that its public part and its kid belong to it.
    fn prove_pair(&self, known: &KeySet, record: &KeyRecord) -> Result<Arc<Pair>, KeyFault> {
        let (kid, row) = (&record.kid, (&record.public_jwk, &record.private_key));
        if let Some(pair) = known.pairs.get(kid)
            && (&pair.row.0, &pair.row.1) == row
        {
            return Ok(Arc::clone(pair));
        }
        let public = PublicKey::from_jwk(kid, &record.public_jwk)?;
        let der = self
            .master_key
            .unseal(&record.private_key, kid.0.as_bytes())
            .ok_or_else(|| KeyFault::Unsealable(kid.clone()))?;
        let private =
            PrivateKey::from_der(&der).ok_or(KeyFault::Damaged(kid.clone(), "it is no RSA key"))?;
        let (thumbprint, public_jwk) = private.public_jwk()?;
        if thumbprint != *kid {
            return Err(KeyFault::Damaged(
                kid.clone(),
                "its private and public parts differ",
            ));
        }
        let row = (record.public_jwk.clone(), record.private_key.clone());
        Ok(Arc::new(Pair {
            row,
            public,
            private,
            public_jwk,
        }))
    }

    /// The version of the store's keys that this process knows.
    pub fn version(&self) -> i64 {
        self.current.load().version
    }

    /// Whether there is a signing key.
    pub fn can_sign(&self) -> bool {
        self.current.load().signing.is_some()
    }

    /// Whether there is a key to verify with, which is published then.
    pub fn can_verify(&self) -> bool {
        !self.current.load().pairs.is_empty()
    }

    /// Signs a token that was counted and recorded.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a recorded token is signed once"
    )]
    pub fn sign(&self, recorded: Recorded) -> Result<SignedToken, KeyFault> {
        let set = self.current.load();
        let key = set.signing.as_ref().ok_or(KeyFault::NoSigningKey)?;
        let claims = claims::encode(&self.issuer, &recorded);
        let mut jwt = String::with_capacity(key.encoded_header.len() + claims.len() * 4 / 3 + 700);
        jwt.push_str(&key.encoded_header);
        base64url::append(claims.as_bytes(), &mut jwt);
        key.pair.private.sign_onto(&mut jwt)?;
        if jwt.len() > MAX_TOKEN_BYTES {
            return Err(KeyFault::TooLong);
        }
        let expires_at = recorded.expires_at();
        let grant = recorded.grant();
        Ok(SignedToken {
            jwt,
            expires_in: grant.ttl(),
            expires_at,
            scope: grant.scope().to_owned(),
        })
    }

    /// Whether a key with this id verifies tokens now.
    pub fn knows(&self, kid: &Kid) -> bool {
        self.current.load().pairs.contains_key(kid)
    }

    /// Checks shape, header, signature, issuer and lifetime, in that order. The key determines the
    /// algorithm (RFC 8725 §3.1), never the header. The caller checks time, revocation and epoch.
    pub fn verify(&self, token: &str) -> Verified {
        let Some(header) = claims::read_header(token) else {
            return Verified::Rejected;
        };
        let typ_known = header.typ == TokenTyp::AtJwt.as_str() || header.typ == self.typ.as_str();
        if header.alg != "RS256" || !typ_known {
            return Verified::Rejected;
        }
        let (set, kid) = (self.current.load(), Kid(header.kid));
        let Some(pair) = set.pairs.get(&kid) else {
            return Verified::UnknownKey;
        };
        match pair.public.verify(token) {
            // RFC 8725 §3.8: the issuer is compared as an exact string. This server mints no token
            // that lives longer than a day. A longer-lived token was signed elsewhere with one of
            // this store's keys.
            Some(claims) if claims.iss == self.issuer && lives_as_minted(&claims) => {
                Verified::Genuine(kid, Box::new(claims))
            }
            _ => Verified::Rejected,
        }
    }

    /// The published key set (RFC 7517 §5), public members only.
    pub fn jwks(&self) -> Arc<Document> {
        Arc::clone(&self.current.load().jwks)
    }

    /// The master key, for code that makes new keys of this store.
    pub fn master_key(&self) -> &MasterKey {
        &self.master_key
    }
}

/// Whether the time from `iat` to `exp` is a lifetime that this server mints.
fn lives_as_minted(claims: &Claims) -> bool {
    claims
        .exp
        .checked_sub(claims.iat)
        .is_some_and(|life| (1..=ttl::MAX_TTL).contains(&life))
}

/// RFC 7517: the signing key first, then the announced keys, then the retiring keys.
fn render_jwks(mut keys: Vec<(KeyState, String)>) -> Document {
    keys.sort_by_key(|(state, _)| match state {
        KeyState::Signing => 0,
        KeyState::Announced => 1,
        KeyState::Retiring => 2,
    });
    let keys: Vec<String> = keys.into_iter().map(|(_, public_jwk)| public_jwk).collect();
    Document::new(format!("{{\"keys\":[{}]}}", keys.join(",")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_token_that_lives_longer_than_any_is_minted_is_rejected() {
        let entropy = SeededEntropy::new(1);
        let master = MasterKey::generate(&entropy).unwrap();
        let made = algorithm::generate(algorithm::RsaBits::B2048).unwrap();
        let private_key = master
            .seal(&made.private_der, made.kid.0.as_bytes(), &entropy)
            .unwrap();
        let keyring = Keyring::new("https://a.example".to_owned(), TokenTyp::AtJwt, master);
        let record = KeyRecord {
            kid: made.kid.clone(),
            public_jwk: made.public_jwk,
            private_key,
            state: KeyState::Signing,
            announced_at: Timestamp(0),
            signs_from: Timestamp(0),
            signs_until: None,
            published_until: None,
            seal: None,
        };
        let stored = |keys| StoredKeys { version: 0, keys };
        keyring.load(&stored(vec![record])).unwrap();
        let private = PrivateKey::from_der(&made.private_der).unwrap();
        let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let genuine = |iat: i64, exp: i64| {
            let header = encode(json!({"alg": "RS256", "typ": "at+jwt", "kid": made.kid.0}));
            let claims = encode(json!({
                "iss": "https://a.example", "sub": "a", "aud": "x", "client_id": "a", "scope": "admin:orgs",
                "jti": "01920000-0000-7000-8000-000000000000", "epoch": 0, "iat": iat, "exp": exp,
            }));
            let mut token = format!("{header}.{claims}");
            private.sign_onto(&mut token).unwrap();
            matches!(keyring.verify(&token), Verified::Genuine(kid, _) if kid == made.kid)
        };
        for (iat, exp, is_ours) in [
            (100, 400, true),
            (100, 86_500, true),
            (100, 86_501, false),
            (100, 100 + 3 * 365 * 86_400, false),
            (100, 100, false),
            (100, 99, false),
            (i64::MIN, i64::MAX, false),
            (i64::MAX, i64::MIN, false),
        ] {
            assert_eq!(genuine(iat, exp), is_ours, "{iat} {exp}");
        }
        assert!(keyring.knows(&made.kid));
        keyring.load(&stored(vec![])).unwrap();
        assert!(!keyring.knows(&made.kid) && !genuine(100, 400));
    }
}
