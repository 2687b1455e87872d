//! What can be changed about the keys that a store holds, when each change may be made, and its
//! event. Must not know SQL.

use crate::domain::event::Event;
use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::store::key::{KeyRecord, KeyState, Sealed, StoreKey};

/// What can be changed about the keys that a store holds. Each variant lists the outcomes that it
/// can have besides `Applied`.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// A new signing key. `Conflict` if the kid is known, or if the key is to sign at once and
    /// another key signs already.
    Insert(Box<KeyRecord>),
    /// A new signing key that is announced. `Conflict` if the kid is known, or if the keys have
    /// another version.
    Announce {
        /// The key.
        key: Box<KeyRecord>,
        /// The version of the keys for which this was decided.
        keys_version: i64,
    },
    /// A key signs at once. `Conflict` if the keys have another version or other states than it was
    /// decided for.
    Replace(Box<KeyReplacement>),
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
    /// Keys are sealed under another master key, all of them or none. `Conflict` if the signing keys
    /// have another version, if a key of the store is not as it was, or if a process serves that
    /// lacks the master key.
    Reseal(Box<KeyResealing>),
}

/// Keys that are sealed under another master key.
#[derive(Debug, Clone)]
pub struct KeyResealing {
    /// The version of the signing keys for which this was decided.
    pub keys_version: i64,
    /// The signing keys with their new private parts and seals.
    pub signing: Vec<KeyRecord>,
    /// The keys of the store, each as it is and as it will be sealed.
    pub own: Vec<(StoreKey, Sealed)>,
    /// The fingerprint of the master key.
    pub master_key: String,
    /// A process that reported within so many milliseconds serves.
    pub serving_millis: i64,
}

impl KeyResealing {
    fn event(&self) -> Event {
        let keys = self.signing.len().saturating_add(self.own.len());
        Event::KeyResealed {
            keys: i64::try_from(keys).unwrap_or(i64::MAX),
        }
    }
}

/// The key that stops signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retires {
    /// Its id.
    pub kid: Kid,
    /// Its seal as a retiring key.
    pub seal: Vec<u8>,
}

/// A key that signs at once, and what becomes of the keys before it.
#[derive(Debug, Clone)]
pub struct KeyReplacement {
    /// The version of the keys for which this was decided.
    pub keys_version: i64,
    /// The key that signs from now on.
    pub key: KeyRecord,
    /// Whether this key is an announced one of the store. Otherwise it is new.
    pub was_announced: bool,
    /// The key that signs now and retires; `None` if no key signs or if that key is revoked.
    pub retires: Option<Retires>,
    /// Until when the retiring key stays published.
    pub published_until: Timestamp,
    /// The keys that are revoked: they are gone at once, and all their tokens are dead.
    pub revokes: Vec<Kid>,
}

/// The id and the state of each signing key, as the store has them in the transaction of a change.
#[derive(Debug)]
pub(crate) struct KeyStates(pub(crate) Vec<(String, String)>);

impl KeyStates {
    fn of(&self, kid: &Kid) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| *other == kid.0);
        found.map(|(_, state)| state.as_str())
    }

    fn signing(&self) -> Option<&str> {
        let signs = |(_, state): &&(String, String)| state == KeyState::Signing.as_str();
        self.0.iter().find(signs).map(|(kid, _)| kid.as_str())
    }

    /// Whether this announced key may begin to sign, in the place of the key that `retires`.
    pub(crate) fn allow_activation(&self, kid: &Kid, retires: Option<&Retires>) -> bool {
        self.of(kid) == Some(KeyState::Announced.as_str())
            && self.signing() == retires.map(|old| old.kid.0.as_str())
    }

    /// Whether the key of this replacement is as it was when that was decided, and the key that
    /// signs makes way for it. A release without the version of the keys may have changed them since.
    pub(crate) fn allow_replacement(&self, replacement: &KeyReplacement) -> bool {
        let expected = replacement
            .was_announced
            .then_some(KeyState::Announced.as_str());
        let retires = replacement.retires.as_ref().map(|old| &old.kid);
        let makes_way = |kid: &str| {
            let mut old = replacement.revokes.iter().chain(retires);
            old.any(|old| old.0 == kid)
        };
        self.of(&replacement.key.kid) == expected && self.signing().is_none_or(makes_way)
    }
}

impl KeyReplacement {
    /// The keys whose rows go: those that are revoked, and an announced one, which is inserted
    /// anew as the one that signs.
    pub(crate) fn gone(&self) -> Vec<&str> {
        let announced = self.was_announced.then_some(&self.key.kid);
        let gone = self.revokes.iter().chain(announced);
        gone.map(|kid| kid.0.as_str()).collect()
    }

    /// A new key is announced and activated in one commit.
    fn events(&self) -> Vec<Event> {
        let kid = &self.key.kid;
        let announced = (!self.was_announced).then(|| Event::KeyAnnounced(kid.clone()));
        let revoked = self.revokes.iter().cloned().map(Event::KeyRevoked);
        let activated = Event::KeyActivated(kid.clone());
        announced
            .into_iter()
            .chain([activated])
            .chain(revoked)
            .collect()
    }
}

impl KeyChange {
    /// Whether the keys still have the version for which this change was decided. A change that
    /// names no version compares what it needs by itself.
    pub(crate) fn is_of_version(&self, version: i64) -> bool {
        match self {
            Self::Announce { keys_version, .. } => *keys_version == version,
            Self::Replace(replacement) => replacement.keys_version == version,
            Self::Reseal(resealing) => resealing.keys_version == version,
            Self::Insert(_) | Self::Activate { .. } | Self::Remove(_) | Self::InsertStoreKey(_) => {
                true
            }
        }
    }

    /// Whether this change revokes keys.
    pub(super) fn kills(&self) -> bool {
        matches!(self, Self::Replace(replacement) if !replacement.revokes.is_empty())
    }

    /// The audit events of the change.
    pub(super) fn events(&self) -> Vec<Event> {
        let one = match self {
            Self::Insert(key) | Self::Announce { key, .. } => Event::KeyAnnounced(key.kid.clone()),
            Self::Replace(replacement) => return replacement.events(),
            Self::Activate { kid, .. } => Event::KeyActivated(kid.clone()),
            Self::Remove(kid) => Event::KeyRemoved(kid.clone()),
            Self::InsertStoreKey(key) => Event::StoreKeyCreated {
                purpose: key.purpose.clone(),
                key_id: Some(key.key_id.clone()),
            },
            Self::Reseal(resealing) => resealing.event(),
        };
        vec![one]
    }
}
