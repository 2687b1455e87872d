//! Keys as a store holds them: signing keys, and keys of the store itself. All private bytes are
//! sealed.
//!
//! Owns the states of a signing key. Must not know how a key is sealed, or when a key changes its
//! state.

use async_trait::async_trait;

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;

use super::error::StoreError;

/// A private key, encrypted under the master key. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(redacted)")
    }
}

/// The state of a signing key (design: announced → signing → retiring → gone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, but signs nothing yet.
    Announced,
    /// Signs. At most one key of a store is in this state.
    Signing,
    /// Published until the last token that it signed has expired.
    Retiring,
}

impl KeyState {
    /// The word in stores and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
        }
    }

    /// The state with this name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "announced" => Some(Self::Announced),
            "signing" => Some(Self::Signing),
            "retiring" => Some(Self::Retiring),
            _ => None,
        }
    }
}

/// A signing key as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// RFC 7638 thumbprint.
    pub kid: Kid,
    /// The public JWK as JSON text.
    pub public_jwk: String,
    /// The private key, sealed with the `kid` as associated data.
    pub private_key: Sealed,
    /// Its state.
    pub state: KeyState,
    /// When it was first published.
    pub announced_at: Timestamp,
    /// The time from which on it may sign.
    pub signs_from: Timestamp,
    /// When it stopped signing.
    pub signs_until: Option<Timestamp>,
    /// Until when a retiring key stays published.
    pub published_until: Option<Timestamp>,
    /// Authenticates its kid, its state and its times; `None` from a release without seals.
    pub seal: Option<Vec<u8>>,
}

/// All signing keys of a store, as one statement read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The keys' version. Each change of a key raises it, except changes by a release that does not
    /// know it.
    pub version: i64,
    /// The keys, oldest first.
    pub keys: Vec<KeyRecord>,
}

/// A key of the store itself, sealed. `purpose` says what the key is for (`tag`, `code`,
/// `log`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreKey {
    /// What the key is for.
    pub purpose: String,
    /// Distinguishes the keys of one purpose: one character of `[0-9A-Za-z]`.
    pub key_id: String,
    /// The key, sealed with `purpose:key_id` as associated data.
    pub sealed: Sealed,
}

/// Signing keys and the keys of the store itself.
#[async_trait]
pub trait ReadKeys: Send + Sync {
    /// All signing keys, oldest first, and their version.
    async fn keys(&self) -> Result<StoredKeys, StoreError>;

    /// The version of the signing keys.
    async fn keys_version(&self) -> Result<i64, StoreError>;

    /// Whether keys are rotated by themselves if the configuration does not say so: only in a store
    /// that was made by a release which does that.
    async fn rotates_by_default(&self) -> Result<bool, StoreError>;

    /// Whether signing keys may be revoked: not in an upgraded store, until somebody says that no
    /// server of an older release runs any more. It would go on with a revoked key.
    async fn may_revoke(&self) -> Result<bool, StoreError>;

    /// All keys of the store itself.
    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError>;
}
