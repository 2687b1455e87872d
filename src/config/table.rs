//! The table of configuration keys.
//!
//! Owns the name of each key, the rule of its value and how it is shown. Must not know from which
//! layer a value comes, or what it is used for.
//!
//! To add a key: a line here, a line in `config/default.toml`, a field in `model`, and its value in
//! `Config::blank()` (`resolve`). If SIGHUP may change the key, also `LIVE` and `apply` in
//! `src/app/reload.rs`.

use serde_json::{Value, json};

use crate::domain::agent::Audience;
use crate::domain::event::source::SourcePrecision;
use crate::domain::host_port::HostPort;
use crate::domain::network::{Network, Networks};
use crate::domain::quota::PlanName;
use crate::domain::risk::{NameRule, Unclassified};
use crate::domain::scope::Scope;
use crate::domain::scope_pattern::ScopePattern;
use crate::domain::ttl::{MAX_TTL, TTL_RULE, Ttl};
use crate::keys::TokenTyp;
use crate::keys::algorithm::RsaBits;
use crate::keys::seal::MasterKey;

use super::model::{Config, LogFormat, LoggedRequests, Plaintext};
use super::rule::Rule;
use super::value::{
    address, automatic, choice, database_url, default_audience, filter, header_name, issuer, list,
    number, optional, text,
};
use super::written::Written;

/// One key: its name, how its value is put into a [`Config`], and how it is shown.
pub(crate) struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// Whether the value is a secret: then no message repeats it, and the command line may not set
    /// it.
    pub secret: bool,
    put: fn(&mut Config, &Written) -> Result<(), Rule>,
    /// The effective value, secrets redacted.
    pub show: fn(&Config) -> Value,
}

const fn key(
    name: &'static str,
    put: fn(&mut Config, &Written) -> Result<(), Rule>,
    show: fn(&Config) -> Value,
) -> Key {
    Key {
        name,
        secret: false,
        put,
        show,
    }
}

const fn secret(
    name: &'static str,
    put: fn(&mut Config, &Written) -> Result<(), Rule>,
    show: fn(&Config) -> Value,
) -> Key {
    Key {
        name,
        secret: true,
        put,
        show,
    }
}

/// Every key, in the order of `default.toml`. The keys of plans are missing, since an operator
/// names plans freely: see [`put`].
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("server.listen", |c, w| set(&mut c.server.listen, address(w)), |c| json!(c.server.listen)),
    key("server.ops_listen", |c, w| set(&mut c.server.ops_listen, address(w)), |c| json!(c.server.ops_listen)),
    key("server.tls_cert", |c, w| set(&mut c.server.tls_cert, optional(w, |path| Ok(path.into()))), |c| json!(c.server.tls_cert)),
    key("server.tls_key", |c, w| set(&mut c.server.tls_key, optional(w, |path| Ok(path.into()))), |c| json!(c.server.tls_key)),
    key("server.plaintext", |c, w| set(&mut c.server.plaintext, choice(w, Plaintext::WORDS, "loopback or behind-proxy")), |c| word(c.server.plaintext, Plaintext::WORDS)),
    key("server.drain_seconds", |c, w| set(&mut c.server.drain_seconds, number(w, 0..=3_600, "0 to 3600 seconds")), |c| json!(c.server.drain_seconds)),
    key("server.drain_delay_seconds", |c, w| set(&mut c.server.drain_delay_seconds, number(w, 0..=300, "0 to 300 seconds")), |c| json!(c.server.drain_delay_seconds)),
    key("server.idle_seconds", |c, w| set(&mut c.server.idle_seconds, number(w, 1..=3_600, "1 to 3600 seconds")), |c| json!(c.server.idle_seconds)),
    key("server.max_connections", |c, w| set(&mut c.server.max_connections, number(w, 0..=1_000_000, "0 (nine tenths of the descriptors) to 1000000 connections")), |c| json!(c.server.max_connections)),
    key("server.max_connections_per_source", |c, w| set(&mut c.server.max_connections_per_source, automatic(w, 0..=1_000_000, "auto, or 0 (off) to 1000000 connections")), |c| c.server.max_connections_per_source.map_or_else(|| json!("auto"), |n| json!(n))),
    key("server.trusted_proxies", |c, w| set(&mut c.server.trusted_proxies, list(w).into_iter().map(Network::parse).collect::<Result<_, _>>().map(Networks)), |c| json!(c.server.trusted_proxies.0.iter().map(ToString::to_string).collect::<Vec<_>>())),
    key("server.client_address_header", |c, w| set(&mut c.server.client_address_header, optional(w, header_name)), |c| json!(c.server.client_address_header)),
    key("server.core_dumps", |c, w| set(&mut c.server.core_dumps, choice(w, &[("true", true), ("false", false)], "true or false")), |c| json!(c.server.core_dumps)),
    secret("database.url", |c, w| set(&mut c.database.url, database_url(w)), |c| json!(c.database.url.to_string())),
    key("database.max_connections", |c, w| set(&mut c.database.max_connections, number(w, 4..=1_000, "4 to 1000 connections")), |c| json!(c.database.max_connections)),
    key("token.issuer", |c, w| set(&mut c.token.issuer, issuer(w)), |c| json!(c.token.issuer)),
    key("token.default_ttl", |c, w| set(&mut c.token.default_ttl, number(w, 300..=MAX_TTL, TTL_RULE).and_then(Ttl::new)), |c| json!(c.token.default_ttl.secs())),
    key("token.default_audience", |c, w| set(&mut c.token.default_audience, optional(w, default_audience)), |c| json!(c.token.default_audience.as_ref().map(Audience::as_str))),
    key("token.typ", |c, w| set(&mut c.token.typ, choice(w, TYPS, "at+jwt or JWT")), |c| word(c.token.typ, TYPS)),
    secret("keys.master_key", |c, w| set(&mut c.keys.master_key, optional(w, MasterKey::parse)), |c| json!(c.keys.master_key.as_ref().map(|_| "(set)"))),
    secret("keys.master_key_previous", |c, w| set(&mut c.keys.master_key_previous, optional(w, MasterKey::parse)), |c| json!(c.keys.master_key_previous.as_ref().map(|_| "(set)"))),
    key("keys.rsa_bits", |c, w| set(&mut c.keys.rsa_bits, choice(w, BITS, "2048, 3072 or 4096 bits")), |c| bits(c.keys.rsa_bits)),
    key("keys.announce_seconds", |c, w| set(&mut c.keys.announce_seconds, number(w, 360..=2_592_000, "360 to 2592000 seconds, so that every replica and cache has a key before it signs")), |c| json!(c.keys.announce_seconds)),
    key("keys.rotate_days", |c, w| set(&mut c.keys.rotate_days, automatic(w, 0..=3_650, "auto, or 0 (by hand) to 3650 days")), |c| c.keys.rotate_days.map_or_else(|| json!("auto"), |n| json!(n))),
    key("limits.requests_per_minute", |c, w| set(&mut c.limits.requests_per_minute, number(w, 0..=6_000_000, "0 (off) to 6000000 requests")), |c| json!(c.limits.requests_per_minute)),
    key("limits.introspections_per_minute", |c, w| set(&mut c.limits.introspections_per_minute, number(w, 0..=60_000_000, "0 (off) to 60000000 introspections")), |c| json!(c.limits.introspections_per_minute)),
    key("limits.revocations_per_minute", |c, w| set(&mut c.limits.revocations_per_minute, number(w, 0..=60_000_000, "0 (off) to 60000000 revocations")), |c| json!(c.limits.revocations_per_minute)),
    key("limits.failures_per_minute", |c, w| set(&mut c.limits.failures_per_minute, number(w, 0..=6_000_000, "0 (off) to 6000000 failures")), |c| json!(c.limits.failures_per_minute)),
    key("limits.hash_threads", |c, w| set(&mut c.limits.hash_threads, number(w, 0..=256, "0 (half the cores) to 256 threads")), |c| json!(c.limits.hash_threads)),
    key("limits.hash_queue", |c, w| set(&mut c.limits.hash_queue, number(w, 1..=10_000, "1 to 10000 logins")), |c| json!(c.limits.hash_queue)),
    key("limits.listed_tokens", |c, w| set(&mut c.limits.listed_tokens, number(w, 0..=10_000_000, "0 to 10000000 tokens")), |c| json!(c.limits.listed_tokens)),
    key("limits.held_polls", |c, w| set(&mut c.limits.held_polls, number(w, 0..=1_000_000, "0 to 1000000 requests")), |c| json!(c.limits.held_polls)),
    key("limits.credentials_per_agent", |c, w| set(&mut c.limits.credentials_per_agent, number(w, 1..=10, "1 to 10 secrets")), |c| json!(c.limits.credentials_per_agent)),
    key("limits.partners_per_org", |c, w| set(&mut c.limits.partners_per_org, number(w, 1..=10_000, "1 to 10000 partners")), |c| json!(c.limits.partners_per_org)),
    key("limits.secretless_scopes", |c, w| set(&mut c.limits.secretless_scopes, list(w).into_iter().map(ScopePattern::parse).collect()), |c| json!(c.limits.secretless_scopes.iter().map(ScopePattern::as_str).collect::<Vec<_>>())),
    key("outbound.allow", |c, w| set(&mut c.outbound.allow, list(w).into_iter().map(HostPort::parse).collect::<Result<_, _>>()), |c| json!(c.outbound.allow.iter().map(ToString::to_string).collect::<Vec<_>>())),
    key("outbound.ca_cert", |c, w| set(&mut c.outbound.ca_cert, optional(w, |path| Ok(path.into()))), |c| json!(c.outbound.ca_cert)),
    key("scopes.rule", |c, w| set(&mut c.scopes.rule, choice(w, RULES, "words or suffix")), |c| word(c.scopes.rule, RULES)),
    key("scopes.unclassified", |c, w| set(&mut c.scopes.unclassified, choice(w, UNCLASSIFIED, "low or high")), |c| word(c.scopes.unclassified, UNCLASSIFIED)),
    key("scopes.high_risk", |c, w| set(&mut c.scopes.high_risk, list(w).into_iter().map(Scope::parse).collect()), |c| json!(c.scopes.high_risk.iter().map(Scope::as_str).collect::<Vec<_>>())),
    key("audit.keep_days", |c, w| set(&mut c.audit.keep_days, number(w, 1..=36_500, "1 to 36500 days")), |c| json!(c.audit.keep_days)),
    key("audit.source", |c, w| set(&mut c.audit.source, text(w).and_then(SourcePrecision::parse)), |c| json!(c.audit.source.as_str())),
    key("log.filter", |c, w| set(&mut c.log.filter, filter(w)), |c| json!(c.log.filter)),
    key("log.format", |c, w| set(&mut c.log.format, choice(w, LogFormat::WORDS, "auto, json or human")), |c| word(c.log.format, LogFormat::WORDS)),
    key("log.requests", |c, w| set(&mut c.log.requests, choice(w, &LoggedRequests::WORDS, "all, errors or none")), |c| json!(c.log.requests.word())),
    key("log.probes", |c, w| set(&mut c.log.probes, choice(w, &[("true", true), ("false", false)], "true or false")), |c| json!(c.log.probes)),
];

const TYPS: &[(&str, TokenTyp)] = &[("at+jwt", TokenTyp::AtJwt), ("JWT", TokenTyp::Jwt)];
const RULES: &[(&str, NameRule)] = &[("words", NameRule::Words), ("suffix", NameRule::Suffix)];
const UNCLASSIFIED: &[(&str, Unclassified)] =
    &[("low", Unclassified::Low), ("high", Unclassified::High)];
const BITS: &[(&str, RsaBits)] = &[
    ("2048", RsaBits::B2048),
    ("3072", RsaBits::B3072),
    ("4096", RsaBits::B4096),
];

const PLANS: &str = "plans.";

/// Parses a value and stores it in the field of its key.
pub(crate) fn put(config: &mut Config, name: &str, written: &Written) -> Result<(), Rule> {
    if let Some(plan) = name.strip_prefix(PLANS) {
        return put_plan(config, plan, written);
    }
    match KEYS.iter().find(|k| k.name == name) {
        Some(key) => (key.put)(config, written),
        None => Err("no key has this name".into()),
    }
}

fn put_plan(config: &mut Config, plan: &str, written: &Written) -> Result<(), Rule> {
    let name = PlanName::parse(plan)?;
    // SEALWRIGHT_PLANS__X_FILE always names a file that holds the value (contract §7).
    if plan.ends_with("_file") {
        return Err("a plan's name does not end in _file".into());
    }
    let limit = match text(written)? {
        "unlimited" => None,
        _ => Some(number(
            written,
            0..=i64::MAX,
            "a number of tokens a month, or unlimited",
        )?),
    };
    config.plans.0.insert(name, limit);
    Ok(())
}

fn set<T, E: Into<Rule>>(place: &mut T, value: Result<T, E>) -> Result<(), Rule> {
    *place = value.map_err(Into::into)?;
    Ok(())
}

fn word<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> Value {
    json!(
        words
            .iter()
            .find(|(_, meaning)| *meaning == value)
            .map(|(word, _)| word)
    )
}

fn bits(value: RsaBits) -> Value {
    json!(match value {
        RsaBits::B2048 => 2_048,
        RsaBits::B3072 => 3_072,
        RsaBits::B4096 => 4_096,
    })
}

/// Whether `name` is a key. The name of any plan is one.
pub(crate) fn is_known(name: &str) -> bool {
    let plan = name
        .strip_prefix(PLANS)
        .is_some_and(|plan| !plan.is_empty() && !plan.contains('.'));
    plan || KEYS.iter().any(|k| k.name == name)
}

/// Whether the value under `name` must never be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|k| k.name == name && k.secret)
}

/// Whether a section has this name.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|s| s == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter_map(|k| k.name.split_once('.'))
        .map(|(section, _)| section)
        .chain(["plans"])
}

/// The message for an unknown key.
pub(crate) fn unknown_key(name: &str) -> String {
    let last = |n: &'static str| n.split_once('.').map_or(n, |(_, last)| last);
    let same = KEYS
        .iter()
        .map(|k| k.name)
        .find(|n| last(n) == name.rsplit('.').next().unwrap_or(name));
    did_you_mean(
        "no key has this name",
        same.or_else(|| nearest(name, KEYS.iter().map(|k| k.name))),
    )
}

/// The message for an unknown section.
pub(crate) fn unknown_section(name: &str) -> String {
    did_you_mean("no section has this name", nearest(name, sections()))
}

/// The message for an environment variable with an unknown key. `key` is the key as it was read
/// from the variable's name.
pub(crate) fn unknown_variable(key: &str) -> String {
    let near = if is_known(key) {
        Some(key)
    } else {
        nearest(key, KEYS.iter().map(|k| k.name))
    };
    let name = near.map(|n| {
        format!(
            "SEALWRIGHT_{}",
            n.replacen('.', "__", 1).to_ascii_uppercase()
        )
    });
    did_you_mean("no configuration variable has this name", name.as_deref())
}

fn did_you_mean(what: &str, near: Option<&str>) -> String {
    near.map_or_else(
        || what.to_owned(),
        |near| format!("{what}; did you mean {near}?"),
    )
}

fn nearest(name: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    names
        .map(|n| (strsim::normalized_damerau_levenshtein(name, n), n))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, n)| n)
}
