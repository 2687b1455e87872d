//! The memory of proven secrets, and the order among requests that prove the same secret.
//!
//! Owns how long a proof is remembered. Holds MACs under a key that the process draws and never
//! writes down, and only of successes: wrong secrets cannot evict a proof. Must not know how a
//! secret is proven.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::hmac;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::domain::credential::{Credential, SecretHash};
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::length_prefixed;

use super::format::Secret;

/// How long a proof is remembered after its secret was used, in seconds.
const PROOF_TTL: i64 = 3_600;

/// The most seconds by which this time is shortened, so that the proofs do not all end at once.
const JITTER: i64 = 600;

/// If a proof is used when fewer seconds than this are left, it is remembered for the full time
/// again, so that a secret in use is never forgotten. Hashing again would prove nothing more,
/// because the credential's own hash is part of what is remembered.
const RENEWED_BELOW: i64 = PROOF_TTL / 2;

/// The most proofs that are remembered.
const MAX_PROOFS: u64 = 100_000;

/// The memory has room for this many at the start, and grows if there are more.
const EXPECTED: usize = 1_000;

pub(super) type Mac = [u8; 32];

pub(super) struct Memory {
    mac_key: hmac::Key,
    /// Until when each proof counts. The look-up need not take constant time, because without the
    /// key nobody can aim at a MAC.
    proven: Cache<Mac, Timestamp>,
    /// One hash at a time for the same secret. Different secrets do not wait for each other.
    flights: Mutex<HashMap<Mac, Weak<tokio::sync::Mutex<()>>>>,
}

impl Memory {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut key = [0u8; 32];
        entropy.fill(&mut key)?;
        Ok(Self {
            mac_key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            proven: Cache::with_weighter(EXPECTED, MAX_PROOFS, UnitWeighter),
            flights: Mutex::new(HashMap::new()),
        })
    }

    /// The proof that `secret` matches `hash`, of this credential. The hash is the credential's
    /// version, so the proof of a credential that was replaced no longer counts. The digest at its
    /// end is enough, because it depends on the salt and the parameters before it. The id of the
    /// credential is its own in the whole store, so it stands for the agent too.
    pub(super) fn mac(&self, credential: &Credential, hash: &SecretHash, secret: &Secret) -> Mac {
        let id = credential.credential_id.0;
        let digest = hash.0.rsplit('$').next().unwrap_or_default();
        self.sign([
            b"",
            id.as_bytes(),
            digest.as_bytes(),
            secret.expose().as_bytes(),
        ])
    }

    /// The proof that `secret` authenticated `client_id`, by whichever credential. It can be looked
    /// up before any credential is read.
    pub(super) fn pair(&self, client_id: &str, secret: &Secret) -> Mac {
        self.sign([client_id.as_bytes(), b"", b"", secret.expose().as_bytes()])
    }

    /// HMAC over length-prefixed fields, so that no byte can move from one field to the next.
    fn sign(&self, fields: [&[u8]; 4]) -> Mac {
        let mut context = hmac::Context::with_key(&self.mac_key);
        length_prefixed(fields, |part| context.update(part));
        let mut mac = [0u8; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether the proof is remembered. If it is, its time is extended.
    pub(super) fn recalls(&self, mac: &Mac, now: Timestamp) -> bool {
        let Some(until) = self.proven.get(mac).filter(|until| now < *until) else {
            return false;
        };
        if until < now.saturating_add(RENEWED_BELOW) {
            self.keep(*mac, now);
        }
        true
    }

    pub(super) fn keep(&self, mac: Mac, now: Timestamp) {
        // The MAC is random enough to spread the times at which proofs end.
        let jitter = i64::from(u16::from_be_bytes([mac[0], mac[1]])) % JITTER;
        self.proven
            .insert(mac, now.saturating_add(PROOF_TTL - jitter));
    }

    pub(super) fn forget(&self, mac: &Mac) {
        self.proven.remove(mac);
    }

    pub(super) fn join_flight(&self, mac: Mac) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&mac).and_then(Weak::upgrade) {
            return flight;
        }
        // Turns that have ended are removed once the table has 256 entries, so that it stays small.
        if flights.len() >= 256 {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        let flight = Arc::new(tokio::sync::Mutex::new(()));
        flights.insert(mac, Arc::downgrade(&flight));
        flight
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.proven.len()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::id::{AgentId, CredentialId};
    use crate::entropy::SeededEntropy;

    use super::*;

    fn memory() -> Memory {
        Memory::new(&SeededEntropy::new(1)).unwrap()
    }

    #[test]
    fn what_is_used_is_remembered_for_longer_and_what_is_not_is_forgotten() {
        let (memory, mac) = (memory(), [7; 32]);
        let mut now = Timestamp(1_000);
        assert!(!memory.recalls(&mac, now));
        memory.keep(mac, now);
        for _ in 0..10 {
            now = now.saturating_add(PROOF_TTL - JITTER - 1);
            assert!(memory.recalls(&mac, now));
        }
        assert!(!memory.recalls(&mac, now.saturating_add(PROOF_TTL)));
        memory.keep(mac, now);
        memory.forget(&mac);
        assert!(!memory.recalls(&mac, now));
    }

    #[test]
    fn the_memory_is_keyed_by_every_byte_of_every_field() {
        let memory = memory();
        let secret = |text: &str| Secret::parse(text).unwrap();
        let base = Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id: AgentId::parse("a").unwrap(),
            hash: SecretHash("$argon2id$m=1$salt$hash".into()),
            tag: None,
            prefix: "".into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
        };
        let mac = memory.mac(&base, &base.hash, &secret("ab"));
        let hash = Credential {
            hash: SecretHash("$argon2id$m=1$salt$hashx".into()),
            ..base.clone()
        };
        let id = Credential {
            credential_id: CredentialId(Uuid::from_u128(2)),
            ..base.clone()
        };
        for (other, text) in [(&hash, "ab"), (&id, "ab"), (&base, "abc"), (&base, "a")] {
            assert_ne!(memory.mac(other, &other.hash, &secret(text)), mac);
        }
        let pair = memory.pair("a", &secret("ab"));
        assert_ne!(pair, mac);
        for (other, text) in [("aa", "b"), ("aab", ""), ("a", "abc"), ("b", "ab")] {
            assert!(Secret::parse(text).map_or(true, |text| memory.pair(other, &text) != pair));
        }
    }
}
