//! The line of an event as JSON, written by hand.
//!
//! Owns the members of a line and their order: the time, the level, the fields of the event and its
//! target, byte for byte as `tracing_subscriber`'s JSON format writes them with its fields
//! flattened. Events inside a span and events of the crate `log` are left to that format. Must not
//! know where a line goes.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use crate::json;

/// The room that a line gets at first. A line of a request is about 400 bytes long.
const USUAL_BYTES: usize = 512;

/// The target of the events that `tracing_subscriber` makes of the records of the crate `log`.
const TARGET_OF_LOG: &str = "log";

/// Formats an event as one JSON object and a newline.
pub(super) struct LogLine {
    library: Format<Json>,
}

impl Default for LogLine {
    fn default() -> Self {
        let json = format().json().flatten_event(true);
        Self {
            library: json.with_span_list(false),
        }
    }
}

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let is_in_span = event.parent().is_some() || context.lookup_current().is_some();
        let stamp = if is_in_span || metadata.target() == TARGET_OF_LOG {
            None
        } else {
            stamp_now()
        };
        let Some(stamp) = stamp else {
            return self.library.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(USUAL_BYTES);
        line.push_str("{\"timestamp\":\"");
        line.push_str(str::from_utf8(&stamp).unwrap_or_default());
        line.push_str("\",\"level\":\"");
        line.push_str(metadata.level().as_str());
        line.push('"');
        event.record(&mut EventFields(&mut line));
        line.push_str(",\"target\":");
        json::write_string(metadata.target(), &mut line);
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Writes the fields of an event, each with a comma before it. A field without a value is left out.
struct EventFields<'a>(&'a mut String);

impl EventFields<'_> {
    fn begin(&mut self, field: &Field) -> &mut String {
        self.0.push(',');
        json::write_string(field.name(), self.0);
        self.0.push(':');
        self.0
    }
}

// What has no method here (128-bit integers, bytes, errors) comes to `record_debug`, as it does in
// the library's format.
impl Visit for EventFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        json::write_string(value, self.begin(field));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        json::write_integer(value, self.begin(field));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        json::write_integer(value, self.begin(field));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.begin(field)
            .push_str(if value { "true" } else { "false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // A double always serialises: one that is not finite is `null`.
        let text = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.begin(field).push_str(&text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let line = self.begin(field);
        line.push('"');
        // A value that fails to format itself ends early. The line is whole all the same.
        let _ = write!(json::Contents(line), "{value:?}");
        line.push('"');
    }
}

/// The bytes of a time up to its second: `2026-02-03T04:05:06.`
type SecondText = [u8; 20];

/// The bytes of a time with its microseconds: `2026-02-03T04:05:06.000007Z`
type Stamp = [u8; 27];

thread_local! {
    /// The Unix second that this thread wrote last, and its text. Dividing a time into a date costs
    /// more than the rest of a line.
    static LAST_SECOND: Cell<Option<(u64, SecondText)>> = const { Cell::new(None) };
}

/// The time now. `None` before 1970 and after 9999, where the library's format knows how to write
/// it.
#[expect(
    clippy::disallowed_methods,
    reason = "the time in a log line decides nothing"
)]
fn stamp_now() -> Option<Stamp> {
    let now = SystemTime::now();
    stamp(now.duration_since(SystemTime::UNIX_EPOCH).ok()?)
}

/// The time at this distance from 1970.
fn stamp(unix: Duration) -> Option<Stamp> {
    let second = match LAST_SECOND.get() {
        Some((second, text)) if second == unix.as_secs() => text,
        _ => {
            let text = second_text(unix.as_secs())?;
            LAST_SECOND.set(Some((unix.as_secs(), text)));
            text
        }
    };
    let mut stamp = *b"....................000000Z";
    let (before, digits) = stamp.split_at_mut(second.len());
    before.copy_from_slice(&second);
    let mut micros = unix.subsec_micros();
    for digit in digits[..6].iter_mut().rev() {
        *digit += u8::try_from(micros % 10).unwrap_or_default();
        micros /= 10;
    }
    Some(stamp)
}

fn second_text(unix: u64) -> Option<SecondText> {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(unix).ok()?).ok()?;
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    let text = format!("{date}T{hour:02}:{minute:02}:{second:02}.");
    text.as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        /// The text without its times, which come as the first 27 characters of their member.
        fn without_times(&self) -> String {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let mut pieces = text.split("{\"timestamp\":\"");
            assert_eq!(pieces.next(), Some(""));
            pieces
                .map(|line| {
                    OffsetDateTime::parse(&line[..27], &Rfc3339).unwrap();
                    &line[27..]
                })
                .collect()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What this format and the library's own write of the same events.
    fn both(log: impl Fn()) -> (String, String) {
        let (ours, theirs) = (Written::default(), Written::default());
        let (writer, other) = (ours.clone(), theirs.clone());
        let builder = || tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        let ours_by = builder()
            .fmt_fields(JsonFields::new())
            .event_format(LogLine::default())
            .with_writer(move || writer.clone())
            .finish();
        let theirs_by = builder()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(move || other.clone())
            .finish();
        tracing::subscriber::with_default(ours_by, &log);
        tracing::subscriber::with_default(theirs_by, &log);
        (ours.without_times(), theirs.without_times())
    }

    #[test]
    fn a_line_is_the_one_that_the_library_writes() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only its Debug text is used")]
        struct Shown {
            name: &'static str,
            of: Option<Vec<u8>>,
        }
        let error = io::Error::other("no \"route\"\n");
        let shown = Shown {
            name: "tab\there \\ \u{1f600}",
            of: Some(vec![0, 255]),
        };
        let (present, absent) = (Some("x"), None::<&str>);
        let (ours, theirs) = both(|| {
            tracing::info!("a message alone");
            tracing::info!("");
            tracing::warn!(target: "a \"target\"", text = "{}", "message {} \"quoted\"\r\n", 1);
            tracing::error!(
                text = "quote \" backslash \\ slash / tab \t newline \n null \0 escape \u{1b}[2J",
                unicode = "Jürgen 日本 \u{1f600} \u{7f} \u{9b} \u{2028}",
                long = "0123456789abcdef0123456789abcdef0123456789abcdef\u{1}",
            );
            tracing::debug!(
                least = i64::MIN,
                greatest = u64::MAX,
                small = -1_i8,
                wide = i128::MIN,
                widest = u128::MAX
            );
            tracing::trace!(
                yes = true,
                no = false,
                half = 0.5,
                whole = 1.0,
                huge = 1e300
            );
            tracing::trace!(nan = f64::NAN, infinite = f64::INFINITY, minus_zero = -0.0);
            tracing::info!(?shown, %error, display = %"a \"b\"", debug = ?"a \"b\"");
            tracing::info!(error = &error as &(dyn std::error::Error + 'static));
            tracing::info!(
                present,
                absent,
                none = None::<u64>,
                some = Some(7_u64),
                "options"
            );
            tracing::info!(
                bytes = &b"\x00\xff"[..],
                r#type = "keyword",
                a.dotted.name = 1
            );
            tracing::info!("a \"name\"" = 1, same = 1, same = 2);
            tracing::info!(target: "log", "as from the crate log");
            tracing::info!(parent: None, "a root");
            let span = tracing::info_span!("span", number = 1, text = "\"x\"");
            tracing::info!(parent: &span, "in a parent");
            span.in_scope(|| tracing::info!(field = 2, "in a span"));
            span.in_scope(|| tracing::info!(parent: None, "a root in a span"));
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours.lines().count(), 17);
    }

    #[test]
    fn the_line_of_a_request_has_these_bytes() {
        let reason = None::<&str>;
        let (ours, theirs) = both(|| {
            tracing::info!(target: "sealwright::request", request_id = "r-1", status = 200_u16, micros = 7_u64, peer = Some(tracing::field::display("::1")), reason);
        });
        assert_eq!(ours, theirs);
        assert_eq!(
            ours,
            "\",\"level\":\"INFO\",\"request_id\":\"r-1\",\"status\":200,\"micros\":7,\
             \"peer\":\"::1\",\"target\":\"sealwright::request\"}\n"
        );
    }

    #[test]
    fn a_value_that_fails_or_logs_while_it_is_written_leaves_whole_lines() {
        struct Failing;
        impl fmt::Debug for Failing {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!("inner");
                f.write_str("begun")?;
                Err(fmt::Error)
            }
        }
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(LogLine::default())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "outer", failing = ?Failing, last = 1);
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let outer = lines.iter().find(|line| line["target"] == "outer").unwrap();
        assert_eq!(
            (&outer["failing"], &outer["last"]),
            (&"begun".into(), &1.into())
        );
    }

    #[test]
    fn a_time_that_the_library_writes_differently_is_left_to_it() {
        assert_eq!(stamp(Duration::new(253_402_300_800, 0)), None);
        assert_eq!(stamp(Duration::MAX), None);
        let last = stamp(Duration::from_micros(253_402_300_799_999_999));
        assert_eq!(last.as_ref(), Some(b"9999-12-31T23:59:59.999999Z"));
        let first = stamp(Duration::ZERO);
        assert_eq!(first.as_ref(), Some(b"1970-01-01T00:00:00.000000Z"));
    }

    proptest! {
        #[test]
        fn a_time_is_read_back_whichever_was_written_before(
            seconds in 0_u64..253_402_300_800,
            next in 0_u64..3,
            nanos in proptest::array::uniform2(0_u32..1_000_000_000),
        ) {
            for (seconds, nanos) in [(seconds, nanos[0]), (seconds.saturating_sub(next), nanos[1])] {
                let stamp = stamp(Duration::new(seconds, nanos)).unwrap();
                let read = OffsetDateTime::parse(str::from_utf8(&stamp).unwrap(), &Rfc3339).unwrap();
                prop_assert_eq!(read.unix_timestamp(), i64::try_from(seconds).unwrap());
                prop_assert_eq!(read.microsecond(), nanos / 1_000);
                prop_assert_eq!(stamp[26], b'Z');
            }
        }
    }
}
