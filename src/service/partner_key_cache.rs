//! The keys of partners in memory. They are fetched in the background, and no request waits for them.
//!
//! Owns when keys are fetched again, and how long they serve while that fails. Must not know which
//! tokens they verify.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::KeySource;
use crate::domain::partner::terms::PartnerId;
use crate::domain::time::Timestamp;
use crate::keys::client_key::{ClientKey, ClientKeySet};
use crate::outbound::fetch::Fetcher;
use crate::telemetry::{error_chain, metrics};

use super::fetch_slots::{FetchSlot, FetchSlots};
use super::partner_keys::published_keys;

/// How many milliseconds lie between two fetches for one partner, whatever tokens arrive.
const FETCH_INTERVAL: i64 = 30_000;

/// The same while the partner has no keys here at all, so that nobody can be authenticated.
const FIRST_FETCH_INTERVAL: i64 = 5_000;

/// How many milliseconds after its begin a fetch is certainly over.
const FETCH_OVER: i64 = 10_000;

/// How many milliseconds keys serve past their time while they cannot be fetched again.
const STALE_TIME: i64 = 3_600_000;

/// How many partners' keys are held.
const MAX_PARTNERS: usize = 10_000;

/// Which keys may have signed a token that names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidates {
    /// The key of this name, and those without a name: the name may be the signer's own for one of
    /// them.
    Possible,
    /// The key of this name alone.
    Named,
}

/// What is known of a partner's keys.
pub(crate) enum FoundKeys {
    /// These, among which the wanted key is if the partner has it.
    Known(Arc<[ClientKey]>),
    /// They are not known yet. Holds why the last fetch failed, if it did.
    Later(Option<Arc<str>>),
}

/// The keys of one partner. Times are milliseconds of the steady clock.
#[derive(Default)]
struct HeldKeys {
    /// Where they were fetched, or are to be.
    uri: Box<str>,
    /// The version of the partner when they were. An operator who changed it, or suspended and
    /// reactivated it, may have done so since a key leaked.
    version: i64,
    keys: Option<Arc<[ClientKey]>>,
    /// Until when they are used without another fetch.
    fresh_until: i64,
    /// When the last fetch began.
    asked_at: Option<i64>,
    is_fetching: bool,
    /// Why the last fetch failed.
    fault: Option<Arc<str>>,
}

impl HeldKeys {
    /// What is known at `now` for a token that names this key, and whether to fetch first.
    fn find(&self, kid: Option<&str>, candidates: Candidates, now: i64) -> (FoundKeys, bool) {
        let asked = |since: i64| {
            let passed = |at: i64| now.saturating_sub(at) < since;
            self.asked_at.is_some_and(passed)
        };
        let is_fetching = self.is_fetching && asked(FETCH_OVER);
        let last = self.fresh_until.saturating_add(STALE_TIME);
        let Some(keys) = self.keys.as_ref().filter(|_| now < last) else {
            let fetch = !is_fetching && !asked(FIRST_FETCH_INTERVAL);
            return (FoundKeys::Later(self.fault.clone()), fetch);
        };
        let is_candidate = |key: &ClientKey| {
            let is_named = key.kid.as_deref() == kid || Some(&*key.thumbprint) == kid;
            is_named || (candidates == Candidates::Possible && key.kid.is_none())
        };
        let has_key = kid.is_none() || keys.iter().any(is_candidate);
        let wants_fetch = !has_key || self.fresh_until <= now;
        let fetch = wants_fetch && !is_fetching && !asked(FETCH_INTERVAL);
        if has_key || !(fetch || is_fetching) {
            (FoundKeys::Known(Arc::clone(keys)), fetch)
        } else {
            (FoundKeys::Later(None), fetch)
        }
    }
}

/// The keys of all partners.
pub struct PartnerKeyCache {
    fetcher: Fetcher,
    clock: Arc<StoreClock>,
    held: Cache<PartnerId, Arc<Mutex<HeldKeys>>>,
    fetches: Arc<FetchSlots>,
}

impl PartnerKeyCache {
    /// Holds no keys yet.
    pub fn new(fetcher: Fetcher, clock: Arc<StoreClock>) -> Self {
        Self {
            fetcher,
            clock,
            held: Cache::new(MAX_PARTNERS),
            fetches: Arc::default(),
        }
    }

    /// The time by the store's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The keys of this partner for a token that names the key `kid`, as far as they are known.
    /// Begins a fetch if one is due. Where keys have no names, one of them may be meant.
    pub(crate) fn find(self: &Arc<Self>, partner: &Partner, kid: Option<&str>) -> FoundKeys {
        self.find_among(partner, kid, Candidates::Possible)
    }

    /// The same once none of them verified the token: then the key that it names is a new one, if no
    /// key of before has this name.
    pub(crate) fn find_named(self: &Arc<Self>, partner: &Partner, kid: Option<&str>) -> FoundKeys {
        self.find_among(partner, kid, Candidates::Named)
    }

    fn find_among(
        self: &Arc<Self>,
        partner: &Partner,
        kid: Option<&str>,
        candidates: Candidates,
    ) -> FoundKeys {
        let uri = match &partner.terms.keys {
            KeySource::Uri(uri) => uri.as_str(),
            KeySource::Set(set) => {
                let keys = ClientKeySet::of_stored(&set.keys.0);
                let keys = keys.map(|keys| keys.keys().to_vec()).unwrap_or_default();
                return FoundKeys::Known(keys.into());
            }
        };
        let none = || Ok::<_, Infallible>(Arc::default());
        let Ok(slot) = self.held.get_or_insert_with(&partner.partner_id, none);
        let mut held = lock(&slot);
        if *held.uri != *uri || held.version != partner.version {
            *held = HeldKeys {
                uri: uri.into(),
                version: partner.version,
                ..HeldKeys::default()
            };
        }
        let now = self.clock.steady();
        let (found, fetch) = held.find(kid, candidates, now);
        // While too many fetches run, this one is still due: nothing was asked.
        if fetch && let Some(permit) = self.fetches.take(&partner.org_id, now) {
            (held.asked_at, held.is_fetching) = (Some(now), true);
            let (cache, slot) = (Arc::clone(self), Arc::clone(&slot));
            let uri = held.uri.clone();
            let partner = (partner.partner_id, partner.version);
            tokio::spawn(async move { cache.fetch(&slot, &uri, partner, permit).await });
        }
        found
    }

    async fn fetch(
        &self,
        slot: &Mutex<HeldKeys>,
        uri: &str,
        (partner_id, version): (PartnerId, i64),
        permit: FetchSlot,
    ) {
        let fetched = published_keys(&self.fetcher, uri).await;
        permit.end(self.clock.steady());
        metrics::partner_keys_fetched(fetched.is_ok());
        let mut held = lock(slot);
        // An operator may have changed the partner meanwhile.
        if held.version != version {
            return;
        }
        held.is_fetching = false;
        match fetched {
            Ok(published) => {
                let millis = i64::try_from(published.ttl.saturating_mul(1_000));
                let millis = millis.unwrap_or(i64::MAX);
                held.fresh_until = self.clock.steady().saturating_add(millis);
                held.keys = Some(published.keys.into());
                held.fault = None;
            }
            Err(fault) => {
                let why = error_chain(&fault);
                tracing::warn!(%partner_id, error = %why, "the keys of a partner were not fetched");
                if fault.withdraws_keys() {
                    held.keys = None;
                }
                held.fault = Some(why.into());
            }
        }
    }
}

fn lock(slot: &Mutex<HeldKeys>) -> MutexGuard<'_, HeldKeys> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> ClientKey {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let set = ClientKeySet::parse(&json!({ "keys": [key] })).unwrap();
        set.keys()[0].clone()
    }

    /// What is found at `now`, and whether a fetch begins.
    fn at(held: &HeldKeys, kid: Option<&str>, now: i64) -> (&'static str, bool) {
        among(held, kid, Candidates::Possible, now)
    }

    fn among(
        held: &HeldKeys,
        kid: Option<&str>,
        candidates: Candidates,
        now: i64,
    ) -> (&'static str, bool) {
        match held.find(kid, candidates, now) {
            (FoundKeys::Known(_), fetch) => ("known", fetch),
            (FoundKeys::Later(_), fetch) => ("later", fetch),
        }
    }

    #[test]
    fn the_first_fetch_is_repeated_every_five_seconds() {
        let none = HeldKeys::default();
        assert_eq!(at(&none, Some("a"), 0), ("later", true));
        let fetching = HeldKeys {
            asked_at: Some(0),
            is_fetching: true,
            ..HeldKeys::default()
        };
        assert_eq!(at(&fetching, None, 9_999), ("later", false));
        assert_eq!(at(&fetching, None, 10_000), ("later", true));
        let failed = HeldKeys {
            is_fetching: false,
            ..fetching
        };
        assert_eq!(at(&failed, None, 4_999), ("later", false));
        assert_eq!(at(&failed, None, 5_000), ("later", true));
    }

    #[test]
    fn an_unknown_key_is_looked_for_every_thirty_seconds() {
        let mut held = HeldKeys {
            keys: Some([key()].into()),
            fresh_until: 600_000,
            asked_at: Some(0),
            ..HeldKeys::default()
        };
        assert_eq!(at(&held, Some("a"), 100), ("known", false));
        assert_eq!(at(&held, None, 100), ("known", false));
        // Soon after a fetch, the key is simply none of the partner's.
        assert_eq!(at(&held, Some("b"), 29_999), ("known", false));
        assert_eq!(at(&held, Some("b"), 30_000), ("later", true));
        (held.asked_at, held.is_fetching) = (Some(30_000), true);
        assert_eq!(at(&held, Some("b"), 30_001), ("later", false));
        assert_eq!(at(&held, Some("a"), 30_001), ("known", false));
        held.is_fetching = false;
        assert_eq!(at(&held, Some("b"), 30_002), ("known", false));
    }

    #[test]
    fn keys_without_names_are_fetched_for_a_name_only_after_they_failed() {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let set = ClientKeySet::parse(&json!({ "keys": [key] })).unwrap();
        let held = HeldKeys {
            keys: Some([set.keys()[0].clone()].into()),
            fresh_until: 600_000,
            asked_at: Some(0),
            ..HeldKeys::default()
        };
        let now = 300_000;
        for kid in [None, Some("b"), Some(&*set.keys()[0].thumbprint)] {
            assert_eq!(at(&held, kid, now), ("known", false), "{kid:?}");
        }
        let named = |kid| among(&held, kid, Candidates::Named, now);
        assert_eq!(named(None), ("known", false));
        assert_eq!(named(Some(&*set.keys()[0].thumbprint)), ("known", false));
        assert_eq!(named(Some("b")), ("later", true));
    }

    #[test]
    fn keys_serve_an_hour_past_their_time_while_the_fetch_fails() {
        let mut held = HeldKeys {
            keys: Some([key()].into()),
            fresh_until: 600_000,
            asked_at: Some(0),
            ..HeldKeys::default()
        };
        assert_eq!(at(&held, Some("a"), 599_999), ("known", false));
        assert_eq!(at(&held, Some("a"), 600_000), ("known", true));
        held.asked_at = Some(600_000);
        assert_eq!(at(&held, Some("a"), 629_999), ("known", false));
        assert_eq!(at(&held, Some("a"), 4_199_999), ("known", true));
        assert_eq!(at(&held, Some("a"), 4_200_000), ("later", true));
    }
}
