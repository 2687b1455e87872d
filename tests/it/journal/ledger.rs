//! The ledger: when a pass ends, what it holds, and that no failure makes a gap, a double or a
//! second history.

use std::time::Duration;

use sealwright::testing::service::journal::lag::measure_lag;
use sealwright::testing::service::journal::ledger::MAX_PASS_EVENTS;
use sealwright::testing::store::LogEntryKind;
use serde_json::Value;

use super::kit::{check, checkpoint, entries, events, head, ledger, log_all, random_below};
use super::on_both;
use crate::harness::app::TestApp;

on_both! {
    changes_are_logged_with_the_next_step_and_tokens_within_ten_seconds,
    a_pass_has_its_changes_first_and_then_one_block_of_its_tokens,
    a_log_keeps_its_name_whatever_the_issuer_becomes,
    an_event_that_cannot_be_decoded_is_marked_and_stops_nothing,
    a_backlog_is_logged_in_commits_of_bounded_size,
    a_ledger_that_was_stopped_adds_nothing_when_it_wakes,
    ledgers_of_two_processes_make_one_history,
    a_log_that_was_changed_is_not_continued,
    the_lag_tells_what_is_not_logged_yet,
}

async fn changes_are_logged_with_the_next_step_and_tokens_within_ten_seconds(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    ledger.step().await.unwrap();
    let agent = app.agent("agents:read").await;
    ledger.step().await.unwrap();
    let logged = check(app).await;
    assert_eq!(logged, events(app).await.len());
    assert_eq!(head(app).await.size, logged as u64);

    app.token(&agent).await;
    for _ in 0..9 {
        ledger.step().await.unwrap();
        assert_eq!(check(app).await, logged);
        app.clock.advance(1);
    }
    app.clock.advance(1);
    ledger.step().await.unwrap();
    assert_eq!(check(app).await, logged + 1);
    assert_eq!(head(app).await.size, logged as u64 + 1);

    // A change takes the tokens that wait along.
    app.token(&agent).await;
    ledger.step().await.unwrap();
    app.suspend(&agent).await;
    ledger.step().await.unwrap();
    assert_eq!(check(app).await, logged + 3);
    let size = head(app).await.size;
    for _ in 0..3 {
        app.clock.advance(11);
        ledger.step().await.unwrap();
    }
    assert_eq!(head(app).await.size, size, "nothing happened");
}

async fn a_pass_has_its_changes_first_and_then_one_block_of_its_tokens(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    let agent = app.agent("agents:read").await;
    log_all(app, &mut ledger).await;
    let before = head(app).await.size;
    app.token(&agent).await;
    app.add_scope("one:read").await;
    app.token(&agent).await;
    app.add_scope("two:read").await;
    ledger.step().await.unwrap();
    check(app).await;
    let entries = entries(app).await;
    let new = &entries[usize::try_from(before).unwrap()..];
    let kinds: Vec<LogEntryKind> = new.iter().map(|entry| entry.kind).collect();
    let (event, tokens) = (LogEntryKind::Event, LogEntryKind::Tokens);
    assert_eq!(kinds, [event, event, tokens]);
    let first = new[2].first_id;
    let texts: Vec<Value> = new
        .iter()
        .map(|entry| serde_json::from_slice(&entry.bytes).unwrap())
        .collect();
    assert_eq!(texts[0]["detail"]["scope"], "one:read");
    assert_eq!(texts[1]["detail"]["scope"], "two:read");
    assert_eq!(texts[2]["kind"], "token.block");
    assert_eq!(texts[2]["from"], first - 1);
    assert_eq!(texts[2]["count"], 2);
    assert_eq!(texts[2]["last"], first + 2);
    assert_eq!(texts[2]["to"], first + 3);
}

async fn a_log_keeps_its_name_whatever_the_issuer_becomes(app: &TestApp<'_>) {
    log_all(app, &mut ledger(app)).await;
    let origin = "auth.sealwright.test/api/v1/audit/log/1";
    assert_eq!(checkpoint(app).await.origin(), origin);
    let moved = app
        .beside_with(&[("token.issuer", "https://another.test")])
        .await;
    app.clock.advance(60);
    app.agent("agents:read").await;
    log_all(&moved, &mut ledger(&moved)).await;
    assert_eq!(checkpoint(&moved).await.origin(), origin);
    check(app).await;
    // The key of the log is an event, and never verifies a token.
    let made = events(app).await;
    let key = made.iter().filter(|e| e.kind == "store_key.created");
    let keys: Vec<String> = key
        .map(|e| e.logged().unwrap().detail.unwrap().as_str().to_owned())
        .collect();
    assert!(keys.iter().any(|detail| detail.contains("log")), "{keys:?}");
    let published = app.get("/.well-known/jwks.json").await.json();
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
}

async fn an_event_that_cannot_be_decoded_is_marked_and_stops_nothing(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    log_all(app, &mut ledger).await;
    let sql = "insert into audit_event (at, kind, actor, detail) values (1, 'unknown.kind', 'system', '');
               insert into audit_event (at, kind, actor, detail) values (1, 'token.issued', 'system', '')";
    app.database.execute(sql).await;
    let newest = app.opened.records.newest_event().await.unwrap();
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    log_all(app, &mut ledger).await;
    let entries = entries(app).await;
    let marked = entries
        .iter()
        .find(|entry| entry.first_id == newest - 1)
        .expect("the event has an entry");
    let mark = format!(
        "{{\"id\":{},\"kind\":\"event.unreadable\",\"v\":1}}",
        newest - 1
    );
    assert_eq!(marked.bytes, mark.as_bytes());
    let covers = |entry: &&sealwright::testing::store::LogEntry| {
        entry.kind == LogEntryKind::Tokens && entry.first_id == newest
    };
    assert_eq!(entries.iter().filter(covers).count(), 1);
    assert_eq!(
        app.opened.records.place("ledger").await.unwrap(),
        Some(app.opened.records.newest_event().await.unwrap())
    );
}

/// SQL that makes this many rows of issued tokens.
fn many_tokens(count: usize) -> String {
    format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})
         insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
         select 1738324800, 'token.issued', 'agent:a', 'a', {JTI}, 1738328400, 1, 'a:read' from n"
    )
}

/// An id of a token that both kinds of store take.
const JTI: &str = "(select jti from token_event limit 1)";

async fn a_backlog_is_logged_in_commits_of_bounded_size(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.database
        .execute(&many_tokens(2 * MAX_PASS_EVENTS))
        .await;
    let mut ledger = ledger(app);
    log_all(app, &mut ledger).await;
    check(app).await;
    let blocks: Vec<i64> = entries(app)
        .await
        .iter()
        .filter(|entry| entry.kind == LogEntryKind::Tokens)
        .map(|entry| {
            serde_json::from_slice::<Value>(&entry.bytes).unwrap()["count"]
                .as_i64()
                .unwrap()
        })
        .collect();
    let most = i64::try_from(MAX_PASS_EVENTS).unwrap();
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    assert!(blocks[0] <= most && blocks[1] == most, "{blocks:?}");
    assert_eq!(blocks.iter().sum::<i64>(), 2 * most + 1);
}

async fn a_ledger_that_was_stopped_adds_nothing_when_it_wakes(app: &TestApp<'_>) {
    let (mut one, mut other) = (ledger(app), ledger(app));
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    // It has taken the token, and waits for the end of its pass.
    one.step().await.unwrap();
    app.token(&agent).await;
    one.step().await.unwrap();
    let size = head(app).await.size;
    app.clock.advance(11);
    app.token(&agent).await;
    other.step().await.unwrap();
    app.clock.advance(9);
    app.add_scope("one:read").await;
    other.step().await.unwrap();
    assert!(head(app).await.size > size);
    let all = check(app).await;
    one.step().await.unwrap();
    app.clock.advance(9);
    one.step().await.unwrap();
    assert_eq!(check(app).await, all);
    // It works again once the other one has gone.
    app.clock.advance(11);
    app.add_scope("two:read").await;
    one.step().await.unwrap();
    assert_eq!(check(app).await, all + 1);
}

async fn ledgers_of_two_processes_make_one_history(app: &TestApp<'_>) {
    let beside = app.beside().await;
    let mut ledgers = [ledger(app), ledger(&beside)];
    let agent = app.agent("agents:read").await;
    for round in 0..30 {
        for _ in 0..random_below(4) {
            app.token(&agent).await;
        }
        if random_below(3) == 0 {
            app.add_scope(&format!("scope{round}:read")).await;
        }
        app.clock.advance(i64::try_from(random_below(13)).unwrap());
        let [one, other] = &mut ledgers;
        match random_below(3) {
            0 => one.step().await.unwrap(),
            1 => other.step().await.unwrap(),
            // A step that is broken off may have committed or not.
            _ => {
                let time = Duration::from_micros(random_below(4_000));
                let _ = tokio::time::timeout(time, one.step()).await;
                continue;
            }
        }
        let heads = app.opened.records.log_heads().await.unwrap();
        if heads.iter().any(|head| head.note.is_some()) {
            check(app).await;
        }
    }
    for ledger in &mut ledgers {
        app.clock.advance(21);
        ledger.step().await.unwrap();
        app.clock.advance(11);
        ledger.step().await.unwrap();
    }
    assert_eq!(check(app).await, events(app).await.len());
}

async fn a_log_that_was_changed_is_not_continued(app: &TestApp<'_>) {
    let mut first = ledger(app);
    log_all(app, &mut first).await;
    app.database
        .execute("update log_entry set hash = (select hash from log_entry where position = 0) where position = 1")
        .await;
    app.clock.advance(20);
    app.agent("agents:read").await;
    let (place, size) = (
        app.opened.records.place("ledger").await.unwrap(),
        head(app).await.size,
    );
    let refused = ledger(app).step().await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("audit verify"),
        "{refused:?}"
    );
    assert_eq!(app.opened.records.place("ledger").await.unwrap(), place);
    assert_eq!(head(app).await.size, size);
    // Tokens go on.
    app.token(&app.agent("agents:read").await).await;
}

async fn the_lag_tells_what_is_not_logged_yet(app: &TestApp<'_>) {
    let lag = async || {
        let (records, clock) = (&*app.opened.records, &app.opened.clock);
        let lag = measure_lag(records, clock).await.unwrap();
        (lag.events, lag.seconds)
    };
    let mut ledger = ledger(app);
    log_all(app, &mut ledger).await;
    assert_eq!(lag().await, (0, 0));
    let agent = app.agent("agents:read").await;
    let changes = lag().await.0;
    assert!(changes > 0);
    app.clock.advance(100);
    app.token(&agent).await;
    assert_eq!(lag().await, (changes + 1, 100));
    log_all(app, &mut ledger).await;
    assert_eq!(lag().await, (0, 0));
    app.token(&agent).await;
    assert_eq!(lag().await, (1, 0));
}
