//! The generation of a store: marked once, begun once, and known to be elsewhere.

use sealwright::testing::store::{Change, GenerationChange, Outcome, StoreGeneration};

use super::kit::{commit, create, id};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_store_is_marked_in_its_generation_alone,
    a_generation_begins_once_and_raises_the_version_of_the_list,
}

async fn a_store_is_marked_in_its_generation_alone(db: &Database) {
    let store = db.open().await;
    let mark = |generation| Change::Generation(GenerationChange::Mark { generation });
    assert_eq!(commit(&*store, mark(2)).await, Outcome::Unchanged);
    assert!(!store.generation().await.unwrap().is_restored());
    assert_eq!(commit(&*store, mark(1)).await, Outcome::Applied);
    assert_eq!(commit(&*store, mark(1)).await, Outcome::Unchanged);
    let found = store.generation().await.unwrap();
    let marked = StoreGeneration {
        number: 1,
        is_marked: true,
        is_moved: false,
    };
    assert_eq!(found, marked);
    assert!(found.is_restored());
}

async fn a_generation_begins_once_and_raises_the_version_of_the_list(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let version = db
        .number("select version from revision where name = 'revocation'")
        .await;
    let begin = |from, to| {
        let origin = format!("log/{to}");
        Change::Generation(GenerationChange::Begin { from, to, origin })
    };
    commit(
        &*store,
        Change::Generation(GenerationChange::Mark { generation: 1 }),
    )
    .await;
    assert_eq!(commit(&*store, begin(1, 7)).await, Outcome::Applied);
    assert_eq!(commit(&*store, begin(1, 8)).await, Outcome::Conflict);
    let found = store.generation().await.unwrap();
    assert_eq!((found.number, found.is_restored()), (7, false));
    assert_eq!(
        store.log_heads().await.unwrap().last().unwrap().generation,
        7
    );
    let raised = db
        .number("select version from revision where name = 'revocation'")
        .await;
    assert!(raised > version);
    let events = db
        .number("select count(*) from audit_event where kind = 'store.restored'")
        .await;
    assert_eq!(events, 1);
    assert!(
        store
            .agent(&id("a"), sealwright::testing::store::Freshness::Fresh)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn tables_that_were_made_anew_or_copied_are_known_to_be_elsewhere() {
    let db = Database::postgres().await;
    let store = db.open().await;
    let settle = || Change::Generation(GenerationChange::Settle);
    assert_eq!(commit(&*store, settle()).await, Outcome::Applied);
    assert_eq!(commit(&*store, settle()).await, Outcome::Unchanged);
    assert!(!store.generation().await.unwrap().is_moved);
    // What pg_dump makes of the table.
    db.execute(
        "alter table store_generation rename to old;
         create table store_generation (like old including all);
         insert into store_generation select * from old;
         drop table old",
    )
    .await;
    assert!(store.generation().await.unwrap().is_moved);
    let begin = GenerationChange::Begin {
        from: 1,
        to: 2,
        origin: "log/2".to_owned(),
    };
    assert_eq!(
        commit(&*store, Change::Generation(begin)).await,
        Outcome::Applied
    );
    assert!(!store.generation().await.unwrap().is_moved);
    drop(store);
    db.remove().await;
}
