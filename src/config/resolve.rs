//! Turns the written configuration into the typed one, and reports all faults at once.
//!
//! Owns which values go together. Must not know what they are used for.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::domain::event::source::SourcePrecision;
use crate::domain::network::Networks;
use crate::domain::quota::Plans;
use crate::domain::risk::RiskRules;
use crate::domain::ttl::Ttl;
use crate::keys::TokenTyp;
use crate::keys::algorithm::RsaBits;

use super::fault::{Fault, Faults, Origin};
use super::model::{
    AuditConfig, Config, DatabaseConfig, KeysConfig, LimitsConfig, LogConfig, LogFormat,
    LoggedRequests, OutboundConfig, Plaintext, ServerConfig, TokenConfig,
};
use super::raw::Raw;
use super::table;
use super::value::DatabaseUrl;

/// Whether a command opens the store, which holds sealed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKeyNeed {
    /// With Postgres, a missing master key is a fault. This holds for every command except
    /// `migrate` and `healthcheck`.
    WithPostgres,
    /// The command uses no key: `migrate` and `healthcheck`.
    Never,
}

/// One key as `config show` prints it.
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
    /// Parses the written values. Reports all faults, not only the first.
    pub fn resolve(raw: &Raw, need: MasterKeyNeed) -> Result<Self, Faults> {
        let mut config = Self::blank();
        let mut faults = raw.faults.clone();
        // Go layer by layer, so that a value is checked even if a later layer overrides it.
        for setting in &raw.settings {
            if let Err(rule) = table::put(&mut config, &setting.key, &setting.written) {
                faults.push(setting.fault(rule));
            }
        }
        config.database.is_chosen = raw
            .effective("database.url")
            .is_some_and(|setting| !matches!(setting.origin, Origin::Default));
        // A key with a fault has kept its earlier value, so no fault is reported twice.
        for (key, rule) in config.contradictions(need) {
            let origin = raw
                .effective(key)
                .map_or(Origin::Default, |s| s.origin.clone());
            faults.push(Fault {
                key: key.to_owned(),
                origin,
                value: None,
                rule: rule.to_owned(),
            });
        }
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Faults(faults))
        }
    }

    /// Every key with its effective value and where it was set, in the order of `default.toml`.
    pub fn show(&self, raw: &Raw) -> Vec<Shown> {
        let origin = |key: &str| {
            raw.effective(key)
                .map_or(Origin::Default, |s| s.origin.clone())
        };
        let shown = |key: &str, value| Shown {
            key: key.to_owned(),
            value,
            origin: origin(key),
        };
        let plans = self.plans.0.iter().map(|(name, limit)| {
            let value = limit.map_or_else(|| "unlimited".into(), serde_json::Value::from);
            shown(&format!("plans.{name}"), value)
        });
        let mut all: Vec<Shown> = table::KEYS
            .iter()
            .map(|k| shown(k.name, (k.show)(self)))
            .collect();
        let place = all
            .iter()
            .position(|s| s.key.starts_with("scopes."))
            .unwrap_or(all.len());
        all.splice(place..place, plans);
        all
    }

    /// Values that are valid alone but not together. Each item is the key to blame and the rule.
    fn contradictions(&self, need: MasterKeyNeed) -> Vec<(&'static str, &'static str)> {
        const PLAINTEXT: &str = "plain HTTP on an address that is not loopback needs server.plaintext = \"behind-proxy\"";
        let (server, mut found) = (&self.server, Vec::new());
        let has_tls = server.tls_cert.is_some();
        match (&server.tls_cert, &server.tls_key) {
            (Some(_), None) => found.push(("server.tls_key", "server.tls_cert needs its key")),
            (None, Some(_)) => {
                found.push(("server.tls_cert", "server.tls_key needs its certificate"));
            }
            _ => {}
        }
        if server.plaintext == Plaintext::Loopback {
            let exposed = [
                ("server.listen", server.listen),
                ("server.ops_listen", server.ops_listen),
            ];
            found.extend(
                exposed
                    .iter()
                    .filter(|(key, a)| {
                        !(a.ip().is_loopback() || has_tls && *key == "server.listen")
                    })
                    .map(|(k, _)| (*k, PLAINTEXT)),
            );
        }
        if server.listen == server.ops_listen && server.listen.port() != 0 {
            found.push(("server.ops_listen", "it must differ from server.listen"));
        }
        let keys = &self.keys;
        let days = keys.rotate_days.filter(|days| *days > 0);
        if days.is_some_and(|days| i64::from(days) * 86_400 <= keys.announce_seconds) {
            found.push((
                "keys.rotate_days",
                "a key signs for longer than keys.announce_seconds, in which the next one is announced",
            ));
        }
        if let (Some(newest), Some(previous)) = (&keys.master_key, &keys.master_key_previous)
            && newest.fingerprints() == previous.fingerprints()
        {
            found.push((
                "keys.master_key_previous",
                "it is keys.master_key: name the key before it, or none",
            ));
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

    /// The value from which [`Config::resolve`] starts. `default.toml` sets every key, so nothing
    /// of this is ever used.
    fn blank() -> Self {
        Self {
            server: ServerConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls_cert: None,
                tls_key: None,
                plaintext: Plaintext::Loopback,
                drain_seconds: 0,
                drain_delay_seconds: 0,
                idle_seconds: 0,
                max_connections: 0,
                max_connections_per_source: None,
                trusted_proxies: Networks::default(),
                client_address_header: None,
                core_dumps: false,
            },
            database: DatabaseConfig {
                url: DatabaseUrl::Sqlite("".into()),
                is_chosen: false,
                max_connections: 0,
            },
            token: TokenConfig {
                issuer: String::new(),
                default_ttl: Ttl::DEFAULT,
                default_audience: None,
                typ: TokenTyp::AtJwt,
            },
            keys: KeysConfig {
                master_key: None,
                master_key_previous: None,
                rsa_bits: RsaBits::B2048,
                announce_seconds: 0,
                rotate_days: None,
            },
            limits: LimitsConfig {
                requests_per_minute: 0,
                introspections_per_minute: 0,
                revocations_per_minute: 0,
                failures_per_minute: 0,
                hash_threads: 0,
                hash_queue: 0,
                listed_tokens: 0,
                held_polls: 0,
                credentials_per_agent: 0,
                partners_per_org: 0,
                secretless_scopes: vec![],
            },
            outbound: OutboundConfig::default(),
            plans: Plans(BTreeMap::new()),
            scopes: RiskRules::default(),
            audit: AuditConfig {
                keep_days: 0,
                source: SourcePrecision::default(),
            },
            log: LogConfig {
                filter: String::new(),
                format: LogFormat::Auto,
                requests: LoggedRequests::None,
                probes: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::path::Path;

    use super::*;
    use crate::config::raw::DEFAULTS;
    use crate::domain::scope::Scope;

    const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    struct Given {
        file: Option<tempfile::NamedTempFile>,
        environment: Vec<(OsString, OsString)>,
        flags: Vec<(String, String)>,
    }

    fn given() -> Given {
        Given {
            file: None,
            environment: vec![],
            flags: vec![],
        }
    }

    impl Given {
        fn file(mut self, text: &str) -> Self {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            self.file = Some(file);
            self
        }
        fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
            self.environment.push((name.into(), value.into()));
            self
        }
        fn set(mut self, key: &str, value: &str) -> Self {
            self.flags.push((key.to_owned(), value.to_owned()));
            self
        }
        fn raw(&self) -> Raw {
            let path: Option<&Path> = self.file.as_ref().map(tempfile::NamedTempFile::path);
            Raw::read(path, self.environment.clone(), &self.flags)
        }
        fn resolve(&self) -> Result<Config, Faults> {
            Config::resolve(&self.raw(), MasterKeyNeed::WithPostgres)
        }
        fn faults(&self) -> Vec<String> {
            match self.resolve() {
                Ok(_) => vec![],
                Err(faults) => faults.0.iter().map(ToString::to_string).collect(),
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = given().resolve().unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:3001");
        assert_eq!(
            config.database.url,
            DatabaseUrl::Sqlite("sealwright-data/sealwright.db".into())
        );
        assert_eq!(config.token.issuer, "http://localhost:3000");
        assert_eq!(config.token.default_ttl.secs(), 600);
        assert_eq!(config.token.typ, TokenTyp::AtJwt);
        assert!(config.token.default_audience.is_none() && config.keys.master_key.is_none());
        assert_eq!(config.limits.requests_per_minute, 0);
        let plans: Vec<(&str, Option<i64>)> = config
            .plans
            .0
            .iter()
            .map(|(n, l)| (n.as_str(), *l))
            .collect();
        assert_eq!(plans, [("free", Some(10_000)), ("unlimited", None)]);
    }

    #[test]
    fn the_default_file_names_every_key_once_with_a_comment_and_in_the_tables_order() {
        let raw = Raw::read(None, [], &[]);
        let mut named: Vec<&str> = raw.settings.iter().map(|s| s.key.as_str()).collect();
        named.retain(|key| !key.starts_with("plans."));
        named.sort_unstable();
        let mut keys: Vec<&str> = table::KEYS.iter().map(|k| k.name).collect();
        let place = |key: &str| {
            let (section, name) = key.split_once('.').unwrap();
            let start = DEFAULTS.find(&format!("\n[{section}]\n")).unwrap();
            start + DEFAULTS[start..].find(&format!("\n{name} = ")).unwrap()
        };
        assert!(keys.is_sorted_by_key(|key| place(key)), "the order differs");
        for key in &keys {
            let before = DEFAULTS[..place(key)].lines().last().unwrap();
            assert!(before.starts_with("# "), "{key} has no comment");
        }
        keys.sort_unstable();
        assert_eq!(named, keys);
    }

    #[test]
    fn the_production_example_resolves_with_its_secrets_in_the_environment() {
        let example = given()
            .file(include_str!("../../config/production.toml"))
            .env(
                "SEALWRIGHT_DATABASE__URL",
                "postgres://sw:pw@db.example.com/sw?sslmode=require",
            )
            .env("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY);
        let config = example.resolve().unwrap();
        assert_eq!(config.plans.0.len(), 3);
        assert_eq!(
            config.token.default_audience.unwrap().as_str(),
            "https://api.example.com"
        );
    }

    #[test]
    fn each_layer_overrides_the_one_before() {
        let layers = given().file("[token]\ndefault_ttl = 700\nissuer = \"https://a.example\"\n");
        assert_eq!(layers.resolve().unwrap().token.default_ttl.secs(), 700);
        let layers = layers.env("SEALWRIGHT_TOKEN__DEFAULT_TTL", "800");
        assert_eq!(layers.resolve().unwrap().token.default_ttl.secs(), 800);
        let layers = layers.set("token.default_ttl", "900");
        let config = layers.resolve().unwrap();
        assert_eq!(
            (
                config.token.default_ttl.secs(),
                config.token.issuer.as_str()
            ),
            (900, "https://a.example")
        );
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_key_its_place_and_the_rule() {
        let faults = given()
            .file("[token]\ndefault_ttl = 299\n[server]\nlisten = 5\n")
            .env("SEALWRIGHT_LIMITS__HASH_QUEUE", "many")
            .set("log.format", "xml")
            .faults();
        assert_eq!(faults.len(), 4, "{faults:?}");
        let one = |what: &str| faults.iter().find(|f| f.contains(what)).unwrap().as_str();
        assert!(one("default_ttl").contains("line 2): a token lifetime is 300 to 86400 seconds"));
        assert!(one("server.listen").contains("line 4): an IP address and a port"));
        assert_eq!(
            one("hash_queue"),
            "limits.hash_queue = \"many\" (environment variable SEALWRIGHT_LIMITS__HASH_QUEUE): 1 to 10000 logins"
        );
        assert_eq!(
            one("log.format"),
            "log.format = \"xml\" (flag --set): auto, json or human"
        );
    }

    #[test]
    fn a_fault_never_repeats_a_secret() {
        let secret = "hunter2hunter2";
        let path = given().env("SEALWRIGHT_KEYS__MASTER_KEY_FILE", secret);
        let toml = given().file(&format!("[keys]\nmaster_key = {secret}\n"));
        let broken = given()
            .file(&format!(
                "[keys]\nmaster_key = \"{secret}\"\nmaster = \"{secret}\"\n"
            ))
            .env(
                "SEALWRIGHT_DATABASE__URL",
                format!("mysql://u:{secret}@h/d"),
            )
            .env("SEALWRIGHT_KEYS__MASTERKEY", secret)
            .set("database.url", secret);
        for (given, count) in [(path, 1), (toml, 1), (broken, 5)] {
            let faults = given.faults();
            assert!(faults.len() >= count, "{faults:?}");
            assert!(!faults.iter().any(|f| f.contains("hunter2")), "{faults:?}");
        }
    }

    #[test]
    fn unknown_keys_and_sections_are_faults_with_a_likely_name() {
        let faults = given()
            .file(
                "listen = \"x\"\n[sever]\nlisten = \"x\"\n[server]\nlistn = \"x\"\n[token.more]\n",
            )
            .env("SEALWRIGHT_SERVER__LISTENS", "x")
            .env("SEALWRIGHT_server__listen", "x")
            .faults();
        let all = faults.join("\n");
        assert_eq!(faults.len(), 6, "{all}");
        assert!(all.contains("listen (file"), "{all}");
        assert!(
            all.contains("no section has this name; did you mean server?"),
            "{all}"
        );
        assert!(all.contains("server.listn"), "{all}");
        assert!(
            all.contains("no key has this name; did you mean server.listen?"),
            "{all}"
        );
        assert!(
            all.contains("did you mean SEALWRIGHT_SERVER__LISTEN?"),
            "{all}"
        );
    }

    #[test]
    fn names_without_a_double_underscore_are_somebody_elses() {
        let others = given()
            .env("SEALWRIGHT_SERVICE_HOST", "10.0.0.1")
            .env("SEALWRIGHT_PORT_3000_TCP_ADDR", "10.0.0.1")
            .env("HOME__X", "1");
        assert!(others.faults().is_empty());
    }

    #[test]
    fn a_file_variable_gives_the_files_content_without_one_newline() {
        let secrets = tempfile::tempdir().unwrap();
        let path = secrets.path().join("key");
        for ending in ["", "\n", "\r\n"] {
            std::fs::write(&path, format!("{MASTER_KEY}{ending}")).unwrap();
            let config = given()
                .env("SEALWRIGHT_KEYS__MASTER_KEY_FILE", &path)
                .resolve()
                .unwrap();
            assert!(config.keys.master_key.is_some());
        }
        std::fs::write(&path, "info\n\n").unwrap();
        let two = given()
            .env("SEALWRIGHT_SERVER__LISTEN_FILE", &path)
            .faults();
        assert!(two[0].contains("\"info\\n\""), "{two:?}");
    }

    #[test]
    fn a_variable_and_its_file_variable_together_are_a_fault() {
        let both = given()
            .env("SEALWRIGHT_LOG__FILTER", "info")
            .env("SEALWRIGHT_LOG__FILTER_FILE", "/nowhere");
        let faults = both.faults();
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].contains(
                "SEALWRIGHT_LOG__FILTER_FILE): the same variable is set without _FILE too"
            )
        );
    }

    #[test]
    fn an_empty_variable_gives_way_to_its_file_variable() {
        let secrets = tempfile::tempdir().unwrap();
        let path = secrets.path().join("filter");
        std::fs::write(&path, "warn").unwrap();
        let both = given()
            .env("SEALWRIGHT_LOG__FILTER", "")
            .env("SEALWRIGHT_LOG__FILTER_FILE", &path);
        assert_eq!(both.resolve().unwrap().log.filter, "warn");
        let neither = given()
            .env("SEALWRIGHT_LOG__FILTER", "info")
            .env("SEALWRIGHT_LOG__FILTER_FILE", "");
        assert_eq!(neither.faults().len(), 1);
    }

    #[test]
    fn a_missing_file_is_one_fault() {
        let faults = Config::resolve(
            &Raw::read(Some(Path::new("/nowhere/s.toml")), [], &[]),
            MasterKeyNeed::WithPostgres,
        )
        .unwrap_err();
        assert_eq!(faults.0.len(), 1);
        assert!(
            faults
                .to_string()
                .contains("/nowhere/s.toml): the file cannot be read"),
            "{faults}"
        );
    }

    #[test]
    fn plaintext_beyond_loopback_needs_a_proxy_on_both_listeners() {
        for key in ["server.listen", "server.ops_listen"] {
            for address in ["0.0.0.0:3005", "[::]:3005", "192.0.2.1:3005"] {
                let faults = given().set(key, address).faults();
                assert_eq!(faults.len(), 1, "{key} {address}");
                assert!(
                    faults[0].starts_with(key) && faults[0].contains("behind-proxy"),
                    "{faults:?}"
                );
                assert!(
                    given()
                        .set(key, address)
                        .set("server.plaintext", "behind-proxy")
                        .resolve()
                        .is_ok()
                );
            }
            assert!(given().set(key, "[::1]:3005").resolve().is_ok());
        }
        assert_eq!(
            given()
                .set("server.ops_listen", "127.0.0.1:3000")
                .faults()
                .len(),
            1
        );
    }

    #[test]
    fn tls_needs_a_certificate_and_a_key_and_may_be_spoken_anywhere() {
        let (cert, key) = ("server.tls_cert", "server.tls_key");
        for (given_one, missing) in [(cert, key), (key, cert)] {
            let faults = given().set(given_one, "/a.pem").faults();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with(missing), "{faults:?}");
        }
        let both = || given().set(cert, "/a.pem").set(key, "/b.pem");
        assert!(
            both()
                .set("server.listen", "0.0.0.0:3005")
                .resolve()
                .is_ok()
        );
        let ops = both().set("server.ops_listen", "0.0.0.0:3005").faults();
        assert!(ops[0].starts_with("server.ops_listen"), "{ops:?}");
    }

    #[test]
    fn postgres_needs_a_master_key_where_keys_are_opened() {
        let postgres = given().env("SEALWRIGHT_DATABASE__URL", "postgres://sw@localhost/sw");
        assert!(postgres.faults()[0].starts_with("keys.master_key (default): Postgres needs one"));
        assert!(Config::resolve(&postgres.raw(), MasterKeyNeed::Never).is_ok());
        assert!(
            postgres
                .env("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
                .resolve()
                .is_ok()
        );
    }

    #[test]
    fn the_master_key_before_is_another_one() {
        let twice = given()
            .env("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
            .env("SEALWRIGHT_KEYS__MASTER_KEY_PREVIOUS", MASTER_KEY);
        let faults = twice.faults();
        assert!(faults[0].contains("it is keys.master_key"), "{faults:?}");
        assert!(!faults[0].contains(&MASTER_KEY[..8]), "{faults:?}");
        let other = "//////////////////////////////////////////8=";
        let both = given()
            .env("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
            .env("SEALWRIGHT_KEYS__MASTER_KEY_PREVIOUS", other);
        assert!(both.resolve().unwrap().keys.master_key_previous.is_some());
    }

    #[test]
    fn plans_have_any_name_and_a_number_or_no_limit() {
        let config = given()
            .file("[plans]\ngold = 5_000\nfree = 3\n")
            .env("SEALWRIGHT_PLANS__SILVER", "unlimited")
            .resolve()
            .unwrap();
        let limit = |name: &str| {
            config
                .plans
                .0
                .iter()
                .find(|(n, _)| n.as_str() == name)
                .map(|(_, l)| *l)
        };
        assert_eq!(limit("gold"), Some(Some(5_000)));
        assert_eq!(limit("free"), Some(Some(3)));
        assert_eq!(limit("silver"), Some(None));
        for bad in [
            "Gold = 1",
            "gold = -1",
            "gold = 1.5",
            "gold = \"many\"",
            "gold_file = 1",
            "\"a b\" = 1",
        ] {
            assert_eq!(
                given().file(&format!("[plans]\n{bad}\n")).faults().len(),
                1,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_key_is_announced_until_every_replica_and_cache_has_it() {
        for (seconds, is_fine) in [
            ("0", false),
            ("359", false),
            ("360", true),
            ("2592000", true),
            ("2592001", false),
        ] {
            let faults = given().set("keys.announce_seconds", seconds).faults();
            assert_eq!(faults.is_empty(), is_fine, "{faults:?}");
            assert!(
                faults.iter().all(|f| f.contains("360 to 2592000 seconds")),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn a_key_signs_for_longer_than_the_next_one_is_announced() {
        for (days, seconds, is_fine) in [
            ("auto", "2592000", true),
            ("0", "2592000", true),
            ("1", "86400", false),
            ("1", "86399", true),
            ("30", "2592000", false),
            ("3651", "3600", false),
        ] {
            let given = given().set("keys.announce_seconds", seconds);
            let faults = given.set("keys.rotate_days", days).faults();
            assert_eq!(faults.is_empty(), is_fine, "{days} {seconds}: {faults:?}");
            assert!(faults.iter().all(|f| f.contains("keys.rotate_days")));
        }
    }

    #[test]
    fn lists_from_the_environment_are_separated_by_commas_or_spaces() {
        let config = given()
            .env("SEALWRIGHT_SCOPES__HIGH_RISK", "a:b, c:d e")
            .resolve()
            .unwrap();
        assert_eq!(
            config
                .scopes
                .high_risk
                .iter()
                .map(Scope::as_str)
                .collect::<Vec<_>>(),
            ["a:b", "c:d", "e"]
        );
        let config = given()
            .file("[scopes]\nhigh_risk = [\"a,b\"]\n")
            .resolve()
            .unwrap();
        assert_eq!(config.scopes.high_risk[0].as_str(), "a,b");
    }

    #[test]
    fn what_is_shown_names_the_source_and_hides_secrets() {
        let given = given()
            .env(
                "SEALWRIGHT_DATABASE__URL",
                "postgres://sw:hunter2@localhost/sw",
            )
            .env("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
            .set("log.requests", "false");
        let (raw, config) = (given.raw(), given.resolve().unwrap());
        let shown = config.show(&raw);
        let text = format!("{config:?} {shown:?}");
        assert!(
            !text.contains("hunter2") && !text.contains(&MASTER_KEY[..8]),
            "{text}"
        );
        let of = |key: &str| shown.iter().find(|s| s.key == key).unwrap();
        assert_eq!(of("log.requests").value, serde_json::json!("none"));
        assert_eq!(of("log.requests").origin, Origin::Flag);
        assert_eq!(of("plans.free").value, serde_json::json!(10_000));
        assert_eq!(
            of("database.url").value,
            serde_json::json!("postgres://sw:redacted@localhost/sw")
        );
        assert_eq!(shown.len(), table::KEYS.len() + 2);
    }
}
