//! Replies that are kept, because the same request may be sent again: sealed under a key of the
//! store, and found by a MAC of the request.
//!
//! A kept reply may hold a secret, and the request names agents. So neither can be read from the
//! database alone. Owns both forms. Must not know how long a reply is kept.

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::domain::id::AgentId;
use crate::domain::idempotency::IdempotencyKey;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::{ReplyPlace, Sealed, StoreKey};

use super::prefixed::length_prefixed;
use super::seal::{self, MasterKey};
use super::store_key;

/// The purpose under which reply keys are stored.
pub(crate) const PURPOSE: &str = "reply";

/// A store's key for replies. Every process of the store finds and opens what another one kept.
pub struct ReplyKey {
    places: hmac::Key,
    cipher: LessSafeKey,
}

impl std::fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyKey(redacted)")
    }
}

/// What a request is found by.
#[derive(Debug, Clone, Copy)]
pub struct RequestName<'a> {
    /// The agent that asks.
    pub agent_id: &'a AgentId,
    /// The method.
    pub method: &'a str,
    /// The path with its query, as it was sent.
    pub path: &'a str,
    /// The key that the client chose.
    pub key: &'a IdempotencyKey,
}

impl ReplyKey {
    /// The stored key; `None` if it is for another purpose or does not open.
    pub fn open(stored: &StoreKey, master: &MasterKey) -> Option<Self> {
        let bytes = store_key::open(stored, PURPOSE, master)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let derived = |purpose: &[u8]| hmac::sign(&root, purpose);
        Some(Self {
            places: hmac::Key::new(hmac::HMAC_SHA256, derived(b"place").as_ref()),
            cipher: seal::cipher(derived(b"seal").as_ref())?,
        })
    }

    /// The place of the reply to this request.
    pub fn place(&self, name: &RequestName<'_>) -> ReplyPlace {
        let mut context = hmac::Context::with_key(&self.places);
        let fields = [
            name.agent_id.as_str(),
            name.method,
            name.path,
            name.key.as_str(),
        ];
        length_prefixed(fields.map(str::as_bytes), |part| context.update(part));
        let mut place = [0; 32];
        for (to, from) in place.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        ReplyPlace(place)
    }

    /// Seals a reply for its place.
    pub fn seal(
        &self,
        place: ReplyPlace,
        reply: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Sealed, NoEntropy> {
        let sealed = seal::seal(&self.cipher, reply, &place.0, entropy);
        sealed.map(Sealed).ok_or(NoEntropy)
    }

    /// Opens what [`ReplyKey::seal`] made; `None` if the key or the place is another one, or the
    /// value was changed.
    pub fn unseal(&self, place: ReplyPlace, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        seal::unseal(&self.cipher, &sealed.0, &place.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    fn key(seed: u64) -> ReplyKey {
        let entropy = SeededEntropy::new(seed);
        let master = MasterKey::generate(&entropy).unwrap();
        let stored = store_key::generate(PURPOSE, 'x', &master, &entropy).unwrap();
        ReplyKey::open(&stored, &master).unwrap()
    }

    fn place(key: &ReplyKey, [agent_id, method, path, client_key]: [&str; 4]) -> ReplyPlace {
        key.place(&RequestName {
            agent_id: &AgentId::parse(agent_id).unwrap(),
            method,
            path,
            key: &IdempotencyKey::parse(client_key).unwrap(),
        })
    }

    #[test]
    fn every_part_of_a_request_decides_its_place() {
        let ours = key(1);
        let one = ["a", "POST", "/api/v1/agents", "k"];
        assert_eq!(place(&ours, one), place(&ours, one));
        for other in [
            ["b", "POST", "/api/v1/agents", "k"],
            ["a", "PUT", "/api/v1/agents", "k"],
            ["a", "POST", "/api/v1/agents?dryRun=false", "k"],
            ["a", "POST", "/api/v1/agents", "l"],
            ["a", "POST", "/api/v1/agent", "sk"],
        ] {
            assert_ne!(place(&ours, one), place(&ours, other), "{other:?}");
        }
        assert_ne!(place(&ours, one), place(&key(2), one));
    }

    #[test]
    fn a_reply_opens_only_at_its_place_and_in_its_store() {
        let (ours, entropy) = (key(1), SeededEntropy::new(3));
        let (here, there) = (ReplyPlace([1; 32]), ReplyPlace([2; 32]));
        let sealed = ours.seal(here, b"secret", &entropy).unwrap();
        let opened = ours.unseal(here, &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"secret");
        assert!(ours.unseal(there, &sealed).is_none());
        assert!(key(2).unseal(here, &sealed).is_none());
        for place in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[place] ^= 1;
            assert!(ours.unseal(here, &changed).is_none(), "byte {place}");
        }
    }
}
