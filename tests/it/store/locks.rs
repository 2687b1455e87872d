//! Another program's open transaction holds a row lock: only requests that need that row wait.
//!
//! The tests use group commit, as a server does. They measure no time: the other requests are
//! answered while the lock is held, which shows that they did not wait for it.

use std::sync::Arc;
use std::time::Duration;

use sealwright::testing::store::batch::Batched;
use sealwright::testing::store::postgres::PostgresStore;
use sealwright::testing::store::{Batch, Change, Outcome, Store, StoreError, TokenChange, Verdict};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio::task::{JoinHandle, JoinSet};

use super::kit::{
    EVENTS, NOW, Seen, batch, code, commit, counted, create, exchange, grants, id, issue, jti,
    send as sent, suspension, write,
};
use crate::harness::database::Database;

/// A connection of another program, in an open transaction that has run `sql`.
async fn holding(db: &Database, sql: &str) -> PgConnection {
    let mut conn = PgConnection::connect(db.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("begin; {sql}")))
        .execute(&mut conn)
        .await
        .unwrap();
    conn
}

/// Rolls the transaction back, then closes the connection. Closing alone is not enough: PostgreSQL
/// ends the transaction only after the connection looks closed from here.
async fn let_go(mut held: PgConnection) {
    sqlx::raw_sql("rollback").execute(&mut held).await.unwrap();
    held.close().await.unwrap();
}

fn send(store: &Arc<dyn Store>, batch: Batch) -> JoinHandle<Result<Vec<Verdict>, StoreError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.issue(&batch).await })
}

async fn token(store: &Arc<dyn Store>, agent_id: &str) -> Batch {
    batch(grants(&**store, agent_id, 1, None).await)
}

#[track_caller]
fn is_counted(answer: &Result<Vec<Verdict>, StoreError>) {
    assert!(
        matches!(answer.as_deref(), Ok([Verdict::Counted(_)])),
        "{answer:?}"
    );
}

#[track_caller]
fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
}

/// Asks for a token until one is counted, as a client does when the server tells it to retry.
async fn until_counted(store: &Arc<dyn Store>, agent_id: &str) {
    for _ in 0..100 {
        if matches!(
            store.issue(&token(store, agent_id).await).await.as_deref(),
            Ok([Verdict::Counted(_)])
        ) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{agent_id} is never counted");
}

/// Demands that the counters of all agents together equal the number of `token.issued` events.
async fn adds_up(db: &Database) {
    assert_eq!(
        db.number("select sum(used) from quota").await,
        db.number(EVENTS).await
    );
    let twice = "select count(*) - count(distinct jti) from token_event";
    assert_eq!(db.number(twice).await, 0, "a token was counted twice");
}

const OTHERS: [&str; 4] = ["a", "b", "z", "y"];

/// Sends tokens of `x0` and of other agents, in several rounds, while `sql` holds the lock that
/// `x0` needs.
async fn only_x0_waits(sql: &str, has_counter: bool) {
    let db = Database::postgres().await;
    let plain = db.open().await;
    for agent_id in OTHERS.into_iter().chain(["x0", "new"]) {
        create(&*plain, agent_id).await;
        if agent_id != "new" && (agent_id != "x0" || has_counter) {
            issue(&*plain, agent_id, 1, None).await;
        }
    }
    let store: Arc<dyn Store> = Arc::new(Batched::over(plain));
    let held = holding(&db, sql).await;
    let mut waiting = Vec::new();
    for round in 0..6 {
        let mut sent = Vec::new();
        // `x0` waits. Its token is in the middle of those that are sent together.
        for agent_id in ["a", "b", "x0", "z", "y", "new"] {
            let batch = token(&store, agent_id).await;
            let one = send(&store, batch);
            if agent_id == "x0" {
                waiting.push(one);
            } else {
                sent.push(one);
            }
        }
        for one in sent {
            is_counted(&one.await.unwrap());
        }
        assert!(
            round > 0 || waiting.iter().all(|one| !one.is_finished()),
            "x0 was refused at once"
        );
    }
    for one in waiting {
        is_unavailable(&one.await.unwrap());
    }
    adds_up(&db).await;
    let_go(held).await;
    until_counted(&store, "x0").await;
    adds_up(&db).await;
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_holds_an_agents_counter_only_that_agent_waits() {
    only_x0_waits("update quota set used = used where agent_id = 'x0'", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_is_about_to_make_an_agents_counter_only_that_agent_waits() {
    let sql = "insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)
               select 'x0', to_char(now() at time zone 'UTC', 'YYYYMM')::bigint, 0, 0, 0, 0, 0";
    only_x0_waits(sql, false).await;
}

/// The counters that no transaction holds.
const FREE: &str = "select agent_id from quota order by agent_id for update skip locked";

/// The statements that wait for a lock.
const WAITING: &str = "select pid || ' since ' || query_start from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

/// A batch waits for the counter of `e`. Returns the counters that are free meanwhile. `None` if the
/// wait was over too early.
async fn free_while_a_batch_waits_for_e(
    db: &Database,
    connections: u32,
    agents: &[&str],
) -> Option<Vec<String>> {
    let store: Arc<dyn Store> =
        Arc::new(PostgresStore::open(&[db.url()], connections).await.unwrap());
    let mut tokens = Vec::new();
    for agent_id in agents {
        tokens.extend(grants(&*store, agent_id, 1, None).await);
    }
    let held = holding(db, "update quota set used = used where agent_id = 'e'").await;
    let sent = send(&store, batch(tokens));
    let mut waiting = Vec::new();
    while waiting.is_empty() && !sent.is_finished() {
        waiting = db.texts(WAITING).await;
    }
    let free = db.texts(FREE).await;
    let is_in_time = !waiting.is_empty() && db.texts(WAITING).await == waiting;
    let_go(held).await;
    // If the machine is slow, this can be a timeout.
    let _ = sent.await.unwrap();
    is_in_time.then_some(free)
}

/// Two servers that lock the counters of their batches in different orders would wait for each
/// other. With one connection, the database plans freely.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_locked_in_the_order_of_the_agents() {
    let db = Database::postgres().await;
    let store = db.open().await;
    // The counters lie in the table in another order, and so do the tokens in the batch.
    let agents = ["g", "b", "e", "a", "h", "d", "f", "c"];
    for agent_id in agents {
        create(&*store, agent_id).await;
        issue(&*store, agent_id, 1, None).await;
    }
    for is_analyzed in [false, true] {
        if is_analyzed {
            db.execute("analyze").await;
        }
        for connections in [1, 5] {
            let mut free = None;
            while free.is_none() {
                free = free_while_a_batch_waits_for_e(&db, connections, &agents).await;
            }
            let expected = ["f", "g", "h"].map(str::to_owned);
            assert_eq!(free, Some(expected.into()), "{connections} connections");
        }
    }
    adds_up(&db).await;
    db.remove().await;
}

/// Only an insertion writes a slot, and it logs the lock of each counter that exists already.
#[tokio::test]
async fn a_counter_that_exists_is_not_inserted_again() {
    let db = Database::postgres().await;
    let store = db.open().await;
    let slot = "select slot from quota where agent_id = 'b'";
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
        issue(&*store, agent_id, 1, None).await;
    }
    for (connections, expected) in [(5, 0), (1, 1)] {
        let store = PostgresStore::open(&[db.url()], connections).await.unwrap();
        let mut tokens = grants(&store, "a", 1, None).await;
        tokens.extend(grants(&store, "b", 1, None).await);
        assert_eq!(sent(&store, &batch(tokens)).await, [counted(0); 2]);
        assert_eq!(db.number(slot).await, expected, "{connections} connections");
    }
    adds_up(&db).await;
    db.remove().await;
}

/// A batch begins while another transaction is about to make the counter, and is counted on top.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_appears_during_the_wait_is_counted_on() {
    let db = Database::postgres().await;
    let store: Arc<dyn Store> = db.open().await;
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
    }
    issue(&*store, "b", 1, None).await;
    let mut held = holding(
        &db,
        "insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)
         select 'a', month, 7, 0, 0, 0, 0 from quota where agent_id = 'b'",
    )
    .await;
    let mut tokens = grants(&*store, "b", 1, None).await;
    tokens.extend(grants(&*store, "a", 3, Some(9)).await);
    let waits = tokio::spawn({
        let store = Arc::clone(&store);
        async move { sent(&*store, &batch(tokens)).await }
    });
    while db.texts(WAITING).await.is_empty() && !waits.is_finished() {}
    sqlx::raw_sql("commit").execute(&mut held).await.unwrap();
    let seen = waits.await.unwrap();
    // If the machine is so slow that the wait was too long, these tokens were left out.
    if seen[1] != Seen::Locked {
        let expected = [counted(0), counted(0), counted(0), Seen::QuotaReached];
        assert_eq!(seen, expected);
        let used = "select used from quota where agent_id = 'a'";
        assert_eq!(db.number(used).await, 9);
    }
    held.close().await.unwrap();
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_token_does_not_need_delay_nobody() {
    let db = Database::postgres().await;
    let store: Arc<dyn Store> = Arc::new(Batched::over(db.open().await));
    create(&*store, "a").await;
    let held = holding(
        &db,
        "select from agent for update; select from revision for update; select from credential for update",
    )
    .await;
    is_counted(&store.issue(&token(&store, "a").await).await);
    let costs_a_code = batch(vec![exchange(&*store, "a", code(), None).await]);
    is_counted(&store.issue(&costs_a_code).await);
    let_go(held).await;
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_holds_a_code_only_its_exchange_waits() {
    let db = Database::postgres().await;
    let store: Arc<dyn Store> = Arc::new(Batched::over(db.open().await));
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
    }
    let theirs = code();
    let sql = format!(
        "insert into spent_code (code_id, jti, expires_at) values ('{}', '{}', 0)",
        theirs.id.0,
        jti().0
    );
    let held = holding(&db, &sql).await;
    let waits = send(
        &store,
        batch(vec![exchange(&*store, "a", theirs, None).await]),
    );
    for _ in 0..4 {
        let mut sent = Vec::new();
        for agent_id in ["a", "b"] {
            let costs_a_code = batch(vec![exchange(&*store, agent_id, code(), None).await]);
            sent.push(send(&store, costs_a_code));
        }
        for one in sent {
            is_counted(&one.await.unwrap());
        }
    }
    is_unavailable(&waits.await.unwrap());
    let_go(held).await;
    let again = batch(vec![exchange(&*store, "a", theirs, None).await]);
    is_counted(&store.issue(&again).await);
    adds_up(&db).await;
    db.remove().await;
}

/// Many exchanges of `x0` wait. Exchanges and plain tokens of other agents do not wait with them.
async fn only_the_exchanges_of_x0_wait(sql: &str, has_counter: bool) {
    let db = Database::postgres().await;
    let plain = db.open().await;
    for agent_id in ["x0", "a", "b"] {
        create(&*plain, agent_id).await;
        if agent_id != "x0" || has_counter {
            issue(&*plain, agent_id, 1, None).await;
        }
    }
    let store: Arc<dyn Store> = Arc::new(Batched::over(plain));
    let exchange_of = async |agent_id| batch(vec![exchange(&*store, agent_id, code(), None).await]);
    let held = holding(&db, sql).await;
    let mut waiting = Vec::new();
    for round in 0..6 {
        for _ in 0..8 {
            waiting.push(send(&store, exchange_of("x0").await));
        }
        let mut sent = Vec::new();
        for agent_id in ["a", "b"] {
            sent.push(send(&store, exchange_of(agent_id).await));
            sent.push(send(&store, token(&store, agent_id).await));
        }
        for one in sent {
            is_counted(&one.await.unwrap());
        }
        assert!(
            round > 0 || waiting.iter().all(|one| !one.is_finished()),
            "x0 was refused at once"
        );
    }
    for one in waiting {
        is_unavailable(&one.await.unwrap());
    }
    adds_up(&db).await;
    let spent = db.number("select count(*) from spent_code").await;
    assert_eq!(spent, 12, "a code was spent without a token");
    let_go(held).await;
    until_counted(&store, "x0").await;
    is_counted(&store.issue(&exchange_of("x0").await).await);
    adds_up(&db).await;
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_holds_an_agents_counter_only_its_exchanges_wait() {
    only_the_exchanges_of_x0_wait("update quota set used = used where agent_id = 'x0'", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_is_about_to_make_an_agents_counter_only_its_exchanges_wait() {
    let sql = "insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)
               select 'x0', to_char(now() at time zone 'UTC', 'YYYYMM')::bigint, 0, 0, 0, 0, 0";
    only_the_exchanges_of_x0_wait(sql, false).await;
}

/// One batch reaches the database several times, with the counter of a left-out exchange first
/// locked, then free.
#[tokio::test]
async fn a_batch_that_left_out_exchanges_counts_nobody_twice_when_it_comes_again() {
    let db = Database::postgres().await;
    let store = db.open().await;
    for agent_id in ["x0", "a"] {
        create(&*store, agent_id).await;
        issue(&*store, agent_id, 1, None).await;
    }
    let (theirs, mine) = (
        exchange(&*store, "x0", code(), None).await,
        exchange(&*store, "a", code(), None).await,
    );
    let both = batch(vec![theirs.clone(), mine]);
    let held = holding(&db, "update quota set used = used where agent_id = 'x0'").await;
    for _ in 0..2 {
        // The second time, the store knows that the batch has landed, so the exchange that was left
        // out is stale: the server decides about it again.
        let seen = sent(&*store, &both).await;
        assert!(
            seen == [Seen::Locked, counted(0)] || seen == [Seen::Stale, counted(0)],
            "{seen:?}"
        );
    }
    let_go(held).await;
    assert_eq!(sent(&*store, &both).await, [Seen::Stale, counted(0)]);
    assert_eq!(sent(&*store, &batch(vec![theirs])).await, [counted(0)]);
    adds_up(&db).await;
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_holds_an_agent_every_other_kill_goes_on() {
    let db = Database::postgres().await;
    let store: Arc<dyn Store> = Arc::new(Batched::over(db.open().await));
    for agent_id in ["x0", "a", "b", "c"] {
        create(&*store, agent_id).await;
    }
    let held = holding(&db, "select from agent where agent_id = 'x0' for update").await;
    let waits = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(vec![write(suspension(id("x0")))]).await }
    });
    for agent_id in ["a", "b", "c"] {
        assert_eq!(
            commit(&*store, suspension(id(agent_id))).await,
            Outcome::Applied
        );
        let revocation = Change::Token(TokenChange::Revoke {
            jti: jti(),
            agent_id: Some(id("x0")),
            expires_at: NOW,
        });
        assert_eq!(commit(&*store, revocation).await, Outcome::Applied);
    }
    is_unavailable(&waits.await.unwrap());
    let_go(held).await;
    assert_eq!(
        commit(&*store, suspension(id("x0"))).await,
        Outcome::Applied
    );
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_already_waits_for_no_lock() {
    for db in [Database::postgres().await, Database::sqlite().await] {
        let store: Arc<dyn Store> = Arc::new(Batched::over(db.open().await));
        let revocation = Change::Token(TokenChange::Revoke {
            jti: jti(),
            agent_id: None,
            expires_at: NOW,
        });
        assert_eq!(commit(&*store, revocation.clone()).await, Outcome::Applied);
        // Lock everything that any writer needs.
        let (mut postgres, mut sqlite) = (None, None);
        match &db {
            Database::Postgres { .. } => {
                postgres = Some(
                    holding(
                        &db,
                        "select from revision for update; lock table audit_event, token_event",
                    )
                    .await,
                );
            }
            Database::Sqlite { path, .. } => {
                let mut conn = SqliteConnection::connect(path.to_str().unwrap())
                    .await
                    .unwrap();
                sqlx::raw_sql("begin immediate")
                    .execute(&mut conn)
                    .await
                    .unwrap();
                sqlite = Some(conn);
            }
        }
        let mut asked = JoinSet::new();
        for _ in 0..100 {
            let (store, revocation) = (Arc::clone(&store), revocation.clone());
            asked.spawn(async move { store.commit(vec![write(revocation)]).await.unwrap() });
        }
        assert!(
            asked
                .join_all()
                .await
                .iter()
                .all(|outcomes| *outcomes == [Outcome::Unchanged])
        );
        drop((postgres, sqlite));
        db.remove().await;
    }
}
