//! The configuration as meant: what every key comes to. Must not know how it was written.

use std::net::SocketAddr;

use crate::domain::agent::Audience;
use crate::domain::network::Networks;
use crate::domain::quota::Plans;
use crate::domain::risk::RiskRules;
use crate::domain::ttl::Ttl;
use crate::keys::TokenTyp;
use crate::keys::algorithm::RsaBits;
use crate::keys::seal::MasterKey;

use super::value::DatabaseUrl;

/// Everything that can be configured. Nothing after start reads it from anywhere else.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners.
    pub server: ServerConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Tokens.
    pub token: TokenConfig,
    /// Signing keys.
    pub keys: KeysConfig,
    /// Protection against too much.
    pub limits: LimitsConfig,
    /// Tokens a month by plan; `free` and `unlimited` are always there.
    pub plans: Plans,
    /// Which scopes are high-risk.
    pub scopes: RiskRules,
    /// The audit log.
    pub audit: AuditConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// Listeners.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where metrics are served.
    pub ops_listen: SocketAddr,
    /// Where plain HTTP may be spoken.
    pub plaintext: Plaintext,
    /// How many seconds a stop waits for requests that are being answered.
    pub drain_seconds: u64,
    /// How many seconds a stop still takes in connections, and says that it is not ready.
    pub drain_delay_seconds: u64,
    /// How many seconds a connection is kept between two requests.
    pub idle_seconds: u64,
    /// The most connections; 0 takes nine tenths of the descriptors, 65,536 at most.
    pub max_connections: usize,
    /// The most connections from one address; 0 is off, `None` takes half of all, 4,096 at most.
    pub max_connections_per_source: Option<usize>,
    /// Whose word about a client's address is taken.
    pub trusted_proxies: Networks,
    /// The header in which it stands.
    pub client_address_header: Option<String>,
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
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("loopback", Self::Loopback),
        ("behind-proxy", Self::BehindProxy),
    ];
}

/// The store.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Which and where.
    pub url: DatabaseUrl,
    /// The most connections that this process opens to Postgres.
    pub max_connections: u32,
}

/// Tokens.
#[derive(Debug, Clone)]
pub struct TokenConfig {
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

/// Signing keys.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// Seals private keys; `None` on SQLite takes the one in the data folder.
    pub master_key: Option<MasterKey>,
    /// The size of new keys.
    pub rsa_bits: RsaBits,
    /// Seconds that a new key is published before it signs: at least the minute until every replica
    /// has read it and the five for which a verifier keeps the JWKS.
    pub announce_seconds: i64,
}

/// Protection against too much.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Requests a minute of one agent to this process, counted once its secret was proven; 0 is off.
    pub requests_per_minute: u32,
    /// Introspections a minute of one caller, in this process; 0 is off.
    pub introspections_per_minute: u32,
    /// Revocations a minute of one caller, in this process; 0 is off.
    pub revocations_per_minute: u32,
    /// Failed logins a minute of one source prefix that cost a hash; 0 is off.
    pub failures_per_minute: u32,
    /// Threads that hash passwords; 0 takes half the cores.
    pub hash_threads: usize,
    /// How many logins may wait for one of them.
    pub hash_queue: usize,
    /// How many tokens of one killed agent the revocation list names one by one.
    pub listed_tokens: usize,
    /// How many secrets of one agent may be live at once.
    pub credentials_per_agent: i64,
}

/// The audit log.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// Days that `token.issued` events are kept, at least one.
    pub keep_days: u32,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct LogConfig {
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
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("json", Self::Json),
        ("human", Self::Human),
    ];
}
