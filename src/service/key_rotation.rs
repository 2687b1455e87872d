//! How keys come and go: makes the first one, announces later ones, and replaces a key at once.
//!
//! Owns what an operator may ask for. Must not know private bytes, except to pass them on for sealing.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock as _;
use crate::domain::act::Act;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::time::Timestamp;
use crate::keys::algorithm::{self, GeneratedKey};
use crate::keys::rotation::{self, Predecessors};
use crate::keys::row_seal;
use crate::store::{Change, KeyChange, KeyRecord, KeyState, Outcome, StoredKeys, Write};

use crate::telemetry::error_chain;

use super::error::{Cause, Error};
use super::keys::{KeyService, SIGNING_LEASE};
use super::manage::ManageError;
use super::manage::keeping::Keep;
use super::manage::view::KeyView;

/// How many milliseconds longer than the others may sign a command waits: both sides round times.
const LEASE_MARGIN: i64 = 50;

/// How often a rotation is decided again because the keys changed meanwhile.
const MAX_TRIES: usize = 3;

/// When the next key signs, and what becomes of the keys before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RotationMode {
    /// A new key is announced. It signs once it was published long enough.
    #[default]
    Announce,
    /// The announced key signs at once; without one, a new key. The key before it retires.
    Now,
    /// As [`RotationMode::Now`], but all keys that have signed so far are gone at once, and all tokens that
    /// they signed are dead.
    NowRevoking,
}

impl RotationMode {
    /// The rotation that an operator asks for with these two words; `None` if they do not fit.
    pub(crate) fn of(now: bool, revoke: bool) -> Option<Self> {
        match (now, revoke) {
            (false, false) => Some(Self::Announce),
            (true, false) => Some(Self::Now),
            (true, true) => Some(Self::NowRevoking),
            (false, true) => None,
        }
    }

    /// The rule that [`RotationMode::of`] enforces.
    pub(crate) const RULE: &str =
        "needs now: an announced key cannot replace one that must not sign any more";
}

/// What is to be done about the keys.
struct KeyDecision {
    change: KeyChange,
    /// The key that was announced or signs, as it will be stored.
    key: KeyRecord,
}

impl KeyService {
    /// Makes the store's first signing key if there is none, and loads all keys. Processes that
    /// start at the same time agree on one key, because the store accepts only one signing key.
    pub async fn ensure_signing_key(&self) -> Result<(), Error> {
        let stored = self.records.keys().await?;
        if !stored.keys.iter().any(|k| k.state == KeyState::Signing) {
            self.make_first_key().await?;
        }
        self.refresh().await
    }

    /// Rotates the keys. Returns the new key as stored; with [`RotationMode::Now`] it may have been an
    /// announced one. After a revocation this waits until no process signs with a revoked key.
    pub async fn rotate(
        &self,
        rotation: RotationMode,
        act: &Act,
    ) -> Result<KeyRecord, ManageError> {
        let key = self.commit_rotation(rotation, act, Keep::nothing()).await?;
        self.outlast_leases(rotation).await;
        Ok(key)
    }

    /// Waits until no process signs with a key that this rotation has revoked.
    pub(crate) async fn outlast_leases(&self, rotation: RotationMode) {
        if rotation == RotationMode::NowRevoking {
            let millis = u64::try_from(SIGNING_LEASE + LEASE_MARGIN).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    /// As [`KeyService::rotate`], but after a revocation other processes may still sign with a revoked
    /// key until [`KeyService::outlast_leases`] ends.
    pub(crate) async fn commit_rotation(
        &self,
        rotation: RotationMode,
        act: &Act,
        keep: Keep<'_, KeyView>,
    ) -> Result<KeyRecord, ManageError> {
        let mut made = None;
        for _ in 0..MAX_TRIES {
            let decision = self.decide(rotation, &mut made).await?;
            let write = self.write(Change::Key(decision.change), act);
            let write = keep.keeping(write, &KeyView::from(&decision.key))?;
            match self.commit_write(write).await? {
                Outcome::Applied => {
                    if let Err(error) = self.refresh().await {
                        // The keys are changed. Whoever took this for a failure would do it once more.
                        let error = error_chain(&error);
                        tracing::warn!(error, "the changed keys cannot be read yet");
                    }
                    return Ok(decision.key);
                }
                Outcome::Answered => return Err(RejectionCode::IdempotencyInProgress.into()),
                _ => {}
            }
        }
        let why = Cause("another process keeps changing the keys".to_owned());
        Err(Error::Unavailable(Arc::new(why)).into())
    }

    /// The key that [`KeyService::rotate`] would return now. Nothing is stored.
    pub async fn draft(&self, rotation: RotationMode) -> Result<KeyRecord, ManageError> {
        Ok(self.decide(rotation, &mut None).await?.key)
    }

    /// `made` keeps the key that was made, so that no try makes another one.
    async fn decide(
        &self,
        rotation: RotationMode,
        made: &mut Option<GeneratedKey>,
    ) -> Result<KeyDecision, ManageError> {
        if rotation == RotationMode::NowRevoking && !self.records.may_revoke().await? {
            return Err(Rejection::from(RejectionCode::UpgradeUnfinished).into());
        }
        let stored = self.records.keys().await?;
        let mut signing = stored
            .keys
            .iter()
            .filter(|key| key.state == KeyState::Signing);
        // The store would still see this key sign, and refuse each change that leaves it out.
        if let Some(fault) = signing.find_map(|key| self.keyring.fault_of(key)) {
            return Err(Error::from(fault).into());
        }
        let stored = self.keyring.genuine(stored);
        let announced = rotation::next(&stored.keys);
        let predecessors = match (rotation, announced) {
            (RotationMode::Announce, Some(key)) => return Err(already_announced(key).into()),
            (RotationMode::Announce, None) => {
                let key = self.new_key(&stored, made).await?;
                return Ok(announcement(&stored, key));
            }
            (RotationMode::Now, _) => Predecessors::Retire,
            (RotationMode::NowRevoking, _) => Predecessors::Revoke,
        };
        let key = match announced {
            Some(key) => key.clone(),
            None => self.new_key(&stored, made).await?,
        };
        let seal = |key: &KeyRecord| row_seal::seal(self.keyring.master_key(), key);
        let now = self.clock.now();
        let replacement = rotation::replace(&stored, &key, predecessors, now, seal);
        Ok(KeyDecision {
            key: replacement.key.clone(),
            change: KeyChange::Replace(Box::new(replacement)),
        })
    }

    async fn make_first_key(&self) -> Result<(), Error> {
        let stored = self.keyring.genuine(self.records.keys().await?);
        let key = self.new_key(&stored, &mut None).await?;
        if key.state == KeyState::Signing {
            let change = Change::Key(KeyChange::Insert(Box::new(key)));
            // On a conflict, another process was first.
            self.commit(change, &Act::system(self.clock.moment()))
                .await?;
        }
        Ok(())
    }

    /// Announces the next key if the time of the key that signs is nearly over. If several processes
    /// do this at once, the store takes one of their keys. Run once a minute.
    pub async fn announce_due_key(&self) -> Result<(), Error> {
        // While the time is not certain, no key is due.
        let Some(now) = self.clock.settled() else {
            return Ok(());
        };
        let stored = self.keyring.genuine(self.records.keys().await?);
        let Some(signs_from) = rotation::scheduled(&stored.keys, now, self.times) else {
            return Ok(());
        };
        let key = self.new_key_from(&stored, &mut None, signs_from).await?;
        let change = Change::Key(announcement(&stored, key).change);
        // A conflict means that another process announced a key first.
        self.commit(change, &Act::system(self.clock.moment()))
            .await?;
        self.refresh().await
    }

    pub(super) async fn commit(&self, change: Change, act: &Act) -> Result<Outcome, Error> {
        self.commit_write(self.write(change, act)).await
    }

    fn write(&self, change: Change, act: &Act) -> Write {
        Write::new(act.committed_at(self.clock.moment()), change)
    }

    async fn commit_write(&self, write: Write) -> Result<Outcome, Error> {
        let outcomes = self.store.commit(vec![write]).await?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| Error::Fault(Arc::new(Cause("the store gave no outcome".to_owned()))))
    }

    /// A new key as it would be stored now.
    async fn new_key(
        &self,
        stored: &StoredKeys,
        made: &mut Option<GeneratedKey>,
    ) -> Result<KeyRecord, Error> {
        self.new_key_from(stored, made, Timestamp(i64::MIN)).await
    }

    /// A new key as it would be stored now, which signs at `earliest` or later. The first key of a store
    /// signs at once.
    async fn new_key_from(
        &self,
        stored: &StoredKeys,
        made: &mut Option<GeneratedKey>,
        earliest: Timestamp,
    ) -> Result<KeyRecord, Error> {
        let made = if let Some(made) = made {
            made
        } else {
            let bits = self.rsa_bits;
            let task = tokio::task::spawn_blocking(move || algorithm::generate(bits));
            let key = task.await.map_err(|died| Error::Fault(Arc::new(died)))??;
            made.insert(key)
        };
        let now = self.clock.now();
        let announce_seconds = self.times.announce_seconds;
        let (state, signs_from) = rotation::announce(&stored.keys, now, announce_seconds);
        let (master, times) = (self.keyring.master_key(), (now, signs_from.max(earliest)));
        row_seal::new_record(master, made, state, times, &*self.entropy).ok_or_else(|| {
            Error::Fault(Arc::new(Cause(
                "a private key could not be sealed".to_owned(),
            )))
        })
    }
}

/// A new key is announced. The first key of a store signs at once.
fn announcement(stored: &StoredKeys, key: KeyRecord) -> KeyDecision {
    KeyDecision {
        change: KeyChange::Announce {
            key: Box::new(key.clone()),
            keys_version: stored.version,
        },
        key,
    }
}

fn already_announced(key: &KeyRecord) -> Rejection {
    let (kid, from) = (&key.kid.0, key.signs_from.to_rfc3339());
    let message =
        format!("key {kid} is announced already and signs from {from}: with now it signs at once");
    Rejection::with(RejectionCode::KeyAnnounced, message).and(vec![("kid", kid.as_str().into())])
}
