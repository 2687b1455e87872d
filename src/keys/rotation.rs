//! Rotation as a pure plan: announced → signing → retiring → gone.
//!
//! Owns when a key changes its state. Must not know how a plan is carried out. Each step is a
//! compare-and-set, so if several processes plan the same step at once, it is carried out once.

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::domain::ttl;
use crate::store::{Change, KeyChange, KeyRecord, KeyReplacement, KeyState, Retires, StoredKeys};

/// How long a retired key stays published after the expiry of the last token that it may have
/// signed, in seconds. Processes re-read the keyring once a minute, and clocks differ.
pub(crate) const SKEW: i64 = 180;

/// The steps that are due for the keys at `now`, in their order. `seal` computes the seal of a key
/// in the state that it will have.
pub(crate) fn plan(
    keys: &[KeyRecord],
    now: Timestamp,
    seal: impl Fn(&KeyRecord) -> Vec<u8>,
) -> Vec<Change> {
    let mut steps = Vec::new();
    let due = keys
        .iter()
        .filter(|k| k.state == KeyState::Announced && k.signs_from <= now)
        .min_by_key(|k| order(k));
    if let Some(next) = due {
        let published_until = now.saturating_add(ttl::MAX_TTL + SKEW);
        steps.push(Change::Key(KeyChange::Activate {
            kid: next.kid.clone(),
            seal: seal(&KeyRecord {
                state: KeyState::Signing,
                ..next.clone()
            }),
            retires: retires(keys, published_until, &seal),
            published_until,
        }));
    }
    for key in keys.iter().filter(|k| k.state == KeyState::Retiring) {
        if key.published_until.is_some_and(|end| end <= now) {
            steps.push(Change::Key(KeyChange::Remove(key.kid.clone())));
        }
    }
    steps
}

/// The order in which announced keys begin to sign.
fn order(key: &KeyRecord) -> (Timestamp, Timestamp, Kid) {
    (key.signs_from, key.announced_at, key.kid.clone())
}

/// The key that signs now, as it retires.
fn retires(
    keys: &[KeyRecord],
    published_until: Timestamp,
    seal: &impl Fn(&KeyRecord) -> Vec<u8>,
) -> Option<Retires> {
    let signing = keys.iter().find(|k| k.state == KeyState::Signing)?;
    let retired = KeyRecord {
        state: KeyState::Retiring,
        published_until: Some(published_until),
        ..signing.clone()
    };
    Some(Retires {
        kid: signing.kid.clone(),
        seal: seal(&retired),
    })
}

/// The announced key that signs next.
pub(crate) fn next(keys: &[KeyRecord]) -> Option<&KeyRecord> {
    keys.iter()
        .filter(|k| k.state == KeyState::Announced)
        .min_by_key(|k| order(k))
}

/// What becomes of the keys that signed before a key that signs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predecessors {
    /// They stay published until the last token that they signed has expired.
    Retire,
    /// They are gone at once.
    Revoke,
}

/// The change after which `key` signs. `key` is an announced key of the store or a new one.
pub(crate) fn replace(
    stored: &StoredKeys,
    key: &KeyRecord,
    predecessors: Predecessors,
    now: Timestamp,
    seal: impl Fn(&KeyRecord) -> Vec<u8>,
) -> KeyReplacement {
    let keys = &stored.keys;
    let mut key = KeyRecord {
        state: KeyState::Signing,
        signs_from: now,
        ..key.clone()
    };
    key.seal = Some(seal(&key));
    let published_until = now.saturating_add(ttl::MAX_TTL + SKEW);
    let (retires, revokes) = match predecessors {
        Predecessors::Retire => (retires(keys, published_until, &seal), vec![]),
        Predecessors::Revoke => {
            let signed = keys.iter().filter(|k| k.state != KeyState::Announced);
            (None, signed.map(|k| k.kid.clone()).collect())
        }
    };
    KeyReplacement {
        keys_version: stored.version,
        was_announced: keys.iter().any(|known| known.kid == key.kid),
        key,
        retires,
        published_until,
        revokes,
    }
}

/// How many seconds before it must be announced the next key is announced. So the time of the key
/// before it is over when the next one may sign, although servers look only once a minute.
const LEAD: i64 = 3_600;

/// When keys are made and announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RotationTimes {
    /// How many seconds a key is announced before it signs.
    pub announce_seconds: i64,
    /// How many seconds a key signs before the next one takes over; 0 until somebody rotates it.
    pub period_seconds: i64,
}

/// When the next key is to sign, if it is to be announced now; `None` if it is too early, if a key is
/// announced already, or if keys are rotated by hand.
pub(crate) fn scheduled(
    keys: &[KeyRecord],
    now: Timestamp,
    times: RotationTimes,
) -> Option<Timestamp> {
    if times.period_seconds == 0 || next(keys).is_some() {
        return None;
    }
    let signing = keys.iter().find(|k| k.state == KeyState::Signing)?;
    let over = signing.signs_from.saturating_add(times.period_seconds);
    let earliest = now.saturating_add(times.announce_seconds.max(0));
    (earliest.saturating_add(LEAD) >= over).then(|| over.max(earliest))
}

/// The state of a new key, and when it signs. The first key of a store signs at once; each later
/// key is announced first.
pub(crate) fn announce(
    keys: &[KeyRecord],
    now: Timestamp,
    announce_seconds: i64,
) -> (KeyState, Timestamp) {
    let first: Option<&Kid> = keys
        .iter()
        .find(|k| k.state != KeyState::Retiring)
        .map(|k| &k.kid);
    match first {
        None => (KeyState::Signing, now),
        Some(_) => (
            KeyState::Announced,
            now.saturating_add(announce_seconds.max(0)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Sealed;

    fn key(kid: &str, state: KeyState, signs_from: i64, published_until: Option<i64>) -> KeyRecord {
        KeyRecord {
            kid: Kid(kid.to_owned()),
            public_jwk: String::new(),
            private_key: Sealed(vec![]),
            state,
            announced_at: Timestamp(0),
            signs_from: Timestamp(signs_from),
            signs_until: None,
            published_until: published_until.map(Timestamp),
            seal: None,
        }
    }

    /// Instead of a seal, returns the text that the seal would cover.
    fn plan(keys: &[KeyRecord], now: Timestamp) -> Vec<Change> {
        super::plan(keys, now, |key| {
            let end = key.published_until.map_or(-1, |end| end.0);
            format!("{} {} {end}", key.kid.0, key.state.as_str()).into_bytes()
        })
    }

    #[test]
    fn an_announced_key_signs_only_from_its_time_on() {
        let keys = [
            key("a", KeyState::Signing, 0, None),
            key("b", KeyState::Announced, 100, None),
        ];
        assert!(plan(&keys, Timestamp(99)).is_empty());
        let steps = plan(&keys, Timestamp(100));
        assert!(
            matches!(&steps[..], [Change::Key(KeyChange::Activate { kid, seal, retires: Some(old), published_until })]
            if kid.0 == "b" && seal == b"b signing -1" && old.kid.0 == "a" && old.seal == b"a retiring 86680"
                && published_until.0 == 100 + 86_400 + SKEW)
        );
    }

    #[test]
    fn a_key_that_signs_at_once_retires_or_revokes_those_before_it() {
        let keys = vec![
            key("a", KeyState::Retiring, 0, Some(500)),
            key("b", KeyState::Signing, 0, None),
            key("d", KeyState::Announced, 900, None),
            key("c", KeyState::Announced, 800, None),
        ];
        let stored = StoredKeys { version: 7, keys };
        let next = next(&stored.keys).unwrap();
        assert_eq!(next.kid.0, "c");
        let made = key("e", KeyState::Announced, 900, None);
        for (key, was_announced) in [(next, true), (&made, false)] {
            for predecessors in [Predecessors::Retire, Predecessors::Revoke] {
                let seal = |key: &KeyRecord| {
                    format!("{} {} {}", key.kid.0, key.state.as_str(), key.signs_from.0)
                        .into_bytes()
                };
                let done = replace(&stored, key, predecessors, Timestamp(100), seal);
                assert_eq!((done.keys_version, done.was_announced), (7, was_announced));
                let sealed = format!("{} signing 100", key.kid.0).into_bytes();
                assert_eq!(done.key.seal, Some(sealed));
                let revoked: Vec<&str> = done.revokes.iter().map(|kid| kid.0.as_str()).collect();
                let retires = done.retires.map(|old| (old.kid.0, old.seal));
                if predecessors == Predecessors::Retire {
                    assert_eq!(retires, Some(("b".to_owned(), b"b retiring 0".to_vec())));
                    assert!(revoked.is_empty());
                } else {
                    assert_eq!((retires, revoked), (None, vec!["a", "b"]));
                }
            }
        }
    }

    #[test]
    fn the_next_key_is_announced_in_time_and_never_signs_earlier_than_announced() {
        const DAY: i64 = 86_400;
        let times = RotationTimes {
            announce_seconds: 7_200,
            period_seconds: 30 * DAY,
        };
        let keys = [key("a", KeyState::Signing, 100, None)];
        let over = 100 + 30 * DAY;
        for (now, signs_from) in [
            (100, None),
            (over - 7_200 - LEAD - 1, None),
            (over - 7_200 - LEAD, Some(over)),
            (over - 7_200, Some(over)),
            (over - 7_199, Some(over + 1)),
            // Nobody looked for a long time.
            (over + 300 * DAY, Some(over + 300 * DAY + 7_200)),
        ] {
            let found = scheduled(&keys, Timestamp(now), times);
            assert_eq!(found, signs_from.map(Timestamp), "{now}");
        }
        let late = Timestamp(over + DAY);
        let by_hand = RotationTimes {
            period_seconds: 0,
            ..times
        };
        assert_eq!(scheduled(&keys, late, by_hand), None);
        assert_eq!(scheduled(&[], late, times), None);
        let [signing] = keys;
        let announced = [signing, key("b", KeyState::Announced, over + DAY, None)];
        assert_eq!(scheduled(&announced, late, times), None);
    }

    #[test]
    fn a_retiring_key_goes_when_its_last_token_has_expired() {
        let keys = [
            key("a", KeyState::Retiring, 0, Some(500)),
            key("b", KeyState::Signing, 0, None),
        ];
        assert!(plan(&keys, Timestamp(499)).is_empty());
        assert!(
            matches!(&plan(&keys, Timestamp(500))[..], [Change::Key(KeyChange::Remove(kid))] if kid.0 == "a")
        );
    }

    #[test]
    fn the_first_key_signs_at_once_and_later_ones_wait() {
        assert_eq!(
            announce(&[], Timestamp(5), 3_600),
            (KeyState::Signing, Timestamp(5))
        );
        let keys = [key("a", KeyState::Signing, 0, None)];
        assert_eq!(
            announce(&keys, Timestamp(5), 3_600),
            (KeyState::Announced, Timestamp(3_605))
        );
    }
}
