//! Secrets: made, hashed, recognised and remembered.
//!
//! Owns the cost of a secret: a forged one dies by its tag, a proven one is remembered, and only
//! what is left is hashed, on threads of its own. Must not know agents' status, stores or HTTP.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::domain::Invalid;
use crate::domain::credential::{Credential, HashCost, SecretHash, Tag};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::tag::TagKey;
use crate::telemetry::metrics;

use super::failures::Guess;
use crate::service::error::Error;

pub(crate) mod bulk;
pub(crate) mod format;
pub(crate) mod kdf;
mod memory;
pub(crate) mod pool;
mod whole;

pub(crate) use format::Presented;
pub use format::Secret;
pub(crate) use kdf::HashFault;
pub(crate) use pool::{HashLane, HashPool, HashQueueFull};

use memory::Memory;
use whole::Whole;

/// What a presented secret turned out to be against one credential.
#[derive(Debug)]
pub enum Proof {
    /// It matches. `Some` carries an argon2id hash that should replace an imported one.
    Right(Option<SecretHash>),
    /// It does not.
    Wrong,
}

/// Why a secret was not hashed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum NotHashed {
    /// Too many others are being hashed.
    #[error(transparent)]
    QueueFull(#[from] HashQueueFull),
    /// Hashing itself failed.
    #[error(transparent)]
    Fault(#[from] HashFault),
}

/// A secret of a foreign form, as it is to be proven.
pub struct Foreign<'a> {
    /// The id that came with it, known or not.
    pub client_id: &'a str,
    /// What the imported hashes of the store cost, its agent's among them.
    pub costs: &'a Arc<[HashCost]>,
    /// The secret as sent.
    pub presented: &'a Secret,
    /// The credential that it may match, and what of it is to be compared with that.
    pub against: Option<(&'a Credential, &'a Secret)>,
    /// Whether it opened that id before ([`Secrets::was_proven`]).
    pub was_proven: bool,
}

/// Makes, inspects and verifies secrets for one store.
pub struct Secrets {
    tag_keys: Vec<TagKey>,
    entropy: Arc<dyn Entropy>,
    pool: HashPool,
    memory: Memory,
    /// What a secret of a foreign form costs, for the costs that were last asked for.
    whole: ArcSwapOption<(Arc<[HashCost]>, Whole)>,
}

impl Secrets {
    /// For the store whose tag keys these are; the first one tags new secrets.
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

    /// Draws a secret for a new credential of `agent_id`; `None` when the store has no tag key.
    pub fn generate(&self, agent_id: &AgentId) -> Result<Option<(Secret, Tag)>, NoEntropy> {
        let Some(key) = self.tag_keys.first() else {
            return Ok(None);
        };
        format::generate(key, agent_id, &*self.entropy).map(Some)
    }

    /// Says what `secret` can be for `client_id`, at the cost of one HMAC.
    pub fn inspect(&self, client_id: &str, secret: &str) -> Presented {
        format::inspect(&self.tag_keys, client_id.as_bytes(), secret)
    }

    /// The tag of an operator's own secret: `None` for a foreign form. One that has the form of this
    /// store's secrets but belongs to another agent could never be presented, so it is refused.
    pub fn tag_of_chosen(
        &self,
        agent_id: &AgentId,
        secret: &Secret,
    ) -> Result<Option<Tag>, Invalid> {
        match self.inspect(agent_id.as_str(), secret.expose()) {
            Presented::Generated(tag) => Ok(Some(tag)),
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

    /// Whether `secret` was proven to be `credential`'s before, by memory alone.
    pub fn recalls(&self, credential: &Credential, secret: &Secret, now: Timestamp) -> bool {
        let known = self
            .memory
            .recalls(&self.memory.mac(credential, &credential.hash, secret), now);
        if known {
            metrics::credential_cache(true);
        }
        known
    }

    /// Whether `secret` opened `client_id` lately, by memory alone and without any row: the same work for
    /// every id. It is no proof, for the credential may be gone since.
    pub fn was_proven(&self, client_id: &str, secret: &Secret, now: Timestamp) -> bool {
        self.memory
            .recalls(&self.memory.pair(client_id, secret), now)
    }

    /// Whether `secret`, whose tag is right, is `credential`'s: from memory, or by one hash, for which no
    /// secret of a foreign form keeps it waiting.
    pub async fn prove(
        &self,
        credential: &Credential,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Proof, HashQueueFull> {
        let mac = self.memory.mac(credential, &credential.hash, secret);
        let flight = self.memory.join_flight(mac);
        let _turn = flight.lock().await;
        // Whoever flew first may have brought the answer.
        if self.memory.recalls(&mac, now) {
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
        self.memory.keep(mac, now);
        Ok(Proof::Right(None))
    }

    /// Whether a secret of a foreign form is its credential's: from memory, or by one comparison, which
    /// costs the same where there is no credential. A source whose failures are used up costs none, unless
    /// the secret was proven before; one that failed lately goes last.
    pub async fn prove_foreign(
        &self,
        foreign: &Foreign<'_>,
        guess: &Guess,
        now: Timestamp,
    ) -> Result<Proof, Error> {
        let pair = self.memory.pair(foreign.client_id, foreign.presented);
        // By the pair, so that equal secrets of unknown ids wait for each other as those of known ones do.
        let flight = self.memory.join_flight(pair);
        let _turn = flight.lock().await;
        let mac = foreign
            .against
            .map(|(c, secret)| self.memory.mac(c, &c.hash, secret));
        if mac.is_some_and(|mac| self.memory.recalls(&mac, now)) {
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
        match (&proof, foreign.against) {
            (Proof::Right(better), Some((credential, secret))) => {
                // The row holds one of the two from now on.
                for hash in [Some(&credential.hash), better.as_ref()]
                    .into_iter()
                    .flatten()
                {
                    self.memory
                        .keep(self.memory.mac(credential, hash, secret), now);
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

    /// What a hashing thread does for one secret of a foreign form.
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
            // Others of this source may have failed while this one waited.
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
    use uuid::Uuid;

    use crate::domain::id::CredentialId;

    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::keys::seal::MasterKey;
    use crate::keys::{store_key, tag};

    fn secrets() -> Secrets {
        let entropy = Arc::new(SeededEntropy::new(1));
        let master = MasterKey::generate(&*entropy).unwrap();
        let key = TagKey::open(
            &store_key::generate(tag::PURPOSE, 'a', &master, &*entropy).unwrap(),
            &master,
        )
        .unwrap();
        Secrets::new(vec![key], entropy, HashPool::start(1, 8).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn only_a_success_is_remembered() {
        let secrets = secrets();
        let right = Secret::parse("right secret").unwrap();
        let credential = Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id: AgentId::parse("a").unwrap(),
            hash: secrets.hash(&right).await.unwrap(),
            tag: None,
            prefix: "".into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
        };
        let now = Timestamp(1_000);
        let wrong = Secret::parse("wrong secret").unwrap();
        assert!(matches!(
            secrets.prove(&credential, &wrong, now).await.unwrap(),
            Proof::Wrong
        ));
        assert_eq!(secrets.memory.len(), 0);
        assert!(!secrets.recalls(&credential, &right, now));
        assert!(matches!(
            secrets.prove(&credential, &right, now).await.unwrap(),
            Proof::Right(None)
        ));
        assert!(secrets.recalls(&credential, &right, now));
        assert!(!secrets.recalls(&credential, &wrong, now));
        // An hour later it is gone.
        assert!(!secrets.recalls(&credential, &right, Timestamp(1_000 + 2 * 3_600)));
    }
}
