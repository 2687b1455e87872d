//! The signing keys of a store in this process: reads them when they change, and moves each key from
//! state to state.
//!
//! Owns how old a reading may be. Must not know private bytes, or how a key is made (`key_rotation`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::keys::algorithm::RsaBits;
use crate::keys::rotation::RotationTimes;
use crate::keys::{KeyFault, Keyring, rotation, row_seal};
use crate::store::gate::StoreGate;
use crate::store::{KeyRecord, KeyState, Records, Store, StoredKeys};
use crate::telemetry::metrics::{self, KeysMeasure};

use super::error::{Error, KeyReadError};
use super::manage::view::KeyView;

/// How many milliseconds after the last reading the keys may still sign. Below [`rotation::SKEW`],
/// with room for the time that a reading takes.
const TRUST_TTL: i64 = 120_000;

/// For how many milliseconds after a reading an unknown kid does not cause another reading, unless
/// the keys changed.
const REREAD_INTERVAL: i64 = 1_000;

/// For how many milliseconds after a look at the keys' version an unknown kid does not cause another
/// one. A caller whose kid is unknown waits as long.
const LOOK_INTERVAL: u64 = 20;

/// How many milliseconds after the last proof that its keys are the store's keys this process may
/// sign. A command that revokes a key waits as long before it answers.
pub(super) const SIGNING_LEASE: i64 = 1_000;

/// The time of the last reading before there was any.
const NEVER: i64 = i64::MIN;

/// Makes, loads and rotates the keys of a store.
pub struct KeyService {
    pub(super) store: Arc<dyn Store>,
    pub(super) records: Arc<dyn Records>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<StoreClock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) rsa_bits: RsaBits,
    pub(super) times: RotationTimes,
    /// When the keys were last read, by the steady clock, or [`NEVER`]. The lock makes readings
    /// follow one another, so that no reading replaces a newer set of keys by an older one.
    read_at: tokio::sync::Mutex<i64>,
    /// The same time, for readers that do not take the lock.
    last_read: AtomicI64,
    /// The state of each key as it was last read, and when it signs.
    seen: Mutex<Vec<(KeyState, Timestamp)>>,
    /// When the latest look at the keys' version began that found the version of this process, or
    /// [`NEVER`].
    confirmed: AtomicI64,
    /// The reasons why keys were refused, so that each reason is logged once.
    refused: Mutex<HashSet<String>>,
    /// While it is closed, the keys stay as they were: those of a backup are not what they should be.
    gate: Arc<StoreGate>,
}

impl KeyService {
    /// New keys have `rsa_bits`, and are announced and sign as `times` says.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        keyring: Arc<Keyring>,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
        rsa_bits: RsaBits,
        times: RotationTimes,
    ) -> Self {
        Self {
            store,
            records,
            keyring,
            clock,
            entropy,
            rsa_bits,
            times,
            read_at: tokio::sync::Mutex::new(NEVER),
            last_read: AtomicI64::new(NEVER),
            seen: Mutex::default(),
            confirmed: AtomicI64::new(NEVER),
            refused: Mutex::default(),
            gate: Arc::default(),
        }
    }

    /// The same behind this gate, which it closes if the store has older keys than it had.
    pub(crate) fn behind(self, gate: Arc<StoreGate>) -> Self {
        Self { gate, ..self }
    }

    /// All keys of the store, the oldest first. A key that every server refuses has the reason.
    pub(crate) async fn list(&self) -> Result<Vec<KeyView>, Error> {
        let keys = self.records.keys().await?.keys;
        let view = |key: &KeyRecord| KeyView {
            refused: self.keyring.fault_of(key).map(|fault| fault.to_string()),
            ..key.into()
        };
        Ok(keys.iter().map(view).collect())
    }

    /// Reads the keys, carries out the steps that are due, and loads the result. Run once a minute.
    pub async fn refresh(&self) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        let stored = self.records.keys().await?;
        self.demand_newest(&stored)?;
        let stored = self.keyring.genuine(stored);
        // While the time is not certain, no step is due.
        let seal = |key: &KeyRecord| row_seal::seal(self.keyring.master_key(), key);
        let steps = self
            .clock
            .settled()
            .map_or_else(Vec::new, |now| rotation::plan(&stored.keys, now, seal));
        for step in steps {
            // A conflict means that another process carried the step out first.
            self.commit(step, &Act::system(self.clock.moment())).await?;
        }
        Ok(self.read(&mut read_at).await?)
    }

    /// Reads the keys if they changed. Run twice a second.
    pub(crate) async fn follow(&self) -> Result<(), KeyReadError> {
        if self.gate.is_closed() {
            return Ok(());
        }
        let asked = self.clock.steady();
        if self.records.keys_version().await? == self.keyring.version() {
            self.confirm(asked);
            return Ok(());
        }
        let mut read_at = self.read_at.lock().await;
        // Another caller may have read the keys while it held the lock.
        if *read_at > asked {
            return Ok(());
        }
        self.read(&mut read_at).await
    }

    /// Reads the keys again, behind a closed gate too and whatever they were before: an operator has
    /// acknowledged a restore. Carries out no step.
    pub(crate) async fn reload(&self) -> Result<(), Error> {
        let (mut read_at, now) = (self.read_at.lock().await, self.clock.steady());
        Ok(self.load(&mut read_at, now, &self.records.keys().await?)?)
    }

    /// Makes sure that this process knows the keys that the store had after `since`, by the steady
    /// clock.
    pub(super) async fn follow_since(&self, since: i64) -> Result<(), KeyReadError> {
        if self.confirmed.load(Ordering::Relaxed) > since {
            Ok(())
        } else {
            self.follow().await
        }
    }

    /// Makes sure that a token may be signed whose batch was sent at `asked`, by the steady clock, and
    /// was counted. The store compared the keys after that moment. Once [`SIGNING_LEASE`] has passed
    /// since, a key may have been revoked by a command that has answered.
    pub(super) async fn renew_lease(&self, asked: i64) -> Result<(), KeyReadError> {
        let oldest = self.clock.steady().saturating_sub(SIGNING_LEASE);
        if asked > oldest {
            Ok(())
        } else {
            self.follow_since(oldest).await
        }
    }

    /// Looks for changed keys before an unknown kid is refused. A release that does not raise the
    /// version may have changed them too, so they are read anyway if they were not for a second. A
    /// failed reading fails for all that wait for it: it must not become a verdict about tokens.
    pub async fn reload_for_unknown_kid(&self) -> Result<(), Error> {
        let asked = self.clock.steady();
        let mut read_at = self.read_at.lock().await;
        let age = self.clock.steady().saturating_sub(*read_at);
        if !(0..REREAD_INTERVAL).contains(&age) {
            return Ok(self.read(&mut read_at).await?);
        }
        if self.confirmed.load(Ordering::Relaxed) > asked {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(LOOK_INTERVAL)).await;
        let looked = self.clock.steady();
        if self.records.keys_version().await? == self.keyring.version() {
            self.confirm(looked);
            Ok(())
        } else {
            Ok(self.read(&mut read_at).await?)
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
        let of = |wanted| seen.iter().filter(move |(state, _)| *state == wanted);
        let signing = of(KeyState::Signing).next();
        let announced = of(KeyState::Announced);
        let between =
            |from: i64, to: i64| Duration::from_secs(to.saturating_sub(from).max(0).unsigned_abs());
        let read_at = self.last_read.load(Ordering::Relaxed);
        let age = self.clock.steady().saturating_sub(read_at);
        let states = [KeyState::Announced, KeyState::Signing, KeyState::Retiring];
        metrics::signing_keys(&KeysMeasure {
            states: states.map(|state| {
                let count = u64::try_from(of(state).count());
                (state.as_str(), count.unwrap_or(u64::MAX))
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

    fn confirm(&self, asked: i64) {
        self.confirmed.fetch_max(asked, Ordering::Relaxed);
    }

    async fn read(&self, read_at: &mut i64) -> Result<(), KeyReadError> {
        let now = self.clock.steady();
        let keys = self.records.keys().await?;
        self.demand_newest(&keys)?;
        self.load(read_at, now, &keys)
    }

    /// Refuses keys of a store that was wound back, or is a restored one.
    fn demand_newest(&self, keys: &StoredKeys) -> Result<(), KeyReadError> {
        if keys.version < self.keyring.version() {
            self.gate
                .close("the version of the signing keys is lower than it was");
        }
        Ok(self.gate.admit()?)
    }

    /// Takes keys that were read at `now`, by the steady clock.
    fn load(&self, read_at: &mut i64, now: i64, keys: &StoredKeys) -> Result<(), KeyReadError> {
        let refused = self.keyring.load(keys)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = keys
            .keys
            .iter()
            .map(|key| (key.state, key.signs_from))
            .collect();
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
        self.confirm(now);
        Ok(())
    }
}
