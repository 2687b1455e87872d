//! The message of a command when a file, an address or a port is not available: it names that thing
//! and the cause.

use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;

use crate::Home;

/// The command `serve` on free ports.
const SERVE: [&str; 5] = [
    "--set",
    "server.listen=127.0.0.1:0",
    "--set",
    "server.ops_listen=127.0.0.1:0",
    "serve",
];

#[test]
fn a_database_that_cannot_be_opened_is_named_with_the_cause() {
    let home = Home::new();
    home.write("file", "");
    std::fs::create_dir(home.path("folder")).unwrap();
    home.write(
        "text.db",
        "this is no database, and long enough to be taken for one".repeat(40),
    );
    for (url, parts) in [
        ("sqlite://file/s.db", ["file", "xists"]),
        (
            "sqlite://folder",
            ["cannot open sqlite://folder: ", "s a directory"],
        ),
        (
            "sqlite://text.db",
            ["cannot open sqlite://text.db: ", "not a database"],
        ),
        (
            "postgres://sw:hunter2@127.0.0.1:1/sw",
            ["cannot open postgres://sw:", "Connection refused"],
        ),
        (
            "postgres:///sw?host=/nowhere/run&user=sw",
            ["host=%2Fnowhere%2Frun", "No such file"],
        ),
    ] {
        let home = Home {
            environment: vec![],
            folder: tempfile::tempdir_in(home.folder.path()).unwrap(),
        };
        let url = url.replace("sqlite://", "sqlite://../");
        let home = home.with("SEALWRIGHT_DATABASE__URL", &url).with(
            "SEALWRIGHT_KEYS__MASTER_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        );
        for command in [&["agent", "list"][..], &["migrate"], &SERVE] {
            let ran = home.run(command);
            assert_eq!(ran.code, 1, "{url} {command:?}: {ran:?}");
            for part in parts {
                let part = part.replace("sqlite://", "sqlite://../");
                assert!(
                    ran.stderr.contains(&part),
                    "{url} {command:?}: {part:?} is not in {ran:?}"
                );
            }
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }
}

#[test]
fn a_file_beside_the_database_that_cannot_be_used_is_named_with_the_cause() {
    for (file, command, what) in [
        (
            "sealwright.db.serve",
            &SERVE[..],
            "the lock cannot be taken",
        ),
        (
            "sealwright.db.turn",
            &["agent", "list"],
            "cannot open sqlite://sealwright-data/sealwright.db",
        ),
        (
            "master.key",
            &["--set", "log.filter=info", "agent", "list"],
            "cannot read",
        ),
    ] {
        let home = Home::new();
        std::fs::create_dir_all(home.path("sealwright-data")).unwrap();
        assert_eq!(home.run(&["migrate"]).code, 0);
        let path = home.path("sealwright-data").join(file);
        let _ = std::fs::remove_file(&path);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .unwrap();
        let ran = home.run(command);
        assert_eq!(ran.code, 1, "{file}: {ran:?}");
        for part in [what, &format!("sealwright-data/{file}: "), "s a directory"] {
            assert!(ran.stderr.contains(part), "{part:?} is not in {ran:?}");
        }
    }
}

#[test]
fn a_port_that_is_taken_names_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, other) in [
        ("server.listen", "server.ops_listen"),
        ("server.ops_listen", "server.listen"),
    ] {
        let home = Home::new();
        let set = format!("{key}={address}");
        let ran = home.run(&[
            "--set",
            &set,
            "--set",
            &format!("{other}=127.0.0.1:0"),
            "serve",
        ]);
        let why = format!("cannot listen on {key} {address}: Address already in use");
        assert!(ran.code == 1 && ran.stderr.contains(&why), "{ran:?}");
    }
}

#[test]
fn a_file_of_the_configuration_is_named_unless_it_may_be_the_secret_itself() {
    let home = Home::new();
    std::fs::create_dir(home.path("secrets")).unwrap();
    home.run(&["config", "check", "--config", "secrets"])
        .refused(2, "(file secrets): the file cannot be read: ");
    for (path, told) in [
        (
            "secrets/key",
            "the file secrets/key cannot be read: No such file",
        ),
        (
            "secrets/../secrets",
            "the file secrets/../secrets cannot be read: Is a directory",
        ),
        ("/", "the file / cannot be read: Is a directory"),
        ("", "it names no file"),
        (
            "secrets",
            "the file that it names, in the working directory, cannot be read: Is a directory",
        ),
        (
            "./secrets/",
            "the file that it names, in the working directory, cannot be read: Is a directory",
        ),
        (
            "hunter2hunter2",
            "the file that it names, in the working directory, cannot be read: No such file",
        ),
        (
            "./hunter2hunter2",
            "the file that it names, in the working directory, cannot be read: No such file",
        ),
        (
            "/hunter2+hunter2=",
            "the file that it names, in the folder /, cannot be read: No such file",
        ),
        (
            "/hunt/er2+hunter2=",
            "the file that it names, in a folder that is not there, cannot be read: No such",
        ),
        (
            "/etc/hostname/key",
            "the file that it names, in a folder that is not there, cannot be read: Not a dir",
        ),
    ] {
        let home = Home {
            environment: vec![],
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(home.path("secrets")).unwrap();
        let home = home.with("SEALWRIGHT_KEYS__MASTER_KEY_FILE", path);
        let ran = home.run(&["config", "check"]);
        ran.refused(2, told);
        assert!(
            ran.stderr.contains("SEALWRIGHT_KEYS__MASTER_KEY_FILE"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("hunt"), "{ran:?}");
    }
}

#[test]
fn a_misspelt_level_or_module_is_a_fault_of_the_configuration() {
    for bad in [
        "INFOO",
        "",
        "sealwrite=debug",
        "sealwright::htpp=debug",
        "info,debug",
        "sealwright",
    ] {
        let home = Home::new().with("SEALWRIGHT_LOG__FILTER", bad);
        for command in [&["config", "check"][..], &["serve"], &["agent", "list"]] {
            home.run(command).refused(2, "log.filter");
        }
    }
    let home = Home::new().with(
        "SEALWRIGHT_LOG__FILTER",
        "warn, sealwright::http=debug,sqlx=off",
    );
    assert_eq!(
        home.json(&["config", "show"])["log.filter"]["value"],
        "warn,sealwright::http=debug,sqlx=off"
    );
}

#[test]
fn an_agent_is_made_only_in_an_organization_that_exists() {
    let home = Home::new();
    let create = |org| {
        [
            "agent",
            "create",
            "--name",
            "n",
            "--scope",
            "audit:read",
            "--org",
            org,
        ]
    };
    let made = home.json(&create("default"));
    assert_eq!(made["orgId"], "default");
    home.run(&create("nowhere"))
        .refused(1, "no organization has this id");
}
