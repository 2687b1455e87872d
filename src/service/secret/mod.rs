//! Secrets: made, hashed, recognised and remembered.
//!
//! Owns the cost of a secret: a forged one dies by its tag, a proven one is remembered, and only
//! what is left is hashed, on threads of its own. Must not know agents' status, stores or HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::hmac;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::domain::Invalid;
use crate::domain::credential::{Credential, SecretHash, Tag};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::length_prefixed;
use crate::keys::tag::TagKey;
use crate::telemetry::metrics;

pub mod bulk;
pub mod format;
pub mod kdf;
pub mod pool;

pub use format::{Presented, Secret};
pub use kdf::HashFault;
pub use pool::{HashPool, Shed};

/// How long a proven secret is remembered, in seconds, and by how much at most that is shortened so
/// that not all are forgotten at once.
const REMEMBERED: i64 = 3_600;
const JITTER: i64 = 600;

/// How many proven secrets are remembered: one for each credential, at most this many.
const REMEMBERED_MOST: u64 = 100_000;

/// How many are expected: room for these is taken at the start, and more when they come.
const EXPECTED: usize = 1_000;

type Mac = [u8; 32];

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
    Shed(#[from] Shed),
    /// Hashing itself failed.
    #[error(transparent)]
    Fault(#[from] HashFault),
}

/// Makes, inspects and verifies secrets for one store.
pub struct Secrets {
    tag_keys: Vec<TagKey>,
    entropy: Arc<dyn Entropy>,
    pool: HashPool,
    /// Keys the memory of proven secrets; drawn anew by each process and never written down.
    mac_key: hmac::Key,
    /// The MACs of secrets that were proven and until when they count: successes only, so that wrong
    /// secrets cannot evict anybody. Looked up as they are, for nobody can aim at one without the key.
    proven: Cache<Mac, Timestamp>,
    /// One hash at a time for one and the same secret; different secrets do not wait for each other.
    flights: Mutex<HashMap<Mac, Weak<tokio::sync::Mutex<()>>>>,
    /// A hash that nothing matches, for ids that are not known.
    decoy: SecretHash,
}

impl Secrets {
    /// For the store whose tag keys these are; the first one tags new secrets.
    pub fn new(tag_keys: Vec<TagKey>, entropy: Arc<dyn Entropy>, pool: HashPool) -> Result<Self, NoEntropy> {
        let mut key = [0u8; 32];
        entropy.fill(&mut key)?;
        let mut output = [0u8; 32];
        entropy.fill(&mut output)?;
        let phc = format!(
            "$argon2id$v=19$m=19456,t=2,p=1$c2VhbHdyaWdodC1kZWNveQ${}",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, output)
        );
        Ok(Self {
            tag_keys,
            entropy,
            pool,
            mac_key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            proven: Cache::with_weighter(EXPECTED, REMEMBERED_MOST, UnitWeighter),
            flights: Mutex::new(HashMap::new()),
            decoy: SecretHash(phc.into()),
        })
    }

    /// Draws a secret for a new credential of `agent_id`; `None` when the store has no tag key.
    pub fn generate(&self, agent_id: &AgentId) -> Result<Option<(Secret, Tag)>, NoEntropy> {
        let Some(key) = self.tag_keys.first() else { return Ok(None) };
        format::generate(key, agent_id, &*self.entropy).map(Some)
    }

    /// Says what `secret` can be for `client_id`, at the cost of one HMAC.
    pub fn inspect(&self, client_id: &str, secret: &str) -> Presented {
        format::inspect(&self.tag_keys, client_id.as_bytes(), secret)
    }

    /// The tag of an operator's own secret: `None` for a foreign form. One that has the form of this
    /// store's secrets but belongs to another agent could never be presented, so it is refused.
    pub fn tag_of_chosen(&self, agent_id: &AgentId, secret: &Secret) -> Result<Option<Tag>, Invalid> {
        match self.inspect(agent_id.as_str(), secret.expose()) {
            Presented::Generated(tag) => Ok(Some(tag)),
            Presented::Other => Ok(None),
            Presented::Forged => Err(Invalid("the secret has the form of a generated one of another agent")),
        }
    }

    /// Hashes a new secret on the pool.
    pub async fn hash(&self, secret: &Secret) -> Result<SecretHash, NotHashed> {
        let (secret, entropy) = (secret.clone(), Arc::clone(&self.entropy));
        Ok(self.pool.run(move |work| kdf::hash(&secret, &*entropy, work)).await??)
    }

    /// Whether `secret` was proven to be `credential`'s before, by memory alone.
    pub fn recalls(&self, credential: &Credential, secret: &Secret, now: Timestamp) -> bool {
        let known = self.remembers(&self.mac(credential, secret), now);
        if known {
            metrics::credential_cache(true);
        }
        known
    }

    /// Whether `secret` is `credential`'s: from memory, or by at most one hash.
    pub async fn prove(
        &self,
        credential: &Credential,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Proof, Shed> {
        let mac = self.mac(credential, secret);
        let flight = self.join_flight(mac);
        let _turn = flight.lock().await;
        // Whoever flew first may have brought the answer.
        if self.remembers(&mac, now) {
            metrics::credential_cache(true);
            return Ok(Proof::Right(None));
        }
        metrics::credential_cache(false);
        let (text, hash, entropy) = (secret.clone(), credential.hash.clone(), Arc::clone(&self.entropy));
        let rehash = credential.tag.is_none() && kdf::is_foreign(&hash);
        let proof = self
            .pool
            .run(move |work| match kdf::verify(&text, &hash, work) {
                true if rehash => Proof::Right(kdf::hash(&text, &*entropy, work).ok()),
                true => Proof::Right(None),
                false => Proof::Wrong,
            })
            .await?;
        if matches!(proof, Proof::Right(_)) {
            self.remember(mac, now);
        }
        Ok(proof)
    }

    /// Costs what a wrong imported secret costs, for an id that has no imported credential.
    pub async fn prove_decoy(&self, secret: &Secret) -> Result<(), Shed> {
        let (secret, decoy) = (secret.clone(), self.decoy.clone());
        self.pool.run(move |work| kdf::verify(&secret, &decoy, work)).await.map(|_| ())
    }

    /// HMAC over length-prefixed fields: no byte can move from one field to the next. The hash is the
    /// credential's version, so a credential that was replaced is forgotten with it.
    fn mac(&self, credential: &Credential, secret: &Secret) -> Mac {
        let mut context = hmac::Context::with_key(&self.mac_key);
        let id = credential.credential_id.0;
        let agent = credential.agent_id.as_str();
        let fields =
            [agent.as_bytes(), id.as_bytes(), credential.hash.0.as_bytes(), secret.expose().as_bytes()];
        length_prefixed(fields, |part| context.update(part));
        let mut mac = [0u8; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    fn remembers(&self, mac: &Mac, now: Timestamp) -> bool {
        self.proven.get(mac).is_some_and(|until| now < until)
    }

    fn remember(&self, mac: Mac, now: Timestamp) {
        // The MAC is random enough to spread the end of the memory.
        let jitter = i64::from(u16::from_be_bytes([mac[0], mac[1]])) % JITTER;
        self.proven.insert(mac, now.saturating_add(REMEMBERED - jitter));
    }

    fn join_flight(&self, mac: Mac) -> Arc<tokio::sync::Mutex<()>> {
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
        let key = TagKey::open(&store_key::generate(tag::PURPOSE, 'a', &master, &*entropy).unwrap(), &master)
            .unwrap();
        Secrets::new(vec![key], entropy, HashPool::start(1, 8).unwrap()).unwrap()
    }

    async fn credential(secrets: &Secrets, secret: &Secret) -> Credential {
        Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id: AgentId::parse("a").unwrap(),
            hash: secrets.hash(secret).await.unwrap(),
            tag: None,
            prefix: "".into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
        }
    }

    #[tokio::test]
    async fn only_a_success_is_remembered_and_not_for_ever() {
        let secrets = secrets();
        let right = Secret::parse("right secret").unwrap();
        let credential = credential(&secrets, &right).await;
        let now = Timestamp(1_000);
        let wrong = Secret::parse("wrong secret").unwrap();
        assert!(matches!(secrets.prove(&credential, &wrong, now).await.unwrap(), Proof::Wrong));
        assert_eq!(secrets.proven.len(), 0);
        assert!(matches!(secrets.prove(&credential, &right, now).await.unwrap(), Proof::Right(None)));
        let mac = secrets.mac(&credential, &right);
        assert!(secrets.remembers(&mac, now));
        assert!(!secrets.remembers(&mac, Timestamp(1_000 + REMEMBERED)));
        assert!(!secrets.remembers(&secrets.mac(&credential, &wrong), now));
    }

    #[tokio::test]
    async fn the_memory_is_keyed_by_every_byte_of_every_field() {
        let secrets = secrets();
        let secret = Secret::parse("ab").unwrap();
        let base = credential(&secrets, &secret).await;
        let mac = secrets.mac(&base, &secret);
        let mut agent = base.clone();
        agent.agent_id = AgentId::parse("aa").unwrap();
        let mut hash = base.clone();
        hash.hash = SecretHash(format!("{}x", hash.hash.0).into());
        let mut id = base.clone();
        id.credential_id = CredentialId(Uuid::from_u128(2));
        for (other, text) in
            [(&agent, "ab"), (&agent, "b"), (&hash, "ab"), (&id, "ab"), (&base, "abc"), (&base, "a")]
        {
            assert_ne!(secrets.mac(other, &Secret::parse(text).unwrap()), mac);
        }
    }
}
