//! Logs and metrics.
//!
//! Owns how a log line looks and where it goes, how an error reads there, and ([`metrics`]) every metric's
//! name. A leaf: it names nothing else of ours. Must not know what is worth logging.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

pub(crate) mod metrics;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For `serve`, whose product its log is.
    Stdout,
    /// For every other command, whose stdout is data.
    Stderr,
}

/// How many lines wait to be written at most: seconds of a busy server, and a few megabytes.
const WAITING: usize = 16_384;

/// Writes what is still waiting when it is dropped. Keep it until the process ends.
#[must_use = "log lines are lost when the guard is dropped early"]
pub struct Guard(#[expect(dead_code, reason = "only its drop does something")] WorkerGuard);

/// Changes what is logged while the process runs.
pub struct LogFilter(Box<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogFilter {
    /// One that cannot be read changes nothing.
    pub fn set(&self, filter: &str) {
        let _ = EnvFilter::try_new(filter).is_ok_and(&self.0);
    }
}

/// Starts logging for the whole process. `filter` is a level or `target=level,…`; one that cannot be
/// read counts as `info`. A second call changes nothing.
///
/// Lines are written by a thread of their own; when nobody reads them, lines are dropped and
/// requests are still answered.
pub fn start_logging(filter: &str, format: Format, output: Output) -> (Guard, LogFilter) {
    let (writer, terminal): (Box<dyn Write + Send>, bool) = match output {
        Output::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
        Output::Stderr => (Box::new(io::stderr()), io::stderr().is_terminal()),
    };
    let json = match format {
        Format::Auto => !terminal,
        Format::Json => true,
        Format::Human => false,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .finish(OneLine(writer));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false);
    // An error says that logging was started before, which is what was asked for.
    let filter = if json {
        let builder = builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        LogFilter(Box::new(move |filter| handle.reload(filter).is_ok()))
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        LogFilter(Box::new(move |filter| handle.reload(filter).is_ok()))
    };
    (Guard(guard), filter)
}

/// An error and its causes in one line.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Wrappers often repeat what they wrap.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A writer of lines in which nothing acts on a terminal or begins a line of its own.
///
/// Each call to `write` is one line. Every control character in it but the newline at its end is
/// written as JSON escapes it, so a JSON line stays what it was.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Nearly every line is nothing but printable ASCII, which is told at a glance.
        if let Some((b'\n', body)) = line.split_last()
            && body.iter().all(|b| matches!(b, b' '..=b'~'))
        {
            self.0.write_all(line)?;
            return Ok(line.len());
        }
        let text = String::from_utf8_lossy(line);
        let (body, end) = text
            .strip_suffix('\n')
            .map_or((&*text, ""), |body| (body, "\n"));
        if !body.chars().any(char::is_control) {
            self.0.write_all(line)?;
            return Ok(line.len());
        }
        let mut escaped = String::with_capacity(body.len() + 16);
        for c in body.chars() {
            if c.is_control() {
                // The form that JSON has for it; writing to a string cannot fail.
                let _ =
                    fmt::Write::write_fmt(&mut escaped, format_args!("\\u{:04x}", u32::from(c)));
            } else {
                escaped.push(c);
            }
        }
        escaped.push_str(end);
        self.0.write_all(escaped.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_neither_begins_a_line_nor_acts_on_a_terminal() {
        let mut written = Vec::new();
        OneLine(&mut written)
            .write_all("agent \u{1b}[2Jx\r\nINFO forged \u{9b}2J\n".as_bytes())
            .unwrap();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(
            text,
            "agent \\u001b[2Jx\\u000d\\u000aINFO forged \\u009b2J\n"
        );
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_nothing_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Wrapper(&'static str, #[source] Option<Box<Wrapper>>);
        let wrap = |text, inner| Wrapper(text, Some(Box::new(inner)));
        let chain = wrap(
            "request failed",
            wrap("store failed: no route", Wrapper("no route", None)),
        );
        assert_eq!(
            error_chain(&chain),
            "request failed: store failed: no route"
        );
    }

    #[test]
    fn an_ordinary_line_is_untouched() {
        let mut written = Vec::new();
        OneLine(&mut written)
            .write_all("{\"name\":\"Jürgen\"}\n".as_bytes())
            .unwrap();
        assert_eq!(written, "{\"name\":\"Jürgen\"}\n".as_bytes());
    }
}
