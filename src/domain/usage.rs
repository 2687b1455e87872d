//! What events tell about usage: tokens and refusals by day, and the last use of credentials and
//! scopes.
//!
//! Owns how events are added up. Must not know where sums are kept, or what a plan allows.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use time::{Date, Duration};

use super::Invalid;
use super::event::kind::EventKind;
use super::event::logged::LoggedEvent;
use super::id::{AgentId, CredentialId};
use super::time::{Month, Timestamp};

/// How many seconds a day has.
const DAY: i64 = 86_400;

/// The last uses are kept to the minute.
const MINUTE: i64 = 60;

/// A UTC calendar day, as the number of days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day that contains this moment.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.0.div_euclid(DAY))
    }

    /// Reads `2026-11-26`, or a time of that day in RFC 3339.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid("a day is written as 2026-11-26");
        if text.contains('T') {
            return Timestamp::parse_rfc3339(text)
                .map(Self::of)
                .map_err(|_| fault);
        }
        let numbers: Vec<&str> = text.split('-').collect();
        let [year, month, day] = numbers[..] else {
            return Err(fault);
        };
        let is_number = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !is_number(year, 4) || !is_number(month, 2) || !is_number(day, 2) {
            return Err(fault);
        }
        let month: u8 = month.parse().map_err(|_| fault)?;
        let date = Date::from_calendar_date(
            year.parse().map_err(|_| fault)?,
            time::Month::try_from(month).map_err(|_| fault)?,
            day.parse().map_err(|_| fault)?,
        )
        .map_err(|_| fault)?;
        Ok(Self::of(Timestamp(
            date.midnight().assume_utc().unix_timestamp(),
        )))
    }

    /// The month that the day is in.
    pub fn month(self) -> Month {
        Timestamp(self.0.saturating_mul(DAY)).month()
    }

    /// The day that many days later, or earlier if `days` is negative.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The years 1970 to 9999 have fewer days. A day outside of them is shown as the nearest one.
        let days = self.0.clamp(0, 2_932_896);
        let date = time::OffsetDateTime::UNIX_EPOCH
            .checked_add(Duration::days(days))
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
            .date();
        let (year, month, day) = date.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

/// The sums of some events, in the order of the ids that they are about. Sums are added to those of
/// earlier events; of two last uses the later one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// How many tokens each agent was issued on each day.
    pub issued: Vec<(AgentId, Day, i64)>,
    /// How many requests of each agent were refused on each day, by reason.
    pub refused: Vec<(AgentId, Day, String, i64)>,
    /// When each agent last got a token with each scope.
    pub scopes: Vec<(AgentId, String, Timestamp)>,
    /// When each credential last opened a token.
    pub credentials: Vec<(AgentId, CredentialId, Timestamp)>,
}

/// Adds up events.
#[derive(Debug, Default)]
pub(crate) struct UsageFold {
    agents: HashMap<AgentId, AgentUse>,
    refused: BTreeMap<(AgentId, Day, String), i64>,
}

/// The tokens of one agent.
#[derive(Debug, Default)]
struct AgentUse {
    days: BTreeMap<Day, i64>,
    /// By the whole list of scopes, which few tokens of an agent change.
    scope_lists: HashMap<Arc<str>, Timestamp>,
    credentials: HashMap<CredentialId, Timestamp>,
}

/// One count in the detail of `auth.refused`.
#[derive(Deserialize)]
struct RefusedCount {
    #[serde(rename = "agentId")]
    agent_id: Option<String>,
    reason: String,
    count: i64,
}

#[derive(Deserialize)]
struct RefusedCounts {
    counts: Vec<RefusedCount>,
}

impl UsageFold {
    /// Adds one event. Events that tell nothing about usage change nothing.
    pub(crate) fn add(&mut self, event: &LoggedEvent) {
        match event.kind {
            EventKind::TokenIssued => self.add_token(event),
            EventKind::AuthRefused => self.add_refusals(event),
            _ => {}
        }
    }

    fn add_token(&mut self, event: &LoggedEvent) {
        let Some(agent_id) = &event.agent_id else {
            return;
        };
        let agent = match self.agents.get_mut(agent_id) {
            Some(agent) => agent,
            None => self.agents.entry(agent_id.clone()).or_default(),
        };
        let issued = agent.days.entry(Day::of(event.at)).or_insert(0);
        *issued = issued.saturating_add(1);
        let minute = Timestamp(event.at.0.div_euclid(MINUTE).saturating_mul(MINUTE));
        if let Some(scope) = &event.scope {
            match agent.scope_lists.get_mut(scope) {
                Some(last) => *last = minute.max(*last),
                None => {
                    agent.scope_lists.insert(Arc::clone(scope), minute);
                }
            }
        }
        if let Some(credential) = event.credential_id {
            let last = agent.credentials.entry(credential).or_insert(minute);
            *last = minute.max(*last);
        }
    }

    /// Counts that belong to no agent, and counts whose detail was cut, are no usage of an agent.
    fn add_refusals(&mut self, event: &LoggedEvent) {
        let detail = event.detail.as_ref().map_or("{}", |detail| detail.as_str());
        let Ok(detail) = serde_json::from_str::<RefusedCounts>(detail) else {
            return;
        };
        for count in detail.counts {
            let agent_id = count.agent_id.and_then(|id| AgentId::parse(&id).ok());
            if let Some(agent_id) = agent_id {
                let key = (agent_id, Day::of(event.at), count.reason);
                let sum = self.refused.entry(key).or_insert(0);
                *sum = sum.saturating_add(count.count.max(0));
            }
        }
    }

    /// The sums of all events that were added, which the fold then forgets. `None` if there are
    /// none.
    pub(crate) fn take(&mut self) -> Option<UsageSums> {
        let Self { agents, refused } = std::mem::take(self);
        if agents.is_empty() && refused.is_empty() {
            return None;
        }
        let mut sums = UsageSums {
            refused: refused
                .into_iter()
                .map(|((agent_id, day, reason), count)| (agent_id, day, reason, count))
                .collect(),
            ..UsageSums::default()
        };
        let agents: BTreeMap<AgentId, AgentUse> = agents.into_iter().collect();
        for (agent_id, used) in agents {
            let days = used.days.into_iter();
            sums.issued
                .extend(days.map(|(day, issued)| (agent_id.clone(), day, issued)));
            let mut scopes: BTreeMap<&str, Timestamp> = BTreeMap::new();
            for (list, last) in &used.scope_lists {
                for scope in list.split(' ') {
                    let known = scopes.entry(scope).or_insert(*last);
                    *known = (*last).max(*known);
                }
            }
            let scopes = scopes.into_iter();
            sums.scopes
                .extend(scopes.map(|(scope, last)| (agent_id.clone(), scope.to_owned(), last)));
            let credentials: BTreeMap<_, _> = used.credentials.into_iter().collect();
            sums.credentials.extend(
                credentials
                    .into_iter()
                    .map(|(id, last)| (agent_id.clone(), id, last)),
            );
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_is_read_as_it_is_written() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1970-01-02", 1),
            ("2024-02-29", 19_782),
            ("2026-11-26", 20_783),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(Day::parse(text), Ok(Day(days)), "{text}");
            assert_eq!(Day(days).to_string(), text);
        }
        let of_time = Day::parse("2026-11-26T23:59:59Z");
        assert_eq!(of_time, Day::parse("2026-11-26"));
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-11-31",
            "26-11-26",
            "2026-1-1",
            "+026-11-26",
            "2026-11-26x",
            "2026-11-26-1",
            "2026-13-01",
            "2026-11-26T",
        ] {
            assert!(Day::parse(text).is_err(), "{text}");
        }
        assert_eq!(Day::of(Timestamp(-1)), Day(-1));
        assert_eq!(Day::of(Timestamp(86_399)), Day(0));
        assert_eq!(Day(0).month(), Timestamp(0).month());
    }

    proptest! {
        #[test]
        fn no_text_and_no_number_panics(text in "[0-9T:Z+-]{0,25}", days in any::<i64>()) {
            if let Ok(day) = Day::parse(&text) {
                prop_assert_eq!(Day::parse(&day.to_string()), Ok(day));
            }
            let _ = (Day(days).to_string(), Day(days).month(), Day(days).plus(days));
        }
    }
}
