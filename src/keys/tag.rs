//! Tag keys: they put a keyed tag into each generated secret, so that junk is refused in
//! microseconds.
//!
//! Owns the tag's computation. Must not know the layout of a secret
//! (src/service/clients/secret/format.rs).

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

    /// 64 bits of HMAC-SHA-256 over the length-prefixed client id and random part.
    pub fn tag(&self, client_id: &[u8], random: &[u8]) -> u64 {
        let mut context = hmac::Context::with_key(&self.key);
        length_prefixed([client_id, random], |part| context.update(part));
        let mut first = [0u8; 8];
        first.copy_from_slice(&context.sign().as_ref()[..8]);
        u64::from_be_bytes(first)
    }
}
