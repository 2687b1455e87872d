//! Pruning of issued tokens: nothing that the log does not cover, and nothing that no event tells.

use super::kit::{events, is_token, ledger, log_all};
use super::on_both;
use crate::harness::app::TestApp;

on_both! {
    no_token_is_pruned_before_the_log_has_it,
    a_prune_is_told_first_and_leaves_the_log_whole,
    one_process_announces,
}

const DAY: i64 = 86_400;

/// What the loop of a process does once a minute. Returns how many rows it removed.
async fn clean_up(app: &TestApp<'_>) -> u64 {
    let now = app.clock.now();
    let mut pruner = app.opened.token_pruner().unwrap();
    pruner.announce(now, DAY).await.unwrap();
    let mut all = 0;
    loop {
        let gone = app.opened.records.prune(now, DAY, 3).await.unwrap();
        if gone == 0 {
            return all;
        }
        all += gone;
    }
}

async fn tokens(app: &TestApp<'_>) -> usize {
    events(app)
        .await
        .iter()
        .filter(|event| is_token(event))
        .count()
}

/// How often pruning was announced, and up to which id the last time.
async fn announced(app: &TestApp<'_>) -> (usize, Option<i64>) {
    let events = events(app).await;
    let told = events.iter().filter(|event| event.kind == "audit.pruned");
    let ids: Vec<i64> = told
        .map(|event| {
            let detail = event.logged().unwrap().detail.unwrap();
            let detail: serde_json::Value = serde_json::from_str(detail.as_str()).unwrap();
            detail["toId"].as_i64().unwrap()
        })
        .collect();
    (ids.len(), ids.last().copied())
}

async fn issue(app: &TestApp<'_>, count: usize) {
    let agent = app.agent("agents:read").await;
    for _ in 0..count {
        app.token(&agent).await;
    }
}

async fn no_token_is_pruned_before_the_log_has_it(app: &TestApp<'_>) {
    issue(app, 4).await;
    app.clock.advance(3 * DAY);
    clean_up(app).await;
    assert_eq!((tokens(app).await, announced(app).await), (4, (0, None)));
    log_all(app, &mut ledger(app)).await;
    clean_up(app).await;
    assert_eq!(tokens(app).await, 0);
}

async fn a_prune_is_told_first_and_leaves_the_log_whole(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    issue(app, 4).await;
    log_all(app, &mut ledger).await;
    let issued = events(app).await;
    let last = issued.iter().rfind(|event| is_token(event)).unwrap().id;
    app.clock.advance(DAY - 3_700);
    issue(app, 2).await;
    log_all(app, &mut ledger).await;
    clean_up(app).await;
    assert_eq!(tokens(app).await, 6, "nothing is old enough");
    app.clock.advance(3 * 3_600);
    clean_up(app).await;
    assert_eq!(tokens(app).await, 2);
    assert_eq!(announced(app).await, (1, Some(last)));
    // The same hour tells nothing more.
    app.clock.advance(60);
    clean_up(app).await;
    assert_eq!(announced(app).await, (1, Some(last)));
    let verifier = app.opened.log_verifier(&app.config);
    // The event is not in the log yet, and counts all the same.
    for _ in 0..2 {
        let found = verifier.verify(&[], &mut |_, _| ()).await.unwrap();
        assert_eq!((found.first_break, found.pruned), (None, 4));
        log_all(app, &mut ledger).await;
    }
    // A change is never pruned.
    let changes = events(app)
        .await
        .iter()
        .filter(|event| !is_token(event))
        .count();
    app.clock.advance(30 * DAY);
    log_all(app, &mut ledger).await;
    clean_up(app).await;
    let left = events(app).await;
    assert_eq!(left.len(), changes + 1, "one more event tells the rest");
}

async fn one_process_announces(app: &TestApp<'_>) {
    let beside = app.beside().await;
    issue(app, 4).await;
    log_all(app, &mut ledger(app)).await;
    app.clock.advance(3 * DAY);
    let (mut one, mut other) = (
        app.opened.token_pruner().unwrap(),
        beside.opened.token_pruner().unwrap(),
    );
    for _ in 0..3 {
        one.announce(app.clock.now(), DAY).await.unwrap();
        other.announce(app.clock.now(), DAY).await.unwrap();
    }
    assert_eq!(announced(app).await.0, 1);
}
