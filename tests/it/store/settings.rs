//! What must not depend on PostgreSQL's own settings, nor on programs and people that use the
//! database beside the servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealwright::testing::domain::agent::{AgentStatus, Epoch};
use sealwright::testing::domain::assertion::AssertionRef;
use sealwright::testing::domain::grant::Grant;
use sealwright::testing::store::postgres::{PostgresStore, migrate};
use sealwright::testing::store::records::Upkeep;
use sealwright::testing::store::{AgentChange, Change, OpenError, Outcome, Store, StoreError};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::kit::{
    MILLIS, NOW, batch, code, commit, counted, create, exchange, grants, id, issue,
    issue_patiently, read, send, suspension, write,
};
use crate::harness::database::Database;

fn name(db: &Database) -> &str {
    let Database::Postgres { name, .. } = db else {
        unreachable!()
    };
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_isolation_is_the_default_all_writes_at_once_succeed() {
    for level in ["serializable", "repeatable read"] {
        let db = Database::postgres().await;
        let sql = format!(
            "alter database {} set default_transaction_isolation = '{level}'",
            name(&db)
        );
        db.execute(&sql).await;
        create(&*db.open().await, "a").await;
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let store = db.open().await;
            writers.spawn(async move {
                for _ in 0..5 {
                    let killed = store
                        .commit(vec![write(Change::Agent(AgentChange::RevokeTokens(id(
                            "a",
                        ))))])
                        .await;
                    assert_eq!(killed.unwrap(), [Outcome::Applied]);
                    let token = exchange(&*store, "a", code(), None).await;
                    // The token may be stale: another kill may have come between its decision and
                    // its counting.
                    issue_patiently(&*store, &batch(vec![token])).await;
                }
            });
        }
        writers.join_all().await;
        let record = read(&*db.open().await, "a").await;
        assert!(
            record.agent.epoch >= Epoch(50),
            "{level}: {:?}",
            record.agent.epoch
        );
        db.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_database_gives_up_at_its_commit_is_tried_again() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    // A sequence is not transactional: it counts failed attempts too.
    db.execute(
        "create sequence tries;
         create function give_up() returns trigger language plpgsql as $$
         begin
             if nextval('tries') % 3 <> 0 then raise exception 'not now' using errcode = '40001'; end if;
             return null;
         end $$;
         create constraint trigger give_up after insert on audit_event
             deferrable initially deferred for each row execute function give_up();
         create constraint trigger give_up after insert on token_event
             deferrable initially deferred for each row execute function give_up()",
    )
    .await;
    assert_eq!(
        commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await,
        Outcome::Applied
    );
    assert_eq!(read(&*store, "a").await.agent.epoch, Epoch(MILLIS));
    assert_eq!(commit(&*store, suspension(id("a"))).await, Outcome::Applied);
    assert_eq!(
        commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await,
        Outcome::Applied
    );
    assert_eq!(issue(&*store, "a", 1, None).await.len(), 1);
    let token = exchange(&*store, "a", code(), None).await;
    assert_eq!(send(&*store, &batch(vec![token])).await.len(), 1);
    assert_eq!(db.number("select last_value from tries").await, 15);
    // A transaction that fails every time is reported as unavailable, and has changed nothing.
    db.execute(
        "create or replace function give_up() returns trigger language plpgsql as $$
                begin raise exception 'not now' using errcode = '40P01'; end $$",
    )
    .await;
    let given_up = store
        .commit(vec![write(Change::Agent(AgentChange::Decommission(id(
            "a",
        ))))])
        .await;
    assert!(matches!(given_up, Err(StoreError::Unavailable(_))));
    assert_eq!(read(&*store, "a").await.agent.status, AgentStatus::Active);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_utf8_is_refused_with_the_reason() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let db = Database::postgres().await;
        let Database::Postgres { server, name, .. } = &db else {
            unreachable!()
        };
        let mut conn = PgConnection::connect(server).await.unwrap();
        let sql = format!(
            "drop database {name} with (force);
             create database {name} encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
        );
        for sql in sql.split(';') {
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut conn)
                .await
                .unwrap();
        }
        let migrated = migrate(&[db.url()]).await.unwrap_err();
        let opened = PostgresStore::open(&[db.url()], 4).await.unwrap_err();
        for refused in [migrated, opened] {
            assert!(
                matches!(&refused, OpenError::Encoding(told) if told == encoding),
                "{refused:?}"
            );
            assert!(refused.to_string().contains("UTF8"), "{refused}");
        }
        db.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_gives_up_on_a_held_table_says_who_holds_it_and_delays_no_read_for_long() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    db.execute(
        "alter table credential rename column raw_basic to kept;
         delete from _sqlx_migrations where version = 3",
    )
    .await;
    let mut dump = PgConnection::connect(db.url()).await.unwrap();
    sqlx::raw_sql(
        "set application_name = 'pg_dump'; begin; lock table credential in access share mode",
    )
    .execute(&mut dump)
    .await
    .unwrap();
    // A reader waits about a second behind the migration. One that waits as long as the dump would
    // wait for ever.
    let mut reader = PgConnection::connect(db.url()).await.unwrap();
    sqlx::raw_sql("set statement_timeout = 8000")
        .execute(&mut reader)
        .await
        .unwrap();
    let url = db.url().to_owned();
    let migration = tokio::spawn(async move { migrate(&[&url]).await });
    let began = Instant::now();
    while !migration.is_finished() {
        // Replicas of the previous release read the table during the migration.
        sqlx::raw_sql("select count(*) from credential")
            .execute(&mut reader)
            .await
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "the migration does not end"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = migration.await.unwrap().unwrap_err();
    let told = refused.to_string();
    assert!(matches!(refused, OpenError::Locked(_)), "{told}");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut dump)
        .await
        .unwrap();
    for part in [
        format!("pid {pid} (pg_dump, user "),
        "since 20".to_owned(),
        "holds credential".to_owned(),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    sqlx::raw_sql("rollback").execute(&mut dump).await.unwrap();
    migrate(&[db.url()]).await.unwrap();
    let added = "select count(*) from information_schema.columns
                 where table_name = 'credential' and column_name = 'raw_basic'";
    assert_eq!(db.number(added).await, 1);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_lost_is_an_outage_and_passes() {
    let db = Database::postgres().await;
    let database = name(&db).to_owned();
    let role = format!("{database}_role");
    db.execute(&format!(
        "create role {role} login;
         grant select, insert, update, delete on all tables in schema public to {role}"
    ))
    .await;
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_username(&role).unwrap();
    let store = PostgresStore::open(&[url.as_str()], 4).await.unwrap();
    create(&store, "a").await;
    let batch = batch(grants(&store, "a", 1, None).await);
    db.execute(&format!(
        "revoke update on quota, agent from {role}; revoke select on revoked_token from {role}"
    ))
    .await;
    assert!(matches!(
        store.issue(&batch).await,
        Err(StoreError::Unavailable(_))
    ));
    // Readiness checks the store with an empty batch.
    let nobody = super::kit::batch(vec![]);
    assert!(matches!(
        store.issue(&nobody).await,
        Err(StoreError::Unavailable(_))
    ));
    let suspended = store.commit(vec![write(suspension(id("a")))]).await;
    assert!(matches!(suspended, Err(StoreError::Unavailable(_))));
    let standing = store
        .standing(&[super::kit::token(super::kit::jti(), "a")])
        .await;
    assert!(matches!(standing, Err(StoreError::Unavailable(_))));
    db.execute(&format!(
        "grant select, insert, update, delete on all tables in schema public to {role}"
    ))
    .await;
    assert_eq!(send(&store, &batch).await, [counted(0)]);
    assert_eq!(commit(&store, suspension(id("a"))).await, Outcome::Applied);
    drop(store);
    // At start-up, missing rights are a fault of the configured role and not an outage.
    db.execute(&format!(
        "revoke all on all tables in schema public from {role}"
    ))
    .await;
    let opened = PostgresStore::open(&[url.as_str()], 4).await.unwrap_err();
    assert!(matches!(opened, OpenError::Fault(_)), "{opened:?}");
    db.execute(&format!("drop owned by {role}; drop role {role}"))
        .await;
    db.remove().await;
}

/// Some tables are written so rarely that only a look at the rights tells that one was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_that_a_server_needs_is_a_condition_of_a_ping() {
    let db = Database::postgres().await;
    let role = format!("{}_role", name(&db));
    db.execute(&format!(
        "create role {role} login;
         grant select, insert, update, delete on all tables in schema public to {role}"
    ))
    .await;
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_username(&role).unwrap();
    let store = PostgresStore::open(&[url.as_str()], 4).await.unwrap();
    store.ping().await.unwrap();
    for (right, table) in [
        ("insert", "revoked_token"),
        ("select", "revoked_token"),
        ("update", "revision"),
        ("insert", "spent_code"),
        ("delete", "spent_code"),
        ("update", "quota"),
        ("insert", "audit_event"),
        ("insert", "batch"),
        ("select", "signing_key"),
        ("select", "credential"),
    ] {
        db.execute(&format!("revoke {right} on {table} from {role}"))
            .await;
        for lost in [store.ping().await, store.rest().await] {
            let Err(StoreError::Unavailable(cause)) = lost else {
                panic!("{right} on {table}: {lost:?}");
            };
            let told = cause.to_string();
            assert!(
                told.contains(&format!("may not {right} on {table}: ")),
                "{told}"
            );
        }
        db.execute(&format!("grant {right} on {table} to {role}"))
            .await;
        store.ping().await.unwrap();
    }
    drop(store);
    db.execute(&format!("drop owned by {role}; drop role {role}"))
        .await;
    db.remove().await;
}

/// A role that an earlier release was set up for may lack the right to remove what is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_remove_spent_assertions_issues_tokens_for_them() {
    let db = Database::postgres().await;
    let role = format!("{}_role", name(&db));
    db.execute(&format!(
        "create role {role} login;
         grant select, insert, update, delete on all tables in schema public to {role};
         revoke delete on spent_assertion from {role}"
    ))
    .await;
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_username(&role).unwrap();
    let store = PostgresStore::open(&[url.as_str()], 4).await.unwrap();
    store.ping().await.unwrap();
    create(&store, "a").await;
    let grant = grants(&store, "a", 1, None).await.remove(0);
    let assertion = AssertionRef::new(&id("a"), "1", NOW);
    let batch = batch(vec![Arc::new(
        Grant::clone(&grant).costing(Some(assertion)),
    )]);
    assert_eq!(send(&store, &batch).await, [counted(0)]);
    assert!(store.is_spent(assertion.hash).await.unwrap());
    let Err(StoreError::Unavailable(cause)) = store.prune(NOW, 1 << 40, 100).await else {
        panic!("pruned without the right to");
    };
    assert!(cause.to_string().contains("spent_assertion"), "{cause}");
    drop(store);
    db.execute(&format!("drop owned by {role}; drop role {role}"))
        .await;
    db.remove().await;
}

/// Neither the lock among migrations nor a prepared transaction is a table lock of a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_says_who_holds_a_lock_that_is_on_no_table_of_a_session() {
    let db = Database::postgres().await;
    db.execute(
        "alter table credential rename column raw_basic to kept;
         delete from _sqlx_migrations where version = 3",
    )
    .await;
    let prepared = db
        .number("select current_setting('max_prepared_transactions')::int")
        .await;
    if prepared == 0 {
        println!("max_prepared_transactions is 0: prepared transactions are not shown here");
    } else {
        let gid = format!("left behind in {}", name(&db));
        db.execute(&format!(
            "begin; lock table credential in access share mode; prepare transaction '{gid}'"
        ))
        .await;
        let told = migrate(&[db.url()]).await.unwrap_err().to_string();
        assert!(
            told.contains(&format!("prepared transaction {gid} (user ")),
            "{told}"
        );
        db.execute(&format!("rollback prepared '{gid}'")).await;
    }
    migrate(&[db.url()]).await.unwrap();
    db.remove().await;
}
