//! Credentials: rotated, re-hashed, imported.

use sealwright::domain::credential::{Credential, SecretHash};
use sealwright::domain::id::CredentialId;
use sealwright::domain::time::Timestamp;
use sealwright::store::{Change, Freshness, Outcome, Store};

use super::kit::{NOW, agent, commit, commit_at, create, credential, id, read, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_rotation_without_overlap_ends_the_old_secret_at_once,
    a_rotation_lets_the_newest_old_secret_live_for_the_overlap,
    a_rotation_never_lengthens_a_life,
    a_decommissioned_agent_gets_no_secret,
    a_rehash_keeps_the_version_and_needs_the_hash_that_was_verified,
    an_imported_credential_is_known_at_once,
}

async fn rotate(db: &Database, store: &dyn Store, at: i64, prefix: &str, old_expires_at: i64) -> Outcome {
    let credential = Credential { created_at: Timestamp(at), ..credential("a", prefix) };
    let change =
        Change::RotateSecret { credential: Box::new(credential), old_expires_at: Timestamp(old_expires_at) };
    db.set_clock(Timestamp(at));
    commit_at(store, Timestamp(at), change).await
}

/// The credentials as (prefix, end), newest first.
async fn held(store: &dyn Store) -> Vec<(String, Option<i64>)> {
    let record = read(store, "a").await;
    record.credentials.iter().map(|c| (c.prefix.to_string(), c.expires_at.map(|t| t.0))).collect()
}

async fn a_rotation_without_overlap_ends_the_old_secret_at_once(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(rotate(db, &*store, NOW.0 + 1, "second", NOW.0 + 1).await, Outcome::Applied);
    assert_eq!(held(&*store).await, [("second".to_owned(), None)]);
    let agent = read(&*store, "a").await.agent.clone();
    assert_eq!((agent.version, agent.epoch.0, agent.updated_at.0), (2, 0, NOW.0 + 1));
    assert_eq!(db.number("select count(*) from audit_event where kind = 'credential.rotated'").await, 1);
}

async fn a_rotation_lets_the_newest_old_secret_live_for_the_overlap(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    rotate(db, &*store, NOW.0, "second", NOW.0 + 100).await;
    let two = [("second".to_owned(), None), ("first".to_owned(), Some(NOW.0 + 100))];
    assert_eq!(held(&*store).await, two);
    // All in one second: what is newest is known whatever the clock says.
    rotate(db, &*store, NOW.0, "third", NOW.0 + 200).await;
    let two = [("third".to_owned(), None), ("second".to_owned(), Some(NOW.0 + 200))];
    assert_eq!(held(&*store).await, two);
}

async fn a_rotation_never_lengthens_a_life(db: &Database) {
    let store = db.open().await;
    let first = Credential { expires_at: Some(Timestamp(NOW.0 + 50)), ..credential("a", "first") };
    let change = Change::CreateAgent { agent: Box::new(agent("a")), credential: Box::new(first) };
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    rotate(db, &*store, NOW.0 + 10, "second", NOW.0 + 1_000).await;
    let two = [("second".to_owned(), None), ("first".to_owned(), Some(NOW.0 + 50))];
    assert_eq!(held(&*store).await, two);
    rotate(db, &*store, NOW.0 + 60, "third", NOW.0 + 60).await;
    assert_eq!(held(&*store).await, [("third".to_owned(), None)]);
}

async fn a_decommissioned_agent_gets_no_secret(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    commit(&*store, Change::SuspendAgent(id("a"))).await;
    assert_eq!(rotate(db, &*store, NOW.0, "second", NOW.0).await, Outcome::Applied);
    commit(&*store, Change::DecommissionAgent(id("a"))).await;
    assert_eq!(rotate(db, &*store, NOW.0, "third", NOW.0).await, Outcome::Conflict);
    assert_eq!(held(&*store).await, [("second".to_owned(), None)]);
}

async fn a_rehash_keeps_the_version_and_needs_the_hash_that_was_verified(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let credential_id = read(&*store, "a").await.credentials[0].credential_id;
    let rehash = |credential_id, from: &str, to: &str| Change::RehashCredential {
        agent_id: id("a"),
        credential_id,
        from: SecretHash(from.into()),
        to: SecretHash(to.into()),
    };
    let first = "$argon2id$of-first";
    assert_eq!(commit(&*store, rehash(credential_id, first, "better")).await, Outcome::Applied);
    assert_eq!(commit(&*store, rehash(credential_id, first, "worse")).await, Outcome::NotFound);
    let other = CredentialId(uuid(NOW));
    assert_eq!(commit(&*store, rehash(other, "better", "worse")).await, Outcome::NotFound);
    let record = read(&*store, "a").await;
    assert_eq!(record.credentials[0].hash, SecretHash("better".into()));
    assert_eq!(record.agent.version, 1);
}

async fn an_imported_credential_is_known_at_once(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert!(!store.holds_imported(Freshness::Fresh).await.unwrap());
    let imported = Credential { tag: None, ..credential("b", "imported") };
    let change = Change::CreateAgent { agent: Box::new(agent("b")), credential: Box::new(imported.clone()) };
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert!(store.holds_imported(Freshness::Fresh).await.unwrap());
    assert_eq!(*read(&*store, "b").await.credentials, [imported]);
    let change = Change::RotateSecret { credential: Box::new(credential("b", "new")), old_expires_at: NOW };
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert!(!store.holds_imported(Freshness::Fresh).await.unwrap());
}
