//! Credentials: rotation, re-hashing, import.

use sealwright::testing::domain::credential::{Credential, SecretHash};
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    AgentChange, Change, CredentialChange, Freshness, Outcome, Store,
};

use super::kit::{
    MILLIS, NOW, agent, commit, commit_at, create, credential, id, read, suspension, uuid,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_rotation_without_overlap_ends_the_old_secret_at_once,
    a_rotation_ends_each_old_secret_at_the_earlier_of_its_end_and_the_overlap,
    a_rotation_that_would_leave_too_many_secrets_changes_nothing,
    rotations_at_once_never_leave_more_secrets_than_allowed,
    a_rotation_never_lengthens_a_life,
    a_decommissioned_agent_gets_no_secret,
    a_rehash_keeps_the_version_and_needs_the_hash_that_was_verified,
    an_imported_credential_is_known_at_once,
}

async fn rotate(
    db: &Database,
    store: &dyn Store,
    at: i64,
    prefix: &str,
    old_expires_at: i64,
) -> Outcome {
    let credential = Credential {
        created_at: Timestamp(at),
        ..credential("a", prefix)
    };
    let change = Change::Credential(CredentialChange::Rotate {
        credential: Box::new(credential),
        overlap: old_expires_at - at,
        label: None,
        max_live: 10,
    });
    db.set_clock(Timestamp(at));
    commit_at(store, Timestamp(at), change).await
}

/// The agent's credentials as (prefix, expiry), newest first.
async fn held(store: &dyn Store) -> Vec<(String, Option<i64>)> {
    let record = read(store, "a").await;
    record
        .credentials
        .iter()
        .map(|c| (c.prefix.to_string(), c.expires_at.map(|t| t.0)))
        .collect()
}

async fn a_rotation_without_overlap_ends_the_old_secret_at_once(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(
        rotate(db, &*store, NOW.0 + 1, "second", NOW.0 + 1).await,
        Outcome::Applied
    );
    assert_eq!(held(&*store).await, [("second".to_owned(), None)]);
    let agent = read(&*store, "a").await.agent.clone();
    assert_eq!(
        (agent.version, agent.epoch.0, agent.updated_at.0),
        (MILLIS + 1_000, 0, NOW.0 + 1)
    );
    assert_eq!(
        db.number("select count(*) from audit_event where kind = 'credential.rotated'")
            .await,
        1
    );
}

async fn a_rotation_ends_each_old_secret_at_the_earlier_of_its_end_and_the_overlap(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    rotate(db, &*store, NOW.0, "second", NOW.0 + 100).await;
    let two = [
        ("second".to_owned(), None),
        ("first".to_owned(), Some(NOW.0 + 100)),
    ];
    assert_eq!(held(&*store).await, two);
    // All rotations happen in one second: the order of the credentials does not depend on the
    // clock.
    rotate(db, &*store, NOW.0, "third", NOW.0 + 200).await;
    let mut all = vec![
        ("third".to_owned(), None),
        ("second".to_owned(), Some(NOW.0 + 200)),
        ("first".to_owned(), Some(NOW.0 + 100)),
    ];
    assert_eq!(held(&*store).await, all);
    rotate(db, &*store, NOW.0, "fourth", NOW.0 + 50).await;
    for (_, end) in &mut all {
        *end = Some(NOW.0 + 50);
    }
    all.insert(0, ("fourth".to_owned(), None));
    assert_eq!(held(&*store).await, all);
    rotate(db, &*store, NOW.0, "fifth", NOW.0).await;
    assert_eq!(held(&*store).await, [("fifth".to_owned(), None)]);
}

async fn a_rotation_that_would_leave_too_many_secrets_changes_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let rotate = async |at: i64, prefix: &str, old_expires_at: i64| {
        let credential = Credential {
            created_at: Timestamp(at),
            ..credential("a", prefix)
        };
        let (credential, overlap) = (Box::new(credential), old_expires_at - at);
        db.set_clock(Timestamp(at));
        commit_at(
            &*store,
            Timestamp(at),
            Change::Credential(CredentialChange::Rotate {
                credential,
                overlap,
                label: None,
                max_live: 2,
            }),
        )
        .await
    };
    assert_eq!(rotate(NOW.0, "second", NOW.0 + 100).await, Outcome::Applied);
    let (before, version) = (held(&*store).await, read(&*store, "a").await.agent.version);
    assert_eq!(
        rotate(NOW.0 + 99, "third", NOW.0 + 200).await,
        Outcome::TooMany
    );
    assert_eq!(held(&*store).await, before);
    assert_eq!(read(&*store, "a").await.agent.version, version);
    assert_eq!(
        db.number("select count(*) from audit_event where kind = 'credential.rotated'")
            .await,
        1
    );
    // The first credential has expired by then.
    assert_eq!(
        rotate(NOW.0 + 100, "third", NOW.0 + 300).await,
        Outcome::Applied
    );
    let two = [
        ("third".to_owned(), None),
        ("second".to_owned(), Some(NOW.0 + 300)),
    ];
    assert_eq!(held(&*store).await, two);
    assert_eq!(
        rotate(NOW.0 + 101, "fourth", NOW.0 + 101).await,
        Outcome::Applied
    );
    assert_eq!(held(&*store).await, [("fourth".to_owned(), None)]);
}

async fn rotations_at_once_never_leave_more_secrets_than_allowed(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let rotations = (0..8).map(|i| async move {
        let credential = Box::new(credential("a", &format!("new{i}")));
        let change = Change::Credential(CredentialChange::Rotate {
            credential,
            overlap: 100,
            label: None,
            max_live: 3,
        });
        commit(&*db.open().await, change).await
    });
    let outcomes = futures_util::future::join_all(rotations).await;
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    assert_eq!(
        (count(Outcome::Applied), count(Outcome::TooMany)),
        (2, 6),
        "{outcomes:?}"
    );
    let held = held(&*store).await;
    assert_eq!(
        held.iter().map(|(_, end)| *end).collect::<Vec<_>>(),
        [None, Some(NOW.0 + 100), Some(NOW.0 + 100)]
    );
}

async fn a_rotation_never_lengthens_a_life(db: &Database) {
    let store = db.open().await;
    let first = Credential {
        expires_at: Some(Timestamp(NOW.0 + 50)),
        ..credential("a", "first")
    };
    let change = Change::Agent(AgentChange::Create {
        agent: Box::new(agent("a")),
        credential: Box::new(first),
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    rotate(db, &*store, NOW.0 + 10, "second", NOW.0 + 1_000).await;
    let two = [
        ("second".to_owned(), None),
        ("first".to_owned(), Some(NOW.0 + 50)),
    ];
    assert_eq!(held(&*store).await, two);
    rotate(db, &*store, NOW.0 + 60, "third", NOW.0 + 60).await;
    assert_eq!(held(&*store).await, [("third".to_owned(), None)]);
}

async fn a_decommissioned_agent_gets_no_secret(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    commit(&*store, suspension(id("a"))).await;
    assert_eq!(
        rotate(db, &*store, NOW.0, "second", NOW.0).await,
        Outcome::Applied
    );
    commit(&*store, Change::Agent(AgentChange::Decommission(id("a")))).await;
    assert_eq!(
        rotate(db, &*store, NOW.0, "third", NOW.0).await,
        Outcome::Conflict
    );
    assert_eq!(held(&*store).await, [("second".to_owned(), None)]);
}

async fn a_rehash_keeps_the_version_and_needs_the_hash_that_was_verified(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let credential_id = read(&*store, "a").await.credentials[0].credential_id;
    let rehash = |credential_id, from: &str, to: &str| {
        Change::Credential(CredentialChange::Rehash {
            agent_id: id("a"),
            credential_id,
            from: SecretHash(from.into()),
            to: SecretHash(to.into()),
        })
    };
    let first = "$argon2id$of-first";
    assert_eq!(
        commit(&*store, rehash(credential_id, first, "better")).await,
        Outcome::Applied
    );
    assert_eq!(
        commit(&*store, rehash(credential_id, first, "worse")).await,
        Outcome::NotFound
    );
    let other = CredentialId(uuid(NOW));
    assert_eq!(
        commit(&*store, rehash(other, "better", "worse")).await,
        Outcome::NotFound
    );
    let record = read(&*store, "a").await;
    assert_eq!(record.credentials[0].hash, SecretHash("better".into()));
    assert_eq!(record.agent.version, 1);
}

async fn an_imported_credential_is_known_at_once(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let costs = async || -> Vec<String> {
        let costs = store.imported_costs(Freshness::Fresh).await.unwrap();
        costs.iter().map(|cost| cost.0.to_string()).collect()
    };
    assert!(costs().await.is_empty());
    let imported = Credential {
        tag: None,
        ..credential("b", "imported")
    };
    let change = Change::Agent(AgentChange::Create {
        agent: Box::new(agent("b")),
        credential: Box::new(imported.clone()),
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert_eq!(costs().await.len(), 1);
    assert_eq!(*read(&*store, "b").await.credentials, [imported]);
    let change = Change::Credential(CredentialChange::Rotate {
        credential: Box::new(credential("b", "new")),
        overlap: 0,
        label: None,
        max_live: 2,
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert!(costs().await.is_empty());
    let end = "c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
    let bcrypt = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    for (i, hash) in [
        format!("$2b$10${bcrypt}"),
        format!("$2a$12${bcrypt}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${end}"),
        format!("$argon2i$m=4096,t=3,p=1${end}"),
        format!("$2b$10${bcrypt}"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("imported-{i}");
        let imported = Credential {
            tag: None,
            hash: SecretHash(hash.into()),
            ..credential(&id, "")
        };
        let change = Change::Agent(AgentChange::Create {
            agent: Box::new(agent(&id)),
            credential: Box::new(imported),
        });
        assert_eq!(commit(&*store, change).await, Outcome::Applied);
    }
    let each_once = [
        "$2a$12$",
        "$2b$10$",
        "$argon2i$m=4096,t=3,p=1$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
    ];
    assert_eq!(costs().await, each_once);
}
