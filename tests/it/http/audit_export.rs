//! `GET /api/v1/audit` as newline-delimited JSON: all events of a range, and how an export that broke
//! off is told from a complete one.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{TestApp, bearer, wait_until};
use crate::harness::database::Database;

const AUDIT: &str = "/api/v1/audit";
const NDJSON: &str = "application/x-ndjson";

on_both! {
    an_export_has_the_bytes_of_every_event_and_ends_with_a_line_of_its_own,
    an_export_is_recorded_when_it_begins,
    an_export_knows_no_pages,
    an_export_that_breaks_off_has_no_last_line,
    exports_at_once_are_bounded,
}

async fn reader(app: &TestApp<'_>) -> String {
    let agent = app.agent_named("auditor", "audit:read").await;
    bearer(&app.token(&agent).await)
}

async fn export(app: &TestApp<'_>, method: &str, reader: &str, query: &str) -> Answer {
    let headers = [("authorization", reader), ("accept", NDJSON)];
    app.send(method, &format!("{AUDIT}?{query}"), &headers, vec![])
        .await
}

/// The bytes of all events, as text, the oldest first.
async fn recorded(app: &TestApp<'_>) -> Vec<String> {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    rows.iter()
        .map(|row| text(row.logged().unwrap().bytes()))
        .collect()
}

fn last_line(answer: &Answer) -> Value {
    assert!(answer.body.ends_with('\n'));
    serde_json::from_str(answer.body.lines().last().unwrap()).unwrap()
}

async fn an_export_has_the_bytes_of_every_event_and_ends_with_a_line_of_its_own(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let agent = app.agent_named("a", "tokens:read").await;
    app.token(&agent).await;
    // More than one piece.
    for _ in 0..150 {
        app.suspend(&agent).await;
        app.reactivate(&agent).await;
    }
    for order in ["asc", "desc"] {
        let mut expected = recorded(app).await;
        let last: Value = serde_json::from_str(expected.last().unwrap()).unwrap();
        if order == "desc" {
            expected.reverse();
        }
        let answer = export(app, "GET", &reader, &format!("order={order}")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, NDJSON)
        );
        answer.is_not_kept();
        let lines: Vec<&str> = answer.body.lines().collect();
        assert_eq!(lines[..lines.len() - 1], expected);
        let end = json!({ "complete": true, "events": expected.len(), "through": last["id"] });
        assert_eq!(last_line(&answer), end);
    }
    let answer = export(app, "GET", &reader, "kind=token.*&agentId=a").await;
    assert_eq!(answer.body.lines().count(), 2);
    let answer = export(app, "GET", &reader, "agentId=a%20b").await;
    assert_eq!(
        (answer.body.lines().count(), &last_line(&answer)["events"]),
        (1, &json!(0))
    );
}

async fn an_export_is_recorded_when_it_begins(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let query = "kind=token.*&kind=agent.created&from=2025-01-01T00:00:00Z&order=asc";
    let before = recorded(app).await.len();
    let answer = export(app, "HEAD", &reader, query).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, NDJSON)
    );
    assert_eq!(
        recorded(app).await.len(),
        before,
        "only the head was asked for"
    );
    let answer = export(app, "GET", &reader, query).await;
    let events = recorded(app).await;
    let event: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(
        (&event["kind"], &event["actor"], &event["requestId"]),
        (
            &json!("audit.exported"),
            &json!("agent:auditor"),
            &json!(answer.header("x-request-id"))
        )
    );
    let filter = json!({ "kind": ["agent.created", "token.*"], "from": "2025-01-01T00:00:00Z" });
    assert_eq!(event["detail"], json!({ "filter": filter }));
    assert!(
        !answer.body.contains("audit.exported"),
        "it begins after what it exports"
    );
}

async fn an_export_knows_no_pages(app: &TestApp<'_>) {
    let reader = reader(app).await;
    for query in ["limit=1", "cursor=x", "kind=nonsense", "from=x", "order=x"] {
        export(app, "GET", &reader, query)
            .await
            .is_management_error(400, "VALIDATION_ERROR");
    }
    let other = bearer(&app.token(&app.agent("agents:read").await).await);
    export(app, "GET", &other, "")
        .await
        .is_management_error(403, "FORBIDDEN");
    assert!(
        !recorded(app)
            .await
            .iter()
            .any(|event| event.contains("audit.exported"))
    );
}

/// Events that fill the buffers of a connection whose client does not read.
async fn fill(app: &TestApp<'_>, events: u32) {
    app.database
        .execute(&format!(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < {events})
             insert into audit_event (at, kind, actor, agent_id, detail, reason)
             select 1, 'agent.suspended', 'operator', 'other', '', '{}' from n",
            "x".repeat(200)
        ))
        .await;
}

/// Sends the request of an export, on a connection of its own.
async fn begin(app: &TestApp<'_>, reader: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let request = format!(
        "GET {AUDIT}?order=asc HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: {NDJSON}\r\nauthorization: {reader}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn an_export_that_breaks_off_has_no_last_line(app: &TestApp<'_>) {
    let reader = reader(app).await;
    fill(app, 2_000).await;
    app.database
        .execute(
            "insert into audit_event (at, kind, actor, detail) values (1, 'nonsense', 'x', '')",
        )
        .await;
    let mut answer = String::new();
    let mut stream = begin(app, &reader).await;
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.matches("agent.suspended").count() >= 1_500);
    assert!(!answer.contains("\"complete\""));
    assert!(!answer.ends_with("0\r\n\r\n"), "the body has an end");
    // A list does not leave the event out either.
    let listed = app.get_as(&reader, AUDIT).await;
    listed.is_management_error(500, "INTERNAL_ERROR");
}

async fn exports_at_once_are_bounded(app: &TestApp<'_>) {
    let reader = reader(app).await;
    fill(app, 60_000).await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut stream = begin(app, &reader).await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        deaf.push(stream);
    }
    let answer = export(app, "GET", &reader, "agentId=nobody").await;
    answer.is_management_error(503, "SERVICE_UNAVAILABLE");
    assert!(!answer.header("retry-after").is_empty());
    deaf.pop();
    wait_until("a place is free", async || {
        export(app, "GET", &reader, "agentId=nobody").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn ascending_pages_and_exports_end_before_an_event_that_is_still_to_come() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let reader = reader(&app).await;
    let mut late = PgConnection::connect(database.url()).await.unwrap();
    let sql = "begin; insert into audit_event (at, kind, actor, agent_id, detail)
                      values (1, 'agent.suspended', 'late', 'a', '')";
    sqlx::raw_sql(sql).execute(&mut late).await.unwrap();
    app.agent_named("young", "").await;
    let kinds = "kind=agent.created&agentId=young";
    let newest = app
        .get_as(&reader, &format!("{AUDIT}?{kinds}"))
        .await
        .json();
    assert_eq!(newest["data"].as_array().unwrap().len(), 1);
    let oldest = app
        .get_as(&reader, &format!("{AUDIT}?{kinds}&order=asc"))
        .await
        .json();
    assert_eq!(oldest["data"], json!([]));
    for order in ["asc", "desc"] {
        let answer = export(&app, "GET", &reader, &format!("{kinds}&order={order}")).await;
        assert_eq!(last_line(&answer)["events"], 0, "{order}");
    }
    sqlx::raw_sql("commit").execute(&mut late).await.unwrap();
    let answer = export(&app, "GET", &reader, &format!("{kinds}&order=asc")).await;
    assert_eq!(last_line(&answer)["events"], 1);
    late.close().await.unwrap();
    drop(app);
    database.remove().await;
}
