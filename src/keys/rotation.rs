//! Rotation as a pure plan: announced → signing → retiring → gone.
//!
//! Owns when a key changes its state. Must not know how a plan is carried out. Each step is a
//! compare-and-set, so if several processes plan the same step at once, it is carried out once.

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::domain::ttl;
use crate::store::{Change, KeyChange, KeyRecord, KeyState, Retires};

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
    let signing = keys.iter().find(|k| k.state == KeyState::Signing);
    let due = keys
        .iter()
        .filter(|k| k.state == KeyState::Announced && k.signs_from <= now)
        .min_by_key(|k| (k.signs_from, k.announced_at, k.kid.clone()));
    if let Some(next) = due {
        let published_until = now.saturating_add(ttl::MAX_TTL + SKEW);
        let retired = |key: &KeyRecord| KeyRecord {
            state: KeyState::Retiring,
            published_until: Some(published_until),
            ..key.clone()
        };
        steps.push(Change::Key(KeyChange::Activate {
            kid: next.kid.clone(),
            seal: seal(&KeyRecord {
                state: KeyState::Signing,
                ..next.clone()
            }),
            retires: signing.map(|key| Retires {
                kid: key.kid.clone(),
                seal: seal(&retired(key)),
            }),
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
