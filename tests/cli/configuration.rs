//! Tests of how commands read and report the configuration.

use std::fs;

use serde_json::json;

use crate::Home;

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn every_fault_is_reported_at_once_and_no_secret_with_it() {
    let home = Home::new()
        .with("SEALWRIGHT_TOKEN__DEFAULT_TTL", "299")
        .with("SEALWRIGHT_SERVER__LISTEN", "0.0.0.0:3000")
        .with("SEALWRIGHT_DATABASE__URL", "mysql://u:hunter2@h/d")
        .with("SEALWRIGHT_KEYS__MASTER_KEY", "hunter2")
        .with("SEALWRIGHT_TOKEN__ISUER", "x");
    home.write(
        "s.toml",
        "[log]\nformat = \"xml\"\n[audit]\nsource = \"whole\"\n",
    );
    for command in [
        &["config", "check"][..],
        &["config", "show"],
        &["agent", "list"],
        &["serve"],
        &[],
    ] {
        let ran = home.run(&[command, &["--config", "s.toml"]].concat());
        ran.refused(2, "7 configuration faults");
        for part in [
            "token.default_ttl = \"299\" (environment variable SEALWRIGHT_TOKEN__DEFAULT_TTL): a token lifetime",
            "server.listen (environment variable SEALWRIGHT_SERVER__LISTEN): plain HTTP",
            "database.url (environment variable SEALWRIGHT_DATABASE__URL): sqlite://",
            "keys.master_key (environment variable SEALWRIGHT_KEYS__MASTER_KEY): a master key is",
            "did you mean SEALWRIGHT_TOKEN__ISSUER?",
            "log.format = \"xml\" (file s.toml line 2): auto, json or human",
            "audit.source = \"whole\" (file s.toml line 4): prefix, full or none",
        ] {
            assert!(ran.stderr.contains(part), "{part}\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn a_password_in_a_url_is_refused_and_repeated_nowhere() {
    for (key, value) in [
        ("token.issuer", "https://user:hunter2@auth.example"),
        ("token.issuer", "https://hunter2@auth.example"),
        ("token.issuer", "user:hunter2@auth.example"),
        ("token.issuer", "https://user:hunt/hunter2@auth.example"),
        ("token.issuer", "https://auth.example/?key=hunter2"),
        ("token.issuer", "https://auth.example/#hunter2"),
        ("token.issuer", "https://@auth.example"),
        ("token.issuer", "https://:@auth.example"),
        ("token.default_audience", "https://user:hunter2@api.example"),
        (
            "token.default_audience",
            "https://user:hunter2@api.example/a b",
        ),
        ("server.listen", "http://user:hunter2@127.0.0.1:3000"),
        ("server.trusted_proxies", "10.0.0.0/8,user:hunter2@10.0.0.1"),
    ] {
        let variable = format!("SEALWRIGHT_{}", key.replace('.', "__").to_uppercase());
        let (section, name) = key.split_once('.').unwrap();
        let set = format!("{key}={value}");
        for command in [
            &["config", "check"][..],
            &["config", "show", "--json"],
            &["serve"],
            &["agent", "list"],
        ] {
            let home = Home::new().with(&variable, value);
            let file = Home::new();
            file.write("s.toml", format!("[{section}]\n{name} = \"{value}\"\n"));
            for ran in [
                home.run(command),
                file.run(&[command, &["--config", "s.toml"]].concat()),
                Home::new().run(&[&["--set", &set], command].concat()),
            ] {
                ran.refused(2, key);
                assert!(!ran.stderr.contains("hunt"), "{ran:?}");
            }
        }
    }
    // A value that is not a secret is shown, so that the operator can find the fault.
    Home::new()
        .with("SEALWRIGHT_TOKEN__ISSUER", "https://auth.example/")
        .run(&["config", "check"])
        .refused(2, "token.issuer = \"https://auth.example/\"");
}

#[test]
fn a_faultless_configuration_is_checked_in_silence() {
    let ran = Home::new().run(&["config", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
}

#[test]
fn every_key_is_shown_with_its_source_and_secrets_are_redacted() {
    let home = Home::new()
        .with(
            "SEALWRIGHT_DATABASE__URL",
            "postgres://sw:hunter2@db.example/sw?sslmode=require",
        )
        .with("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
        .with("SEALWRIGHT_SERVICE_HOST", "10.0.0.1");
    home.write("s.toml", "[plans]\nteam = 5\n[audit]\nkeep_days = 30\n");
    let show = [
        "--set",
        "log.requests=false",
        "config",
        "show",
        "--config",
        "s.toml",
    ];
    let shown = home.json(&show);
    assert_eq!(
        shown["audit.keep_days"],
        json!({"value": 30, "source": "file s.toml line 4"})
    );
    assert_eq!(
        shown["plans.team"],
        json!({"value": 5, "source": "file s.toml line 2"})
    );
    assert_eq!(
        shown["plans.unlimited"],
        json!({"value": "unlimited", "source": "default"})
    );
    assert_eq!(
        shown["log.requests"],
        json!({"value": "none", "source": "flag --set"})
    );
    assert_eq!(
        shown["server.listen"],
        json!({"value": "127.0.0.1:3000", "source": "default"})
    );
    assert_eq!(
        shown["database.url"]["value"],
        "postgres://sw:redacted@db.example/sw?sslmode=require"
    );
    let people = home.run(&show);
    assert!(
        people
            .stdout
            .contains("audit.keep_days\t30\tfile s.toml line 4\n"),
        "{people:?}"
    );
    for output in [shown.to_string(), people.stdout] {
        assert!(
            !output.contains("hunter2") && !output.contains(MASTER_KEY),
            "{output}"
        );
    }
}

#[test]
fn a_secret_on_the_command_line_is_refused() {
    let ran = Home::new().run(&["--set", "keys.master_key=hunter2", "config", "check"]);
    ran.refused(2, "a secret comes from a file or the environment");
    assert!(!ran.stderr.contains("hunter2"));
}

#[test]
fn postgres_needs_a_master_key_for_every_command_but_migrate_and_healthcheck() {
    // No server listens there, so a command whose configuration is accepted fails with 1.
    let home = Home::new()
        .with("SEALWRIGHT_DATABASE__URL", "postgres://sw@127.0.0.1:1/sw")
        .with("SEALWRIGHT_SERVER__LISTEN", "127.0.0.1:1");
    for command in [
        &["serve"][..],
        &["agent", "list"],
        &["key", "rotate"],
        &["config", "check"],
    ] {
        home.run(command).refused(2, "Postgres needs one");
    }
    for command in [&["migrate"][..], &["healthcheck"]] {
        assert_eq!(home.run(command).code, 1, "{command:?}");
    }
}

#[test]
fn the_store_is_where_the_configuration_says_and_made_when_missing() {
    let home = Home::new().with("SEALWRIGHT_DATABASE__URL", "sqlite://deep/er/s.db");
    assert_eq!(home.run(&["migrate"]).code, 0);
    assert!(home.path("deep/er/s.db").is_file());
    assert!(!home.path("sealwright-data").exists());
}

#[test]
fn checking_and_asking_make_no_store() {
    let home = Home::new().with("SEALWRIGHT_SERVER__LISTEN", "127.0.0.1:1");
    for command in [
        &["config", "check"][..],
        &["config", "show"],
        &["healthcheck"],
        &["completions", "bash"],
        &["openapi"],
    ] {
        home.run(command);
    }
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_master_key_that_others_may_read_or_that_is_gone_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    assert_eq!(
        home.run(&["agent", "create", "--name", "a", "--scope", "agents:read"])
            .code,
        0
    );
    let key = home.path("sealwright-data/master.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    home.run(&["agent", "list"])
        .refused(1, "must be readable by its owner alone");
    std::fs::remove_file(&key).unwrap();
    home.run(&["agent", "list"])
        .refused(1, "master.key is missing");
    assert!(!key.exists(), "a new key would open nothing");
}

#[test]
fn a_store_under_another_master_key_says_so() {
    let home = Home::new();
    home.json(&["scope", "list"]);
    let other = Home {
        environment: vec![(
            "SEALWRIGHT_KEYS__MASTER_KEY".to_owned(),
            MASTER_KEY.to_owned(),
        )],
        ..home
    };
    other
        .run(&["agent", "list"])
        .refused(1, "do not open under this master key");
    let checked = other.run(&["config", "check"]);
    checked.refused(2, "keys.master_key (environment variable");
    checked.refused(2, "do not open under this master key");
}

#[test]
fn a_database_url_is_a_providers_own_string_or_a_fault_that_names_what_is_wrong() {
    let check = |url: &str| {
        let home = Home::new()
            .with("SEALWRIGHT_DATABASE__URL", url)
            .with("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY);
        home.run(&["config", "check"])
    };
    for (url, named) in [
        (
            "postgres://sw:hunter2@db.example/sw",
            "?sslmode=verify-full",
        ),
        (
            "postgres://sw:hunter2@10.0.0.7/sw?connect_timeout=10",
            "?sslmode=verify-full",
        ),
        (
            "postgres://sw:hunter2@127.0.0.1:1/sw?sslmode=nonsense",
            "`sslmode`",
        ),
        (
            "postgres://sw:hunter2@127.0.0.1:1/sw?sslmod=require",
            "`sslmod`",
        ),
        (
            "postgres://sw:hunter2@127.0.0.1:1/sw?connect_timeout=soon",
            "`connect_timeout`",
        ),
    ] {
        let ran = check(url);
        ran.refused(2, named);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn a_check_looks_at_the_master_key_beside_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    assert_eq!(
        home.run(&["config", "check"]).code,
        0,
        "nothing is there yet"
    );
    home.json(&["scope", "list"]);
    let path = home.path("sealwright-data/master.key");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |why: &str| {
        let ran = home.run(&["config", "check"]);
        ran.refused(2, "keys.master_key (default): ");
        assert!(ran.stderr.contains(why), "{ran:?}");
    };
    let key = fs::read_to_string(&path).unwrap();
    mode(0o644);
    refused("chmod 600 it");
    mode(0o600);
    fs::write(&path, &key[..20]).unwrap();
    refused("master.key: ");
    fs::write(&path, "").unwrap();
    refused("master.key: ");
    fs::remove_file(&path).unwrap();
    refused("is missing and sealed the keys of this store");
    fs::create_dir(&path).unwrap();
    mode(0o700);
    refused("master.key: ");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, &key).unwrap();
    mode(0o600);
    assert_eq!(home.run(&["config", "check"]).code, 0);
}

#[test]
fn a_check_looks_at_the_certificates_that_the_url_names() {
    let folder = Home::new();
    let no_pem = folder.write("no.pem", "x");
    for name in ["sslrootcert", "ssl-ca", "sslcert", "sslkey"] {
        for (path, why) in [
            (folder.path("missing.pem"), "No such file"),
            (no_pem.clone(), "it holds no PEM"),
            (folder.path("."), "it is no regular file"),
        ] {
            let url = format!(
                "postgres://sw@db.example/sw?sslmode=verify-full&{name}={}",
                path.display()
            );
            let home = Home::new().with("SEALWRIGHT_DATABASE__URL", &url).with(
                "SEALWRIGHT_KEYS__MASTER_KEY",
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            );
            let ran = home.run(&["config", "check"]);
            ran.refused(
                2,
                &format!("`{name}` of the postgres:// URL names {}", path.display()),
            );
            assert!(
                ran.stderr.contains("database.url (") && ran.stderr.contains(why),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn a_plan_of_agents_that_the_configuration_lacks_is_a_fault_of_check_and_of_start() {
    let home = Home::new().with("SEALWRIGHT_PLANS__GOLD", "5");
    for (id, plan) in [("a", "gold"), ("b", "gold"), ("c", "free")] {
        home.json(&[
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            id,
            "--scope",
            "",
            "--plan",
            plan,
        ]);
    }
    assert_eq!(home.run(&["config", "check"]).code, 0);
    let without = Home {
        folder: home.folder,
        environment: vec![],
    };
    without.run(&["config", "check"]).refused(2, "gold (2)");
    let ports = [
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        "server.ops_listen=127.0.0.1:0",
    ];
    let started = without.run(&[&ports[..], &["serve"]].concat());
    assert_eq!(started.code, 1, "{started:?}");
    assert!(
        started
            .stderr
            .contains("plans that the configuration lacks: gold (2)"),
        "{started:?}"
    );
    // The commands that mend it work.
    for id in ["a", "b"] {
        without.json(&["agent", "update", id, "--plan", "free"]);
    }
    assert_eq!(without.run(&["config", "check"]).code, 0);
}

#[test]
fn an_issuer_under_which_nobody_finds_the_server_is_a_warning_of_the_check() {
    let home = Home::new();
    let quiet = home.run(&["config", "check"]);
    assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
    let told = home.run(&["--set", "server.listen=127.0.0.1:3005", "config", "check"]);
    assert_eq!(told.code, 0);
    assert!(
        told.stderr
            .contains("warning: token.issuer is http://localhost:3000"),
        "{told:?}"
    );
}

#[test]
fn an_agent_whose_plan_is_no_longer_configured_is_shown_with_what_follows() {
    let home = Home::new().with("SEALWRIGHT_PLANS__GOLD", "5");
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "",
        "--plan",
        "gold",
    ];
    home.json(&create);
    let quiet = home.run(&["agent", "show", "a"]);
    assert!(
        !quiet.stderr.contains("no limit is configured"),
        "{quiet:?}"
    );
    let mut command = home.command(&["agent", "show", "a"]);
    let shown = command
        .env_remove("SEALWRIGHT_PLANS__GOLD")
        .output()
        .unwrap();
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(
        said.contains("no limit is configured for the plan gold"),
        "{said}"
    );
}
