//! The scope catalogue.

use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::org::OrgId;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::{BUILT_IN, Scope};
use sealwright::testing::store::{
    AgentChange, Change, Freshness, Outcome, ScopeChange, ScopeHolders,
};

use super::kit::{MILLIS, commit, create, id};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_new_store_knows_the_built_in_scopes_in_order,
    a_new_scope_comes_last_and_raises_the_version,
    a_scope_that_is_changed_raises_the_version_and_one_that_stays_does_not,
    a_scope_is_deleted_if_no_agent_holds_it,
    holders_are_counted_by_scope_and_by_plan,
}

async fn a_new_store_knows_the_built_in_scopes_in_order(db: &Database) {
    let catalogue = db.open().await.catalogue(Freshness::Fresh).await.unwrap();
    let entries: Vec<_> = catalogue
        .entries()
        .iter()
        .map(|e| (e.scope.as_str(), e.description.as_str(), e.high_risk))
        .collect();
    assert_eq!(entries, BUILT_IN.map(|b| (b.name, b.description, false)));
}

async fn a_new_scope_comes_last_and_raises_the_version(db: &Database) {
    let store = db.open().await;
    let before = store.catalogue(Freshness::Fresh).await.unwrap().version();
    let entry = |name: &str, high_risk| CatalogueEntry {
        scope: Scope::parse(name).unwrap(),
        description: "What it is for".to_owned(),
        high_risk,
    };
    for new in [entry("zz:read", true), entry("aa:read", false)] {
        assert_eq!(
            commit(&*store, Change::Scope(ScopeChange::Add(new.clone()))).await,
            Outcome::Applied
        );
        assert_eq!(
            commit(&*store, Change::Scope(ScopeChange::Add(new))).await,
            Outcome::Conflict
        );
    }
    let after = store.catalogue(Freshness::Fresh).await.unwrap();
    assert!(before < MILLIS);
    assert_eq!(after.version(), MILLIS + 1);
    assert_eq!(
        after.entries()[7..],
        [entry("zz:read", true), entry("aa:read", false)]
    );
    assert_eq!(
        db.texts("select detail from audit_event order by id").await,
        ["zz:read", "aa:read"]
    );
}

async fn a_scope_that_is_changed_raises_the_version_and_one_that_stays_does_not(db: &Database) {
    let store = db.open().await;
    let update = |name: &str, description: Option<&str>, high_risk| {
        Change::Scope(ScopeChange::Update {
            scope: Scope::parse(name).unwrap(),
            description: description.map(str::to_owned),
            high_risk,
        })
    };
    let before = store.catalogue(Freshness::Fresh).await.unwrap();
    let steps = [
        (update("audit:read", None, Some(true)), Outcome::Applied),
        (update("audit:read", None, Some(true)), Outcome::Unchanged),
        (update("audit:read", Some("Other"), None), Outcome::Applied),
        (
            update("audit:read", Some("Other"), Some(true)),
            Outcome::Unchanged,
        ),
        (update("audit:read", None, None), Outcome::Unchanged),
        (update("gone", Some("Other"), Some(true)), Outcome::NotFound),
    ];
    let mut version = before.version();
    for (change, expected) in steps {
        assert_eq!(
            commit(&*store, change.clone()).await,
            expected,
            "{change:?}"
        );
        let now = store.catalogue(Freshness::Fresh).await.unwrap().version();
        assert_eq!(now > version, expected == Outcome::Applied, "{change:?}");
        version = now;
    }
    let after = store.catalogue(Freshness::Fresh).await.unwrap();
    let mut expected = before.entries().to_vec();
    let changed = expected
        .iter_mut()
        .find(|entry| entry.scope.as_str() == "audit:read")
        .unwrap();
    (changed.description, changed.high_risk) = ("Other".to_owned(), true);
    assert_eq!(after.entries(), expected);
    let events = "select detail from audit_event where kind = 'scope.updated'";
    assert_eq!(db.texts(events).await, ["audit:read", "audit:read"]);
}

fn scope(name: &str) -> Scope {
    Scope::parse(name).unwrap()
}

async fn a_scope_is_deleted_if_no_agent_holds_it(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let delete = |name: &str| Change::Scope(ScopeChange::Delete(scope(name)));
    let version = async || store.catalogue(Freshness::Fresh).await.unwrap().version();
    let before = version().await;
    for (name, expected) in [
        ("agents:read", Outcome::Conflict),
        // A part of a name that is held.
        ("agents", Outcome::NotFound),
        ("audit:read", Outcome::Applied),
        ("audit:read", Outcome::NotFound),
    ] {
        assert_eq!(commit(&*store, delete(name)).await, expected, "{name}");
    }
    assert!(version().await > before);
    let end = Change::Agent(AgentChange::Decommission(id("a")));
    assert_eq!(commit(&*store, end).await, Outcome::Applied);
    assert_eq!(
        commit(&*store, delete("agents:read")).await,
        Outcome::Applied
    );
    let events = "select detail from audit_event where kind = 'scope.deleted' order by id";
    assert_eq!(db.texts(events).await, ["audit:read", "agents:read"]);
}

async fn holders_are_counted_by_scope_and_by_plan(db: &Database) {
    let store = db.open().await;
    assert_eq!(store.scope_counts(None).await.unwrap(), []);
    for agent in ["c", "a", "b", "gone"] {
        create(&*store, agent).await;
    }
    let end = Change::Agent(AgentChange::Decommission(id("gone")));
    commit(&*store, end).await;
    let counts = [(scope("agents:read"), 3), (scope("tokens:read"), 3)];
    assert_eq!(store.scope_counts(None).await.unwrap(), counts);
    assert_eq!(
        store.plan_counts(None).await.unwrap(),
        [(PlanName::free(), 3)]
    );
    let holders = async |name: &str| store.scope_holders(&scope(name), None, 2).await.unwrap();
    let two = ScopeHolders {
        count: 3,
        first: vec![id("a"), id("b")],
    };
    assert_eq!(holders("tokens:read").await, two);
    for name in ["tokens", "okens:read", "gone:read"] {
        assert_eq!(holders(name).await, ScopeHolders::default());
    }
    db.execute("insert into org (org_id, name, created_at) values ('acme', 'acme', 0)")
        .await;
    db.execute("update agent set org_id = 'acme' where agent_id = 'b'")
        .await;
    let [acme, first, nobody] = ["acme", "default", "nobody"].map(|org| OrgId::parse(org).unwrap());
    for (org, expected) in [(acme, &["b"][..]), (first, &["a", "c"]), (nobody, &[])] {
        let count = i64::try_from(expected.len()).unwrap();
        let counts = store.scope_counts(Some(&org)).await.unwrap();
        assert!(counts.iter().all(|(_, found)| *found == count), "{org}");
        assert_eq!(counts.is_empty(), expected.is_empty());
        let plans = store.plan_counts(Some(&org)).await.unwrap();
        assert_eq!(plans.iter().map(|(_, n)| n).sum::<i64>(), count, "{org}");
        let tokens = scope("tokens:read");
        let found = store.scope_holders(&tokens, Some(&org), 9).await.unwrap();
        let first = expected.iter().map(|name| id(name)).collect();
        assert_eq!(found, ScopeHolders { count, first });
    }
}
