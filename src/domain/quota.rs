//! Monthly quotas (contract D5). Owns plans and the text of a refusal; must not know how tokens are
//! counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Invalid;
use super::time::{Month, Timestamp};

/// The name of a plan: 1–64 characters of `[a-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName(Arc<str>);

impl PlanName {
    /// Accepts 1–64 characters of `[a-z0-9_-]`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(Invalid("a plan name is 1 to 64 characters of a-z 0-9 _ -"));
        }
        Ok(Self(text.into()))
    }

    /// The plan of an agent that was made without one.
    pub fn free() -> Self {
        Self("free".into())
    }

    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many tokens a month a plan allows; `None` means no limit.
pub type Limit = Option<i64>;

/// The configured plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(pub BTreeMap<PlanName, Limit>);

impl Plans {
    /// The plan's limit; `None` when no such plan is configured.
    pub fn limit(&self, plan: &PlanName) -> Option<Limit> {
        self.0.get(plan).copied()
    }
}

/// What an agent has used of its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The month counted.
    pub month: Month,
    /// Tokens issued in it.
    pub issued: i64,
    /// The plan's limit.
    pub limit: Limit,
}

/// A quota as one of the month's requests found it: what the response tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaWindow {
    /// How many tokens the plan allows in the month.
    pub limit: i64,
    /// How many of them are left.
    pub remaining: i64,
    /// How long the month is, in seconds.
    pub length: i64,
    /// How many seconds of it are left: at least one.
    pub resets_in: i64,
}

impl QuotaWindow {
    /// The window at `now`, after `issued` tokens of `limit`. A negative limit allows nothing.
    pub fn new(limit: i64, issued: i64, now: Timestamp) -> Self {
        let month = now.month();
        let (begin, end) = (month.begins_at().0, month.resets_at().0);
        Self {
            limit: limit.max(0),
            remaining: limit.max(0).saturating_sub(issued).max(0),
            length: end.saturating_sub(begin),
            resets_in: end.saturating_sub(now.0.max(begin)).max(1),
        }
    }
}

/// The message of a refusal for quota, exactly as in contract §3.
pub(crate) fn reached_message(plan: &PlanName, limit: i64) -> String {
    let mut name = plan.as_str().to_owned();
    if let Some(first) = name.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    format!(
        "{name} tier monthly token limit of {} requests has been reached.",
        with_commas(limit)
    )
}

fn with_commas(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_exact() {
        assert_eq!(
            reached_message(&PlanName::free(), 10_000),
            "Free tier monthly token limit of 10,000 requests has been reached."
        );
    }

    #[test]
    fn a_window_ends_with_the_month_and_nothing_in_it_is_negative() {
        let window = |limit, issued, now| {
            let found = QuotaWindow::new(limit, issued, Timestamp(now));
            (found.limit, found.remaining, found.length, found.resets_in)
        };
        // 2026-02-28T23:59:59Z and the second after it.
        assert_eq!(window(10, 3, 1_772_323_199), (10, 7, 28 * 86_400, 1));
        assert_eq!(
            window(10, 3, 1_772_323_200),
            (10, 7, 31 * 86_400, 31 * 86_400)
        );
        assert_eq!(window(10, 11, 0).1, 0);
        assert_eq!(window(-5, i64::MAX, 0), (0, 0, 31 * 86_400, 31 * 86_400));
        for now in [i64::MIN, i64::MAX] {
            assert!(window(1, 0, now).3 > 0);
        }
    }

    #[test]
    fn thousands_are_set_off_by_commas() {
        let cases = [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ];
        for (n, text) in cases {
            assert_eq!(with_commas(n), text);
        }
    }
}
