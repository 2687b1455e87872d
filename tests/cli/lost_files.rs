//! Files of the store that are removed, replaced or damaged while a server uses them.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, SqliteConnection};

use crate::server::{Server, start, start_in};
use crate::{Home, text};

const DATABASE: &str = "sealwright-data/sealwright.db";

/// Waits until `healthcheck` ends with this code.
fn wait_for_health(server: &Server, code: i32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.home.run(&["healthcheck"]).code != code {
        assert!(
            Instant::now() < deadline,
            "healthcheck does not come to {code}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An agent's secret.
fn create_agent(home: &Home) -> String {
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "agents:read",
    ];
    text(&home.json(&create)["clientSecret"]).to_owned()
}

#[tokio::test]
async fn no_token_is_counted_in_a_file_that_was_moved_away_or_replaced() {
    let mut server = start();
    let secret = create_agent(&server.home);
    assert_eq!(server.token("a", &secret).await.0, 200);
    let (path, aside) = (
        server.home.path(DATABASE),
        server.home.path("sealwright-data/aside"),
    );
    for is_replaced in [false, true] {
        fs::rename(&path, &aside).unwrap();
        if is_replaced {
            // A backup that is copied beside the file and then renamed over it.
            fs::copy(&aside, server.home.path("backup")).unwrap();
            fs::rename(server.home.path("backup"), &path).unwrap();
        }
        let (status, reply) = server.token("a", &secret).await;
        assert_eq!(status, 503, "{is_replaced}: {reply}");
        wait_for_health(&server, 1);
        fs::rename(&aside, &path).unwrap();
        wait_for_health(&server, 0);
        assert_eq!(server.token("a", &secret).await.0, 200, "{is_replaced}");
    }
    assert_eq!(
        server.home.json(&["agent", "show", "a"])["usage"]["issued"],
        3
    );
    let log = server.stop();
    let names = |what: &str| log.contains(&format!("{}{what}", path.display()));
    assert!(
        names(" was removed") && names(" is another file"),
        "the log names neither file nor cause: {log}"
    );
    assert!(log.contains("works again"), "{log}");
}

/// A misspelt path would answer that there is nothing, and leave a store behind.
#[test]
fn only_commands_that_add_something_make_a_store_where_its_path_was_said() {
    let reading = [
        &["agent", "list"][..],
        &["agent", "show", "a"],
        &["agent", "update", "a", "--name", "n"],
        &["agent", "suspend", "a"],
        &["agent", "reactivate", "a"],
        &["agent", "decommission", "a"],
        &["agent", "rotate-secret", "a"],
        &["agent", "revoke-tokens", "a"],
        &["scope", "list"],
        &["scope", "update", "a:b", "--high-risk"],
        &["key", "list"],
        &["key", "rotate"],
        &["token", "inspect", "t"],
        &[
            "token",
            "revoke",
            "--jti",
            "0195a1b2-0000-7000-8000-000000000000",
        ],
    ];
    let url = format!("sqlite://{DATABASE}");
    for command in reading {
        let home = Home::new().with("SEALWRIGHT_DATABASE__URL", &url);
        let path = home.path(DATABASE);
        let absolute = format!("{} is not there", path.display());
        home.run(command).refused(1, &absolute);
        assert!(!path.parent().unwrap().exists(), "{command:?}");
        fs::create_dir(path.parent().unwrap()).unwrap();
        home.write(DATABASE, "");
        let absolute = format!("{} is empty", path.display());
        home.run(command).refused(1, &absolute);
        assert_eq!(fs::metadata(path).unwrap().len(), 0, "{command:?}");
    }
    let making = [
        &["migrate"][..],
        &["scope", "add", "a:read", "--description", "d"],
        &["agent", "create", "--name", "n", "--scope", ""],
        &["agent", "import", "rows"],
    ];
    for command in making {
        let home = Home::new().with("SEALWRIGHT_DATABASE__URL", &url);
        home.write(
            "rows",
            "{\"clientId\":\"b\",\"secret\":\"sixteen chars...\"}\n",
        );
        let made = format!("a new store was made: {}\n", home.path(DATABASE).display());
        for is_new in [true, false] {
            let ran = home.run(command);
            let says = ran.stderr.contains(&made);
            assert_eq!(says, is_new, "{ran:?}");
        }
    }
    // Where no operator said a path, every command makes the store, and says so.
    let home = Home::new();
    let made = format!("a new store was made: {}\n", home.path(DATABASE).display());
    for is_new in [true, false] {
        let ran = home.run(&["agent", "list"]);
        assert_eq!(
            (ran.code, ran.stderr.contains(&made)),
            (0, is_new),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn a_server_makes_its_lock_file_again_or_ends() {
    let mut server = start();
    let lock = server.home.path(&format!("{DATABASE}.serve"));
    let second = [
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        "server.ops_listen=127.0.0.1:0",
        "serve",
    ];
    let run = fs::read_to_string(&lock).unwrap();
    assert!(!run.is_empty());
    fs::remove_file(&lock).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // It names the run again: after a crash, the file beside it would be taken for a copy otherwise.
    while fs::read_to_string(&lock).ok().as_ref() != Some(&run) {
        assert!(Instant::now() < deadline, "the lock file is not made again");
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = server.home.run(&second);
    refused.refused(1, "another server runs on this database file");

    // Another server that starts before the lock file is made again gets the lock, and names its own
    // run in both files.
    let mut conn = execute(&server.home, "update store_generation set in_use = 77").await;
    let other = server.home.path("other");
    let mut theirs = File::create(&other).unwrap();
    theirs.write_all(b"77\n").unwrap();
    theirs.lock().unwrap();
    fs::rename(&other, &lock).unwrap();
    let (code, said) = server.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another server runs"), "{said}");
    let run: i64 = sqlx::query_scalar("select in_use from store_generation")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let beside = fs::read_to_string(&lock).unwrap();
    assert_eq!((run, beside.as_str()), (77, "77\n"));
}

/// Changes the database. Returns the connection.
async fn execute(home: &Home, sql: &'static str) -> SqliteConnection {
    let url = format!("sqlite://{}", home.path(DATABASE).display());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn
}

/// As [`execute`], and leaves no connection open, so that the last one is the server's.
async fn execute_once(home: &Home, sql: &'static str) {
    execute(home, sql).await.close().await.unwrap();
}

#[tokio::test]
async fn a_clean_stop_leaves_a_whole_file_whichever_run_it_names() {
    let mut server = start();
    // The run of a server that was killed stays in the file if the next one cannot write its own.
    server.kill();
    let fail = "create trigger fail before update of in_use on store_generation
                begin select raise(abort, 'no'); end";
    execute_once(&server.home, fail).await;
    let mut server = start_in(server.take_home());
    execute_once(&server.home, "drop trigger fail").await;
    server.stop();
    let mut server = start_in(server.take_home());
    // So does the run of an older file, whose rows were written into this one.
    execute_once(&server.home, "update store_generation set in_use = 55").await;
    server.stop();
    let server = start_in(server.take_home());
    create_agent(&server.home);
}

#[tokio::test]
async fn a_file_that_is_damaged_under_a_server_makes_it_not_ready() {
    for keeps_a_page in [false, true] {
        let mut server = start();
        let secret = create_agent(&server.home);
        assert_eq!(server.token("a", &secret).await.0, 200);
        // A clean stop moves everything from the log into the file.
        server.stop();
        let server = start_in(server.take_home());
        assert_eq!(server.token("a", &secret).await.0, 200);
        let file = File::options()
            .write(true)
            .open(server.home.path(DATABASE))
            .unwrap();
        if keeps_a_page {
            let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.write_all_at(&vec![0x5a; length - 4096], 4096).unwrap();
        } else {
            file.set_len(0).unwrap();
        }
        wait_for_health(&server, 1);
        let (status, reply) = server.token("a", &secret).await;
        assert_eq!(status, 503, "{keeps_a_page}: {reply}");
    }
}

#[tokio::test]
async fn a_log_that_was_removed_loses_no_token() {
    for suffix in ["-wal", "-shm"] {
        let mut server = start();
        let secret = create_agent(&server.home);
        for _ in 0..3 {
            assert_eq!(server.token("a", &secret).await.0, 200);
        }
        fs::remove_file(server.home.path(&format!("{DATABASE}{suffix}"))).unwrap();
        assert_eq!(server.token("a", &secret).await.0, 503, "{suffix}");
        server.stop();
        let server = start_in(server.take_home());
        let issued = &server.home.json(&["agent", "show", "a"])["usage"]["issued"];
        assert_eq!(issued, 3, "{suffix}");
        assert_eq!(server.token("a", &secret).await.0, 200);
    }
}
