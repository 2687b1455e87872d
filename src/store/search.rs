//! The search for events, as values: which part of the events is read, from which end.
//!
//! A search reads a window of a bounded number of rows, however few of them it finds. Must not know
//! SQL, or who searches.

use crate::domain::event::kind::EventKind;
use crate::domain::event::search::{EventCriteria, EventOrder};

/// How many events a window has at most.
pub const MAX_WINDOW_ROWS: i64 = 10_000;

/// A table of events. Both share one sequence of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTable {
    /// `audit_event`: changes, and the tokens of earlier releases.
    Changes,
    /// `token_event`: issued tokens.
    Tokens,
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The id before the first one.
    pub after: i64,
    /// The last id.
    pub through: i64,
}

impl IdRange {
    /// Whether no id is in the range.
    pub fn is_empty(self) -> bool {
        self.after >= self.through
    }

    /// The empty range at its beginning.
    #[must_use]
    pub fn nothing(self) -> Self {
        Self {
            through: self.after,
            ..self
        }
    }

    /// The part of the range from this id on, and with it, in this order.
    #[must_use]
    pub fn starting_at(self, order: EventOrder, id: i64) -> Self {
        match order {
            EventOrder::Ascending => self.behind(order, id.saturating_sub(1)),
            EventOrder::Descending => self.behind(order, id.saturating_add(1)),
        }
    }

    /// The first id of the range in this order.
    pub fn first(self, order: EventOrder) -> i64 {
        match order {
            EventOrder::Ascending => self.after.saturating_add(1),
            EventOrder::Descending => self.through,
        }
    }

    /// The part of the range up to this id, and with it, in this order.
    #[must_use]
    pub fn until(self, order: EventOrder, id: i64) -> Self {
        match order {
            EventOrder::Ascending => Self {
                through: id.min(self.through),
                ..self
            },
            EventOrder::Descending => Self {
                after: id.saturating_sub(1).max(self.after),
                ..self
            },
        }
    }

    /// The part of the range behind this id, in this order.
    #[must_use]
    pub fn behind(self, order: EventOrder, id: i64) -> Self {
        match order {
            EventOrder::Ascending => Self {
                after: id.max(self.after),
                ..self
            },
            EventOrder::Descending => Self {
                through: id.saturating_sub(1).min(self.through),
                ..self
            },
        }
    }

    /// The part of the range behind another part at its beginning, in this order.
    #[must_use]
    pub fn without(self, order: EventOrder, part: Self) -> Self {
        match order {
            EventOrder::Ascending => Self {
                after: part.through.max(self.after),
                ..self
            },
            EventOrder::Descending => Self {
                through: part.after.min(self.through),
                ..self
            },
        }
    }
}

/// The names of the sought kinds in the rows that hold kinds as text.
pub(in crate::store) fn kind_texts(sought: &EventCriteria) -> Option<Vec<&'static str>> {
    let kinds = sought.kinds.as_ref()?;
    Some(
        kinds
            .iter()
            .map(|kind| EventKind::row_text(*kind))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EventOrder::{Ascending, Descending};
    use super::*;

    fn ids(range: IdRange) -> Vec<i64> {
        (range.after + 1..=range.through).collect()
    }

    proptest! {
        #[test]
        fn an_id_cuts_a_range_in_two(after in 0..20i64, length in 0..20i64, cut in 0..40i64) {
            let range = IdRange { after, through: after + length };
            prop_assert_eq!(range.is_empty(), length == 0);
            for order in [Ascending, Descending] {
                let (until, behind) = (range.until(order, cut), range.behind(order, cut));
                let before = |id: &i64| match order {
                    Ascending => *id <= cut,
                    Descending => *id >= cut,
                };
                let (first, second): (Vec<i64>, Vec<i64>) = ids(range).into_iter().partition(before);
                prop_assert_eq!(ids(until), first);
                prop_assert_eq!(ids(behind), second.clone());
                let starting = ids(range.starting_at(order, cut));
                let with_cut = |id: &i64| second.contains(id) || *id == cut;
                prop_assert_eq!(starting, ids(range).into_iter().filter(with_cut).collect::<Vec<_>>());
                prop_assert_eq!(ids(range.without(order, until)), second);
            }
        }
    }
}
