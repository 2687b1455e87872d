//! Time as values: Unix seconds, milliseconds and UTC calendar months. Must not know the clock.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Invalid;

/// A moment in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `seconds` later (or earlier, when negative); `None` past the range of an `i64`.
    pub fn checked_add(self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds).map(Self)
    }

    /// Like [`Self::checked_add`], but stops at the ends of the range: for bounds that are only
    /// compared.
    #[must_use]
    pub fn saturating_add(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// RFC 3339 in UTC with whole seconds, `2026-03-31T13:12:17Z`.
    pub fn to_rfc3339(self) -> String {
        let mut text = String::with_capacity(20);
        self.write_rfc3339(&mut text);
        text
    }

    /// Appends the text of [`Self::to_rfc3339`]. Every event has such a text, so the digits are
    /// written without a format description. A moment that RFC 3339 cannot tell is written as the
    /// last one that it can.
    pub fn write_rfc3339(self, out: &mut String) {
        let moment = OffsetDateTime::from_unix_timestamp(self.0).ok();
        let Some(moment) = moment.filter(|moment| (0..=9_999).contains(&moment.year())) else {
            out.push_str("9999-12-31T23:59:59Z");
            return;
        };
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        let year = year.unsigned_abs();
        let mut pair = |number: u32, end: &str| {
            for digit in [number / 10 % 10, number % 10] {
                out.push(char::from_digit(digit, 10).unwrap_or('0'));
            }
            out.push_str(end);
        };
        pair(year / 100, "");
        pair(year % 100, "-");
        pair(u8::from(month).into(), "-");
        pair(day.into(), "T");
        pair(hour.into(), ":");
        pair(minute.into(), ":");
        pair(second.into(), "Z");
    }

    /// Reads RFC 3339 with whole seconds.
    pub fn parse_rfc3339(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid("a time is RFC 3339 with whole seconds, such as 2026-03-31T13:12:17Z");
        let read = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| fault)?;
        if read.nanosecond() == 0 && !text.contains('.') {
            Ok(Self(read.unix_timestamp()))
        } else {
            Err(fault)
        }
    }

    /// The UTC calendar month of this moment. A moment outside the years 1970–9999 counts as the
    /// nearest moment in them.
    pub fn month(self) -> Month {
        let bounded = self.0.clamp(0, 253_402_300_799);
        let date = OffsetDateTime::from_unix_timestamp(bounded)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .date();
        Month {
            year: date.year(),
            month: u8::from(date.month()),
        }
    }
}

/// A moment in milliseconds since 1970-01-01T00:00:00Z. It tells two changes within one second
/// apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// The second that contains this moment.
    pub fn second(self) -> Timestamp {
        Timestamp(self.0.div_euclid(1_000))
    }
}

impl From<Timestamp> for Moment {
    /// The beginning of that second.
    fn from(second: Timestamp) -> Self {
        Self(second.0.saturating_mul(1_000))
    }
}

/// A UTC calendar month: the period of a quota (contract D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u8,
}

impl Month {
    /// The key under which stores keep the month: `202611` for November 2026.
    pub fn key(self) -> i64 {
        i64::from(self.year) * 100 + i64::from(self.month)
    }

    /// The first second of the month.
    pub fn begins_at(self) -> Timestamp {
        let first = time::Month::try_from(self.month)
            .ok()
            .and_then(|m| time::Date::from_calendar_date(self.year, m, 1).ok());
        match first {
            Some(date) => Timestamp(date.midnight().assume_utc().unix_timestamp()),
            // The month after the last one that has a date.
            None => Timestamp(253_402_300_800),
        }
    }

    /// The first second of the following month, when the quota starts anew.
    pub fn resets_at(self) -> Timestamp {
        let (year, month) = if self.month == 12 {
            (self.year + 1, 1)
        } else {
            (self.year, self.month + 1)
        };
        Self { year, month }.begins_at()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_month_turns_at_utc_midnight() {
        let last = Timestamp(1_769_903_999);
        assert_eq!(last.to_rfc3339(), "2026-01-31T23:59:59Z");
        assert_eq!(last.month().to_string(), "2026-01");
        assert_eq!(Timestamp(last.0 + 1).month().to_string(), "2026-02");
        assert_eq!(last.month().resets_at().0, last.0 + 1);
    }

    #[test]
    fn december_resets_in_january() {
        let t = Timestamp(1_796_428_800);
        assert_eq!(t.to_rfc3339(), "2026-12-05T00:00:00Z");
        assert_eq!(t.month().resets_at().to_rfc3339(), "2027-01-01T00:00:00Z");
        assert_eq!(t.month().key(), 202_612);
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for seconds in [0, 1, 1_769_903_999, 253_402_300_799] {
            let text = Timestamp(seconds).to_rfc3339();
            assert_eq!(Timestamp::parse_rfc3339(&text), Ok(Timestamp(seconds)));
        }
        let with_offset = Timestamp::parse_rfc3339("2026-01-31T23:59:59+01:00");
        assert_eq!(with_offset, Ok(Timestamp(1_769_900_399)));
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T23:59:59",
            "2026-01-31T23:59:59.0Z",
            "2026-01-31T23:59:59.5Z",
            "2026-01-31T23:59:59 01:00",
            "2026-02-30T00:00:00Z",
            "1769903999",
            "99999-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    /// What the library writes.
    fn library_text(at: i64) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(at).ok();
        let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
        text.unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }

    proptest! {
        #[test]
        fn a_time_is_written_as_the_library_does(
            at in prop_oneof![any::<i64>(), -70_000_000_000..260_000_000_000i64, 0..4_000_000_000i64],
        ) {
            prop_assert_eq!(Timestamp(at).to_rfc3339(), library_text(at));
        }
    }

    #[test]
    fn the_ends_of_rfc_3339_are_written_as_the_library_does() {
        for end in [-62_167_219_200, 0, 253_402_300_799] {
            for at in end - 1..=end + 1 {
                assert_eq!(Timestamp(at).to_rfc3339(), library_text(at));
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for t in [
            i64::MIN,
            -1,
            0,
            i64::from(i32::MAX),
            4_294_967_296,
            253_402_300_799,
            i64::MAX,
        ] {
            let month = Timestamp(t).month();
            let _ = (month.key(), month.resets_at(), Timestamp(t).to_rfc3339());
        }
    }
}
