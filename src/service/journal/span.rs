//! When tokens were issued whose events may meet some criteria: which part of the tokens need not be
//! read. Must not know how tokens are read.

use crate::domain::event::kind::EventKind;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::id::Jti;
use crate::domain::time::Timestamp;

/// How far the times of tokens may be out of the order of their ids, in seconds: a clock may have
/// been set back a little.
const DISORDER: i64 = 3_600;

/// A range of time, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeSpan {
    from: i64,
    to: i64,
}

impl TimeSpan {
    /// When the tokens were issued whose events meet these criteria. `None` if no `token.issued`
    /// event meets them.
    pub(super) fn of_tokens(sought: &EventCriteria) -> Option<Self> {
        let kinds = sought.kinds.as_ref();
        if kinds.is_some_and(|kinds| !kinds.contains(&EventKind::TokenIssued)) {
            return None;
        }
        let drawn = sought.jti.map(Jti::drawn_at);
        if drawn == Some(None) {
            return None;
        }
        let drawn = drawn.flatten().map(|Timestamp(at)| at);
        let from = sought.from.map_or(i64::MIN, |from| from.0);
        // The end of a range is exclusive.
        let to = sought.to.map_or(i64::MAX, |to| to.0.saturating_sub(1));
        Some(Self {
            from: from.max(drawn.map_or(i64::MIN, |at| at.saturating_sub(DISORDER))),
            to: to.min(drawn.map_or(i64::MAX, |at| at.saturating_add(DISORDER))),
        })
    }

    /// Whether some time is outside of it.
    pub(super) fn is_bounded(&self) -> bool {
        self.from > i64::MIN || self.to < i64::MAX
    }

    /// Whether no token from the first of these times to the other, in this order, is of this span.
    /// Without the other time, the tokens go on for ever.
    pub(super) fn is_apart(
        self,
        order: EventOrder,
        near: Timestamp,
        far: Option<Timestamp>,
    ) -> bool {
        let (oldest, youngest) = match (order, far) {
            (_, Some(far)) => (near.0.min(far.0), near.0.max(far.0)),
            (EventOrder::Ascending, None) => (near.0, i64::MAX),
            (EventOrder::Descending, None) => (i64::MIN, near.0),
        };
        youngest.saturating_add(DISORDER) < self.from || oldest.saturating_sub(DISORDER) > self.to
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// An id of a token that was drawn in this second.
    fn drawn(second: i64) -> Jti {
        let millis = u64::try_from(second * 1_000).unwrap();
        Jti(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
    }

    fn span(change: impl FnOnce(&mut EventCriteria)) -> Option<(i64, i64)> {
        let mut sought = EventCriteria::default();
        change(&mut sought);
        TimeSpan::of_tokens(&sought).map(|span| (span.from, span.to))
    }

    #[test]
    fn a_tokens_id_tells_near_which_time_it_was_issued() {
        const AT: i64 = 1_700_000_000;
        assert_eq!(span(|_| ()), Some((i64::MIN, i64::MAX)));
        let near = (AT - DISORDER, AT + DISORDER);
        assert_eq!(span(|s| s.jti = Some(drawn(AT))), Some(near));
        let both = span(|s| (s.jti, s.to) = (Some(drawn(AT)), Some(Timestamp(AT))));
        assert_eq!(both, Some((AT - DISORDER, AT - 1)));
        // No token has such an id.
        assert_eq!(span(|s| s.jti = Some(Jti(Uuid::nil()))), None);
        let revoked = Some(vec![EventKind::TokenRevoked]);
        assert_eq!(span(|s| s.kinds = revoked), None);
        let issued = Some(vec![EventKind::TokenRevoked, EventKind::TokenIssued]);
        assert!(span(|s| s.kinds = issued).is_some());
    }

    proptest! {
        #[test]
        fn a_step_passes_no_event_of_the_sought_time(
            near in -9_000..9_000i64,
            far in proptest::option::of(-9_000..9_000i64),
            from in -9_000..9_000i64,
            length in 0..9_000i64,
            at in -40_000..40_000i64,
            rises in any::<bool>(),
        ) {
            let span = TimeSpan { from, to: from + length };
            let order = if rises { EventOrder::Ascending } else { EventOrder::Descending };
            let far = far.map(Timestamp);
            // What may lie between the two tokens, or behind the first one if there is no other.
            let oldest = match far {
                Some(Timestamp(far)) => near.min(far),
                None if rises => near,
                None => i64::MIN,
            };
            let youngest = match far {
                Some(Timestamp(far)) => near.max(far),
                None if rises => i64::MAX,
                None => near,
            };
            let between = oldest.saturating_sub(DISORDER) <= at && at <= youngest.saturating_add(DISORDER);
            let sought = span.from <= at && at <= span.to;
            if span.is_apart(order, Timestamp(near), far) {
                prop_assert!(!(between && sought));
            }
        }
    }
}
