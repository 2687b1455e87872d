//! Tag keys: they put a keyed tag into each generated secret, so that junk is refused in
//! microseconds.
//!
//! Owns the computation of the tag, and of the MAC that it is the first part of. Must not know the
//! layout of a secret (src/service/clients/secret/format.rs).

use aws_lc_rs::hmac;

use crate::store::StoreKey;

use super::prefixed::length_prefixed;
use super::seal::MasterKey;
use super::store_key;

/// The purpose under which tag keys are stored.
pub(crate) const PURPOSE: &str = "tag";

/// A store's tag key. It is drawn at random and never derived, so every secret stays valid under
/// another master key.
pub struct TagKey {
    /// One character of `[0-9A-Za-z]`. A secret carries it to name its tag key.
    pub key_id: char,
    key: hmac::Key,
}

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TagKey({}, redacted)", self.key_id)
    }
}

impl TagKey {
    /// The stored tag key; `None` if it is for another purpose or does not open.
    pub fn open(stored: &StoreKey, master: &MasterKey) -> Option<Self> {
        let bytes = store_key::open(stored, PURPOSE, master)?;
        let mut characters = stored.key_id.chars();
        let key_id = characters.next().filter(char::is_ascii_alphanumeric)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        characters.next().is_none().then_some(Self { key_id, key })
    }

    /// The MAC of the random part of a secret of this client id. Each tag key has bytes of its own,
    /// so the MAC stands for the key's id too.
    pub fn mac(&self, client_id: &[u8], random: &[u8]) -> SecretMac {
        SecretMac::sign(&self.key, [client_id, random])
    }
}

/// HMAC-SHA-256 that stands for a secret. Equality need not take constant time, because nobody can
/// aim at a MAC without its key. `Debug` shows nothing of it, since it holds a tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretMac([u8; 32]);

impl SecretMac {
    /// The MAC over length-prefixed fields, so that no byte can move from one field to the next.
    pub(crate) fn sign<const N: usize>(key: &hmac::Key, fields: [&[u8]; N]) -> Self {
        let mut context = hmac::Context::with_key(key);
        length_prefixed(fields, |part| context.update(part));
        let mut mac = [0u8; 32];
        mac.copy_from_slice(context.sign().as_ref());
        Self(mac)
    }

    /// The tag: the first 64 bits.
    pub(crate) fn tag(&self) -> u64 {
        self.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    /// The last 16 bits. A secret does not show them, and each value is equally likely.
    pub(crate) fn last_bits(&self) -> u16 {
        self.0.last_chunk().copied().map_or(0, u16::from_be_bytes)
    }
}

impl std::fmt::Debug for SecretMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretMac(redacted)")
    }
}
