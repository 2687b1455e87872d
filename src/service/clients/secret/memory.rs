//! The memory of proven secrets, and turns for those that are being proven.
//!
//! Owns how long a proof is remembered. Holds MACs under a key that the process draws and never writes
//! down, and of successes only: wrong secrets cannot evict anybody. Must not know how a secret is proven.

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

/// How long a proven secret is remembered after it was used, in seconds.
const PROOF_TTL: i64 = 3_600;

/// By how many seconds at most that is shortened, so that not all are forgotten at once.
const JITTER: i64 = 600;

/// A proof that is used with less than these seconds left is remembered anew, so that what is in use is never
/// dropped. A new hash would prove no more: the credential's own hash is part of what is remembered.
const RENEWED_BELOW: i64 = PROOF_TTL / 2;

/// How many proven secrets are remembered at most.
const MAX_PROOFS: u64 = 100_000;

/// How many are expected: room for these is taken at the start, and more when they come.
const EXPECTED: usize = 1_000;

pub(super) type Mac = [u8; 32];

pub(super) struct Memory {
    mac_key: hmac::Key,
    /// Until when each counts. Looked up as they are, for nobody can aim at one without the key.
    proven: Cache<Mac, Timestamp>,
    /// One hash at a time for one and the same secret; different secrets do not wait for each other.
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

    /// That `secret` matches `hash`, of this credential. The hash is the credential's version, so a
    /// credential that was replaced is forgotten with it.
    pub(super) fn mac(&self, credential: &Credential, hash: &SecretHash, secret: &Secret) -> Mac {
        let id = credential.credential_id.0;
        let agent = credential.agent_id.as_str();
        self.sign([
            agent.as_bytes(),
            id.as_bytes(),
            hash.0.as_bytes(),
            secret.expose().as_bytes(),
        ])
    }

    /// That `secret` opened `client_id`, by whichever credential: what can be asked before any is read.
    pub(super) fn pair(&self, client_id: &str, secret: &Secret) -> Mac {
        self.sign([client_id.as_bytes(), b"", b"", secret.expose().as_bytes()])
    }

    /// HMAC over length-prefixed fields: no byte can move from one field to the next.
    fn sign(&self, fields: [&[u8]; 4]) -> Mac {
        let mut context = hmac::Context::with_key(&self.mac_key);
        length_prefixed(fields, |part| context.update(part));
        let mut mac = [0u8; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether it is remembered; then it is for longer.
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
        // The MAC is random enough to spread the end of the memory.
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
        // What has landed is swept when the table has doubled, so that it stays as small as the queue.
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
            hash: SecretHash("hash".into()),
            tag: None,
            prefix: "".into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
        };
        let mac = memory.mac(&base, &base.hash, &secret("ab"));
        let agent = Credential {
            agent_id: AgentId::parse("aa").unwrap(),
            ..base.clone()
        };
        let hash = Credential {
            hash: SecretHash("hashx".into()),
            ..base.clone()
        };
        let id = Credential {
            credential_id: CredentialId(Uuid::from_u128(2)),
            ..base.clone()
        };
        for (other, text) in [
            (&agent, "ab"),
            (&agent, "b"),
            (&hash, "ab"),
            (&id, "ab"),
            (&base, "abc"),
            (&base, "a"),
        ] {
            assert_ne!(memory.mac(other, &other.hash, &secret(text)), mac);
        }
        let pair = memory.pair("a", &secret("ab"));
        assert_ne!(pair, mac);
        for (other, text) in [("aa", "b"), ("aab", ""), ("a", "abc"), ("b", "ab")] {
            assert!(Secret::parse(text).map_or(true, |text| memory.pair(other, &text) != pair));
        }
    }
}
