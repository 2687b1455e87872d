//! The tamper-evident log from the command line: its key, its checkpoints, and what `audit verify`
//! says about a log beside a running server.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::server::{Server, start};
use crate::{Home, Ran, text};

/// Waits until the log has everything.
fn wait_until_logged(server: &Server) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let found = server.home.json(&["audit", "verify"]);
        if found["pending"] == 0 && found["entries"].as_u64() > Some(0) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

async fn run_sql(home: &Home, sql: String) {
    let path = home.path("sealwright-data/sealwright.db");
    let mut conn = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

fn verify(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["audit", "verify"], arguments].concat())
}

#[tokio::test]
async fn a_log_is_verified_against_its_events_and_against_the_servers_log_lines() {
    let mut server = start();
    let made = server.home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "tokens:read",
    ]);
    for _ in 0..3 {
        let (status, reply) = server.token("a", text(&made["clientSecret"])).await;
        assert_eq!(status, 200, "{reply}");
    }
    let found = wait_until_logged(&server);
    assert_eq!(found["broken"], Value::Null);

    let key = server.home.run(&["audit", "key"]);
    let origin = "/api/v1/audit/log/1+";
    assert!(
        key.stdout.contains(origin) && key.stdout.lines().count() == 1,
        "{key:?}"
    );
    let note = server.home.run(&["audit", "checkpoint"]);
    assert!(note.stdout.contains("\n\n\u{2014} "), "{note:?}");
    let shown = server.home.json(&["audit", "checkpoint"]);
    assert_eq!(shown["note"], note.stdout);
    assert_eq!(shown["size"], found["entries"]);

    let lines = server.stop();
    let home = server.take_home();
    home.write("kept.note", &note.stdout);
    home.write("server.log", &lines);
    for file in ["kept.note", "server.log"] {
        let whole = verify(&home, &["--against", file]);
        assert_eq!(whole.code, 0, "{whole:?}");
        assert!(
            whole.stdout.contains("\npending: 0\ncheckpoints: 1\n"),
            "{whole:?}"
        );
    }
    home.write("empty", "nothing\n");
    verify(&home, &["--against", "empty"]).refused(2, "no signed note");
    verify(&home, &["--against", "absent"]).refused(1, "absent");

    // Whoever can write the database changes who did something.
    let id = 3;
    run_sql(
        &home,
        format!("update audit_event set actor = 'agent:b' where id = {id}"),
    )
    .await;
    let broken = verify(&home, &[]);
    assert_eq!(broken.code, 1, "{broken:?}");
    assert!(
        broken.stdout.contains(&format!("broken: event {id}: ")),
        "{broken:?}"
    );
    assert!(broken.stderr.contains(&format!("event {id}")), "{broken:?}");
    let shown = home.run(&["audit", "verify", "--json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["firstId"], id);
}
