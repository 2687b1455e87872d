//! Logs and metrics.
//!
//! Owns the format of log lines and where they go, the text of an error in the log, and every
//! metric's name ([`metrics`]). This module uses no other module of this crate. Must not know what
//! is worth logging.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;

use lines::LinesWriter;
use log_line::LogLine;

mod lines;
mod log_line;
pub(crate) mod metrics;

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// [`Human`](Self::Human) on a terminal, [`Json`](Self::Json) elsewhere.
    Auto,
    /// One JSON object on each line.
    Json,
    /// Text for people.
    Human,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For `serve`, whose only output is its log.
    Stdout,
    /// For every other command, whose stdout carries data.
    Stderr,
}

/// The most lines that wait to be written: seconds of a busy server, and a few megabytes.
const WAITING: usize = 16_384;

/// Writes the waiting lines when it is dropped. Keep this guard until the process ends.
#[must_use = "log lines are lost when the guard is dropped early"]
pub struct Guard(#[expect(dead_code, reason = "only its drop does something")] WorkerGuard);

/// Changes what is logged while the process runs.
pub struct LogFilter(Box<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogFilter {
    /// Sets the filter. A filter that cannot be parsed changes nothing.
    pub fn set(&self, filter: &str) {
        let _ = EnvFilter::try_new(filter).is_ok_and(&self.0);
    }
}

/// Starts logging for the whole process. `filter` is a level or `target=level,…`. A filter that
/// cannot be parsed counts as `info`. A second call changes nothing.
///
/// A thread of its own writes the lines. If the output has no reader, lines are dropped and
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
        .finish(OneLine(LinesWriter::to(writer)));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false);
    // Ignore an error from `try_init`: it says that logging has been started already.
    let filter = if json {
        let builder = builder
            .fmt_fields(JsonFields::new())
            .event_format(LogLine::default())
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
        // A wrapper's text often ends with the text of the error it wraps.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A writer that escapes control characters, so that logged text can neither control a terminal nor
/// begin a line of its own.
///
/// Each call to `write` is one line. Every control character except the newline at the end is
/// escaped as in JSON.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Nearly every line is printable ASCII only, which this quick check recognizes. It has no
        // branch for each byte, so that the compiler looks at many bytes at once.
        if let Some((b'\n', body)) = line.split_last()
            && body
                .iter()
                .fold(true, |ok, b| ok & matches!(b, b' '..=b'~'))
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
                // This is JSON's escape. Writing to a string cannot fail.
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
