//! The events from the command line: `audit list` and `audit export`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::{Home, text};

fn filled() -> Home {
    let home = Home::new();
    for id in ["a", "b"] {
        home.json(&[
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            id,
            "--scope",
            "tokens:read",
        ]);
    }
    home.json(&["agent", "suspend", "a", "--reason", "leaked"]);
    home
}

fn kinds(listed: &Value) -> Vec<&str> {
    let rows = listed.as_array().unwrap();
    rows.iter().map(|row| text(&row["event"]["kind"])).collect()
}

#[test]
fn events_are_listed_by_filters_newest_first() {
    let home = filled();
    let listed = home.json(&["audit", "list", "--agent", "a"]);
    assert_eq!(kinds(&listed), ["agent.suspended", "agent.created"]);
    assert_eq!(listed[0]["event"]["reason"], "leaked");
    assert_eq!(listed[0]["entry"], Value::Null);
    let table = home.run(&["audit", "list", "--agent", "a"]).stdout;
    assert!(
        table.contains("reason") && table.contains("leaked"),
        "{table}"
    );
    let listed = home.json(&[
        "audit", "list", "--kind", "agent.*", "--order", "asc", "--limit", "2",
    ]);
    assert_eq!(kinds(&listed), ["agent.created", "agent.created"]);
    let actor = text(&listed[0]["event"]["actor"]).to_owned();
    assert!(actor.starts_with("operator:"), "{actor}");
    let listed = home.json(&[
        "audit",
        "list",
        "--actor",
        &actor,
        "--kind",
        "agent.suspended",
    ]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for nothing in [
        ["--agent", "a b"],
        ["--jti", "x"],
        ["--request", "x"],
        ["--to", "2020-01-01T00:00:00Z"],
    ] {
        assert_eq!(
            home.json(&[&["audit", "list"], &nothing[..]].concat()),
            json!([])
        );
    }
    let lines = home.run(&["audit", "list", "--agent", "a"]).stdout;
    assert!(
        lines.starts_with("id\tat\tkind\tactor\tagent\treason\trequest\tentry\n"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 3);
}

#[test]
fn a_filter_that_cannot_be_one_is_bad_usage() {
    let home = filled();
    for (arguments, why) in [
        (&["--kind", "nonsense"][..], "a kind of event is unknown"),
        (&["--from", "yesterday"], "RFC 3339"),
        (
            &[
                "--from",
                "2026-01-02T00:00:00Z",
                "--to",
                "2026-01-01T00:00:00Z",
            ],
            "--to is before --from",
        ),
        (&["--order", "up"], "asc or desc"),
        (&["--agnet", "a"], "--agent"),
    ] {
        for command in ["list", "export"] {
            home.run(&[&["audit", command], arguments].concat())
                .refused(2, why);
        }
    }
    home.run(&["audit", "list", "--limit", "1001"])
        .refused(2, "1..=1000");
}

#[test]
fn an_export_is_lines_of_json_with_a_last_one_and_is_recorded() {
    let home = filled();
    let ran = home.run(&["audit", "export", "--agent", "a", "--order", "asc"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [created, suspended, last] = &lines[..] else {
        panic!("{ran:?}");
    };
    assert_eq!(
        (&created["kind"], &suspended["kind"]),
        (&json!("agent.created"), &json!("agent.suspended"))
    );
    assert_eq!(
        (&last["complete"], &last["events"]),
        (&json!(true), &json!(2))
    );
    let recorded = home.json(&["audit", "list", "--limit", "1"]);
    assert_eq!(recorded[0]["event"]["kind"], "audit.exported");
    assert_eq!(
        recorded[0]["event"]["detail"],
        json!({ "filter": { "agentId": "a" } })
    );
    assert!(text(&recorded[0]["event"]["actor"]).starts_with("operator:"));
}

async fn run_sql(home: &Home, sql: &'static str) {
    let path = home.path("sealwright-data/sealwright.db");
    let mut conn = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn an_export_that_breaks_off_exits_1_and_has_no_last_line() {
    let home = filled();
    let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 600)
               insert into audit_event (at, kind, actor, agent_id, detail)
               select 1, 'agent.suspended', 'operator', 'a', '' from n;
               insert into audit_event (at, kind, actor, detail) values (1, 'nonsense', 'x', '')";
    run_sql(&home, sql).await;
    let ran = home.run(&["audit", "export", "--order", "asc"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("the export broke off after 607 events"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.lines().count(), 607);
    assert!(!ran.stdout.contains("complete"));
}

#[tokio::test]
async fn an_export_of_many_events_needs_little_memory() {
    let home = filled();
    let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000)
               insert into audit_event (at, kind, actor, agent_id, detail, reason)
               select 1, 'agent.suspended', 'operator', 'a', '', printf('%.200c', 'x') from n";
    run_sql(&home, sql).await;
    let mut child = home
        .command(&["audit", "export", "--order", "asc"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut count, mut last, mut peak) = (0, String::new(), 0);
    for line in lines {
        count += 1;
        last = line.unwrap();
        if count == 99_000 {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("VmHWM:"))
                .unwrap();
            peak = line
                .split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(
        last.contains("\"complete\":true") && count > 100_000,
        "{last}"
    );
    assert!(peak < 60_000, "{peak} KiB");
}
