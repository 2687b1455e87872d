//! Parsers of single values: from the written text to a typed value.
//!
//! An error holds the rule that was broken. It never holds the value, which may be a secret.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use url::Url;

use crate::domain::Invalid;
use crate::domain::agent::Audience;

use super::postgres_url::{DATABASE_RULE as RULE, PostgresUrl};
use super::rule::Rule;
use super::written::Written;

/// Where the store is. Neither `Display` nor `Debug` shows its passwords.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of a SQLite file.
    Sqlite(PathBuf),
    /// The servers of a `postgres://` URL.
    Postgres(PostgresUrl),
}

impl DatabaseUrl {
    /// Accepts `sqlite://PATH` and `postgres://…` (or `postgresql://…`).
    pub fn parse(text: &str) -> Result<Self, Rule> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            let plain = |c: char| !c.is_control() && c != '?' && c != '#';
            let named = !path.is_empty() && !path.ends_with('/') && !path.starts_with(':');
            return if named && path.chars().all(plain) {
                Ok(Self::Sqlite(path.into()))
            } else {
                Err(RULE.into())
            };
        }
        PostgresUrl::parse(text).map(Self::Postgres)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the store is.
pub(crate) fn database_url(written: &Written) -> Result<DatabaseUrl, Rule> {
    DatabaseUrl::parse(text(written)?)
}

/// The value of a key that takes a single value.
pub(crate) fn text(written: &Written) -> Result<&str, Invalid> {
    match written {
        Written::One(text) => Ok(text),
        Written::Many(_) => Err(Invalid("one value is needed, not a list")),
    }
}

/// The values of a key that takes a list: an array, or a text separated by commas or spaces.
pub(crate) fn list(written: &Written) -> Vec<&str> {
    match written {
        Written::One(text) => text
            .split([',', ' ', '\t', '\n'])
            .filter(|part| !part.is_empty())
            .collect(),
        Written::Many(parts) => parts.iter().map(String::as_str).collect(),
    }
}

/// A whole number inside `range`. The text of `rule` names the range.
pub(crate) fn number<T: TryFrom<i64>>(
    written: &Written,
    range: RangeInclusive<i64>,
    rule: &'static str,
) -> Result<T, Invalid> {
    let number: i64 = text(written)?.parse().map_err(|_| Invalid(rule))?;
    if !range.contains(&number) {
        return Err(Invalid(rule));
    }
    T::try_from(number).map_err(|_| Invalid(rule))
}

/// A number as in [`number`], or `None` for `auto`: the server then chooses the number.
pub(crate) fn automatic<T: TryFrom<i64>>(
    written: &Written,
    range: RangeInclusive<i64>,
    rule: &'static str,
) -> Result<Option<T>, Invalid> {
    if text(written)? == "auto" {
        return Ok(None);
    }
    number(written, range, rule).map(Some)
}

/// One of a few words. The text of `rule` names them.
pub(crate) fn choice<T: Copy>(
    written: &Written,
    words: &[(&str, T)],
    rule: &'static str,
) -> Result<T, Invalid> {
    let text = text(written)?;
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, meaning)| *meaning)
        .ok_or(Invalid(rule))
}

/// `None` for an empty text, otherwise the text parsed by `parse`.
pub(crate) fn optional<T>(
    written: &Written,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    match text(written)? {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

/// An IP address and a port.
pub(crate) fn address(written: &Written) -> Result<SocketAddr, Invalid> {
    text(written)?
        .parse()
        .map_err(|_| Invalid("an IP address and a port, 127.0.0.1:3000 or [::1]:3000"))
}

/// An issuer (RFC 8414 §2). It is kept exactly as written, since verifiers compare it character by
/// character.
pub(crate) fn issuer(written: &Written) -> Result<String, Invalid> {
    const RULE: Invalid = Invalid(
        "an absolute, normalised http: or https: URL without user, query, fragment or trailing slash, at most 512 bytes",
    );
    let text = text(written)?;
    // Every token contains the issuer, and a token's length is bounded.
    if text.len() > 512 {
        return Err(RULE);
    }
    let url = Url::parse(text).map_err(|_| RULE)?;
    let scheme = text.starts_with("https://") || text.starts_with("http://");
    let bare = !has_user(text) && url.host().is_some();
    let plain = |c: char| c.is_ascii_graphic() && !"?#\"\\".contains(c);
    // A client's URL parser normalizes the path of its request, for example by removing `/./`. So
    // the issuer's path must be normalized already.
    let path = text.splitn(4, '/').nth(3).unwrap_or_default();
    let bare = bare && url.path().trim_start_matches('/') == path.trim_start_matches('/');
    if scheme && bare && !text.ends_with('/') && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(RULE)
    }
}

/// Whether a URL names a user. An empty user counts too.
fn has_user(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

/// The audience of a token whose request asked for none. Many tokens contain it, so a password in
/// it would become public.
pub(crate) fn default_audience(text: &str) -> Result<Audience, Invalid> {
    if has_user(text) {
        return Err(Invalid(
            "an audience that is a URL has no user and no password",
        ));
    }
    Audience::parse(text)
}

/// The name of a header field that holds addresses, in lower case.
pub(crate) fn header_name(text: &str) -> Result<String, Invalid> {
    const RULE: Invalid =
        Invalid("the name of a header that lists addresses, such as X-Forwarded-For");
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // The `Forwarded` header field of RFC 7239 holds more than addresses.
    if !plain || text.len() > 64 || text.eq_ignore_ascii_case("forwarded") {
        return Err(RULE);
    }
    Ok(text.to_ascii_lowercase())
}

/// The targets of log lines: this program, and the libraries that log.
#[rustfmt::skip]
const TARGETS: &[&str] = &[
    "sealwright", "axum", "hyper", "hyper_util", "metrics_exporter_prometheus", "mio", "rustls", "sqlx",
    "sqlx_core", "sqlx_postgres", "sqlx_sqlite", "tokio", "tower",
];
#[rustfmt::skip]
const MODULES: &[&str] = &[
    "api", "app", "cli", "clock", "config", "document", "domain", "entropy", "http", "json", "keys", "outbound", "service",
    "store", "tasks", "telemetry", "request",
];

/// A log filter: levels by module, with the spaces between them removed. We check the words because
/// `tracing_subscriber` takes any word for the name of a module, so that a misspelt level would
/// silence everything.
pub(crate) fn filter(written: &Written) -> Result<String, Invalid> {
    const RULE: Invalid = Invalid(
        "one level (off, error, warn, info, debug, trace), or several with commas between, all but one for a \
         module: info,sealwright::http=debug,sqlx=warn",
    );
    let parts: Vec<&str> = text(written)?.split(',').map(str::trim).collect();
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|level| level.eq_ignore_ascii_case(word))
    };
    let is_fine = |part: &&str| match part.split_once('=') {
        None => is_level(part),
        Some((target, level)) => is_level(level) && is_target(target),
    };
    let bare = parts.iter().filter(|part| !part.contains('=')).count();
    if bare > 1 || !parts.iter().all(is_fine) {
        return Err(RULE);
    }
    let text = parts.join(",");
    tracing_subscriber::EnvFilter::try_new(&text).map_err(|_| RULE)?;
    Ok(text)
}

fn is_target(target: &str) -> bool {
    let mut segments = target.split("::");
    let (first, second) = (segments.next().unwrap_or_default(), segments.next());
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let is_ours = first != "sealwright" || second.is_none_or(|module| MODULES.contains(&module));
    TARGETS.contains(&first) && is_ours && second.is_none_or(plain) && segments.all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_shows_no_password_wherever_it_stands() {
        for text in [
            "postgres://sw:hunter2@db.example/sw?sslmode=require",
            "postgresql://sw@db.example/sw?password=hunter2&sslmode=require",
            "postgres://db.example/sw?user=sw&password=hunter2&sslmode=require",
            "postgresql://sw@db.example/sw?sslmode=require&options=-c%20password%3Dhunter2",
            "postgresql://sw@db.example/sw?sslmode=require&options[app.secret]=hunter2",
            "postgresql://sw@db.example/sw?sslmode=require&sslkey=-----BEGIN%20PRIVATE%20KEY-----hunter2",
        ] {
            let url = DatabaseUrl::parse(text).unwrap();
            assert!(matches!(&url, DatabaseUrl::Postgres(kept) if kept.each() == [text]));
            for shown in [format!("{url}"), format!("{url:?}")] {
                assert!(!shown.contains("hunter2"), "{shown}");
                assert!(shown.contains("db.example"), "{shown}");
            }
        }
    }

    #[test]
    fn a_filter_is_levels_by_modules_that_there_are() {
        let read = |text: &str| filter(&Written::One(text.to_owned()));
        for (good, kept) in [
            ("info", "info"),
            ("WARN", "WARN"),
            ("off", "off"),
            ("sealwright=debug", "sealwright=debug"),
            (
                "info, sqlx::query=warn ,sealwright::http::layers=trace",
                "info,sqlx::query=warn,sealwright::http::layers=trace",
            ),
            (
                "sealwright::request=off,info",
                "sealwright::request=off,info",
            ),
        ] {
            assert_eq!(read(good).unwrap(), kept);
        }
        for bad in [
            "",
            " ",
            ",",
            "info,",
            "INFOO",
            "inf",
            "3",
            "info,debug",
            "sealwright",
            "info,sealwright",
            "sealwrite=debug",
            "sealwright=debugg",
            "sealwright=",
            "=info",
            "sealwright::htpp=debug",
            "sealwright::=debug",
            "sealwright::http::=debug",
            "info;sqlx=warn",
            "sealwright[span]=info",
            "a b=info",
            "warn=sealwright",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_knows_every_module_of_the_program() {
        let lib = include_str!("../lib.rs").lines();
        let module = |line: &'static str| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        };
        // The module `testing` logs nothing.
        let modules: Vec<&str> = lib
            .filter_map(module)
            .filter(|module| *module != "testing")
            .collect();
        assert!(
            modules.len() > 9 && modules.iter().all(|module| MODULES.contains(module)),
            "{modules:?}"
        );
    }

    #[test]
    fn a_sqlite_url_is_a_path_relative_or_absolute() {
        let path = |text: &str| match DatabaseUrl::parse(text) {
            Ok(DatabaseUrl::Sqlite(path)) => path,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            path("sqlite://sealwright-data/sealwright.db"),
            PathBuf::from("sealwright-data/sealwright.db")
        );
        assert_eq!(
            path("sqlite:///var/lib/s.db"),
            PathBuf::from("/var/lib/s.db")
        );
        for bad in [
            "sqlite://",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:x.db",
            "sqlite://a/",
            "sqlite://a?b=c",
        ] {
            assert!(DatabaseUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_databases_are_refused() {
        for bad in [
            "",
            "mysql://h/d",
            "postgres:x",
            "postgres",
            "/var/lib/s.db",
            "http://h",
        ] {
            assert!(DatabaseUrl::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "postgres:///sw",
            "postgres://db/sw",
            "postgres:///sw?user=sw",
            "postgres:///sw?user=sw&host=",
        ] {
            assert_eq!(
                DatabaseUrl::parse(bad).unwrap_err().0,
                "a postgres:// URL names its host and its user"
            );
        }
        assert!(DatabaseUrl::parse("postgres:///sw?host=/run/postgresql&user=sw").is_ok());
    }

    #[test]
    fn an_issuer_is_kept_to_the_character() {
        let read = |text: &str| issuer(&Written::One(text.to_owned()));
        for good in [
            "http://localhost:3000",
            "https://auth.example.com",
            "https://Auth.example.com/tenant",
            "https://a/:b/c:d/*e",
            "https://a//b%20c",
        ] {
            assert_eq!(read(good).unwrap(), good);
        }
        let longest = format!("https://{}", "a".repeat(504));
        assert_eq!(read(&longest).unwrap(), longest);
        for bad in [
            format!("{longest}a").as_str(),
            "",
            "auth.example.com",
            "https://auth.example.com/",
            "https://a/?q",
            "https://a/#f",
            "https://a?",
            "https://u:p@a",
            "https://u@a",
            "https://@a",
            "https://:@a",
            "ftp://a",
            "https://",
            "https://a b",
            " https://a",
            "https://a\n",
            "http:a",
            "https://a/b/./c",
            "https://a/b/../c",
            "https://a/{b}",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_list_is_an_array_or_text_with_commas_or_spaces() {
        assert_eq!(
            list(&Written::One("a, b c,,d ".to_owned())),
            ["a", "b", "c", "d"]
        );
        assert_eq!(list(&Written::Many(vec!["a,b".to_owned()])), ["a,b"]);
    }
}
