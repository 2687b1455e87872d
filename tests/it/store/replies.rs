//! Replies that are kept for requests that are sent again: each in the commit of its change, for a
//! day.

use std::sync::Arc;

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    Backend, CommitCondition, Outcome, REPLY_TTL, ReplyPlace, ReplyRecord, Sealed, Write,
};
use tokio::task::JoinSet;

use super::kit::{NOW, creation, id, operator_at};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_reply_is_kept_in_the_commit_of_its_change,
    a_change_that_is_not_done_keeps_no_reply,
    a_reply_is_kept_for_a_day,
    of_equal_requests_at_once_one_is_done,
}

const HERE: ReplyPlace = ReplyPlace([7; 32]);

fn reply(text: &str) -> ReplyRecord {
    ReplyRecord {
        place: HERE,
        sealed: Sealed(text.into()),
    }
}

/// The creation of an agent by a request whose reply is this text.
fn request(at: Timestamp, agent_id: &str, text: &str) -> Write {
    Write::new(operator_at(at), creation(agent_id)).keeping(reply(text))
}

async fn send(store: &dyn Backend, write: Write) -> Outcome {
    store.commit(vec![write]).await.unwrap()[0]
}

async fn kept(store: &dyn Backend, at: Timestamp) -> Option<Sealed> {
    store.kept_reply(HERE, at).await.unwrap()
}

const AGENTS: &str = "select count(*) from agent";
const EVENTS: &str = "select count(*) from audit_event";

async fn a_reply_is_kept_in_the_commit_of_its_change(db: &Database) {
    let (here, there) = (db.open().await, db.open().await);
    assert_eq!(kept(&*here, NOW).await, None);
    assert_eq!(
        send(&*here, request(NOW, "a", "first")).await,
        Outcome::Applied
    );
    assert_eq!(kept(&*there, NOW).await, Some(Sealed("first".into())));
    // Another process is sent the same request, and others beside it in one commit.
    let mut elsewhere = request(NOW, "c", "third");
    elsewhere.reply.as_mut().unwrap().place = ReplyPlace([8; 32]);
    let writes = vec![request(NOW, "b", "second"), elsewhere];
    assert_eq!(
        there.commit(writes).await.unwrap(),
        [Outcome::Answered, Outcome::Applied]
    );
    assert_eq!(kept(&*here, NOW).await, Some(Sealed("first".into())));
    assert_eq!((db.number(AGENTS).await, db.number(EVENTS).await), (2, 2));
}

async fn a_change_that_is_not_done_keeps_no_reply(db: &Database) {
    let store = db.open().await;
    assert_eq!(
        send(&*store, Write::new(operator_at(NOW), creation("a"))).await,
        Outcome::Applied
    );
    assert_eq!(
        send(&*store, request(NOW, "a", "one")).await,
        Outcome::Conflict
    );
    let changed = CommitCondition::Target {
        agent_id: id("a"),
        version: 0,
    };
    let write = request(NOW, "b", "two").only_if(vec![changed]);
    assert_eq!(send(&*store, write).await, Outcome::TargetChanged);
    assert_eq!(kept(&*store, NOW).await, None);
    assert_eq!(
        send(&*store, request(NOW, "b", "three")).await,
        Outcome::Applied
    );
    assert_eq!(kept(&*store, NOW).await, Some(Sealed("three".into())));
}

async fn a_reply_is_kept_for_a_day(db: &Database) {
    let store = db.open().await;
    assert_eq!(
        send(&*store, request(NOW, "a", "first")).await,
        Outcome::Applied
    );
    let (last, over) = (
        NOW.saturating_add(REPLY_TTL - 1),
        NOW.saturating_add(REPLY_TTL),
    );
    db.set_clock(last);
    assert_eq!(store.prune(last, 1 << 40, 100).await.unwrap(), 0);
    assert_eq!(kept(&*store, last).await, Some(Sealed("first".into())));
    assert_eq!(
        send(&*store, request(last, "b", "second")).await,
        Outcome::Answered
    );
    // From then on the key is free again, whether the row was removed or not.
    db.set_clock(over);
    assert_eq!(kept(&*store, over).await, None);
    assert_eq!(
        send(&*store, request(over, "b", "second")).await,
        Outcome::Applied
    );
    assert_eq!(kept(&*store, over).await, Some(Sealed("second".into())));
    let later = over.saturating_add(REPLY_TTL);
    db.set_clock(later);
    assert_eq!(store.prune(later, 1 << 40, 100).await.unwrap(), 1);
    assert_eq!(db.number("select count(*) from kept_reply").await, 0);
}

async fn of_equal_requests_at_once_one_is_done(db: &Database) {
    let stores = [db.open().await, db.open().await];
    let mut requests = JoinSet::new();
    for number in 0..40 {
        let store = Arc::clone(&stores[number % 2]);
        requests.spawn(async move {
            // Each process draws another id for the new agent.
            let write = request(NOW, &format!("a{number}"), "reply");
            send(&*store, write).await
        });
    }
    let outcomes = requests.join_all().await;
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    assert_eq!((count(Outcome::Applied), count(Outcome::Answered)), (1, 39));
    assert_eq!((db.number(AGENTS).await, db.number(EVENTS).await), (1, 1));
}
