//! The typed configuration: the meaning of every key. Must not know how a value was written.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::domain::agent::Audience;
use crate::domain::event::source::SourcePrecision;
use crate::domain::host_port::HostPort;
use crate::domain::network::Networks;
use crate::domain::quota::Plans;
use crate::domain::risk::RiskRules;
use crate::domain::scope_pattern::ScopePattern;
use crate::domain::ttl::Ttl;
use crate::keys::TokenTyp;
use crate::keys::algorithm::RsaBits;
use crate::keys::seal::MasterKey;

use super::value::DatabaseUrl;

/// Everything that can be configured. After the start, the program reads configuration from here
/// only.
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
    /// Limits that protect the server against overload.
    pub limits: LimitsConfig,
    /// Requests that the server makes of others.
    pub outbound: OutboundConfig,
    /// Tokens a month by plan. The plans `free` and `unlimited` always exist.
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
    /// The address to which clients connect.
    pub listen: SocketAddr,
    /// The address that serves metrics.
    pub ops_listen: SocketAddr,
    /// The PEM file of the clients' listener's certificate, with its chain. `None` means plain HTTP.
    pub tls_cert: Option<PathBuf>,
    /// The PEM file of its private key.
    pub tls_key: Option<PathBuf>,
    /// Where plain HTTP may be spoken.
    pub plaintext: Plaintext,
    /// How many seconds a stopping server waits for requests that are in flight.
    pub drain_seconds: u64,
    /// How many seconds a stopping server still accepts connections while it reports that it is not
    /// ready.
    pub drain_delay_seconds: u64,
    /// How many seconds an idle connection is kept between two requests.
    pub idle_seconds: u64,
    /// The most connections. 0 means nine tenths of the file descriptors, but at most 65,536.
    pub max_connections: usize,
    /// The most connections from one address. 0 sets no limit. `None` means half of all
    /// connections, but at most 4,096.
    pub max_connections_per_source: Option<usize>,
    /// The proxies that may name a client's address.
    pub trusted_proxies: Networks,
    /// The header field in which these proxies write the client's address.
    pub client_address_header: Option<String>,
    /// Whether the process may leave a core dump, and be read by a debugger of its user.
    pub core_dumps: bool,
}

/// Where plain HTTP may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// On loopback addresses only.
    Loopback,
    /// On any address: a proxy in front terminates TLS.
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
    /// Which database, and where it is.
    pub url: DatabaseUrl,
    /// Whether an operator chose the URL, and not only its default holds.
    pub is_chosen: bool,
    /// The most connections that this process opens to Postgres.
    pub max_connections: u32,
}

/// Tokens.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The `iss` claim and the base of every published URL: absolute, without query, fragment or
    /// trailing slash, exactly as written.
    pub issuer: String,
    /// The lifetime of a token when its agent has no lifetime of its own.
    pub default_ttl: Ttl,
    /// The `aud` of a token when its request asked for no audience. `None` means the issuer.
    pub default_audience: Option<Audience>,
    /// The `typ` in an access token's JOSE header.
    pub typ: TokenTyp,
}

/// Signing keys.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// The key that seals private keys. `None` with SQLite means the key file in the data folder.
    pub master_key: Option<MasterKey>,
    /// The master key before it, under which a part of the store may still be sealed. It opens, and
    /// seals nothing.
    pub master_key_previous: Option<MasterKey>,
    /// The size of new keys.
    pub rsa_bits: RsaBits,
    /// How many seconds a new key is published before it signs. At least six minutes: every replica
    /// has read the key after one minute, and a verifier may cache the JWKS for five.
    pub announce_seconds: i64,
    /// How many days a key signs before the next one takes over. 0 means that keys are rotated by
    /// hand. `None` leaves it to the store: 30 days, and by hand if an earlier release made it.
    pub rotate_days: Option<u32>,
}

/// Limits that protect the server against overload.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Requests a minute of one agent to this process, counted after the agent has proven its
    /// secret. 0 sets no limit.
    pub requests_per_minute: u32,
    /// Introspections a minute of one caller, in this process. 0 sets no limit.
    pub introspections_per_minute: u32,
    /// Revocations a minute of one caller, in this process. 0 sets no limit.
    pub revocations_per_minute: u32,
    /// Failed logins a minute from one source prefix, counting only those that cost a password
    /// hash. 0 sets no limit.
    pub failures_per_minute: u32,
    /// Threads that hash passwords. 0 means half the cores.
    pub hash_threads: usize,
    /// How many logins may wait for a hash thread.
    pub hash_queue: usize,
    /// How many tokens of one killed agent the revocation list names one by one.
    pub listed_tokens: usize,
    /// How many requests for the revocation list may wait for news at once.
    pub held_polls: usize,
    /// How many secrets of one agent may be live at once.
    pub credentials_per_agent: i64,
    /// How many partners one organization may have.
    pub partners_per_org: i64,
    /// Which scopes a secret does not open.
    pub secretless_scopes: Vec<ScopePattern>,
}

/// Requests that the server makes of others.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// The targets that are allowed wherever their addresses are.
    pub allow: Vec<HostPort>,
    /// The PEM file of authorities that are trusted besides those of the system.
    pub ca_cert: Option<PathBuf>,
    /// The PEM file of the authorities of the system, as the environment names it. `None` leaves it
    /// to the system.
    pub system_certs: Option<PathBuf>,
}

/// The audit log.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// How many days `token.issued` events are kept, at least one.
    pub keep_days: u32,
    /// How precisely events tell a client's address.
    pub source: SourcePrecision,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A level, or levels by module.
    pub filter: String,
    /// The format of a line.
    pub format: LogFormat,
    /// Which answered requests are logged, one line for each.
    pub requests: LoggedRequests,
    /// Whether requests of probes are logged too.
    pub probes: bool,
}

/// Which answered requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedRequests {
    /// All of them.
    All,
    /// Those that were refused or failed: with a status of 400 or above.
    Errors,
    /// None.
    None,
}

impl LoggedRequests {
    /// The words that are read. `true` and `false` are those of earlier releases.
    pub(crate) const WORDS: [(&str, Self); 5] = [
        ("all", Self::All),
        ("errors", Self::Errors),
        ("none", Self::None),
        ("true", Self::All),
        ("false", Self::None),
    ];

    /// The word that is shown.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Errors => "errors",
            Self::None => "none",
        }
    }
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Human`](Self::Human) on a terminal, [`Json`](Self::Json) elsewhere.
    Auto,
    /// One JSON object on each line.
    Json,
    /// Text for people.
    Human,
}

impl LogFormat {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("json", Self::Json),
        ("human", Self::Human),
    ];
}
