//! What can be changed about the keys that a store holds, and the event of each change. Must not
//! know SQL.

use crate::domain::event::Event;
use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::store::key::{KeyRecord, StoreKey};

/// What can be changed about the keys that a store holds. Each variant lists the outcomes that it
/// can have besides `Applied`.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// A new signing key. `Conflict` if the kid is known, or if the key is to sign at once and
    /// another key signs already.
    Insert(Box<KeyRecord>),
    /// Announced → signing, and the key that signed → retiring, both or neither (compare-and-set).
    /// `Conflict` if either key is no longer in its expected state.
    Activate {
        /// The announced key.
        kid: Kid,
        /// Its seal as a signing key.
        seal: Vec<u8>,
        /// The key that signs now; `None` if no key signs.
        retires: Option<Retires>,
        /// Until when the retiring key stays published.
        published_until: Timestamp,
    },
    /// Retiring → gone. `NotFound` if it is no longer retiring.
    Remove(Kid),
    /// A key of the store itself. `Conflict` if a key with this purpose exists.
    InsertStoreKey(StoreKey),
}

/// The key that stops signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retires {
    /// Its id.
    pub kid: Kid,
    /// Its seal as a retiring key.
    pub seal: Vec<u8>,
}

impl KeyChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Insert(key) => Event::KeyAnnounced(key.kid.clone()),
            Self::Activate { kid, .. } => Event::KeyActivated(kid.clone()),
            Self::Remove(kid) => Event::KeyRemoved(kid.clone()),
            Self::InsertStoreKey(key) => Event::StoreKeyCreated {
                purpose: key.purpose.clone(),
                key_id: Some(key.key_id.clone()),
            },
        }
    }
}
