//! Cursors of lists: a position that this server wrote, bound to the list that it belongs to.
//!
//! A cursor is a position and a MAC over the position and its binding. The position can be read by
//! anyone, and nobody can write one. Owns that format. Must not know which lists there are, or what
//! a position means.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::store::StoreKey;

use super::prefixed::length_prefixed;
use super::seal::MasterKey;
use super::store_key;

/// The purpose under which cursor keys are stored. It is also the first field of each MAC.
pub(crate) const PURPOSE: &str = "cursor";

/// The length of the MAC in a cursor, in bytes: the first half of HMAC-SHA-256.
const MAC_BYTES: usize = 16;

/// The most characters of a cursor. No list has positions that need more.
const MAX_CURSOR: usize = 1_024;

/// A store's cursor key. Every process of the store reads the cursors of every other.
pub struct CursorKey(hmac::Key);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(redacted)")
    }
}

impl CursorKey {
    /// The stored cursor key; `None` if it is for another purpose or does not open.
    pub fn open(stored: &StoreKey, master: &MasterKey) -> Option<Self> {
        let bytes = store_key::open(stored, PURPOSE, master)?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The cursor of this position, in the characters of base64url.
    pub fn write(&self, binding: &[&str], position: &[u8]) -> String {
        let mut bytes = self.mac(binding, position).to_vec();
        bytes.extend_from_slice(position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of this cursor; `None` if it was written for another binding, by another store,
    /// or by anybody else.
    pub fn read(&self, binding: &[&str], cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > MAX_CURSOR {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (mac, position) = bytes.split_at_checked(MAC_BYTES)?;
        let genuine = self.mac(binding, position).as_slice().ct_eq(mac);
        bool::from(genuine).then(|| position.to_vec())
    }

    fn mac(&self, binding: &[&str], position: &[u8]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        // The position comes first, because the number of the fields of a binding varies.
        let fields = [PURPOSE.as_bytes(), position]
            .into_iter()
            .chain(binding.iter().map(|field| field.as_bytes()));
        length_prefixed(fields, |part| context.update(part));
        let mut mac = [0; MAC_BYTES];
        for (to, from) in mac.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::SeededEntropy;

    fn key(seed: u64) -> CursorKey {
        let entropy = SeededEntropy::new(seed);
        let master = MasterKey::generate(&entropy).unwrap();
        let stored = store_key::generate(PURPOSE, 'x', &master, &entropy).unwrap();
        CursorKey::open(&stored, &master).unwrap()
    }

    #[test]
    fn a_key_of_another_purpose_is_no_cursor_key() {
        let entropy = SeededEntropy::new(1);
        let master = MasterKey::generate(&entropy).unwrap();
        let stored = store_key::generate("tag", 'x', &master, &entropy).unwrap();
        assert!(CursorKey::open(&stored, &master).is_none());
    }

    #[test]
    fn a_cursor_is_read_only_for_its_binding_and_by_its_store() {
        let (ours, theirs) = (key(1), key(2));
        let cursor = ours.write(&["agents", "all"], b"a");
        assert_eq!(
            ours.read(&["agents", "all"], &cursor).as_deref(),
            Some(&b"a"[..])
        );
        for other in [
            &["agents"][..],
            &["agents", "default"],
            &["agents", "all", ""],
            &["agentsall"],
            &["all", "agents"],
        ] {
            assert_eq!(ours.read(other, &cursor), None, "{other:?}");
        }
        assert_eq!(theirs.read(&["agents", "all"], &cursor), None);
        for text in ["", "!", "YQ", "A".repeat(2_000).as_str()] {
            assert_eq!(ours.read(&["agents", "all"], text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_cursor_is_refused(
            position in proptest::collection::vec(any::<u8>(), 0..40),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let key = key(1);
            let cursor = key.write(&["a"], &position);
            prop_assert_eq!(key.read(&["a"], &cursor), Some(position));
            let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(key.read(&["a"], &URL_SAFE_NO_PAD.encode(&bytes)), None);
            bytes.pop();
            prop_assert_eq!(key.read(&["a"], &URL_SAFE_NO_PAD.encode(&bytes)), None);
        }
    }
}
