//! The configuration as meant.
//!
//! Owns what each value may be and which values go together; reports every fault at once, each
//! with its key, where it was set and the rule. Must not know what the values are used for.
//! Reading order: [`table`] (every key on one screen), this file, [`raw`] (the layers), [`value`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::domain::agent::Audience;
use crate::domain::quota::Plans;
use crate::domain::scope::Scope;
use crate::domain::ttl::Ttl;
use crate::keys::seal::MasterKey;

pub mod fault;
pub mod raw;
pub mod table;
pub mod value;

use fault::{Fault, Faults, Origin};
use raw::Raw;
pub use value::DatabaseUrl;

/// Everything that can be configured. Nothing after start reads it from anywhere else.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners.
    pub server: Server,
    /// The store.
    pub database: Database,
    /// Tokens.
    pub token: Token,
    /// Signing keys.
    pub keys: Keys,
    /// Protection against too much.
    pub limits: Limits,
    /// Tokens a month by plan; `free` and `unlimited` are always there.
    pub plans: Plans,
    /// Scopes.
    pub scopes: Scopes,
    /// The audit log.
    pub audit: Audit,
    /// What is logged.
    pub log: Log,
}

/// Listeners.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where metrics are served.
    pub ops_listen: SocketAddr,
    /// Where plain HTTP may be spoken.
    pub plaintext: Plaintext,
    /// How many seconds a stop waits for requests that are being answered.
    pub drain_seconds: u64,
}

/// Where plain HTTP may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// On loopback addresses only.
    Loopback,
    /// Anywhere: a proxy in front ends TLS.
    BehindProxy,
}

impl Plaintext {
    pub(super) const WORDS: &[(&str, Self)] =
        &[("loopback", Self::Loopback), ("behind-proxy", Self::BehindProxy)];
}

/// The store.
#[derive(Debug, Clone)]
pub struct Database {
    /// Which and where.
    pub url: DatabaseUrl,
    /// The most connections that this process opens to Postgres.
    pub max_connections: u32,
}

/// Tokens.
#[derive(Debug, Clone)]
pub struct Token {
    /// The `iss` claim and the base of every published URL: absolute, without query, fragment or
    /// trailing slash, exactly as written.
    pub issuer: String,
    /// The lifetime of a token whose agent has none of its own.
    pub default_ttl: Ttl,
    /// The `aud` of a token that asked for none; `None` takes the issuer.
    pub default_audience: Option<Audience>,
    /// The `typ` in a token's header.
    pub typ: TokenTyp,
}

/// The `typ` in a token's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenTyp {
    /// `at+jwt` (RFC 9068 §2.1).
    AtJwt,
    /// `JWT`, for verifiers that refuse `at+jwt`.
    Jwt,
}

impl TokenTyp {
    pub(super) const WORDS: &[(&str, Self)] = &[("at+jwt", Self::AtJwt), ("JWT", Self::Jwt)];
}

/// Signing keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Seals private keys; `None` on SQLite takes the one in the data folder.
    pub master_key: Option<MasterKey>,
    /// The size of new keys.
    pub rsa_bits: RsaBits,
    /// Seconds that a new key is published before it signs, never negative.
    pub announce_seconds: i64,
}

/// The size of an RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl RsaBits {
    pub(super) const WORDS: &[(&str, Self)] =
        &[("2048", Self::B2048), ("3072", Self::B3072), ("4096", Self::B4096)];

    /// In bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::B2048 => 2_048,
            Self::B3072 => 3_072,
            Self::B4096 => 4_096,
        }
    }
}

/// Protection against too much.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a minute of one agent to this process, counted once its secret was proven; 0 is off.
    pub requests_per_minute: u32,
    /// Failed logins a minute of one source prefix that cost a hash; 0 is off.
    pub failures_per_minute: u32,
    /// Threads that hash passwords; 0 takes half the cores.
    pub hash_threads: usize,
    /// How many logins may wait for one of them.
    pub hash_queue: usize,
}

/// Scopes.
#[derive(Debug, Clone)]
pub struct Scopes {
    /// High-risk besides those that their name or the catalogue makes so.
    pub high_risk: Vec<Scope>,
}

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Days that `token.issued` events are kept, at least one.
    pub keep_days: u32,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or levels by module.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Whether each request that was answered gets a line.
    pub requests: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

impl LogFormat {
    pub(super) const WORDS: &[(&str, Self)] =
        &[("auto", Self::Auto), ("json", Self::Json), ("human", Self::Human)];
}

/// Whether a command opens the store and with it sealed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKeyNeed {
    /// Postgres without a master key is a fault: every command but two.
    WithPostgres,
    /// `migrate` and `healthcheck` touch no key.
    Never,
}

/// One key as `config show` has it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// `section.key`.
    pub key: String,
    /// Its effective value, secrets redacted.
    pub value: serde_json::Value,
    /// Where it was set.
    pub origin: Origin,
}

impl Config {
    /// Reads the meaning of what was written. All faults are reported, not the first.
    pub fn resolve(raw: &Raw, need: MasterKeyNeed) -> Result<Self, Faults> {
        let mut config = Self::blank();
        let mut faults = raw.faults.clone();
        // Layer by layer, so that a value which another layer overrides is checked too.
        for setting in &raw.settings {
            if let Err(rule) = table::put(&mut config, &setting.key, &setting.written) {
                let value = match &setting.written {
                    _ if table::is_secret(&setting.key) => None,
                    raw::Written::One(text) => Some(text.clone()),
                    raw::Written::Many(parts) => Some(parts.join(", ")),
                };
                let (key, origin) = (setting.key.clone(), setting.origin.clone());
                faults.push(Fault { key, origin, value, rule: rule.0.to_owned() });
            }
        }
        // A key with a fault holds its default by now, so no fault is reported twice.
        for (key, rule) in config.contradictions(need) {
            let origin = raw.effective(key).map_or(Origin::Default, |s| s.origin.clone());
            faults.push(Fault { key: key.to_owned(), origin, value: None, rule: rule.to_owned() });
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }

    /// Every key with its effective value and where it was set, in the order of `default.toml`.
    pub fn show(&self, raw: &Raw) -> Vec<Shown> {
        let origin = |key: &str| raw.effective(key).map_or(Origin::Default, |s| s.origin.clone());
        let shown = |key: &str, value| Shown { key: key.to_owned(), value, origin: origin(key) };
        let plans = self.plans.0.iter().map(|(name, limit)| {
            let value = limit.map_or_else(|| "unlimited".into(), serde_json::Value::from);
            shown(&format!("plans.{name}"), value)
        });
        let mut all: Vec<Shown> = table::KEYS.iter().map(|k| shown(k.name, (k.show)(self))).collect();
        let place = all.iter().position(|s| s.key.starts_with("scopes.")).unwrap_or(all.len());
        all.splice(place..place, plans);
        all
    }

    /// Values that are fine alone and not together: the key to blame and the rule.
    fn contradictions(&self, need: MasterKeyNeed) -> Vec<(&'static str, &'static str)> {
        const PLAINTEXT: &str =
            "plain HTTP on an address that is not loopback needs server.plaintext = \"behind-proxy\"";
        let (server, mut found) = (&self.server, Vec::new());
        if server.plaintext == Plaintext::Loopback {
            let exposed = [("server.listen", server.listen), ("server.ops_listen", server.ops_listen)];
            found.extend(exposed.iter().filter(|(_, a)| !a.ip().is_loopback()).map(|(k, _)| (*k, PLAINTEXT)));
        }
        if server.listen == server.ops_listen && server.listen.port() != 0 {
            found.push(("server.ops_listen", "it must differ from server.listen"));
        }
        let postgres = matches!(self.database.url, DatabaseUrl::Postgres(_));
        if postgres && self.keys.master_key.is_none() && need == MasterKeyNeed::WithPostgres {
            found.push((
                "keys.master_key",
                "Postgres needs one: 32 random bytes in base64 (openssl rand -base64 32), in \
                 SEALWRIGHT_KEYS__MASTER_KEY or SEALWRIGHT_KEYS__MASTER_KEY_FILE",
            ));
        }
        found
    }

    /// Where reading starts. `default.toml` sets every key, so nothing of this is ever seen.
    fn blank() -> Self {
        Self {
            server: Server {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                plaintext: Plaintext::Loopback,
                drain_seconds: 0,
            },
            database: Database { url: DatabaseUrl::Sqlite("".into()), max_connections: 0 },
            token: Token {
                issuer: String::new(),
                default_ttl: Ttl::DEFAULT,
                default_audience: None,
                typ: TokenTyp::AtJwt,
            },
            keys: Keys { master_key: None, rsa_bits: RsaBits::B2048, announce_seconds: 0 },
            limits: Limits { requests_per_minute: 0, failures_per_minute: 0, hash_threads: 0, hash_queue: 0 },
            plans: Plans(BTreeMap::new()),
            scopes: Scopes { high_risk: vec![] },
            audit: Audit { keep_days: 0 },
            log: Log { filter: String::new(), format: LogFormat::Auto, requests: false },
        }
    }
}

#[cfg(test)]
mod tests;
