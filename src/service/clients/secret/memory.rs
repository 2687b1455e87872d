//! The memory of proven secrets, and the order among requests that prove the same secret.
//!
//! Owns how long a proof is remembered. Knows a generated secret by the MAC that its tag is cut
//! from, which was computed to inspect it, and a foreign one by a MAC under a key that the process
//! draws and never writes down. Holds only successes: wrong secrets cannot evict a proof. Must not
//! know how a secret is proven.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::hmac;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::domain::credential::{Credential, SecretHash};
use crate::domain::id::CredentialId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::tag::SecretMac;

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

/// What was proven. Equal only if every byte of every part is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Proven {
    /// That the secret with this MAC matches this hash, of this credential. The hash is the
    /// credential's version, so the proof of a credential that was replaced no longer counts. The
    /// id of the credential is its own in the whole store, so it stands for the agent too.
    Match(SecretMac, CredentialId, SecretHash),
    /// That the client id and secret with this MAC belong together, by whichever credential. It can
    /// be looked up before any credential is read.
    Pair(SecretMac),
}

impl Proven {
    /// That the secret with this MAC matches `credential` as it is.
    pub(super) fn of(mac: SecretMac, credential: &Credential) -> Self {
        Self::Match(mac, credential.credential_id, credential.hash.clone())
    }

    fn mac(&self) -> &SecretMac {
        match self {
            Self::Match(mac, ..) | Self::Pair(mac) => mac,
        }
    }
}

pub(super) struct Memory {
    mac_key: hmac::Key,
    /// Until when each proof counts. The look-up need not take constant time, because nobody can
    /// aim at a MAC without its key.
    proven: Cache<Proven, Timestamp>,
    /// One hash at a time for the same secret. Different secrets do not wait for each other.
    flights: Mutex<HashMap<SecretMac, Weak<tokio::sync::Mutex<()>>>>,
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

    /// The MAC of a foreign secret that is compared with `credential`.
    pub(super) fn mac(&self, credential: &Credential, secret: &Secret) -> SecretMac {
        let id = credential.credential_id.0;
        let secret = secret.expose().as_bytes();
        SecretMac::sign(&self.mac_key, [b"", id.as_bytes(), secret])
    }

    /// The MAC of a client id and a foreign secret as they were sent.
    pub(super) fn pair(&self, client_id: &str, secret: &Secret) -> SecretMac {
        let secret = secret.expose().as_bytes();
        SecretMac::sign(&self.mac_key, [client_id.as_bytes(), b"", secret])
    }

    /// Whether the proof is remembered. If it is, its time is extended.
    pub(super) fn recalls(&self, proven: &Proven, now: Timestamp) -> bool {
        let Some(until) = self.proven.get(proven).filter(|until| now < *until) else {
            return false;
        };
        if until < now.saturating_add(RENEWED_BELOW) {
            self.keep(proven.clone(), now);
        }
        true
    }

    pub(super) fn keep(&self, proven: Proven, now: Timestamp) {
        // The MAC is random enough to spread the times at which proofs end.
        let jitter = i64::from(proven.mac().last_bits()) % JITTER;
        self.proven
            .insert(proven, now.saturating_add(PROOF_TTL - jitter));
    }

    /// How many proofs are remembered.
    pub(super) fn len(&self) -> usize {
        self.proven.len()
    }

    pub(super) fn forget(&self, proven: &Proven) {
        self.proven.remove(proven);
    }

    pub(super) fn join_flight(&self, mac: SecretMac) -> Arc<tokio::sync::Mutex<()>> {
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
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::id::AgentId;
    use crate::entropy::SeededEntropy;

    use super::*;

    fn memory() -> Memory {
        Memory::new(&SeededEntropy::new(1)).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn what_is_used_is_remembered_for_longer_and_what_is_not_is_forgotten() {
        let memory = memory();
        let proven = Proven::Pair(memory.pair("a", &secret("b")));
        let mut now = Timestamp(1_000);
        assert!(!memory.recalls(&proven, now));
        memory.keep(proven.clone(), now);
        for _ in 0..10 {
            now = now.saturating_add(PROOF_TTL - JITTER - 1);
            assert!(memory.recalls(&proven, now));
        }
        assert!(!memory.recalls(&proven, now.saturating_add(PROOF_TTL)));
        memory.keep(proven.clone(), now);
        memory.forget(&proven);
        assert!(!memory.recalls(&proven, now));
    }

    #[test]
    fn the_mac_of_a_foreign_secret_depends_on_every_byte_of_every_field() {
        let memory = memory();
        let base = Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id: AgentId::parse("a").unwrap(),
            hash: SecretHash("$argon2id$m=1$salt$hash".into()),
            tag: None,
            prefix: "".into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
            keys: None,
            federation: None,
        };
        let mac = memory.mac(&base, &secret("ab"));
        let id = Credential {
            credential_id: CredentialId(Uuid::from_u128(2)),
            ..base.clone()
        };
        for (other, text) in [(&id, "ab"), (&base, "abc"), (&base, "a")] {
            assert_ne!(memory.mac(other, &secret(text)), mac);
        }
        let pair = memory.pair("a", &secret("ab"));
        assert_ne!(pair, mac);
        for (other, text) in [("aa", "b"), ("aab", ""), ("a", "abc"), ("b", "ab")] {
            assert!(Secret::parse(text).map_or(true, |text| memory.pair(other, &text) != pair));
        }
        // Another process has another key, so what one remembers says nothing to the other.
        let other = Memory::new(&SeededEntropy::new(2)).unwrap();
        assert_ne!(other.pair("a", &secret("ab")), pair);
    }
}
