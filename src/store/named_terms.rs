//! The terms that events named lately, decoded: most tokens of a piece share a few terms with those of
//! the piece before.
//!
//! Owns which terms are remembered, and until when. Must not know SQL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::event::token_row::DecodedTermsRows;

/// How many terms are remembered. If there are more, remembering begins anew.
const MAX_REMEMBERED: usize = 1_024;

/// Decoded terms by the ids of their rows.
pub(in crate::store) type TermsById = HashMap<i32, Arc<DecodedTermsRows>>;

/// What this process remembers of the terms that events name.
#[derive(Debug, Default)]
pub(in crate::store) struct NamedTerms {
    remembered: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// The number that the store had when these rows were read. It is drawn anew with each change of
    /// a row, so under the same number each id still names the same terms: after a failover and a
    /// restore too.
    number: Option<i64>,
    terms: TermsById,
}

impl NamedTerms {
    /// Those of the terms with these ids that are remembered. `number` is the store's, as the
    /// statement saw it that read the tokens. Without a number, nothing is remembered.
    pub(super) fn recall(&self, number: Option<i64>, ids: &[i32]) -> TermsById {
        let remembered = self.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if number.is_none() || remembered.number != number {
            return TermsById::new();
        }
        let known = |id: &i32| Some((*id, Arc::clone(remembered.terms.get(id)?)));
        ids.iter().filter_map(known).collect()
    }

    /// Remembers terms that were read after the store had this number, on the same connection.
    pub(super) fn learn(&self, number: Option<i64>, terms: &TermsById) {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        let is_full = remembered.terms.len().saturating_add(terms.len()) > MAX_REMEMBERED;
        if remembered.number != number || is_full {
            remembered.terms.clear();
            remembered.number = number;
        }
        let new = terms.iter().map(|(id, terms)| (*id, Arc::clone(terms)));
        remembered.terms.extend(new.take(MAX_REMEMBERED));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::event::token_row::InternedTerms;

    use super::*;

    fn terms(ids: impl IntoIterator<Item = i32>) -> TermsById {
        let terms = |id| {
            let terms = InternedTerms {
                credential_id: Uuid::nil(),
                scope: "agents:read".to_owned(),
                audience: "[]".to_owned(),
                ttl: 600,
            };
            (id, Arc::new(DecodedTermsRows::new(format!("a{id}"), terms)))
        };
        ids.into_iter().map(terms).collect()
    }

    fn recalled(known: &NamedTerms, number: Option<i64>, ids: &[i32]) -> Vec<i32> {
        let mut ids: Vec<i32> = known.recall(number, ids).into_keys().collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn terms_are_remembered_under_the_number_that_they_were_read_with() {
        let known = NamedTerms::default();
        known.learn(Some(7), &terms([1, 2]));
        known.learn(Some(7), &terms([3]));
        assert_eq!(recalled(&known, Some(7), &[1, 3, 4]), [1, 3]);
        assert_eq!(recalled(&known, Some(8), &[1, 3, 4]), [0; 0]);
        known.learn(Some(8), &terms([4]));
        assert_eq!(recalled(&known, Some(8), &[1, 3, 4]), [4]);
        assert_eq!(recalled(&known, Some(7), &[1, 3, 4]), [0; 0]);
    }

    #[test]
    fn without_a_number_nothing_is_remembered() {
        let known = NamedTerms::default();
        known.learn(None, &terms([1]));
        assert_eq!(recalled(&known, None, &[1]), [0; 0]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let known = NamedTerms::default();
        let most = i32::try_from(MAX_REMEMBERED).unwrap();
        known.learn(Some(7), &terms(1..=most));
        assert_eq!(recalled(&known, Some(7), &[1, most]), [1, most]);
        known.learn(Some(7), &terms([most + 1]));
        assert_eq!(recalled(&known, Some(7), &[1, most, most + 1]), [most + 1]);
        known.learn(Some(7), &terms(1..=3 * most));
        assert_eq!(known.remembered.lock().unwrap().terms.len(), MAX_REMEMBERED);
    }
}
