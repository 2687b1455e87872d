//! A database that is unreachable or stuck never causes a verdict about a token or a client (D9;
//! items 27, 33; known failure 1).

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::harness::answer::Answer;
use crate::harness::app::{
    Agent, INTROSPECT, OAUTH_TOKEN, REVOKE, REVOKED, TOKEN, TestApp, bearer, wait_until,
};
use crate::harness::database::Database;

const UNAVAILABLE: &str = r#"{"error":"temporarily_unavailable","error_description":"The service is temporarily unavailable. Retry later."}"#;

#[track_caller]
fn is_unavailable(answer: &Answer) {
    answer.is(503, UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "1");
}

/// W5: the same as [`is_unavailable`], in the error body of `/oauth/token`.
#[track_caller]
fn is_unavailable_there(answer: &Answer) {
    answer.is_merged_error(503, "SERVICE_UNAVAILABLE", "service_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

/// Demands the responses that the server gives from memory, without the database.
async fn memory_is_served(app: &TestApp<'_>, list: &Answer) {
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get(REVOKED).await.fingerprint(), list.fingerprint());
    assert_eq!(
        app.get_if_none_match(REVOKED, list.header("etag"))
            .await
            .status,
        304
    );
    for path in [
        "/readyz/verify",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ] {
        assert_eq!(app.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn a_lost_postgres_is_503_everywhere_and_comes_back() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let (warm, cold) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let (token, revoked) = (app.token(&warm).await, app.token(&warm).await);
    app.revoke(&warm, &revoked).await.is(200, "{}");
    let list = app.get(REVOKED).await;
    let Database::Postgres { server, name, .. } = &database else {
        unreachable!()
    };
    let mut conn = PgConnection::connect(server).await.unwrap();
    let mut run = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
    };
    run(format!(
        "alter database {name} with allow_connections false"
    ))
    .await;
    run(format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    ))
    .await;

    let nobody = Agent {
        id: "nobody".to_owned(),
        secret: cold.secret.clone(),
    };
    let form = format!("token={token}");
    let (by_basic, by_bearer) = (warm.basic(), bearer(&token));
    let own_path = format!("/api/v1/agents/{}", warm.id);
    let answers = tokio::join!(
        app.ask(&warm, ""),
        app.ask(&cold, ""),
        app.post_as(&by_basic, REVOKE, &form),
        app.post_as(&by_bearer, REVOKE, &form),
        app.post_as(&by_basic, INTROSPECT, &form),
        app.post_as(&by_bearer, INTROSPECT, &form),
        app.post_as("Basic eDp5", TOKEN, "grant_type=client_credentials"),
    );
    <[Answer; 7]>::from(answers).iter().for_each(is_unavailable);
    let (warm_json, cold_json) = (warm.json(), cold.json());
    let (json, unread) = tokio::join!(
        app.post_json(OAUTH_TOKEN, &warm_json),
        app.post_json(OAUTH_TOKEN, &cold_json)
    );
    is_unavailable_there(&json);
    is_unavailable_there(&unread);
    let (agents, own, ready, gate) = tokio::join!(
        app.get_as(&by_bearer, "/api/v1/agents"),
        app.get_as(&by_bearer, &own_path),
        app.get("/readyz"),
        app.get_as(&by_bearer, "/forward-auth"),
    );
    is_unavailable(&gate);
    for answer in [agents, own] {
        answer.is_management_error(503, "SERVICE_UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "1");
    }
    ready.is(503, "{\"status\":\"unavailable\",\"reason\":\"database\"}");
    // A secret with a wrong tag is refused without a read. A bad request is refused before that.
    app.ask(&nobody, "")
        .await
        .is(401, super::token::INVALID_CLIENT);
    app.ask(&warm, "scope=a++b")
        .await
        .is_error(400, "invalid_scope");
    memory_is_served(&app, &list).await;

    run(format!("alter database {name} with allow_connections true")).await;
    wait_until("the server is ready again", async || {
        app.get("/readyz").await.status == 200
    })
    .await;
    wait_until("tokens are issued again", async || {
        app.ask(&cold, "").await.status == 200
    })
    .await;
    assert!(
        app.is_active(&warm, &token).await,
        "what was answered with 503 has not happened"
    );
    app.revoke(&warm, &token).await.is(200, "{}");
    drop(app);
    database.remove().await;
}

#[tokio::test]
async fn a_locked_sqlite_file_is_503_for_writes_and_comes_back() {
    let database = Database::sqlite().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    let list = app.get(REVOKED).await;
    let mut holder = SqliteConnection::connect(database.path().to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql("begin immediate")
        .execute(&mut holder)
        .await
        .unwrap();
    let (issued, revoked) = tokio::join!(app.ask(&agent, ""), app.revoke(&agent, &token));
    is_unavailable(&issued);
    is_unavailable(&revoked);
    is_unavailable_there(&app.post_json(OAUTH_TOKEN, &agent.json()).await);
    // Reads still work: the revocation that was answered with 503 has not happened.
    assert!(app.is_active(&agent, &token).await);
    memory_is_served(&app, &list).await;
    sqlx::raw_sql("rollback")
        .execute(&mut holder)
        .await
        .unwrap();
    holder.close().await.unwrap();
    wait_until("tokens are issued again", async || {
        app.ask(&agent, "").await.status == 200
    })
    .await;
    // A write with an unknown outcome may have landed meanwhile. Repeating the request is always
    // right.
    app.revoke(&agent, &token).await.is(200, "{}");
    assert!(!app.is_active(&agent, &token).await);
    drop(app);
    database.remove().await;
}
