//! The life of signing keys: makes the first ones, announces later ones, and moves each key from state to
//! state.
//!
//! Must not know private bytes, except to pass them on for sealing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::keys::algorithm::{self, RsaBits};
use crate::keys::{KeyFault, Keyring, rotation, row_seal};
use crate::store::{Change, KeyChange, KeyRecord, KeyState, Outcome, Records, Store, Write};
use crate::telemetry::metrics::{self, KeysMeasure};

use super::error::{Cause, Error};
use super::manage::view::KeyView;

/// How many milliseconds after the last reading the keys may still sign. Below [`rotation::SKEW`],
/// with room for the time that a reading takes.
const TRUST_TTL: i64 = 120_000;

/// For how many milliseconds after a reading an unknown kid does not cause another reading.
const REREAD_INTERVAL: i64 = 1_000;

/// The time of the last reading before there was any.
const NEVER: i64 = i64::MIN;

/// Which key to make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The first key of a store, unless another process makes one meanwhile.
    First,
    /// One more key, which signs after the existing keys.
    Another,
}

/// Makes, loads and rotates the keys of a store.
pub struct KeyService {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    keyring: Arc<Keyring>,
    clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
    rsa_bits: RsaBits,
    announce_seconds: i64,
    /// When the keys were last read, by the steady clock, or [`NEVER`]. The lock makes readings
    /// follow one another, so that no reading replaces a newer set of keys by an older one.
    read_at: tokio::sync::Mutex<i64>,
    /// The same time, for readers that do not take the lock.
    last_read: AtomicI64,
    /// The state of each key as it was last read, and when it signs.
    seen: Mutex<Vec<(KeyState, Timestamp)>>,
    /// The reasons why keys were refused, so that each reason is logged once.
    refused: Mutex<HashSet<String>>,
}

impl KeyService {
    /// New keys have `rsa_bits` and are announced `announce_seconds` before they sign.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        keyring: Arc<Keyring>,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
        rsa_bits: RsaBits,
        announce_seconds: i64,
    ) -> Self {
        Self {
            store,
            records,
            keyring,
            clock,
            entropy,
            rsa_bits,
            announce_seconds,
            read_at: tokio::sync::Mutex::new(NEVER),
            last_read: AtomicI64::new(NEVER),
            seen: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// All keys of the store, the oldest first. A key that every server refuses has the reason.
    pub(crate) async fn list(&self) -> Result<Vec<KeyView>, Error> {
        let keys = self.records.keys().await?;
        let view = |key: &KeyRecord| KeyView {
            refused: self.keyring.fault_of(key).map(|fault| fault.to_string()),
            ..key.into()
        };
        Ok(keys.iter().map(view).collect())
    }

    /// Makes the store's first signing key if there is none, and loads all keys. Processes that
    /// start at the same time agree on one key, because the store accepts only one signing key.
    pub async fn ensure_signing_key(&self) -> Result<(), Error> {
        if !self
            .records
            .keys()
            .await?
            .iter()
            .any(|k| k.state == KeyState::Signing)
        {
            self.add_key(Wanted::First, &Act::system(self.clock.moment()))
                .await?;
        }
        self.refresh().await
    }

    /// Announces a new key. The first key of a store signs at once. Returns the key as stored.
    pub async fn rotate(&self, act: &Act) -> Result<KeyRecord, Error> {
        for _ in 0..3 {
            if let Some(added) = self.add_key(Wanted::Another, act).await? {
                self.refresh().await?;
                return Ok(added);
            }
        }
        Err(Error::Unavailable(Arc::new(Cause(
            "another process keeps changing the keys".to_owned(),
        ))))
    }

    /// A new key as it would be stored now. It is not stored.
    pub async fn draft(&self) -> Result<KeyRecord, Error> {
        let bits = self.rsa_bits;
        let made = tokio::task::spawn_blocking(move || algorithm::generate(bits));
        let made = made.await.map_err(|died| Error::Fault(Arc::new(died)))??;
        let keys = self.keyring.genuine(self.records.keys().await?);
        let now = self.clock.now();
        let (state, signs_from) = rotation::announce(&keys, now, self.announce_seconds);
        let times = (now, signs_from);
        let master = self.keyring.master_key();
        row_seal::new_record(master, &made, state, times, &*self.entropy).ok_or_else(|| {
            Error::Fault(Arc::new(Cause(
                "a private key could not be sealed".to_owned(),
            )))
        })
    }

    /// `None` if another process was first.
    async fn add_key(&self, wanted: Wanted, act: &Act) -> Result<Option<KeyRecord>, Error> {
        let record = self.draft().await?;
        if wanted == Wanted::First && record.state != KeyState::Signing {
            return Ok(None);
        }
        let outcome = self
            .commit(
                Change::Key(KeyChange::Insert(Box::new(record.clone()))),
                act,
            )
            .await?;
        Ok((outcome == Outcome::Applied).then_some(record))
    }

    /// Reads the keys, carries out the steps that are due, and loads the result. Run once a minute.
    pub async fn refresh(&self) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        let keys = self.keyring.genuine(self.records.keys().await?);
        // While the time is not certain, no step is due.
        let seal = |key: &KeyRecord| row_seal::seal(self.keyring.master_key(), key);
        let steps = self
            .clock
            .settled()
            .map_or_else(Vec::new, |now| rotation::plan(&keys, now, seal));
        for step in steps {
            // A conflict means that another process carried the step out first.
            self.commit(step, &Act::system(self.clock.moment())).await?;
        }
        self.read(&mut read_at).await
    }

    /// Reads the keys once more before an unknown kid is refused, at most once a second. If the
    /// reading fails, it fails for all callers that wait for it: a failure must not become a
    /// verdict about their tokens.
    pub async fn reload_for_unknown_kid(&self) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        let age = self.clock.steady().saturating_sub(*read_at);
        if (0..REREAD_INTERVAL).contains(&age) {
            Ok(())
        } else {
            self.read(&mut read_at).await
        }
    }

    /// Sets the gauges of the keys. Reads memory alone.
    pub(crate) fn measure(&self) {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let now = self.clock.now();
        let signing = seen.iter().find(|(state, _)| *state == KeyState::Signing);
        let announced = seen
            .iter()
            .filter(|(state, _)| *state == KeyState::Announced);
        let between =
            |from: i64, to: i64| Duration::from_secs(to.saturating_sub(from).max(0).unsigned_abs());
        let read_at = self.last_read.load(Ordering::Relaxed);
        let age = self.clock.steady().saturating_sub(read_at);
        let states = [KeyState::Announced, KeyState::Signing, KeyState::Retiring];
        metrics::signing_keys(&KeysMeasure {
            states: states.map(|state| {
                let keys = seen.iter().filter(|(other, _)| *other == state).count();
                (state.as_str(), u64::try_from(keys).unwrap_or(u64::MAX))
            }),
            signing_for: signing.map_or(Duration::ZERO, |(_, from)| between(from.0, now.0)),
            next_in: announced.map(|(_, from)| between(now.0, from.0)).min(),
            age: Duration::from_millis(age.max(0).unsigned_abs()),
        });
    }

    /// Refuses to sign with keys that were last read too long ago. Their successor may be signing
    /// already, and they would leave the key set before their last token expires.
    pub async fn ready_to_sign(&self) -> Result<(), Error> {
        let now = self.clock.steady();
        let fresh = |at: i64| now.saturating_sub(at) <= TRUST_TTL;
        if fresh(self.last_read.load(Ordering::Relaxed)) && self.keyring.can_sign() {
            return Ok(());
        }
        let mut read_at = self.read_at.lock().await;
        // Another caller may have read the keys while it held the lock.
        if !fresh(*read_at) {
            self.read(&mut read_at).await?;
        }
        if self.keyring.can_sign() {
            Ok(())
        } else {
            Err(KeyFault::NoSigningKey.into())
        }
    }

    async fn read(&self, read_at: &mut i64) -> Result<(), Error> {
        let now = self.clock.steady();
        let keys = self.records.keys().await?;
        let refused = self.keyring.load(&keys)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            keys.iter().map(|key| (key.state, key.signs_from)).collect();
        let mut told = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let refused: HashSet<String> = refused.iter().map(ToString::to_string).collect();
        for cause in refused.difference(&told) {
            tracing::error!(
                cause,
                "a signing key in the database is not this server's and was refused"
            );
        }
        *told = refused;
        drop(told);
        *read_at = now;
        self.last_read.store(now, Ordering::Relaxed);
        Ok(())
    }

    async fn commit(&self, change: Change, act: &Act) -> Result<Outcome, Error> {
        let write = Write::new(act.committed_at(self.clock.moment()), change);
        let outcomes = self.store.commit(vec![write]).await?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| Error::Fault(Arc::new(Cause("the store gave no outcome".to_owned()))))
    }
}
