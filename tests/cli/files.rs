//! The files beside a SQLite database: what the program refuses because of them, and the operator
//! file, which holds a secret.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Connection as _, SqliteConnection};

use crate::server::{free_port, start};
use crate::{Home, text};

const DATABASE: &str = "sealwright-data/sealwright.db";
const MASTER_KEY: &str = "sealwright-data/master.key";
const OPERATOR: &str = "sealwright-data/operator.env";
const PORTS: [&str; 4] = [
    "--set",
    "server.listen=127.0.0.1:0",
    "--set",
    "server.ops_listen=127.0.0.1:0",
];

/// Every file of the data folder, with its content.
fn files(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(home.path("sealwright-data"))
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .map(|e| {
            (
                e.file_name().into_string().unwrap(),
                fs::read(e.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_database_that_is_lost_is_not_taken_for_a_first_start() {
    for (remains, is_empty) in [
        (&[MASTER_KEY][..], false),
        (&[MASTER_KEY], true),
        (&[OPERATOR], false),
        (&[OPERATOR], true),
        (&[MASTER_KEY, OPERATOR], false),
        (&["sealwright-data/sealwright.db-wal"], false),
    ] {
        let home = Home::new();
        fs::create_dir(home.path("sealwright-data")).unwrap();
        for name in remains {
            home.write(name, "what was there\n");
        }
        if is_empty {
            home.write(DATABASE, "");
        }
        let before = files(&home);
        let commands = [
            &["agent", "list"][..],
            &["scope", "list"],
            &["migrate"],
            &["key", "rotate"],
            &["serve"],
            &[],
        ];
        for command in commands {
            let ran = home.run(&[&PORTS[..], command].concat());
            let what = if is_empty { "is empty" } else { "is not there" };
            for part in remains
                .iter()
                .copied()
                .chain([DATABASE, what, "serve --new-store"])
            {
                ran.refused(1, part);
            }
            assert_eq!(files(&home), before, "{command:?} changed something");
        }
    }
}

/// A database file with a header and no table: what is left of a young store whose log is lost.
async fn write_header(home: &Home) {
    let options = SqliteConnectOptions::new()
        .filename(home.path(DATABASE))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let conn = SqliteConnection::connect_with(&options).await.unwrap();
    conn.close().await.unwrap();
    assert_eq!(fs::metadata(home.path(DATABASE)).unwrap().len(), 4_096);
}

#[tokio::test]
async fn a_database_that_lost_its_content_is_not_taken_for_a_first_start() {
    for (remains, has_tables) in [
        (&[MASTER_KEY][..], false),
        (&[OPERATOR], false),
        (&[MASTER_KEY, OPERATOR], false),
        (&[OPERATOR], true),
    ] {
        let home = Home::new();
        if has_tables {
            assert_eq!(home.run(&["migrate"]).code, 0);
        } else {
            fs::create_dir(home.path("sealwright-data")).unwrap();
            write_header(&home).await;
        }
        for name in remains {
            home.write(name, "what was there\n");
        }
        // Whoever reads a log writes into the memory file beside it.
        let files = || {
            let mut files = files(&home);
            files.remove("sealwright.db-shm");
            files
        };
        let before = files();
        for command in [
            &["agent", "list"][..],
            &["scope", "list"],
            &["audit", "key"],
            &["migrate"],
            &["agent", "create", "--name", "n", "--scope", ""],
            &["serve"],
        ] {
            let ran = home.run(&[&PORTS[..], command].concat());
            for part in remains
                .iter()
                .copied()
                .chain([DATABASE, "serve --new-store"])
            {
                ran.refused(1, part);
            }
            assert!(files() == before, "{command:?} changed something");
        }
        home.run(&["config", "check"]).refused(2, "database.url");
        assert!(files() == before, "the check changed something");
    }
}

#[test]
fn a_new_store_is_begun_where_an_old_one_was_only_when_it_is_meant() {
    let home = Home::new()
        .with(
            "SEALWRIGHT_SERVER__LISTEN",
            &format!("127.0.0.1:{}", free_port()),
        )
        .with(
            "SEALWRIGHT_SERVER__OPS_LISTEN",
            &format!("127.0.0.1:{}", free_port()),
        );
    home.json(&["scope", "list"]);
    home.write(
        OPERATOR,
        "CLIENT_ID=operator\nCLIENT_SECRET=of a store that was lost\n",
    );
    let key = fs::read(home.path(MASTER_KEY)).unwrap();
    fs::remove_file(home.path(DATABASE)).unwrap();
    let mut child = home
        .command(&["serve", "--new-store"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while home.run(&["healthcheck"]).code != 0 {
        assert!(
            child.try_wait().unwrap().is_none() && Instant::now() < deadline,
            "the server is not ready"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(home.path(MASTER_KEY)).unwrap(), key);
    assert!(
        !fs::read_to_string(home.path(OPERATOR))
            .unwrap()
            .contains("lost")
    );
    // The new store now works like any other.
    assert_eq!(home.json(&["agent", "list"])[0]["agentId"], "operator");
}

#[test]
fn a_master_key_of_somebody_else_is_refused() {
    let home = Home::new();
    home.json(&["scope", "list"]);
    // Only root can change a file's owner. Another user cannot run this test, and its chown fails.
    match std::os::unix::fs::chown(home.path(MASTER_KEY), Some(65_534), None) {
        Ok(()) => home
            .run(&["agent", "list"])
            .refused(1, "master.key belongs to user 65534"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn a_file_that_every_user_may_open_is_warned_of() {
    let server = start();
    let home = &server.home;
    for name in [DATABASE, OPERATOR] {
        for (mode, warns) in [(0o644, true), (0o602, true), (0o600, false), (0o660, false)] {
            fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
            let ran = home.run(&["agent", "list"]);
            assert_eq!(ran.code, 0, "{ran:?}");
            let told = ran
                .stderr
                .contains(&format!("{name} (mode {mode:04o}): chmod 600 it"));
            assert_eq!(told, warns, "{name} {mode:o}: {ran:?}");
        }
        fs::set_permissions(home.path(name), Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_folder_that_every_user_may_write_into_is_warned_of() {
    let home = Home::new();
    home.json(&["scope", "list"]);
    // A link to the database does not hide the folder in which the database lies.
    symlink(home.path(DATABASE), home.path("link.db")).unwrap();
    let folder = home.path("sealwright-data");
    for (mode, warns) in [
        (0o777, true),
        (0o702, true),
        (0o1777, true),
        (0o755, false),
        (0o770, false),
        (0o700, false),
    ] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        for url in ["sqlite://sealwright-data/sealwright.db", "sqlite://link.db"] {
            let mut command = home.command(&["agent", "list"]);
            let ran = command
                .env("SEALWRIGHT_DATABASE__URL", url)
                .output()
                .unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            let told = said.contains(&format!("sealwright-data (mode {mode:04o})"));
            // There is no master key beside the link, so the store does not open by that name.
            let code = i32::from(url.contains("link"));
            assert_eq!(
                (told, ran.status.code()),
                (warns, Some(code)),
                "{mode:o} {url}: {said}"
            );
        }
    }
}

/// Otherwise a user who may write to the folder could make a process of root create a file
/// anywhere.
#[test]
fn no_file_is_made_or_used_through_a_link_that_lies_beside_the_database() {
    const SCOPES: &[&str] = &["scope", "list"];
    let serve = [&PORTS[..], &["serve"]].concat();
    for (name, command) in [
        ("sealwright.db.turn", SCOPES),
        ("sealwright.db.serve", &serve),
        ("master.key", SCOPES),
        ("sealwright.db", SCOPES),
        ("sealwright.db", &serve),
    ] {
        for is_there in [false, true] {
            let home = Home::new();
            let path = home.path("sealwright-data").join(name);
            if name == "sealwright.db" {
                fs::create_dir(home.path("sealwright-data")).unwrap();
            } else {
                home.json(SCOPES);
                let _ = fs::remove_file(&path);
            }
            let target = home.path("elsewhere");
            if is_there {
                // An operator may link an existing database or key here on purpose.
                if !name.contains(".db.") {
                    continue;
                }
                fs::write(&target, "").unwrap();
            }
            symlink("../elsewhere", &path).unwrap();
            let ran = home.run(command);
            let why = if name == "master.key" {
                "master.key"
            } else {
                "it is a symbolic link"
            };
            assert!(
                ran.code == 1 && ran.stderr.contains(name) && ran.stderr.contains(why),
                "{name}: {ran:?}"
            );
            assert_eq!(target.exists(), is_there, "{name}");
            assert!(path.is_symlink(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_file_of_the_first_start_never_holds_a_dead_secret() {
    let server = start();
    let home = &server.home;
    let path = home.path(OPERATOR);
    let first = fs::read(&path).unwrap();
    home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "other",
        "--scope",
        "",
    ]);
    home.json(&["agent", "rotate-secret", "other"]);
    assert_eq!(
        fs::read(&path).unwrap(),
        first,
        "another agent's secret is not its own"
    );
    for (overlap, line) in [
        ("0", "export CLIENT_ID=\"operator\""),
        ("600", "CLIENT_ID=operator"),
    ] {
        // An operator may have edited the file: a shell reads both forms.
        let edited = fs::read_to_string(&path).unwrap();
        let (_, secret) = edited.split_once('\n').unwrap();
        fs::write(&path, format!("{line}\n{secret}")).unwrap();
        let ran = home.run(&[
            "agent",
            "rotate-secret",
            "operator",
            "--overlap",
            overlap,
            "--json",
        ]);
        assert!(
            ran.stderr.contains("operator.env holds the new secret"),
            "{ran:?}"
        );
        let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let secret = text(&made["clientSecret"]);
        let expected = format!("{line}\nCLIENT_SECRET={secret}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert!(!ran.stderr.contains(secret));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(server.token("operator", secret).await.0, 200);
    }
    let kept = fs::read(&path).unwrap();
    home.run(&["agent", "rotate-secret", "operator", "--overlap", "600"])
        .refused(1, "would have to end");
    assert_eq!(
        fs::read(&path).unwrap(),
        kept,
        "a rotation that was refused"
    );
    // A secret that the operator chose is not written to the file.
    let ran = home.feed(
        "a secret of sixteen",
        &["agent", "update", "operator", "--secret-stdin"],
    );
    assert!(
        ran.code == 0
            && ran
                .stderr
                .contains("operator.env held the old secret and was removed"),
        "{ran:?}"
    );
    assert!(!path.exists());
    home.write(OPERATOR, "CLIENT_ID=operator\nCLIENT_SECRET=x\n");
    home.json(&["agent", "suspend", "operator"]);
    assert!(path.exists(), "its secret works again after a reactivation");
    home.json(&["agent", "decommission", "operator"]);
    let left: Vec<String> = files(home)
        .into_keys()
        .filter(|name| name.starts_with("operator.env"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn the_file_of_the_first_start_stays_the_operators_own() {
    let server = start();
    let home = &server.home;
    let (path, target) = (home.path(OPERATOR), home.path("linked.env"));
    // An operator keeps the file elsewhere, with more variables in it.
    let own = fs::read_to_string(&path).unwrap();
    fs::write(
        &target,
        format!("# of the deployment\n{own}export PROXY=p\n"),
    )
    .unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&target, &path).unwrap();
    let made = home.json(&["agent", "rotate-secret", "operator"]);
    let secret = text(&made["clientSecret"]);
    assert!(path.is_symlink(), "the link was replaced");
    let expected = format!(
        "# of the deployment\nCLIENT_ID=operator\nCLIENT_SECRET={secret}\nexport PROXY=p\n"
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), expected);
    assert_eq!(server.token("operator", secret).await.0, 200);
    home.json(&["agent", "decommission", "operator"]);
    let kept = fs::read_to_string(&target).unwrap();
    assert_eq!(kept, "# of the deployment\nexport PROXY=p\n");
}

#[test]
fn a_secret_that_is_chosen_has_sixteen_characters_and_an_imported_one_what_it_has() {
    let home = Home::new();
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "",
        "--secret-stdin",
    ];
    for short in [
        "x",
        "fifteen chars.\n",
        "fifteen chars..\n",
        "ééééééééééééééé",
    ] {
        home.feed(short, &create)
            .refused(2, "the secret on stdin: it has at least 16 characters");
    }
    assert_eq!(home.feed("sixteen chars...\n", &create).code, 0);
    let update = ["agent", "update", "a", "--secret-stdin"];
    home.feed("fifteen chars..", &update)
        .refused(2, "at least 16 characters");
    assert_eq!(home.feed("éééééééééééééééé", &update).code, 0);
    home.write("rows", "{\"clientId\":\"b\",\"secret\":\"x\"}\n");
    assert_eq!(home.json(&["agent", "import", "rows"])["imported"], 1);
}

#[test]
fn a_secret_of_white_space_alone_is_refused_at_every_door() {
    let home = Home::new();
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "",
        "--secret-stdin",
    ];
    let why = "more than white space";
    for blank in [
        " ".repeat(16),
        "\t".repeat(20),
        "\n".repeat(17),
        "\u{a0}".repeat(16),
        " \u{1}\r".repeat(8),
    ] {
        home.feed(&blank, &create).refused(2, why);
        let row = serde_json::json!({"clientId": "b", "secret": blank});
        home.write("rows", format!("{row}\n"));
        let ran = home.run(&["agent", "import", "rows", "--json"]);
        assert!(ran.code == 1 && ran.stdout.contains(why), "{ran:?}");
    }
    // White space is accepted if the secret has one other character.
    let spaced = format!("{}x", " ".repeat(15));
    assert_eq!(home.feed(&spaced, &create).code, 0);
    home.feed(&" ".repeat(16), &["agent", "update", "a", "--secret-stdin"])
        .refused(2, why);
}

#[test]
fn a_password_is_redacted_in_whatever_parameter_it_stands() {
    for parameter in [
        "password=hunter2",
        "options=-c%20password%3Dhunter2",
        "options[app.secret]=hunter2",
        "sslkey=-----BEGIN%20PRIVATE%20KEY-----hunter2",
    ] {
        let url = format!("postgres://sw@db.example/sw?sslmode=require&{parameter}");
        let home = Home::new().with("SEALWRIGHT_DATABASE__URL", &url).with(
            "SEALWRIGHT_KEYS__MASTER_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        );
        let shown = home.run(&["config", "show"]);
        assert!(
            shown.code == 0 && shown.stdout.contains("sslmode=require"),
            "{shown:?}"
        );
        assert!(
            !shown.stdout.contains("hunter2") && !shown.stderr.contains("hunter2"),
            "{shown:?}"
        );
    }
}
