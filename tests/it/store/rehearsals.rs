//! Writes that are only tried: the outcome and the agent afterwards, and nothing is written.

use sealwright::testing::domain::agent::{AgentStatus, SuspendedBy};
use sealwright::testing::store::{AgentChange, Change, Outcome};

use super::kit::{commit, create, creation, id, read, write};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_rehearsal_tells_the_outcome_and_the_agent_and_writes_nothing,
    a_rehearsal_is_refused_as_the_write_would_be,
}

async fn a_rehearsal_tells_the_outcome_and_the_agent_and_writes_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let before = read(&*store, "a").await;
    let events = store.newest_event().await.unwrap();
    let suspend = write(Change::Agent(AgentChange::Suspend(
        id("a"),
        SuspendedBy::Operator,
    )));
    for _ in 0..2 {
        let tried = store.rehearse(&suspend, &id("a")).await.unwrap();
        assert_eq!(tried.outcome, Outcome::Applied);
        let agent = &tried.agent.unwrap().agent;
        assert_eq!(agent.status, AgentStatus::Suspended);
        assert!(agent.version > before.agent.version && agent.epoch > before.agent.epoch);
    }
    let tried = store.rehearse(&write(creation("b")), &id("b")).await;
    let made = tried.unwrap().agent.unwrap();
    assert_eq!(made.credentials.len(), 1);
    assert_eq!(read(&*store, "a").await, before);
    let exist = store.agent_orgs(&[id("a"), id("b")]).await.unwrap();
    assert_eq!(exist.len(), 1);
    let rows = store.events(0, i64::MAX, 100).await.unwrap();
    assert!(rows.iter().all(|row| row.id <= events), "{rows:?}");
    // The connection is as good as new.
    let change = Change::Agent(AgentChange::Suspend(id("a"), SuspendedBy::Operator));
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
}

async fn a_rehearsal_is_refused_as_the_write_would_be(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let refused = async |change, agent_id| {
        let tried = store.rehearse(&write(change), &id(agent_id)).await.unwrap();
        (tried.outcome, tried.agent.is_some())
    };
    let suspend =
        |agent_id| Change::Agent(AgentChange::Suspend(id(agent_id), SuspendedBy::Operator));
    assert_eq!(refused(suspend("b"), "b").await, (Outcome::NotFound, false));
    assert_eq!(refused(creation("a"), "a").await, (Outcome::Conflict, true));
    let gone = Change::Agent(AgentChange::Decommission(id("a")));
    assert_eq!(commit(&*store, gone).await, Outcome::Applied);
    assert_eq!(refused(suspend("a"), "a").await, (Outcome::Conflict, true));
}
