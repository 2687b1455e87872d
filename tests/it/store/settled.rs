//! Up to which id the events are settled. Ids are drawn in one order and committed in another, so
//! the tests hold transactions of other programs open while the store is asked.

use std::collections::BTreeSet;

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::store::{AgentChange, Backend, Change, Settlement, Unsettled};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;

use super::kit::{NOW, batch, commit, create, grants, id, issue, send, server_run, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    an_event_is_read_as_it_is_stored,
    events_are_read_between_two_ids_in_bounded_pieces,
    after_all_events_were_pruned_the_next_one_has_a_greater_id,
}

/// Inserts one event, and returns its id.
const EVENT: &str =
    "insert into audit_event (at, kind, actor, detail) values (1, 'test', 'test', '{}')";

/// A connection of another program, in an open transaction that has run `sql`.
async fn holding(url: &str, sql: &str) -> PgConnection {
    let mut conn = PgConnection::connect(url).await.unwrap();
    run(&mut conn, &format!("begin; {sql}")).await;
    conn
}

async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(conn)
        .await
        .unwrap();
}

async fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select ({sql})::bigint"));
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

/// Ends the transaction, and waits until the database has closed the connection.
async fn end(mut conn: PgConnection, how: &str) {
    run(&mut conn, how).await;
    conn.close().await.unwrap();
}

async fn newest(db: &Database) -> i64 {
    let sql = "select max(id) from (select id from audit_event union all select id from token_event) as e";
    db.number(sql).await
}

/// Asks, and demands that open transactions hold the settled id back.
#[track_caller]
fn unsettled(answer: Settlement) -> Unsettled {
    match answer {
        Settlement::Unsettled(unsettled) => unsettled,
        Settlement::Settled(id) => panic!("nobody holds {id} back"),
    }
}

async fn asked(store: &dyn Backend, earlier: Option<Unsettled>) -> Settlement {
    store.settled_event(earlier).await.unwrap()
}

async fn ids(store: &dyn Backend, after: i64, through: i64) -> Vec<i64> {
    let events = store.events(after, through, i64::MAX).await.unwrap();
    events.iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_committed_after_a_later_one_is_waited_for() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let first = newest(&db).await;
    assert_eq!(asked(&*store, None).await, Settlement::Settled(first));

    let late = holding(db.url(), EVENT).await;
    create(&*store, "b").await;
    let second = newest(&db).await;
    assert_eq!(
        second,
        first + 2,
        "the open transaction drew the id between"
    );
    // A reader that went by the newest id would go on behind the late event.
    let open = unsettled(asked(&*store, None).await);
    // A later event changes nothing about the question that was asked.
    create(&*store, "c").await;
    let open = unsettled(asked(&*store, Some(open)).await);
    assert_eq!(ids(&*store, first, second).await, [second]);

    end(late, "commit").await;
    assert_eq!(
        asked(&*store, Some(open)).await,
        Settlement::Settled(second)
    );
    assert_eq!(ids(&*store, first, second).await, [first + 1, second]);
    assert_eq!(asked(&*store, None).await, Settlement::Settled(second + 1));
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_committed_after_a_later_event_is_waited_for() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let token = "insert into token_event (jti, at, epoch, agent_id, inline)
                 values (gen_random_uuid(), 1, 0, 'a', '{}')";
    let late = holding(db.url(), token).await;
    create(&*store, "b").await;
    issue(&*store, "a", 1, None).await;
    let open = unsettled(asked(&*store, None).await);
    end(late, "commit").await;
    assert_eq!(asked(&*store, Some(open)).await, Settlement::Settled(4));
    assert_eq!(ids(&*store, 0, 4).await, [1, 2, 3, 4]);
    // A token is waited for where a later event is one of the other table, and the other way round.
    let late = holding(db.url(), EVENT).await;
    issue(&*store, "a", 1, None).await;
    let open = unsettled(asked(&*store, None).await);
    end(late, "commit").await;
    assert_eq!(asked(&*store, Some(open)).await, Settlement::Settled(6));
    assert_eq!(ids(&*store, 4, 6).await, [5, 6]);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_begins_later_is_not_waited_for() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let first = holding(db.url(), EVENT).await;
    let settled = newest(&db).await;
    let mut open = unsettled(asked(&*store, None).await);
    let mut earlier = first;
    // There is always an open writer, as under load, but never the same one.
    for round in 0..5 {
        let later = holding(db.url(), EVENT).await;
        end(earlier, "commit").await;
        assert_eq!(
            asked(&*store, Some(open)).await,
            Settlement::Settled(settled + round)
        );
        open = unsettled(asked(&*store, None).await);
        earlier = later;
    }
    end(earlier, "rollback").await;
    assert_eq!(
        asked(&*store, Some(open)).await,
        Settlement::Settled(settled + 5)
    );
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_no_event_of_this_database_holds_nothing_back() {
    let (db, other) = (Database::postgres().await, Database::postgres().await);
    let store = db.open().await;
    create(&*store, "a").await;
    let prepared = format!("sealwright_{}", uuid(NOW).simple());
    let may_prepare = may_prepare(&db).await;
    if may_prepare {
        let conn = holding(other.url(), EVENT).await;
        end(conn, &format!("prepare transaction '{prepared}'")).await;
    }
    let held = [
        (other.url(), EVENT),
        // What pg_dump does: it locks every table, and reads them all in one snapshot.
        (
            db.url(),
            "set transaction isolation level repeatable read; lock table audit_event in access share mode; \
             select count(*) from audit_event",
        ),
        (db.url(), "select * from audit_event for update"),
        (db.url(), "insert into org values ('o', 'o', 1)"),
        (db.url(), "select txid_current()"),
    ];
    let mut open = Vec::new();
    for (url, sql) in held {
        open.push(holding(url, sql).await);
    }
    create(&*store, "b").await;
    let newest = newest(&db).await;
    assert_eq!(asked(&*store, None).await, Settlement::Settled(newest));
    assert_eq!(ids(&*store, 0, newest).await, [1, 2]);
    for conn in open {
        end(conn, "rollback").await;
    }
    if may_prepare {
        other
            .execute(&format!("rollback prepared '{prepared}'"))
            .await;
    }
    other.remove().await;
    db.remove().await;
}

/// Whether the server allows prepared transactions. `tests/run` starts one that does. The server of
/// `TEST_DATABASE_URL` may not, and then these steps are reported and left out.
async fn may_prepare(db: &Database) -> bool {
    let sql = "select current_setting('max_prepared_transactions')::bigint";
    let may = db.number(sql).await > 0;
    if !may {
        eprintln!("max_prepared_transactions is 0: prepared transactions are not tested");
    }
    may
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_is_waited_for_while_it_changes_its_form() {
    let db = Database::postgres().await;
    if !may_prepare(&db).await {
        return db.remove().await;
    }
    let store = db.open().await;
    let name = format!("sealwright_{}", uuid(NOW).simple());
    let mut conn = holding(db.url(), EVENT).await;
    create(&*store, "a").await;
    let open = unsettled(asked(&*store, None).await);
    // The session goes, and the transaction stays.
    run(&mut conn, &format!("prepare transaction '{name}'")).await;
    conn.close().await.unwrap();
    let open = unsettled(asked(&*store, Some(open)).await);
    unsettled(asked(&*store, None).await);
    db.execute(&format!("commit prepared '{name}'")).await;
    assert_eq!(asked(&*store, Some(open)).await, Settlement::Settled(2));
    assert_eq!(ids(&*store, 0, 2).await, [1, 2]);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subtransaction_is_waited_for_until_its_event_appears_or_is_given_up() {
    let db = Database::postgres().await;
    let store = db.open().await;
    for (then, appears) in [
        ("release savepoint s", true),
        ("rollback to savepoint s", false),
    ] {
        create(&*store, if appears { "a" } else { "b" }).await;
        let before = newest(&db).await;
        let mut conn = holding(db.url(), &format!("savepoint s; {EVENT}")).await;
        create(&*store, if appears { "c" } else { "d" }).await;
        let open = unsettled(asked(&*store, None).await);
        run(&mut conn, then).await;
        let (mut answer, mut expected) = (asked(&*store, Some(open)).await, vec![before + 2]);
        if appears {
            let open = unsettled(answer);
            run(&mut conn, "commit").await;
            answer = asked(&*store, Some(open)).await;
            expected.insert(0, before + 1);
        }
        assert_eq!(answer, Settlement::Settled(before + 2));
        assert_eq!(ids(&*store, before, before + 2).await, expected);
        end(conn, "rollback").await;
    }
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_idle_holds_the_settled_id_back_and_nothing_waits_for_it() {
    let db = Database::postgres().await;
    let store = db.open().await;
    let idle = holding(db.url(), EVENT).await;
    create(&*store, "a").await;
    let mut open = unsettled(asked(&*store, None).await);
    for _ in 0..20 {
        open = unsettled(asked(&*store, Some(open)).await);
        // Between two questions, the store keeps no transaction open and holds no lock.
        let busy = "select count(*) from pg_stat_activity a join pg_locks l on l.pid = a.pid
                    where a.datname = current_database() and l.locktype = 'relation'
                      and l.relation = 'audit_event'::regclass and a.xact_start is not null";
        assert_eq!(db.number(busy).await, 1, "only the idle transaction");
    }
    end(idle, "commit").await;
    assert_eq!(asked(&*store, Some(open)).await, Settlement::Settled(2));
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_run_of_the_server_is_asked_anew() {
    let db = Database::postgres().await;
    db.execute(&server_run(1)).await;
    let store = db.open().await;
    let late = holding(db.url(), EVENT).await;
    create(&*store, "a").await;
    let open = unsettled(asked(&*store, None).await);
    end(late, "rollback").await;
    // The failover lost the newest event, and a new writer draws its id.
    db.execute("delete from audit_event; delete from token_event; alter table audit_event alter id restart")
        .await;
    db.execute(&server_run(2)).await;
    let mut late = holding(db.url(), EVENT).await;
    create(&*store, "b").await;
    assert_eq!(newest(&db).await, 2);
    let open = unsettled(asked(&*store, Some(open)).await);
    run(&mut late, "commit").await;
    assert_eq!(asked(&*store, Some(open)).await, Settlement::Settled(2));
    end(late, "rollback").await;
    db.remove().await;
}

/// Why no snapshot function can replace the locks. PostgreSQL gives a transaction its id when it
/// stores its first row, and the id of an event is drawn before that: here a trigger stops the
/// writer in between. Then no snapshot contains the writer, so `pg_snapshot_xmin` says that every
/// transaction below the newest event has ended. The lock says that one has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_no_snapshot_contains_is_waited_for() {
    let db = Database::postgres().await;
    let store = db.open().await;
    db.execute(
        "create function stop() returns trigger language plpgsql as $$ begin
             if new.kind = 'test' then perform pg_advisory_xact_lock_shared(42); end if;
             return new;
         end $$;
         create trigger stop before insert on audit_event for each row execute function stop()",
    )
    .await;
    create(&*store, "first").await;
    let (mut writer, mut gate) = (
        PgConnection::connect(db.url()).await.unwrap(),
        PgConnection::connect(db.url()).await.unwrap(),
    );
    let pid = number(&mut writer, "select pg_backend_pid()").await;
    let state =
        |what: &str| format!("select count(*) from pg_stat_activity where pid = {pid} and {what}");
    for _ in 0..100 {
        run(&mut gate, "select pg_advisory_lock(42)").await;
        let before = newest(&db).await;
        let stopped = tokio::spawn(async move {
            run(&mut writer, EVENT).await;
            writer
        });
        while number(&mut gate, &state("wait_event = 'advisory'")).await == 0 {
            tokio::task::yield_now().await;
        }
        // Without an id, the transaction is in no snapshot. Every 32nd id of the sequence, and the
        // first one after a checkpoint, costs a log record, which gives the transaction its id.
        let is_hidden = number(&mut gate, &state("backend_xid is null")).await == 1;
        if is_hidden {
            create(&*store, "second").await;
            let newest = newest(&db).await;
            assert_eq!(newest, before + 2, "the writer drew the id between");
            let open = unsettled(asked(&*store, None).await);
            run(&mut gate, "select pg_advisory_unlock(42)").await;
            stopped.await.unwrap().close().await.unwrap();
            assert_eq!(
                asked(&*store, Some(open)).await,
                Settlement::Settled(newest)
            );
            assert_eq!(ids(&*store, before, newest).await, [before + 1, before + 2]);
            return db.remove().await;
        }
        run(&mut gate, "select pg_advisory_unlock(42)").await;
        writer = stopped.await.unwrap();
    }
    panic!("the writer always has a transaction id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_write_in_any_order_and_the_reader_skips_nothing() {
    let db = Database::postgres().await;
    let store = db.open().await;
    let mut writers = JoinSet::new();
    for replica in 0_u32..2 {
        let store = db.open().await;
        let agent = format!("agent-{replica}");
        create(&*store, &agent).await;
        writers.spawn(async move {
            for _ in 0..60 {
                issue(&*store, &agent, 3, None).await;
            }
        });
        // Other writers keep their transactions open for a different time each.
        for other in 0..3 {
            let url = db.url().to_owned();
            writers.spawn(async move {
                let mut conn = PgConnection::connect(&url).await.unwrap();
                for round in 0..40 {
                    run(&mut conn, &format!("begin; {EVENT}")).await;
                    let rows = (replica + 3 * other + 7 * round) % 11 * 20_000;
                    let pause = format!("select count(*) from generate_series(1, {rows})");
                    number(&mut conn, &pause).await;
                    let done = if round % 5 == 0 { "rollback" } else { "commit" };
                    run(&mut conn, &format!("{EVENT}; {done}")).await;
                }
            });
        }
    }
    let (mut place, mut read, mut waited) = (0, Vec::new(), 0);
    loop {
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
        let is_over = writers.is_empty();
        let mut answer = asked(&*store, None).await;
        while let Settlement::Unsettled(open) = answer {
            waited += 1;
            answer = asked(&*store, Some(open)).await;
        }
        let Settlement::Settled(settled) = answer else {
            unreachable!()
        };
        read.extend(ids(&*store, place, settled).await);
        place = settled;
        if is_over {
            break;
        }
    }
    let committed = store.events(0, i64::MAX, i64::MAX).await.unwrap();
    let committed: Vec<i64> = committed.iter().map(|event| event.id).collect();
    assert_eq!(read, committed);
    assert!(waited > 0, "no transaction was ever open");
    db.remove().await;
}

async fn an_event_is_read_as_it_is_stored(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = batch(grants(&*store, "a", 1, None).await);
    send(&*store, &batch).await;
    let events = store.events(0, i64::MAX, 10).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds, ["agent.created", "token.issued"]);
    let (created, issued) = (&events[0], &events[1]);
    assert_eq!(created.agent_id.as_deref(), Some("a"));
    assert_eq!(
        (created.jti, created.expires_at, created.epoch),
        (None, None, None)
    );
    assert_eq!(created.at, NOW.0);
    assert_eq!(issued.id, created.id + 1);
    assert_eq!(&*issued.actor, "agent:a");
    assert_eq!(issued.agent_id.as_deref(), Some("a"));
    assert_eq!(issued.jti, Some(batch.grants[0].jti().0));
    assert_eq!(issued.expires_at, Some(NOW.0 + Ttl::DEFAULT.secs()));
    assert_eq!(issued.epoch, Some(0));
    assert_eq!(&*issued.detail, "agents:read tokens:read");
}

async fn events_are_read_between_two_ids_in_bounded_pieces(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 9, None).await;
    assert_eq!(
        asked(&*store, None).await,
        Settlement::Settled(newest(db).await)
    );
    let piece = async |after, through, limit| {
        let events = store.events(after, through, limit).await.unwrap();
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(piece(0, 10, 100).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(piece(3, 7, 100).await, [4, 5, 6, 7]);
    assert_eq!(piece(3, 7, 2).await, [4, 5]);
    assert!(piece(7, 7, 100).await.is_empty());
    assert!(piece(7, 3, 100).await.is_empty());
    assert!(piece(10, i64::MAX, 100).await.is_empty());
}

async fn after_all_events_were_pruned_the_next_one_has_a_greater_id(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 5, None).await;
    let place = newest(db).await;
    db.execute("delete from audit_event; delete from token_event")
        .await;
    // Nothing is left, so nothing is new, and the reader stays where it is.
    assert_eq!(asked(&*store, None).await, Settlement::Settled(0));
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    let Settlement::Settled(settled) = asked(&*store, None).await else {
        panic!("nobody writes");
    };
    assert_eq!(ids(&*store, place, settled).await, [place + 1]);
    // The same after pruning by time, which leaves no event of a token.
    issue(&*store, "a", 5, None).await;
    let place = newest(db).await;
    db.set_clock(Timestamp(NOW.0 + 100));
    db.announce_prune().await;
    let pruned = store.prune(Timestamp(NOW.0 + 100), 50, 1_000).await;
    assert!(pruned.unwrap() >= 5);
    issue(&*store, "a", 1, None).await;
    assert_eq!(ids(&*store, place, i64::MAX).await, [place + 1]);
    let all: BTreeSet<_> = ids(&*store, 0, i64::MAX).await.into_iter().collect();
    assert_eq!(all, BTreeSet::from([7, 13]));
}
