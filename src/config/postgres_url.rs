//! A `postgres://` URL, which may name several servers as libpq's URLs do.
//!
//! Owns how one URL becomes one for each server, and how it is shown. Must not know which
//! parameters there are: `postgres` knows.

use std::fmt;

use url::{Position, Url};

use crate::domain::Invalid;

use super::postgres;
use super::rule::Rule;

/// The most servers that a URL may name. A new connection asks one after the other, and all of that
/// has to fit into the time of one call.
const MAX_HOSTS: usize = 6;

/// What a URL of a store is.
pub(super) const DATABASE_RULE: Invalid = Invalid(
    "sqlite://relative/path.db, sqlite:///absolute/path.db or postgres://user:password@host/name",
);

/// The parameters that hold one value for each server.
const LISTS: [&str; 3] = ["host", "hostaddr", "port"];

/// A `postgres://` URL. Neither `Display` nor `Debug` shows its passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    each: Vec<String>,
    shown: String,
}

impl PostgresUrl {
    /// Accepts `postgres://…` and `postgresql://…`. Several servers are separated by commas, before
    /// the path or in the parameters `host`, `hostaddr` and `port`.
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        let (scheme, rest) = text.split_once("://").ok_or(DATABASE_RULE)?;
        let is_postgres = |name: &&str| name.eq_ignore_ascii_case(scheme.trim_start());
        if !["postgres", "postgresql"].iter().any(is_postgres) {
            return Err(DATABASE_RULE.into());
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let hosts = authority
            .rsplit_once('@')
            .map_or(authority, |(_, hosts)| hosts);
        let user = &authority[..authority.len() - hosts.len()];
        let several = hosts.contains(',');
        if several && hosts.split(',').any(str::is_empty) {
            return Err("a postgres:// URL with several hosts names each of them".into());
        }
        let named: Vec<Url> = hosts
            .split(',')
            .map(|host| {
                Url::parse(&format!("{scheme}://{user}{host}{tail}")).map_err(|_| DATABASE_RULE)
            })
            .collect::<Result<_, _>>()?;
        if several && lists_any(&named[0]) {
            return Err(
                "a postgres:// URL names its servers once: before the path, or by host and port in the query".into(),
            );
        }
        let mut each = Vec::new();
        for url in &named {
            each.extend(by_server(url)?);
        }
        if each.len() > MAX_HOSTS {
            return Err(format!("a postgres:// URL names {MAX_HOSTS} hosts at most").into());
        }
        for url in &each {
            postgres::check(url)?;
        }
        if each.len() > 1 {
            postgres::check_among_several(&each[0])?;
        }
        let mut shown = without_passwords(&named[0]);
        if several {
            // Only the hosts differ between the URLs.
            shown = Url::parse(&shown).map_or_else(
                |_| redacted(),
                |url| {
                    let (before, after) =
                        (&url[..Position::BeforeHost], &url[Position::AfterPort..]);
                    format!("{before}{hosts}{after}")
                },
            );
        }
        let each = each.into_iter().map(String::from).collect();
        Ok(Self { each, shown })
    }

    /// One URL for each server, in the order of the text. Each includes the password.
    pub fn each(&self) -> &[String] {
        &self.each
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether the query names a server.
fn lists_any(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| LISTS.contains(&&*name))
}

/// One URL for each server that the lists of the query name; the URL itself if they name one.
fn by_server(url: &Url) -> Result<Vec<Url>, Rule> {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let is_list = |name: &str| LISTS.contains(&name);
    let lengths = |wanted: fn(&str) -> bool| {
        let lists = pairs
            .iter()
            .filter(move |(name, _)| is_list(name) && wanted(name));
        lists
            .map(|(_, value)| value.split(',').count())
            .max()
            .unwrap_or(1)
    };
    let count = lengths(|name| name != "port");
    let ports = lengths(|name| name == "port");
    if count == 1 && ports == 1 {
        return Ok(vec![url.clone()]);
    }
    let one_of = |name: &str, value: &str, place: usize| -> Option<String> {
        let values: Vec<&str> = value.split(',').collect();
        let is_for_all = name == "port" && values.len() == 1;
        let fits = is_for_all || values.len() == count;
        let value = values.get(if is_for_all { 0 } else { place })?;
        (fits && !value.is_empty()).then(|| (*value).to_owned())
    };
    (0..count)
        .map(|place| {
            let mut one = url.clone();
            let mut query = one.query_pairs_mut();
            query.clear();
            for (name, value) in &pairs {
                if is_list(name) {
                    let value = one_of(name, value, place).ok_or(
                        "`host`, `hostaddr` and `port` of a postgres:// URL hold one value for each server, \
                         separated by commas, or `port` one for all",
                    )?;
                    query.append_pair(name, &value);
                } else {
                    query.append_pair(name, value);
                }
            }
            drop(query);
            Ok(one)
        })
        .collect()
}

/// The parameters of a `postgres://` URL that hold no secret in any form.
#[rustfmt::skip]
const SHOWN: &[&str] = &[
    "application_name", "channel_binding", "connect_timeout", "dbname", "fallback_application_name", "gssencmode",
    "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
    "load_balance_hosts", "port", "sslcert", "ssl-cert", "sslmode", "ssl-mode", "sslnegotiation", "sslrootcert",
    "ssl-root-cert", "ssl-ca", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslsni", "statement-cache-capacity", "target_session_attrs", "tcp_user_timeout",
    "user",
];

fn redacted() -> String {
    "postgres://(redacted)".to_owned()
}

/// The URL with its passwords redacted. A password may be written before the host and, as libpq
/// allows, in the query.
fn without_passwords(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() && url.set_password(Some("redacted")).is_err() {
        return redacted();
    }
    if url.query().is_some() {
        // Any other parameter may hold a secret: `options` may set one, `sslkey` may be the key
        // itself.
        let secret = |name: &str| !SHOWN.contains(&name);
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let is_secret = secret(&name);
                let shown = if is_secret { "redacted".into() } else { value };
                (name.into_owned(), shown.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The servers of a URL, each as host and port.
    fn servers(text: &str) -> Vec<(String, u16)> {
        let url = PostgresUrl::parse(text).unwrap_or_else(|rule| panic!("{text}: {}", rule.0));
        let server = |one: &String| {
            let one = Url::parse(one).unwrap();
            let said = |name: &str| {
                let mut pairs = one.query_pairs();
                pairs
                    .find(|(said, _)| said == name)
                    .map(|(_, value)| value.into_owned())
            };
            let host = said("hostaddr").or_else(|| said("host"));
            let port = said("port")
                .and_then(|port| port.parse().ok())
                .or(one.port());
            (
                host.unwrap_or_else(|| one.host_str().unwrap().to_owned()),
                port.unwrap_or(5_432),
            )
        };
        url.each().iter().map(server).collect()
    }

    fn fault(text: &str) -> String {
        PostgresUrl::parse(text).expect_err(text).0.into_owned()
    }

    #[test]
    fn several_servers_are_named_before_the_path_or_in_the_query() {
        let of = |pairs: &[(&str, u16)]| -> Vec<(String, u16)> {
            pairs
                .iter()
                .map(|(host, port)| ((*host).to_owned(), *port))
                .collect()
        };
        let three = of(&[("h1", 5_432), ("h2", 6_432), ("h3", 5_432)]);
        for text in [
            "postgres://sw:p@h1:5432,h2:6432,h3/db?sslmode=require",
            "postgresql://sw:p@h1,h2:6432,h3?sslmode=require&target_session_attrs=read-write",
            "postgres:///db?user=sw&host=h1,h2,h3&port=5432,6432,5432&sslmode=require",
            "postgres:///db?user=sw&host=h1%2Ch2%2Ch3&port=5432%2C6432%2C5432&sslmode=require&target_session_attrs=primary",
        ] {
            assert_eq!(servers(text), three, "{text}");
        }
        let same_port = of(&[("/run/a", 6_000), ("/run/b", 6_000)]);
        assert_eq!(
            servers("postgres:///db?user=sw&host=/run/a,/run/b&port=6000"),
            same_port
        );
        let addresses = of(&[("10.0.0.1", 5_432), ("10.0.0.2", 5_432)]);
        assert_eq!(
            servers("postgres:///db?user=sw&host=a,b&hostaddr=10.0.0.1,10.0.0.2&sslmode=require"),
            addresses
        );
        let six = of(&[("[::1]", 6_000), ("127.0.0.1", 6_001)]);
        assert_eq!(servers("postgres://sw@[::1]:6000,127.0.0.1:6001/db"), six);
        assert_eq!(
            servers("postgres://sw@localhost:6000/db"),
            of(&[("localhost", 6_000)])
        );
    }

    #[test]
    fn servers_that_are_named_by_halves_are_a_fault() {
        for (text, told) in [
            ("postgres://sw@h1,,h2/db?sslmode=require", "names each"),
            ("postgres://sw@h1,/db?sslmode=require", "names each"),
            ("postgres://sw@h1,h2/db?sslmode=require&host=h3", "once"),
            ("postgres://sw@h1,h2/db?sslmode=require&port=1,2", "once"),
            ("postgres://sw@h1,h2/db?sslmode=require&port=1", "once"),
            (
                "postgres:///db?user=sw&host=h1,h2&port=1,2,3&sslmode=require",
                "one value for each",
            ),
            (
                "postgres:///db?user=sw&host=h1&port=1,2&sslmode=require",
                "one value for each",
            ),
            (
                "postgres:///db?user=sw&host=h1,h2&hostaddr=10.0.0.1&sslmode=require",
                "one value for each",
            ),
            (
                "postgres:///db?user=sw&host=h1,&sslmode=require",
                "one value for each",
            ),
            (
                "postgres://sw@a,b,c,d,e,f,g/db?sslmode=require",
                "6 hosts at most",
            ),
            (
                "postgres://sw@localhost,db.example/db",
                "?sslmode=verify-full",
            ),
            (
                "postgres://sw@localhost,10.0.0.1/db",
                "?sslmode=verify-full",
            ),
            (
                "postgres://sw@a,b/db?sslmode=require&target_session_attrs=any",
                "`target_session_attrs`",
            ),
            (
                "postgres://sw@a,b/db?sslmode=require&target_session_attrs=prefer-standby",
                "`target_session_attrs`",
            ),
            (
                "postgres://sw@a:1,b:x/db?sslmode=require",
                "postgres://user:password@host/name",
            ),
            (
                "postgres:///db?user=sw&host=a,b&port=1,x&sslmode=require",
                "`port`",
            ),
        ] {
            let said = fault(text);
            assert!(said.contains(told), "{text}: {said}");
        }
    }

    #[test]
    fn several_servers_are_shown_as_they_were_written_and_without_the_password() {
        for (text, shown) in [
            (
                "postgres://sw:hunter2@h1:5432,h2:6432,[::1]/db?sslmode=require&options=-chunter2",
                "postgres://sw:redacted@h1:5432,h2:6432,[::1]/db?sslmode=require&options=redacted",
            ),
            (
                "postgres:///db?user=sw&password=hunter2&host=/a,/b",
                "postgres:///db?user=sw&password=redacted&host=%2Fa%2C%2Fb",
            ),
        ] {
            let url = PostgresUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }
}
