//! Calls that fail or are cancelled, and the state that they leave.

use std::time::Duration;

use sealwright::testing::store::{
    AgentChange, Backend, Change, Freshness, Outcome, StoreError, TokenChange,
};
use tokio::time::timeout;

use super::kit::{
    EVENTS, MILLIS, NOW, batch, commit, count, create, creation, grants, id, issue, jti, send,
    suspension, token, used, write,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_store_answers_a_ping,
    a_missing_table_is_a_fault,
    a_broken_row_is_a_fault,
    a_failed_call_leaves_the_store_usable,
    issues_that_are_given_up_leave_the_store_usable,
    commits_that_are_given_up_leave_the_store_usable,
    reads_that_are_given_up_leave_the_store_usable,
    a_newer_schema_is_accepted,
}

async fn a_store_answers_a_ping(db: &Database) {
    db.open().await.ping().await.unwrap();
}

async fn a_missing_table_is_a_fault(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = batch(grants(&*store, "a", 1, None).await);
    db.execute("drop table quota; drop table revoked_token")
        .await;
    assert!(matches!(
        store.issue(&batch).await,
        Err(StoreError::Fault(_))
    ));
    assert!(matches!(
        store.used(&[id("a")], NOW.month()).await,
        Err(StoreError::Fault(_))
    ));
    assert!(matches!(
        store.standing(&[token(jti(), "a")]).await,
        Err(StoreError::Fault(_))
    ));
    let revocation = Change::Token(TokenChange::Revoke {
        jti: jti(),
        agent_id: None,
        expires_at: NOW,
    });
    assert!(matches!(
        store.commit(vec![write(revocation)]).await,
        Err(StoreError::Fault(_))
    ));
}

async fn a_broken_row_is_a_fault(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for broken in [
        "scopes = 'nonsense'",
        "scopes = '[\"a b\"]'",
        "scopes = '[]', ttl = 1",
    ] {
        db.execute(&format!("update agent set {broken}")).await;
        let read = store.agent(&id("a"), Freshness::Fresh).await;
        assert!(matches!(read, Err(StoreError::Fault(_))), "{broken}");
        assert!(matches!(
            store.agents(None, 10).await,
            Err(StoreError::Fault(_))
        ));
    }
}

async fn a_failed_call_leaves_the_store_usable(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for table in ["audit_event", "token_event"] {
        let hide = format!("alter table {table} rename to hidden_{table}");
        db.execute(&hide).await;
    }
    // Counting works, but the events cannot be written: the store keeps neither.
    let lost = batch(grants(&*store, "a", 3, None).await);
    assert!(store.issue(&lost).await.is_err());
    assert!(store.commit(vec![write(creation("b"))]).await.is_err());
    for table in ["audit_event", "token_event"] {
        let show = format!("alter table hidden_{table} rename to {table}");
        db.execute(&show).await;
    }
    assert_eq!(used(&*store, "a").await, None);
    assert_eq!(count(&send(&*store, &lost).await), 3);
    assert_eq!(commit(&*store, creation("b")).await, Outcome::Applied);
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(3), 3)
    );
}

/// Rising timeouts, after which a call is cancelled, so that calls are cancelled in every phase.
fn patiences() -> impl Iterator<Item = Duration> {
    (0..3_000).step_by(60).map(Duration::from_micros)
}

async fn issues_that_are_given_up_leave_the_store_usable(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for patience in patiences() {
        let batch = batch(grants(&*store, "a", 2, None).await);
        let _ = timeout(patience, store.issue(&batch)).await;
    }
    assert_eq!(count(&issue(&*store, "a", 1, None).await), 1);
    consistent(db, &*store).await;
}

async fn commits_that_are_given_up_leave_the_store_usable(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for patience in patiences() {
        let revocation = Change::Token(TokenChange::Revoke {
            jti: jti(),
            agent_id: None,
            expires_at: NOW,
        });
        let writes = vec![
            write(Change::Agent(AgentChange::RevokeTokens(id("a")))),
            write(revocation),
        ];
        let _ = timeout(patience, store.commit(writes)).await;
    }
    assert_eq!(commit(&*store, suspension(id("a"))).await, Outcome::Applied);
    // Each commit is stored completely or not at all.
    let epoch = db.number("select epoch from agent").await;
    let revoked = db.number("select count(*) from revoked_token").await;
    assert_eq!(epoch, MILLIS + revoked);
    assert_eq!(
        db.number("select version from revision where name = 'revocation'")
            .await,
        MILLIS + 2 * revoked
    );
    assert_eq!(
        db.number("select count(*) from audit_event").await,
        2 * revoked + 2
    );
}

async fn reads_that_are_given_up_leave_the_store_usable(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for patience in patiences() {
        let _ = timeout(patience, store.standing(&[token(jti(), "a")])).await;
        let _ = timeout(patience, store.agent(&id("a"), Freshness::Fresh)).await;
    }
    assert_eq!(store.standing(&[token(jti(), "a")]).await.unwrap().len(), 1);
    assert!(
        store
            .agent(&id("a"), Freshness::Fresh)
            .await
            .unwrap()
            .is_some()
    );
}

/// The counter equals the number of events. One statement reads both, since a cancelled statement
/// may still be running.
async fn consistent(db: &Database, store: &dyn Backend) {
    let counted = "select cast((select coalesce(sum(used), 0) from quota) as bigint)";
    assert_eq!(db.number(&format!("{counted} - ({EVENTS})")).await, 0);
    assert!(used(store, "a").await.is_some());
}

async fn a_newer_schema_is_accepted(db: &Database) {
    db.execute(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select 99, 'of a newer program', success, checksum, 0 from _sqlx_migrations where version = 1",
    )
    .await;
    let store = db.open().await;
    create(&*store, "a").await;
}
