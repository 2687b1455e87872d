//! `/livez`, `/readyz` and `/readyz/verify` on both listeners, and `/metrics` on the operators' listener only.

use sqlx::{Connection, SqliteConnection};

use super::on_both;
use crate::harness::app::{TestApp, wait_until};
use crate::harness::database::Database;

on_both! {
    a_server_that_can_issue_is_alive_and_ready,
    a_draining_server_is_alive_and_not_ready,
    each_check_of_readiness_is_told_to_whoever_asks,
    each_check_of_verification_is_told_to_whoever_asks,
    readiness_writes_once_however_many_ask,
    a_database_that_takes_no_write_is_not_ready_until_it_does,
    metrics_are_served_to_operators_alone,
    operators_paths_are_not_public,
}

const OK: &str = "{\"status\":\"ok\"}";

async fn a_server_that_can_issue_is_alive_and_ready(app: &TestApp<'_>) {
    for (address, path) in [
        (app.address, "/livez"),
        (app.address, "/readyz"),
        (app.address, "/readyz/verify"),
        (app.ops_address, "/livez"),
        (app.ops_address, "/readyz"),
        (app.ops_address, "/readyz/verify"),
        (app.ops_address, "/healthz"),
    ] {
        app.send_to(address, "GET", path, &[], vec![])
            .await
            .is(200, OK);
        assert_eq!(
            app.send_to(address, "HEAD", path, &[], vec![]).await.status,
            200
        );
    }
}

async fn each_check_of_readiness_is_told_to_whoever_asks(app: &TestApp<'_>) {
    let all = r#""draining":"ok","signing_key":"ok","clock":"ok","restore":"ok","database":"ok","writes":"ok""#;
    let told = app.get("/readyz?verbose").await;
    told.is(200, &format!("{{\"status\":\"ok\",\"checks\":{{{all}}}}}"));
    app.draining.begin();
    let told = app
        .send_to(app.ops_address, "GET", "/readyz?verbose=1", &[], vec![])
        .await;
    assert_eq!(told.status, 503);
    assert!(
        told.body.contains("\"draining\":\"draining\"") && told.body.contains("\"writes\":\"ok\"")
    );
}

async fn each_check_of_verification_is_told_to_whoever_asks(app: &TestApp<'_>) {
    let all = r#""draining":"ok","keys":"ok","revocation_list":"ok""#;
    let told = app.get("/readyz/verify?verbose").await;
    told.is(200, &format!("{{\"status\":\"ok\",\"checks\":{{{all}}}}}"));
    app.draining.begin();
    let told = app.get("/readyz/verify").await;
    told.is(503, "{\"status\":\"unavailable\",\"reason\":\"draining\"}");
    assert_eq!(told.header("retry-after"), "1");
}

async fn readiness_writes_once_however_many_ask(app: &TestApp<'_>) {
    for _ in 0..20 {
        app.get("/readyz").await.is(200, OK);
    }
    // One write is good for five seconds. On a slow machine the requests may take longer.
    assert!(app.database.number("select count(*) from batch").await <= 3);
}

/// The database may allow only reads: by its rights, on a full disk, or as a standby. Such a server
/// cannot count tokens, so it must not get requests.
async fn a_database_that_takes_no_write_is_not_ready_until_it_does(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let mut holder = None;
    match app.database {
        Database::Postgres { name, .. } => {
            let sql = format!("alter database {name} set default_transaction_read_only = on");
            app.database.execute(&sql).await;
            app.database
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()",
                )
                .await;
        }
        Database::Sqlite { path, .. } => {
            let mut conn = SqliteConnection::connect(path.to_str().unwrap())
                .await
                .unwrap();
            sqlx::raw_sql("begin immediate")
                .execute(&mut conn)
                .await
                .unwrap();
            holder = Some(conn);
        }
    }
    let answer = app.get("/readyz").await;
    answer.is(
        503,
        "{\"status\":\"unavailable\",\"reason\":\"the database cannot be written\"}",
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(app.ask(&agent, "").await.status, 503);
    if let Database::Postgres { name, .. } = app.database {
        let sql = format!(
            "begin read write; alter database {name} reset default_transaction_read_only; commit"
        );
        app.database.execute(&sql).await;
        let others = "select pg_terminate_backend(pid) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()";
        app.database.execute(others).await;
    }
    drop(holder);
    wait_until("the server is ready again", async || {
        app.get("/readyz").await.status == 200
    })
    .await;
    app.token(&agent).await;
}

async fn a_draining_server_is_alive_and_not_ready(app: &TestApp<'_>) {
    app.draining.begin();
    app.get("/livez").await.is(200, OK);
    let answer = app.get("/readyz").await;
    answer.is(503, "{\"status\":\"unavailable\",\"reason\":\"draining\"}");
    assert_eq!(answer.header("retry-after"), "1");
    // Requests that still arrive are served.
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
}

async fn metrics_are_served_to_operators_alone(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    let answer = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        answer
            .body
            .contains("sealwright_token_requests_total{outcome=\"issued\"}")
    );
    assert!(!answer.body.contains(&agent.id), "a label names an agent");
    app.get("/metrics")
        .await
        .is_management_error(404, "NOT_FOUND");
}

async fn operators_paths_are_not_public(app: &TestApp<'_>) {
    app.get("/healthz")
        .await
        .is_management_error(404, "NOT_FOUND");
    let answer = app
        .send_to(app.ops_address, "POST", "/api/v1/token", &[], vec![])
        .await;
    answer.is_management_error(404, "NOT_FOUND");
}
