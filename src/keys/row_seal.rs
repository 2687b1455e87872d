//! The seal of a signing key's row: its kid, state and times, authenticated under the master key.
//!
//! Owns what a seal covers and which rows are believed. A seal cannot show that a whole row was set
//! back to an earlier version of itself, as a restored backup does.

use aws_lc_rs::hmac;

use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::store::{KeyRecord, KeyState};

use super::algorithm::GeneratedKey;
use super::prefixed::length_prefixed;
use super::seal::MasterKey;

/// The purpose for which the key of these seals is derived.
const PURPOSE: &[u8] = b"signing key standing";

/// The row of a key that was just made; `None` if no random nonce could be drawn.
pub fn new_record(
    master: &MasterKey,
    made: &GeneratedKey,
    state: KeyState,
    (announced_at, signs_from): (Timestamp, Timestamp),
    entropy: &dyn Entropy,
) -> Option<KeyRecord> {
    let mut record = KeyRecord {
        kid: made.kid.clone(),
        public_jwk: made.public_jwk.clone(),
        private_key: master.seal_private_key(&made.private_der, made.kid.0.as_bytes(), entropy)?,
        state,
        announced_at,
        signs_from,
        signs_until: None,
        published_until: None,
        seal: None,
    };
    record.seal = Some(seal(master, &record));
    Some(record)
}

/// The seal of a key with the state and times of this record. `signs_until` is not covered: the
/// database's clock writes it, and no decision uses it.
pub(crate) fn seal(master: &MasterKey, record: &KeyRecord) -> Vec<u8> {
    hmac::sign(&master.derive(PURPOSE), &covered(record, record.state))
        .as_ref()
        .to_vec()
}

/// Whether some server of this store gave the key this state and these times. Releases without
/// seals change a key's state and keep its old seal. So a seal also fits a later state, but never
/// an earlier one. A row without a seal is believed only if such a release made the key. The
/// private part shows this.
pub(super) fn is_believed(master: &MasterKey, record: &KeyRecord) -> bool {
    if (record.state == KeyState::Retiring) != record.published_until.is_some() {
        return false;
    }
    let Some(seal) = &record.seal else {
        return !record.private_key.demands_a_seal();
    };
    let fits = |key: &hmac::Key| {
        let fits = |state: &KeyState| hmac::verify(key, &covered(record, *state), seal).is_ok();
        reached_by(record.state).iter().any(fits)
    };
    master.derive_all(PURPOSE).any(|key| fits(&key))
}

/// Whether the seal of this row was made under the newest master key.
pub(super) fn is_under_newest(master: &MasterKey, record: &KeyRecord) -> bool {
    let made = record.seal.as_ref();
    made.is_some_and(|made| *made == seal(master, record))
}

/// A state, and the states before it.
fn reached_by(state: KeyState) -> &'static [KeyState] {
    match state {
        KeyState::Announced => &[KeyState::Announced],
        KeyState::Signing => &[KeyState::Signing, KeyState::Announced],
        KeyState::Retiring => &[KeyState::Retiring, KeyState::Signing, KeyState::Announced],
    }
}

/// What the seal of this key covers if the key is in `state`.
fn covered(record: &KeyRecord, state: KeyState) -> Vec<u8> {
    let end = record
        .published_until
        .filter(|_| state == KeyState::Retiring);
    let (announced_at, signs_from) = (
        record.announced_at.0.to_be_bytes(),
        record.signs_from.0.to_be_bytes(),
    );
    let end = end.map_or(vec![], |end| end.0.to_be_bytes().to_vec());
    let fields = [
        record.kid.0.as_bytes(),
        state.as_str().as_bytes(),
        &announced_at,
        &signs_from,
        &end,
    ];
    let mut bytes = Vec::new();
    length_prefixed(fields, |part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::domain::id::Kid;
    use crate::entropy::SeededEntropy;

    fn made() -> GeneratedKey {
        GeneratedKey {
            kid: Kid("one".to_owned()),
            public_jwk: String::new(),
            private_der: Zeroizing::new(b"private".to_vec()),
        }
    }

    fn master(seed: u64) -> MasterKey {
        MasterKey::generate(&SeededEntropy::new(seed)).unwrap()
    }

    fn record(state: KeyState) -> KeyRecord {
        let times = (Timestamp(1), Timestamp(2));
        let mut record =
            new_record(&master(1), &made(), state, times, &SeededEntropy::new(2)).unwrap();
        record.published_until = (state == KeyState::Retiring).then_some(Timestamp(3));
        record.seal = Some(seal(&master(1), &record));
        record
    }

    /// Changes the record, and returns whether it is believed afterwards.
    fn believed(state: KeyState, change: impl Fn(&mut KeyRecord)) -> bool {
        let mut record = record(state);
        change(&mut record);
        is_believed(&master(1), &record)
    }

    const STATES: [KeyState; 3] = [KeyState::Announced, KeyState::Signing, KeyState::Retiring];

    #[test]
    fn a_seal_fits_the_row_that_it_was_made_for() {
        for state in STATES {
            assert!(believed(state, |_| ()));
            assert!(believed(state, |key| key.signs_until = Some(Timestamp(9))));
            assert!(!is_believed(&master(2), &record(state)));
            assert!(!believed(state, |key| key.kid.0.push('x')));
            assert!(!believed(state, |key| key.announced_at.0 += 1));
            assert!(!believed(state, |key| key.signs_from.0 += 1));
            assert!(!believed(state, |key| key.seal.as_mut().unwrap()[31] ^= 1));
            assert!(!believed(state, |key| key.seal = Some(vec![])));
        }
        assert!(!believed(KeyState::Retiring, |key| key.published_until =
            Some(Timestamp(4))));
    }

    #[test]
    fn a_key_moves_on_without_a_new_seal_and_never_back() {
        for (i, from) in STATES.into_iter().enumerate() {
            for (j, to) in STATES.into_iter().enumerate() {
                let moved = believed(from, |key| {
                    key.state = to;
                    key.published_until = (to == KeyState::Retiring).then_some(Timestamp(3));
                });
                assert_eq!(moved, j >= i, "{from:?} {to:?}");
                // Only a retiring key has an end of publication.
                let shape = believed(from, |key| {
                    key.state = to;
                    key.published_until = (to != KeyState::Retiring).then_some(Timestamp(3));
                });
                assert!(!shape, "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn only_a_key_of_an_older_release_is_believed_without_a_seal() {
        for state in STATES {
            assert!(!believed(state, |key| key.seal = None));
            let older = master(1)
                .seal(b"private", b"one", &SeededEntropy::new(3))
                .unwrap();
            assert!(believed(state, |key| {
                key.seal = None;
                key.private_key = older.clone();
            }));
        }
    }
}
