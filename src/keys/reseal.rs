//! Sealing the keys of a store under another master key.
//!
//! Owns which rows are sealed anew. Must not know how a row is replaced, or which processes hold
//! which master key.

use crate::entropy::{Entropy, NoEntropy};
use crate::store::{KeyRecord, StoreKey};

use super::row_seal;
use super::seal::{MasterKey, SealedUnder};
use super::store_key;

/// What is to be done about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resealing<T> {
    /// Nothing: it is sealed under the newest master key.
    Done,
    /// It is replaced by this one.
    Replace(T),
    /// Nothing: it is no key of this store, or its row was changed by somebody else.
    Foreign,
}

/// A key of the store itself.
pub(crate) fn store_key(
    stored: &StoreKey,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<Resealing<StoreKey>, NoEntropy> {
    let aad = store_key::aad(&stored.purpose, &stored.key_id);
    match master.sealed_under(&stored.sealed, &aad) {
        SealedUnder::Newest => return Ok(Resealing::Done),
        SealedUnder::Previous => {}
        SealedUnder::Other => return Ok(Resealing::Foreign),
    }
    let Some(plain) = master.unseal(&stored.sealed, &aad) else {
        return Ok(Resealing::Foreign);
    };
    Ok(Resealing::Replace(StoreKey {
        sealed: master.seal(&plain, &aad, entropy).ok_or(NoEntropy)?,
        ..stored.clone()
    }))
}

/// A signing key: its private part, and the seal of its state and times. A key of a release without
/// such seals gets one.
pub(crate) fn signing_key(
    stored: &KeyRecord,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<Resealing<KeyRecord>, NoEntropy> {
    let aad = stored.kid.0.as_bytes();
    let under = master.sealed_under(&stored.private_key, aad);
    if under == SealedUnder::Other || !row_seal::is_believed(master, stored) {
        return Ok(Resealing::Foreign);
    }
    if under == SealedUnder::Newest && row_seal::is_under_newest(master, stored) {
        return Ok(Resealing::Done);
    }
    let Some(plain) = master.unseal(&stored.private_key, aad) else {
        return Ok(Resealing::Foreign);
    };
    let mut sealed = KeyRecord {
        private_key: master
            .seal_private_key(&plain, aad, entropy)
            .ok_or(NoEntropy)?,
        ..stored.clone()
    };
    sealed.seal = Some(row_seal::seal(master, &sealed));
    Ok(Resealing::Replace(sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::entropy::SeededEntropy;
    use crate::keys::algorithm::{RsaBits, generate};
    use crate::store::KeyState;

    fn masters(entropy: &SeededEntropy) -> (MasterKey, MasterKey, MasterKey) {
        let draw = || MasterKey::generate(entropy).unwrap();
        let (before, after) = (draw(), draw());
        let both = after.clone().and_previous(&before);
        (before, after, both)
    }

    #[test]
    fn a_store_key_is_sealed_anew_once_and_stays_the_same_key() {
        let entropy = SeededEntropy::new(1);
        let (before, after, both) = masters(&entropy);
        let stored = store_key::generate("tag", 'x', &before, &entropy).unwrap();
        let Resealing::Replace(sealed) = store_key(&stored, &both, &entropy).unwrap() else {
            panic!("it is under the key before")
        };
        let plain = |stored, master| store_key::open(stored, "tag", master);
        assert_eq!(plain(&sealed, &after), plain(&stored, &before));
        assert!(plain(&sealed, &before).is_none());
        let again = store_key(&sealed, &both, &entropy).unwrap();
        assert_eq!(again, Resealing::Done);
        let foreign = store_key(&stored, &after, &entropy).unwrap();
        assert_eq!(foreign, Resealing::Foreign);
    }

    #[test]
    fn a_signing_key_is_sealed_anew_with_its_state_and_a_changed_row_is_left_alone() {
        let entropy = SeededEntropy::new(2);
        let (before, after, both) = masters(&entropy);
        let made = generate(RsaBits::B2048).unwrap();
        let times = (Timestamp(1), Timestamp(2));
        let record =
            row_seal::new_record(&before, &made, KeyState::Announced, times, &entropy).unwrap();
        // A key that an older release moved on keeps the seal of the state before.
        let moved = KeyRecord {
            state: KeyState::Signing,
            ..record.clone()
        };
        let of_older = KeyRecord {
            private_key: before
                .seal(&made.private_der, made.kid.0.as_bytes(), &entropy)
                .unwrap(),
            seal: None,
            ..record.clone()
        };
        for stored in [&record, &moved, &of_older] {
            let Resealing::Replace(sealed) = signing_key(stored, &both, &entropy).unwrap() else {
                panic!("it is under the key before")
            };
            assert!(row_seal::is_believed(&after, &sealed));
            assert!(sealed.private_key.demands_a_seal());
            let plain = after.unseal(&sealed.private_key, made.kid.0.as_bytes());
            assert_eq!(*plain.unwrap(), *made.private_der);
            assert_eq!(sealed.state, stored.state);
            let again = signing_key(&sealed, &both, &entropy).unwrap();
            assert_eq!(again, Resealing::Done);
        }
        // A process with both keys has moved it on: only its seal is under the newest key.
        let mut half = moved.clone();
        half.seal = Some(row_seal::seal(&both, &half));
        let half = signing_key(&half, &both, &entropy).unwrap();
        assert!(matches!(half, Resealing::Replace(_)));
        let changed = KeyRecord {
            signs_from: Timestamp(3),
            ..record
        };
        let changed = signing_key(&changed, &both, &entropy).unwrap();
        assert_eq!(changed, Resealing::Foreign);
    }
}
