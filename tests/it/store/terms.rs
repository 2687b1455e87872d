//! Terms of tokens that have a row of their own: what gets a row, what names it, and that no token
//! ever names terms that are not its own, whatever happened to the rows.

use std::sync::Arc;

use sealwright::testing::domain::agent::Audience;
use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::domain::event::source::SourcePrecision;
use sealwright::testing::domain::grant::{Basis, Grant, TokenRequest, decide};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{Backend, Freshness, TermsBounds};

use super::kit::{
    NOW, Seen, applicant, batch, batch_at, code, count, counted, create, exchange, jti, policy,
    read, send,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    terms_that_are_seen_often_get_a_row_and_tokens_name_it,
    a_batch_mixes_tokens_with_and_without_a_row,
    rare_terms_and_terms_about_a_user_get_no_row,
    however_many_audiences_are_asked_for_the_rows_keep_their_bound,
    two_processes_give_the_same_terms_one_row,
    after_another_process_added_rows_nothing_is_counted_by_the_old_ones,
    a_row_that_is_deleted_by_hand_is_named_by_no_later_token,
    rows_of_a_restored_store_are_not_taken_for_those_of_before,
    a_batch_that_comes_twice_is_recalled_with_its_terms,
    a_change_of_nothing_draws_no_new_number,
    the_last_day_of_use_is_written_down,
    unused_terms_retire_and_go_after_the_last_token_that_names_them,
}

const DAY: i64 = 86_400;

/// A token for this audience, asked for by a request of the agent's first credential.
async fn grant(store: &dyn Backend, agent_id: &str, audience: &str) -> Arc<Grant> {
    let record = read(store, agent_id).await;
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    let request = TokenRequest {
        audience: vec![Audience::parse(audience).unwrap()],
        ..TokenRequest::default()
    };
    let (asks, basis) = (applicant(&record.agent, None), Basis::Own);
    let grant = decide(&asks, &catalogue, &policy(), &basis, &request, jti()).unwrap();
    let source = SourcePrecision::Prefix.cut([192, 0, 2, 7].into());
    let request = RequestRef::Ours {
        process: 0xab,
        count: 7,
    };
    let proven = grant.proven_by(record.credentials[0].credential_id);
    Arc::new(proven.asked_by(source, Some(request)))
}

async fn issue(store: &dyn Backend, agent_id: &str, audience: &str, n: usize) -> Vec<Seen> {
    issue_at(store, agent_id, audience, n, NOW).await
}

async fn issue_at(
    store: &dyn Backend,
    agent_id: &str,
    audience: &str,
    n: usize,
    at: Timestamp,
) -> Vec<Seen> {
    let mut grants = Vec::new();
    for _ in 0..n {
        grants.push(grant(store, agent_id, audience).await);
    }
    send(store, &batch_at(at, grants)).await
}

async fn intern(store: &dyn Backend) {
    store.intern_terms(NOW, TermsBounds::DEFAULT).await.unwrap();
}

/// A store that has given these terms a row.
async fn with_row(db: &Database, audience: &str) -> Arc<dyn Backend> {
    let store = db.open().await;
    create(&*store, "a").await;
    store.refresh_terms().await.unwrap();
    assert_eq!(count(&issue(&*store, "a", audience, 4).await), 4);
    intern(&*store).await;
    store
}

/// For each token in the order of ids, the row that it names; 0 if it names none.
async fn named(db: &Database) -> Vec<String> {
    let sql = "select cast(coalesce(terms, 0) as text) from token_event order by id";
    db.texts(sql).await
}

/// The audience of each token, as the events tell it.
async fn audiences(store: &dyn Backend) -> Vec<String> {
    let events = store.events(0, i64::MAX, 1_000).await.unwrap();
    let tokens = events.iter().filter(|event| event.kind == "token.issued");
    let audience = |detail: &str| {
        let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
        detail["aud"][0].as_str().unwrap().to_owned()
    };
    tokens
        .map(|event| audience(event.logged().unwrap().detail.unwrap().as_str()))
        .collect()
}

async fn rows(db: &Database) -> i64 {
    db.number("select count(*) from token_terms").await
}

async fn terms_that_are_seen_often_get_a_row_and_tokens_name_it(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    assert_eq!(rows(db).await, 1);
    assert_eq!(
        issue(&*store, "a", "https://b.example", 2).await,
        [counted(0); 2]
    );
    assert_eq!(named(db).await, ["0", "0", "0", "0", "1", "1"]);
    let lean = "select count(*) from token_event where agent_id is null and inline is null";
    assert_eq!(db.number(lean).await, 2);
    // What an event tells is the same either way.
    let events = store.events(0, i64::MAX, 100).await.unwrap();
    let mut told = events[1..].iter().map(|event| {
        let mut logged = event.logged().unwrap();
        logged.id = events[1].logged().unwrap().id;
        logged.jti = None;
        logged.bytes()
    });
    let first = told.next().unwrap();
    assert!(told.all(|bytes| bytes == first));
    let credential = read(&*store, "a").await.credentials[0].credential_id;
    assert_eq!(
        String::from_utf8(first).unwrap(),
        format!(
            "{{\"actor\":\"agent:a\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"credentialId\":\"{credential}\",\"detail\":{{\"aud\":[\"https://b.example\"],\"ttl\":600}},\
             \"epoch\":0,\"exp\":\"2023-11-14T22:23:20Z\",\"id\":2,\"kind\":\"token.issued\",\
             \"requestId\":\"00000000000000ab-7\",\"scope\":\"agents:read tokens:read\",\
             \"source\":\"192.0.2.0/24\",\"v\":1}}"
        )
    );
}

async fn a_batch_mixes_tokens_with_and_without_a_row(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    create(&*store, "z").await;
    let tokens = vec![
        grant(&*store, "z", "https://b.example").await,
        grant(&*store, "a", "https://c.example").await,
        grant(&*store, "a", "https://b.example").await,
        exchange(&*store, "a", code(), None).await,
    ];
    let jtis: Vec<_> = tokens.iter().map(|grant| grant.jti()).collect();
    assert_eq!(send(&*store, &batch(tokens)).await, [counted(0); 4]);
    for (jti, agent_id) in jtis.into_iter().zip(["z", "a", "a", "a"]) {
        let issued = store.issued_token(jti).await.unwrap().unwrap();
        assert_eq!(issued.agent_id.as_str(), agent_id);
        assert_eq!(issued.expires_at.0, NOW.0 + 600);
    }
    assert_eq!(
        named(db).await[4..].iter().filter(|id| *id == "1").count(),
        1
    );
    assert_eq!(audiences(&*store).await.len(), 8);
}

async fn rare_terms_and_terms_about_a_user_get_no_row(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    store.refresh_terms().await.unwrap();
    issue(&*store, "a", "https://b.example", 3).await;
    for _ in 0..10 {
        let token = exchange(&*store, "a", code(), None).await;
        let proven = Arc::unwrap_or_clone(token)
            .proven_by(read(&*store, "a").await.credentials[0].credential_id);
        assert_eq!(
            send(&*store, &batch(vec![Arc::new(proven)])).await,
            [counted(0)]
        );
    }
    intern(&*store).await;
    assert_eq!(rows(db).await, 0);
    issue(&*store, "a", "https://b.example", 1).await;
    intern(&*store).await;
    assert_eq!(rows(db).await, 1);
}

async fn however_many_audiences_are_asked_for_the_rows_keep_their_bound(db: &Database) {
    let store = db.open().await;
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
    }
    store.refresh_terms().await.unwrap();
    let bounds = TermsBounds { agent: 3, store: 5 };
    for round in 0..4 {
        for n in 0..10 {
            let audience = format!("https://{round}-{n}.example");
            for agent_id in ["a", "b"] {
                assert_eq!(count(&issue(&*store, agent_id, &audience, 5).await), 5);
            }
        }
        store.intern_terms(NOW, bounds).await.unwrap();
        assert_eq!(rows(db).await, 5);
    }
    let most = "select max(n) from (select count(*) as n from token_terms group by agent_id) as t";
    assert_eq!(db.number(most).await, 3);
    assert_eq!(audiences(&*store).await.len(), 400);
}

async fn two_processes_give_the_same_terms_one_row(db: &Database) {
    let stores = [db.open().await, db.open().await];
    create(&*stores[0], "a").await;
    for store in &stores {
        store.refresh_terms().await.unwrap();
        issue(&**store, "a", "https://b.example", 4).await;
    }
    let bounds = TermsBounds::DEFAULT;
    let (one, other) = tokio::join!(
        stores[0].intern_terms(NOW, bounds),
        stores[1].intern_terms(NOW, bounds)
    );
    one.unwrap();
    other.unwrap();
    assert_eq!(rows(db).await, 1);
    for store in &stores {
        store.refresh_terms().await.unwrap();
        issue(&**store, "a", "https://b.example", 1).await;
    }
    assert_eq!(named(db).await[8..], ["1", "1"]);
}

async fn after_another_process_added_rows_nothing_is_counted_by_the_old_ones(db: &Database) {
    let here = with_row(db, "https://b.example").await;
    let there = db.open().await;
    there.refresh_terms().await.unwrap();
    issue(&*there, "a", "https://c.example", 4).await;
    intern(&*there).await;
    assert_eq!(
        issue(&*here, "a", "https://b.example", 1).await,
        [Seen::Stale]
    );
    // The next try uses no row, and rows are used again once they were read.
    assert_eq!(
        issue(&*here, "a", "https://b.example", 1).await,
        [counted(0)]
    );
    here.refresh_terms().await.unwrap();
    assert_eq!(
        issue(&*here, "a", "https://c.example", 1).await,
        [counted(0)]
    );
    assert_eq!(named(db).await[8..], ["0", "2"]);
    // A batch that uses no row counts whatever the number is.
    db.execute("delete from token_terms where id = 2").await;
    assert_eq!(
        issue(&*here, "a", "https://d.example", 1).await,
        [counted(0)]
    );
}

async fn a_row_that_is_deleted_by_hand_is_named_by_no_later_token(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    for sql in [
        "delete from token_terms",
        "update token_terms set scope = 'other'",
        "update token_terms set audience = '[]'",
    ] {
        db.execute(sql).await;
        assert_eq!(
            issue(&*store, "a", "https://b.example", 1).await,
            [Seen::Stale],
            "{sql}"
        );
        assert_eq!(
            issue(&*store, "a", "https://b.example", 4).await,
            [counted(0); 4]
        );
        store.refresh_terms().await.unwrap();
        assert_eq!(
            issue(&*store, "a", "https://b.example", 4).await,
            [counted(0); 4]
        );
        intern(&*store).await;
        assert_eq!(
            issue(&*store, "a", "https://b.example", 1).await,
            [counted(0)]
        );
    }
    assert_eq!(named(db).await.last().unwrap(), "4");
}

async fn rows_of_a_restored_store_are_not_taken_for_those_of_before(db: &Database) {
    let number = "select version from revision where name = 'terms'";
    let before = db.number(number).await;
    let store = with_row(db, "https://b.example").await;
    issue(&*store, "a", "https://b.example", 1).await;
    // A copy from before the row is restored, and another process gives the same id to other terms.
    let restart = match db {
        Database::Sqlite { .. } => "delete from sqlite_sequence where name = 'token_terms'",
        Database::Postgres { .. } => "alter table token_terms alter id restart",
    };
    db.execute(&format!(
        "delete from token_event; delete from token_terms; {restart};
         update revision set version = {before} where name = 'terms'"
    ))
    .await;
    let other = db.open().await;
    other.refresh_terms().await.unwrap();
    issue(&*other, "a", "https://c.example", 4).await;
    intern(&*other).await;
    issue(&*other, "a", "https://c.example", 1).await;
    assert_eq!(
        issue(&*store, "a", "https://b.example", 1).await,
        [Seen::Stale]
    );
    assert_eq!(
        issue(&*store, "a", "https://b.example", 1).await,
        [counted(0)]
    );
    store.refresh_terms().await.unwrap();
    issue(&*store, "a", "https://c.example", 1).await;
    assert_eq!(named(db).await, ["0", "0", "0", "0", "1", "0", "1"]);
    let (b, c) = ("https://b.example", "https://c.example");
    assert_eq!(audiences(&*store).await, [c, c, c, c, c, b, c]);
}

async fn a_batch_that_comes_twice_is_recalled_with_its_terms(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    let batch = batch(vec![grant(&*store, "a", "https://b.example").await]);
    assert_eq!(send(&*store, &batch).await, [counted(0)]);
    db.execute("delete from token_terms").await;
    assert_eq!(send(&*store, &batch).await, [counted(0)]);
    assert_eq!(named(db).await.len(), 5);
}

async fn a_change_of_nothing_draws_no_new_number(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    store.prune(NOW, DAY, 1_000).await.unwrap();
    intern(&*store).await;
    store
        .intern_terms(Timestamp(NOW.0 + DAY), TermsBounds::DEFAULT)
        .await
        .unwrap();
    assert_eq!(
        issue(&*store, "a", "https://b.example", 1).await,
        [counted(0)]
    );
}

async fn the_last_day_of_use_is_written_down(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    let used_on = "select used_on from token_terms";
    let today = NOW.0 / DAY;
    assert_eq!(db.number(used_on).await, today);
    for days in [0, 3, 2] {
        let at = Timestamp(NOW.0 + days * DAY);
        db.set_clock(at);
        let seen = issue_at(&*store, "a", "https://b.example", 1, at).await;
        assert_eq!(count(&seen), 1);
        intern(&*store).await;
    }
    assert_eq!(db.number(used_on).await, today + 3);
    // This was no change of the rows.
    assert_eq!(
        issue(&*store, "a", "https://b.example", 1).await,
        [counted(0)]
    );
}

async fn unused_terms_retire_and_go_after_the_last_token_that_names_them(db: &Database) {
    let store = with_row(db, "https://b.example").await;
    let ahead = Timestamp(NOW.0 + 30 * DAY);
    // A clock that was ahead, so that this token stays longer than the others.
    db.set_clock(ahead);
    assert_eq!(
        count(&issue_at(&*store, "a", "https://b.example", 1, ahead).await),
        1
    );
    db.execute("update token_event set id = id + 1000 where terms is not null")
        .await;
    let prune = async |days: i64| {
        let at = Timestamp(NOW.0 + days * DAY);
        db.set_clock(at);
        db.announce_prune().await;
        store.prune(at, 10 * DAY, 1_000).await.unwrap()
    };
    let in_use = "select count(*) from token_terms where retired_on is null";
    prune(10).await;
    assert_eq!(db.number(in_use).await, 1);
    assert_eq!(prune(12).await, 4);
    assert_eq!(db.number(in_use).await, 0);
    let at = Timestamp(NOW.0 + 12 * DAY);
    let issue = async || issue_at(&*store, "a", "https://c.example", 1, at).await;
    assert_eq!(
        issue_at(&*store, "a", "https://b.example", 1, at).await,
        [Seen::Stale]
    );
    assert_eq!(count(&issue().await), 1);
    // The row stays while the token stays that names it.
    for days in [13, 15, 16, 17, 30, 39] {
        prune(days).await;
        assert_eq!(rows(db).await, 1, "{days}");
        assert!(!audiences(&*store).await.is_empty());
    }
    prune(41).await;
    prune(41).await;
    assert_eq!(rows(db).await, 0);
    // Rows and numbers go on.
    store.refresh_terms().await.unwrap();
    assert_eq!(count(&issue().await), 1);
}
