//! What only PostgreSQL can show: waits for row locks, lost connections, schemas that other
//! processes migrate.

use std::time::{Duration, Instant};

use sealwright::testing::domain::agent::{AgentStatus, Epoch};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::postgres::{PostgresStore, migrate};
use sealwright::testing::store::{
    AgentChange, Change, Freshness, OpenError, Outcome, Store, StoreError,
};
use sqlx::{Connection, PgConnection};

use super::kit::{
    EVENTS, MILLIS, NOW, Seen, batch, batch_at, commit, counted, create, creation, grants, id,
    issue, jti, read, send, suspension, token, used, write,
};
use crate::harness::database::Database;

/// Returns once a statement on this database waits for a lock.
async fn until_somebody_waits(db: &Database) {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    while db.number(waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_waits_while_a_suspension_commits_yields_dead_tokens() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(issue(&*store, "a", 1, None).await, [counted(0)]);
    let batch = batch(grants(&*store, "a", 2, None).await);
    let mut other = PgConnection::connect(db.url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("select 1 from quota for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let sent = tokio::spawn({
        let store = store.clone();
        async move { send(&*store, &batch).await }
    });
    until_somebody_waits(&db).await;
    // The suspension overtakes the batch and does not wait for it.
    assert_eq!(commit(&*store, suspension(id("a"))).await, Outcome::Applied);
    lock.rollback().await.unwrap();
    assert_eq!(sent.await.unwrap(), [counted(0), counted(0)]);
    let standing = store.standing(&[token(jti(), "a")]).await.unwrap();
    assert_eq!(
        standing[0].agent,
        Some((AgentStatus::Suspended, Epoch(MILLIS)))
    );
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(3), 3)
    );
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_takes_too_long_is_unavailable_and_passes() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 1, None).await;
    let batch = batch(grants(&*store, "a", 1, None).await);
    let mut other = PgConnection::connect(db.url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("select 1 from quota for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    sqlx::query("select 1 from agent for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let began = Instant::now();
    let (issued, suspended) = tokio::join!(
        store.issue(&batch),
        store.commit(vec![write(suspension(id("a")))])
    );
    assert!(matches!(issued, Err(StoreError::Unavailable(_))));
    assert!(matches!(suspended, Err(StoreError::Unavailable(_))));
    // The wait ends after two seconds or so, and the lock is still held.
    assert!(began.elapsed() < Duration::from_secs(20));
    lock.rollback().await.unwrap();
    assert_eq!(send(&*store, &batch).await, [counted(0)]);
    assert_eq!(commit(&*store, suspension(id("a"))).await, Outcome::Applied);
    assert_eq!(used(&*store, "a").await, Some(2));
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_read_only_their_own_rows_of_tables_that_grew_since_they_were_planned() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let both = async || {
        let tokens = [token(jti(), "a"), token(jti(), "a")];
        assert_eq!(store.standing(&tokens).await.unwrap().len(), 2);
        issue(&*store, "a", 2, None).await
    };
    assert_eq!(both().await, [counted(0), counted(0)]);
    // With these statistics, reading a whole table costs as little as finding a row of it.
    db.execute("vacuum analyze").await;
    // The database plans a statement anew for its first five executions.
    for _ in 0..8 {
        assert_eq!(both().await, [counted(0), counted(0)]);
    }
    for table in ["agent", "quota"] {
        db.execute(&format!(
            "insert into {table}
             select (jsonb_populate_record(one, jsonb_build_object('agent_id', 'n' || n))).*
             from {table} one, generate_series(1, 5000) n
             where one.agent_id = 'a'"
        ))
        .await;
    }
    assert_eq!(both().await, [counted(0), counted(0)]);
    // A connection reports what it read when it ends.
    let others =
        "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    db.execute(&format!("select pg_terminate_backend(pid) {others}"))
        .await;
    while db.number(&format!("select count(*) {others}")).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let read = "select sum(idx_tup_read) from pg_stat_user_indexes
                where relname in ('agent', 'quota')";
    assert!(db.number(read).await < 200);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_replaced_without_an_error() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    for round in 0..3 {
        let batch = batch(grants(&*store, "a", 1, None).await);
        store.standing(&[token(jti(), "a")]).await.unwrap();
        db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
        assert_eq!(send(&*store, &batch).await, [counted(0)]);
        store.standing(&[token(jti(), "a")]).await.unwrap();
        store.ping().await.unwrap();
        assert_eq!(
            commit(&*store, creation(&format!("b{round}"))).await,
            Outcome::Applied
        );
    }
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(3), 3)
    );
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_whose_connection_breaks_in_the_middle_are_done_once() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    issue(&*store, "a", 1, None).await;
    let batch = batch(grants(&*store, "a", 3, None).await);
    let mut other = PgConnection::connect(db.url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("select 1 from quota for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    sqlx::query("select 1 from agent for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let calls = tokio::spawn({
        let store = store.clone();
        async move {
            tokio::join!(
                send(&*store, &batch),
                store.commit(vec![write(Change::Agent(AgentChange::RevokeTokens(id(
                    "b"
                ))))])
            )
        }
    });
    for _ in 0..2 {
        until_somebody_waits(&db).await;
        db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'",
        )
        .await;
    }
    lock.rollback().await.unwrap();
    let (sent, killed) = calls.await.unwrap();
    assert_eq!(
        (sent, killed.unwrap()),
        (vec![counted(0); 3], vec![Outcome::Applied])
    );
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(4), 4)
    );
    assert_eq!(read(&*store, "b").await.agent.epoch, Epoch(MILLIS));
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_clock_is_behind_decides_when_a_token_was_issued() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let ahead = Timestamp(4_102_444_800);
    let seen = send(
        &*store,
        &batch_at(ahead, grants(&*store, "a", 1, None).await),
    )
    .await;
    let Seen::Counted { iat, .. } = seen[0] else {
        panic!("{seen:?}")
    };
    assert_eq!(iat, NOW);
    assert_eq!(
        store.used(&[id("a")], iat.month()).await.unwrap()[&id("a")],
        1
    );
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_two_servers_in_any_order_never_deadlock() {
    let db = Database::postgres().await;
    let stores = [db.open().await, db.open().await];
    for agent_id in ["a", "b", "c"] {
        create(&*stores[0], agent_id).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (store, order) in stores.iter().zip([["a", "b", "c"], ["c", "b", "a"]]) {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..100 {
                let mut tokens = Vec::new();
                for agent_id in order {
                    tokens.extend(grants(&*store, agent_id, 1, None).await);
                }
                assert_eq!(send(&*store, &batch(tokens)).await, [counted(0); 3]);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(db.number(EVENTS).await, 600);
    assert_eq!(
        db.number("select deadlocks from pg_stat_database where datname = current_database()")
            .await,
        0
    );
    db.remove().await;
}

/// What the connections that commit have for this setting, where the database has another default.
async fn settings_of_commits(setting: &str, default: &str) -> Vec<String> {
    let db = Database::postgres().await;
    let Database::Postgres { name, .. } = &db else {
        unreachable!()
    };
    db.execute(&format!("alter database {name} set {setting} = {default}"))
        .await;
    db.execute(&format!(
        "create function say() returns trigger language plpgsql as $$
         begin new.agent_id = current_setting('{setting}'); return new; end $$;
         create trigger say before insert on audit_event for each row execute function say();
         create trigger say before insert on token_event for each row execute function say()"
    ))
    .await;
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 1, None).await;
    let said = "select agent_id from audit_event union all select agent_id from token_event";
    let settings = db.texts(said).await;
    db.remove().await;
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_durable_whatever_the_database_says_by_default() {
    let settings = settings_of_commits("synchronous_commit", "off").await;
    assert_eq!(settings, ["on", "on"]);
}

/// The planner takes a table without a fitting index for endless where it may not scan one, and
/// would compile its statement for a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_is_compiled_whatever_the_database_says_by_default() {
    let settings = settings_of_commits("jit", "on").await;
    assert_eq!(settings, ["off", "off"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_schema_names_the_command_that_helps() {
    let db = Database::postgres_without_schema().await;
    let refused = PostgresStore::open(&[db.url()], 4).await.unwrap_err();
    assert!(matches!(refused, OpenError::SchemaOlder));
    assert!(refused.to_string().contains("sealwright migrate"));
    let urls = [db.url()];
    let (one, other) = tokio::join!(migrate(&urls), migrate(&urls));
    one.unwrap();
    other.unwrap();
    migrate(&[db.url()]).await.unwrap();
    let store = PostgresStore::open(&[db.url()], 4).await.unwrap();
    assert!(
        store
            .agent(&id("a"), Freshness::Fresh)
            .await
            .unwrap()
            .is_none()
    );
    db.execute("delete from _sqlx_migrations").await;
    assert!(matches!(
        PostgresStore::open(&[db.url()], 4).await,
        Err(OpenError::SchemaOlder)
    ));
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_unreachable_within_seconds() {
    // One port accepts connections and never answers; on the other port nothing listens.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [
        silent.local_addr().unwrap().port(),
        closed.local_addr().unwrap().port(),
    ];
    drop(closed);
    for port in ports {
        let url = format!("postgres://nobody@127.0.0.1:{port}/none?sslmode=disable");
        let began = Instant::now();
        assert!(matches!(
            PostgresStore::open(&[&url], 4).await,
            Err(OpenError::Unreachable(_))
        ));
        assert!(matches!(
            migrate(&[&url]).await,
            Err(OpenError::Unreachable(_))
        ));
        // Each gives up after two and a half seconds.
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(matches!(
        PostgresStore::open(&["nonsense"], 4).await,
        Err(OpenError::Fault(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_written_is_unavailable() {
    let db = Database::postgres().await;
    let Database::Postgres { name, .. } = &db else {
        unreachable!()
    };
    create(&*db.open().await, "a").await;
    db.execute(&format!(
        "alter database {name} set default_transaction_read_only = on"
    ))
    .await;
    let store = db.open().await;
    let batch = batch(grants(&*store, "a", 1, None).await);
    assert!(matches!(
        store.issue(&batch).await,
        Err(StoreError::Unavailable(_))
    ));
    let suspended = store.commit(vec![write(suspension(id("a")))]).await;
    assert!(matches!(suspended, Err(StoreError::Unavailable(_))));
    assert_eq!(read(&*store, "a").await.agent.status, AgentStatus::Active);
    db.remove().await;
}
