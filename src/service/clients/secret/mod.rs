//! Secrets: made, hashed, recognised and remembered. A foreign secret is one that does not have the
//! form of this store's secrets ([`Presented::Other`]).
//!
//! Owns the cost of a secret: a forged secret is refused by its tag, a proven one is remembered,
//! and only the others are hashed, on own threads. Must not know agents' status, stores or HTTP.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::domain::Invalid;
use crate::domain::credential::{Credential, HashCost, SecretHash, Tag};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::tag::{SecretMac, TagKey};
use crate::telemetry::metrics;

use super::failures::Guess;
use crate::service::error::Error;

pub(crate) mod bulk;
pub(crate) mod format;
pub(crate) mod kdf;
mod measure;
mod memory;
pub(crate) mod pool;
mod whole;

pub use format::Secret;
pub(crate) use format::{Presented, TaggedSecret};
pub(crate) use kdf::HashFault;
pub(crate) use pool::{HashLane, HashPool, HashQueueFull};

use memory::{Memory, Proven};
use whole::Whole;

/// The result of comparing a presented secret with one credential.
#[derive(Debug)]
pub enum Proof {
    /// The secret matches. `Some` holds an argon2id hash that should replace an imported one.
    Right(Option<SecretHash>),
    /// The secret does not match.
    Wrong,
}

/// Why a secret was not hashed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum NotHashed {
    /// Too many other secrets are being hashed.
    #[error(transparent)]
    QueueFull(#[from] HashQueueFull),
    /// Hashing itself failed.
    #[error(transparent)]
    Fault(#[from] HashFault),
}

/// A foreign secret that is to be proven.
pub struct Foreign<'a> {
    /// The id that was sent with the secret, known or unknown.
    pub client_id: &'a str,
    /// The costs of the store's imported hashes, those of this agent among them.
    pub costs: &'a Arc<[HashCost]>,
    /// The secret as sent.
    pub presented: &'a Secret,
    /// The credential that the secret may match, and the form of the secret to compare with it.
    pub against: Option<(&'a Credential, &'a Secret)>,
    /// Whether the secret authenticated this id before ([`Secrets::was_proven`]).
    pub was_proven: bool,
}

/// Makes, inspects and verifies secrets for one store.
pub struct Secrets {
    tag_keys: Vec<TagKey>,
    entropy: Arc<dyn Entropy>,
    pool: HashPool,
    memory: Memory,
    /// The work for one foreign secret, for the costs that were last asked for.
    whole: ArcSwapOption<(Arc<[HashCost]>, Whole)>,
}

impl Secrets {
    /// For the store that has these tag keys. The first key tags new secrets.
    pub fn new(
        tag_keys: Vec<TagKey>,
        entropy: Arc<dyn Entropy>,
        pool: HashPool,
    ) -> Result<Self, NoEntropy> {
        let memory = Memory::new(&*entropy)?;
        Ok(Self {
            tag_keys,
            entropy,
            pool,
            memory,
            whole: ArcSwapOption::empty(),
        })
    }

    /// Draws a secret for a new credential of `agent_id`. `None` if the store has no tag key.
    pub fn generate(&self, agent_id: &AgentId) -> Result<Option<(Secret, Tag)>, NoEntropy> {
        let Some(key) = self.tag_keys.first() else {
            return Ok(None);
        };
        format::generate(key, agent_id, &*self.entropy).map(Some)
    }

    /// Classifies `secret` for `client_id`, at the cost of one HMAC.
    pub fn inspect(&self, client_id: &str, secret: &str) -> Presented {
        format::inspect(&self.tag_keys, client_id.as_bytes(), secret)
    }

    /// The tag of a secret that an operator chose: `None` for a foreign secret. A secret with the
    /// form of this store's secrets that belongs to another agent could never be presented, so it
    /// is refused.
    pub fn tag_of_chosen(
        &self,
        agent_id: &AgentId,
        secret: &Secret,
    ) -> Result<Option<Tag>, Invalid> {
        match self.inspect(agent_id.as_str(), secret.expose()) {
            Presented::Generated(tagged) => Ok(Some(tagged.tag)),
            Presented::Other => Ok(None),
            Presented::Forged => Err(Invalid(
                "the secret has the form of a generated one of another agent",
            )),
        }
    }

    /// Hashes a new secret on the pool.
    pub async fn hash(&self, secret: &Secret) -> Result<SecretHash, NotHashed> {
        let (secret, entropy) = (secret.clone(), Arc::clone(&self.entropy));
        Ok(self
            .pool
            .run(HashLane::Own, move |work| {
                kdf::hash(&secret, &*entropy, work)
            })
            .await??)
    }

    /// The MAC under which a foreign secret is remembered for `credential`.
    pub fn foreign_mac(&self, credential: &Credential, secret: &Secret) -> SecretMac {
        self.memory.mac(credential, secret)
    }

    /// Whether the secret with this MAC was proven for `credential` before. Uses memory alone.
    pub fn recalls(&self, credential: &Credential, mac: SecretMac, now: Timestamp) -> bool {
        let known = self.memory.recalls(&Proven::of(mac, credential), now);
        if known {
            metrics::credential_cache(true);
        }
        known
    }

    /// Whether `secret` authenticated `client_id` recently. Uses memory alone and no row: the same
    /// work for every id. This is not a proof, because the credential may have been removed since.
    pub fn was_proven(&self, client_id: &str, secret: &Secret, now: Timestamp) -> bool {
        self.memory
            .recalls(&Proven::Pair(self.memory.pair(client_id, secret)), now)
    }

    /// Whether `secret`, whose tag is right and which has this MAC, belongs to `credential`: from
    /// memory, or by one hash, which never waits for foreign secrets.
    pub async fn prove(
        &self,
        credential: &Credential,
        secret: &Secret,
        mac: SecretMac,
        now: Timestamp,
    ) -> Result<Proof, HashQueueFull> {
        let proven = Proven::of(mac, credential);
        let flight = self.memory.join_flight(mac);
        let _turn = flight.lock().await;
        // The request that had the turn before may have proven this secret.
        if self.memory.recalls(&proven, now) {
            metrics::credential_cache(true);
            return Ok(Proof::Right(None));
        }
        metrics::credential_cache(false);
        let (text, hash) = (secret.clone(), credential.hash.clone());
        if !self
            .pool
            .run(HashLane::Own, move |work| kdf::verify(&text, &hash, work))
            .await?
        {
            return Ok(Proof::Wrong);
        }
        self.memory.keep(proven, now);
        Ok(Proof::Right(None))
    }

    /// Whether a foreign secret matches its credential: from memory, or by one comparison, which
    /// costs the same if there is no credential. A source that has used up its failures costs no
    /// comparison, unless the secret was proven before. A source that failed recently waits in
    /// [`HashLane::Suspect`].
    pub async fn prove_foreign(
        &self,
        foreign: &Foreign<'_>,
        guess: &Guess,
        now: Timestamp,
    ) -> Result<Proof, Error> {
        let pair = self.memory.pair(foreign.client_id, foreign.presented);
        // The turn is that of the pair of id and secret, so that equal secrets of unknown ids wait
        // for each other like those of known ids.
        let flight = self.memory.join_flight(pair);
        let _turn = flight.lock().await;
        let against = foreign
            .against
            .map(|(c, secret)| (c, self.memory.mac(c, secret)));
        if against.is_some_and(|(c, mac)| self.memory.recalls(&Proven::of(mac, c), now)) {
            metrics::credential_cache(true);
            return Ok(Proof::Right(None));
        }
        metrics::credential_cache(false);
        let lane = if guess.is_suspect() && !foreign.was_proven {
            HashLane::Suspect
        } else {
            HashLane::Foreign
        };
        let verify = self.comparison(foreign, guess.clone());
        let proof = self.pool.run(lane, verify).await??;
        let pair = Proven::Pair(pair);
        match (&proof, against) {
            (Proof::Right(better), Some((c, mac))) => {
                // From now on, the row holds one of these two hashes.
                for hash in std::iter::once(&c.hash).chain(better) {
                    let proven = Proven::Match(mac, c.credential_id, hash.clone());
                    self.memory.keep(proven, now);
                }
                self.memory.keep(pair, now);
            }
            _ => self.memory.forget(&pair),
        }
        Ok(proof)
    }

    fn whole(&self, costs: &Arc<[HashCost]>) -> Arc<(Arc<[HashCost]>, Whole)> {
        if let Some(known) = self.whole.load_full()
            && known.0 == *costs
        {
            return known;
        }
        let made = Arc::new((Arc::clone(costs), Whole::of(costs)));
        self.whole.store(Some(Arc::clone(&made)));
        made
    }

    /// What a hashing thread does for one foreign secret.
    fn comparison(
        &self,
        foreign: &Foreign<'_>,
        guess: Guess,
    ) -> impl FnOnce(&mut kdf::Workspace) -> Result<Proof, Error> + Send + 'static {
        let (secret, hash) = match foreign.against {
            Some((credential, secret)) => (secret.clone(), Some(credential.hash.clone())),
            None => (foreign.presented.clone(), None),
        };
        let (whole, entropy) = (self.whole(foreign.costs), Arc::clone(&self.entropy));
        let was_proven = foreign.was_proven;
        move |work| {
            // Other secrets from this source may have failed while this one waited.
            if !was_proven {
                guess.admit()?;
            }
            let right = whole.1.verify(&secret, hash.as_ref(), work);
            match hash {
                Some(hash) if right => {
                    let better =
                        kdf::is_foreign(&hash).then(|| kdf::hash(&secret, &*entropy, work));
                    Ok(Proof::Right(better.and_then(Result::ok)))
                }
                _ => {
                    guess.charge();
                    Ok(Proof::Wrong)
                }
            }
        }
    }
}

impl From<HashQueueFull> for Error {
    fn from(full: HashQueueFull) -> Self {
        Self::Unavailable(Arc::new(full))
    }
}

impl From<HashFault> for Error {
    fn from(fault: HashFault) -> Self {
        Self::Fault(Arc::new(fault))
    }
}

impl From<NotHashed> for Error {
    fn from(not: NotHashed) -> Self {
        match not {
            NotHashed::QueueFull(full) => full.into(),
            NotHashed::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use crate::domain::id::CredentialId;

    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::keys::seal::MasterKey;
    use crate::keys::{store_key, tag};

    const NOW: Timestamp = Timestamp(1_000);

    fn secrets() -> Secrets {
        let entropy = Arc::new(SeededEntropy::new(1));
        let master = MasterKey::generate(&*entropy).unwrap();
        let key = |id| {
            let stored = store_key::generate(tag::PURPOSE, id, &master, &*entropy).unwrap();
            TagKey::open(&stored, &master).unwrap()
        };
        let keys = vec![key('a'), key('b')];
        Secrets::new(keys, entropy, HashPool::start(1, 8).unwrap()).unwrap()
    }

    /// A secret of the agent `agent-1`, and its credential with this hash.
    fn generated(secrets: &Secrets, hash: SecretHash) -> (Secret, Credential) {
        let agent_id = AgentId::parse("agent-1").unwrap();
        let (secret, tag) = secrets.generate(&agent_id).unwrap().unwrap();
        let credential = Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id,
            hash,
            tag: Some(tag),
            prefix: secret.prefix().into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
            keys: None,
            federation: None,
        };
        (secret, credential)
    }

    fn mac_of(secrets: &Secrets, client_id: &str, secret: &str) -> Option<SecretMac> {
        match secrets.inspect(client_id, secret) {
            Presented::Generated(tagged) => Some(tagged.mac),
            _ => None,
        }
    }

    fn is_recalled(secrets: &Secrets, client_id: &str, secret: &str, of: &Credential) -> bool {
        mac_of(secrets, client_id, secret).is_some_and(|mac| secrets.recalls(of, mac, NOW))
    }

    #[tokio::test]
    async fn only_a_success_is_remembered() {
        let secrets = secrets();
        let (right, mut credential) = generated(&secrets, SecretHash("".into()));
        credential.hash = secrets.hash(&right).await.unwrap();
        let (wrong, _) = generated(&secrets, SecretHash("".into()));
        let [right_mac, wrong_mac] =
            [&right, &wrong].map(|one| mac_of(&secrets, "agent-1", one.expose()).unwrap());
        let proof = secrets.prove(&credential, &wrong, wrong_mac, NOW).await;
        assert!(matches!(proof.unwrap(), Proof::Wrong));
        assert_eq!(secrets.memory.len(), 0);
        assert!(!secrets.recalls(&credential, right_mac, NOW));
        let proof = secrets.prove(&credential, &right, right_mac, NOW).await;
        assert!(matches!(proof.unwrap(), Proof::Right(None)));
        assert!(secrets.recalls(&credential, right_mac, NOW));
        assert!(!secrets.recalls(&credential, wrong_mac, NOW));
        // More than an hour later, the proof is forgotten.
        assert!(!secrets.recalls(&credential, right_mac, Timestamp(1_000 + 2 * 3_600)));
    }

    /// `text` with one byte replaced, inserted or removed. `None` if that leaves it as it was, or
    /// is no text any more.
    fn change(text: &str, at: prop::sample::Index, byte: u8, how: u8) -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        String::from_utf8(bytes).ok().filter(|new| new != text)
    }

    proptest! {
        #[test]
        fn a_change_of_any_byte_of_any_part_is_not_remembered(
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), prop::char::range('0', 'z').prop_map(|c| c as u8)],
            how in 0..3u8,
            bit in 0..128u32,
        ) {
            let secrets = secrets();
            let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
            let (secret, credential) = generated(&secrets, SecretHash(hash.into()));
            let (id, text) = (credential.agent_id.as_str(), secret.expose());
            secrets.memory.keep(Proven::of(mac_of(&secrets, id, text).unwrap(), &credential), NOW);
            prop_assert!(is_recalled(&secrets, id, text, &credential));

            if let Some(text) = change(text, at, byte, how) {
                prop_assert!(!is_recalled(&secrets, id, &text, &credential));
                // The checksum holds no key, so anybody can make it right again.
                if let Some((body, _)) = text.split_at_checked(58) {
                    let text = format::with_crc(body);
                    prop_assert!(text == secret.expose() || !is_recalled(&secrets, id, &text, &credential));
                }
            }
            if let Some(id) = change(id, at, byte, how) {
                prop_assert!(!is_recalled(&secrets, &id, text, &credential));
            }
            if let Some(hash) = change(hash, at, byte, how) {
                let other = Credential { hash: SecretHash(hash.into()), ..credential.clone() };
                prop_assert!(!is_recalled(&secrets, id, text, &other));
            }
            let other = credential.credential_id.0.as_u128() ^ (1 << bit);
            let other = Credential { credential_id: CredentialId(Uuid::from_u128(other)), ..credential.clone() };
            prop_assert!(!is_recalled(&secrets, id, text, &other));
        }
    }
}
