//! Partners that are stopped together with many agents, and rows that two changes want at once.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::platform::{CLUSTER, Stage, account, run};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TestApp, bearer, wait_until};
use crate::harness::database::Database;

with_platform! {
    a_stop_that_broke_off_begins_with_the_agents_that_are_left,
    a_partner_is_locked_before_any_agent,
}

/// How many agents hold a credential of the partner.
const HOLDERS: i64 = 60;

/// How many commits of agents that were stopped there are.
const STOPPED: &str = "select count(*) from audit_event where kind = 'agent.tokens_revoked'";

/// Makes as many agents as are missing, each like `h-100` and with its credential.
async fn add_holders(database: &Database) {
    let id = match database {
        Database::Sqlite { .. } => "randomblob(16)",
        Database::Postgres { .. } => "gen_random_uuid()",
    };
    let numbers = format!(
        "with recursive n (i) as (select 101 union all select i + 1 from n where i < 99 + {HOLDERS})"
    );
    let agent = "name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch, version, longest_ttl, created_at, updated_at";
    let credential = "hash, tag, prefix, created_at, raw_basic, kind, partner_id, federation";
    for sql in [
        format!(
            "{numbers} insert into agent (agent_id, org_id, {agent})
             select 'h-' || n.i, org_id, {agent} from n, agent where agent_id = 'h-100'"
        ),
        format!(
            "{numbers} insert into credential (credential_id, agent_id, {credential})
             select {id}, 'h-' || n.i, {credential} from n, credential where partner_id is not null"
        ),
    ] {
        database.execute(&sql).await;
    }
}

/// Makes each change of this agent fail, until [`mend`].
async fn break_one(database: &Database, agent: &str) {
    let sql = match database {
        Database::Sqlite { .. } => format!(
            "create trigger broken before update on agent when new.agent_id = '{agent}'
             begin select raise(abort, 'broken'); end"
        ),
        Database::Postgres { .. } => format!(
            "create or replace function broken() returns trigger language plpgsql
             as $$ begin raise exception 'broken'; end $$;
             create trigger broken before update on agent for each row when (new.agent_id = '{agent}')
             execute function broken()"
        ),
    };
    database.execute(&sql).await;
}

async fn mend(database: &Database) {
    let sql = match database {
        Database::Sqlite { .. } => "drop trigger broken",
        Database::Postgres { .. } => "drop trigger broken on agent",
    };
    database.execute(sql).await;
}

async fn a_stop_that_broke_off_begins_with_the_agents_that_are_left(stage: &Stage<'_>) {
    let (app, database) = (&stage.app, stage.app.database);
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let first = app.agent_named("h-100", "agents:read").await;
    stage.trust("h-100", account(&partner)).await;
    add_holders(database).await;
    let old = bearer(&app.token(&first).await);
    app.clock.advance(5);
    let line = format!("POST /api/v1/partners/{partner}/suspend?revokeTokens=true");
    // In the order of the ids this one is in the second commit of 25.
    break_one(database, "h-140").await;
    let broken = stage.send(&line, &Value::Null).await;
    assert!(broken.status >= 500, "{broken:?}");
    assert_eq!(database.number(STOPPED).await, 25);
    assert_eq!(app.get_as(&old, "/api/v1/whoami").await.status, 401);
    mend(database).await;
    // The first one that was stopped is in the second commit now: 35 others come before it.
    break_one(database, "h-100").await;
    app.clock.advance(1);
    let broken = stage.send(&line, &Value::Null).await;
    assert!(broken.status >= 500, "{broken:?}");
    let alive = |above: i64| {
        format!(
            "select count(*) from agent where agent_id like 'h-%' and agent_id >= 'h-{above}'
             and epoch < (select min(version) from partner)"
        )
    };
    assert_eq!(database.number(STOPPED).await, 50);
    assert_eq!(database.number(&alive(100)).await, 10);
    assert_eq!(database.number(&alive(150)).await, 10);
    mend(database).await;
    let stopped = stage.send(&line, &Value::Null).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    assert!(stopped.json()["revocationVersion"].is_i64(), "{stopped:?}");
    assert_eq!(database.number(STOPPED).await, 50 + HOLDERS);
    assert_eq!(database.number(&alive(100)).await, 0);
}

/// How many statements wait for a row that another one holds.
const WAITING: &str = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

/// A transaction that holds what `sql` locks until it is dropped. SQLite has one writer, and needs no
/// order of rows.
pub async fn hold(app: &TestApp<'_>, sql: &str) -> Option<PgConnection> {
    let Database::Postgres { url, .. } = app.database else {
        return None;
    };
    let mut conn = PgConnection::connect(url).await.unwrap();
    let sql = AssertSqlSafe(format!("begin; {sql}"));
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    Some(conn)
}

/// Waits until this many statements wait for a row, or `is_over`.
pub async fn wait_for(app: &TestApp<'_>, waiting: i64, is_over: impl Fn() -> bool) {
    wait_until("statements wait", async || {
        is_over() || app.database.number(WAITING).await >= waiting
    })
    .await;
}

/// The caller holds a credential of the partner that it changes, so that its row is one that another
/// one wants who stops the partner. If it were locked first, both could wait for each other.
async fn a_partner_is_locked_before_any_agent(stage: &Stage<'_>) {
    let app = &stage.app;
    let scopes = "agents:read agents:write admin:orgs";
    let holder = app.agent_named("holder", scopes).await;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    let unused = json!({ "issuer": "https://unused.example" });
    let unused = stage.partner("kubernetes", &unused).await;
    stage.trust("holder", account(&partner)).await;
    let by_holder = bearer(&app.token(&holder).await);
    let mut trusts = account(&partner);
    trusts["kind"] = "federated".into();
    let path = format!("/api/v1/partners/{partner}");
    let free = "select count(*) from (select 1 from agent where agent_id = 'holder' for update skip locked) as free";
    for (line, body, status) in [
        (format!("PATCH {path}"), json!({ "name": "other" }), 200),
        (format!("POST {AGENTS}/holder/credentials"), trusts, 201),
        (
            format!("DELETE /api/v1/partners/{unused}"),
            Value::Null,
            204,
        ),
        (
            format!("POST {path}/suspend?revokeTokens=true"),
            Value::Null,
            200,
        ),
    ] {
        let held = hold(app, "select from partner for update").await;
        let release = async {
            let Some(held) = held else { return };
            for _ in 0..5 {
                wait_for(app, 1, || false).await;
                assert_eq!(app.database.number(free).await, 1, "{line}");
            }
            held.close().await.unwrap();
        };
        let send = stage.send_as(&by_holder, &line, &body);
        let (answer, ()): (Answer, ()) = futures_util::future::join(send, release).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
}
