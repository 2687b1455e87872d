//! Another master key, in three steps: every process gets both, the keys are sealed anew, and the one
//! before is taken away.

use std::sync::Arc;

use sealwright::testing::app::{self, Wrapping};
use sealwright::testing::clock::Clock;
use sealwright::testing::entropy::SystemEntropy;
use sealwright::testing::service::key_rotation::RotationMode;
use sealwright::testing::service::reseal::Resealed;
use serde_json::Value;

use super::on_both;
use crate::harness::app::{TestApp, config, header};

on_both! {
    keys_are_sealed_anew_and_nothing_that_they_made_changes,
    a_process_without_the_new_master_key_is_named_and_nothing_changes,
    a_process_that_starts_with_the_wrong_master_key_says_what_is_missing,
    a_row_that_somebody_changed_is_left_alone,
}

const BEFORE: &str = "c2VhbHdyaWdodCB0ZXN0IG1hc3RlciBrZXkgMzIgYiE=";
const AFTER: &str = "bmV3IHNlYWx3cmlnaHQgdGVzdCBtYXN0ZXIga2V5ISE=";
const BOTH: &[(&str, &str)] = &[
    ("keys.master_key", AFTER),
    ("keys.master_key_previous", BEFORE),
];
const NEW_ALONE: &[(&str, &str)] = &[("keys.master_key", AFTER)];

const JWKS: &str = "/.well-known/jwks.json";

async fn jwks(app: &TestApp<'_>) -> Value {
    app.get(JWKS).await.json()
}

async fn reseal(app: &TestApp<'_>) -> Resealed {
    let act = app.opened.operator();
    app.opened.keys.reseal(&act).await.unwrap()
}

fn done(keys: i64) -> Resealed {
    Resealed::Done { keys, foreign: 0 }
}

async fn sealed_rows(app: &TestApp<'_>) -> i64 {
    let sql = "(select count(*) from signing_key) + (select count(*) from store_key)";
    app.database.number(&format!("select {sql}")).await
}

async fn keys_are_sealed_anew_and_nothing_that_they_made_changes(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let (token, published) = (app.token(&agent).await, jwks(app).await);
    let process = app.beside_with(BOTH).await;
    // The first process stops.
    app.opened.presence.end().await;
    let rows = sealed_rows(app).await;
    assert_eq!(reseal(&process).await, done(rows));
    assert_eq!(reseal(&process).await, done(0));
    let kept = app
        .database
        .texts("select detail from audit_event where kind = 'key.resealed'")
        .await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let new = process.beside_with(NEW_ALONE).await;
    for process in [&process, &new] {
        assert_eq!(jwks(process).await, published);
        assert!(process.is_active(&agent, &token).await);
        let made = process.token(&agent).await;
        assert_eq!(header(&made)["kid"], header(&token)["kid"]);
        process.opened.keys.refresh().await.unwrap();
        assert!(process.is_active(&agent, &made).await);
    }
    // A key that is made from now on needs the new master key alone.
    app.clock.advance(1);
    let act = process.opened.operator();
    process
        .opened
        .keys
        .rotate(RotationMode::Now, &act)
        .await
        .unwrap();
    new.opened.keys.refresh().await.unwrap();
    let made = new.token(&agent).await;
    assert_ne!(header(&made)["kid"], header(&token)["kid"]);
}

async fn a_process_without_the_new_master_key_is_named_and_nothing_changes(app: &TestApp<'_>) {
    let process = app.beside_with(BOTH).await;
    let sealed = "select sum(length(private_key)) from signing_key";
    let before = app.database.number(sealed).await;
    let refused = reseal(&process).await;
    let pid = format!("pid {} on ", std::process::id());
    let Resealed::InTheWay(who) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(who.len(), 1, "{who:?}");
    assert!(who[0].starts_with(&pid), "{who:?}");
    assert_eq!(app.database.number(sealed).await, before);
    let events = "select count(*) from audit_event where kind = 'key.resealed'";
    assert_eq!(app.database.number(events).await, 0);
    // One that died without a word counts for a minute.
    app.clock.advance(59);
    process.opened.presence.report().await.unwrap();
    assert!(matches!(reseal(&process).await, Resealed::InTheWay(_)));
    app.clock.advance(1);
    assert!(matches!(reseal(&process).await, Resealed::Done { .. }));
}

/// Why a server does not start with these keys.
async fn refusal(app: &TestApp<'_>, settings: &[(&str, &str)]) -> String {
    let config = config(app.database, settings);
    let clock: Arc<dyn Clock> = Arc::clone(&app.own_clock) as _;
    let entropy = Arc::new(SystemEntropy::default());
    let opened = app::open_with(&config, Wrapping::Serving, clock, entropy).await;
    let error = opened.err().unwrap();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

async fn a_process_that_starts_with_the_wrong_master_key_says_what_is_missing(app: &TestApp<'_>) {
    let too_early = refusal(app, NEW_ALONE).await;
    assert!(
        too_early.contains("keys.master_key_previous"),
        "{too_early}"
    );
    // What was refused has not served.
    let serving = "select count(*) from process";
    assert_eq!(app.database.number(serving).await, 1);
    let process = app.beside_with(BOTH).await;
    app.opened.presence.end().await;
    assert!(matches!(reseal(&process).await, Resealed::Done { .. }));
    let too_late = refusal(app, &[("keys.master_key", BEFORE)]).await;
    assert!(too_late.contains("keys.master_key"), "{too_late}");
    let neither = [
        (
            "keys.master_key",
            "b3RoZXIgc2VhbHdyaWdodCB0ZXN0IG1hc3RlciBrZXk=",
        ),
        ("keys.master_key_previous", BEFORE),
    ];
    let neither = refusal(app, &neither).await;
    assert!(
        neither.contains("neither under keys.master_key nor"),
        "{neither}"
    );
}

async fn a_row_that_somebody_changed_is_left_alone(app: &TestApp<'_>) {
    let act = app.opened.operator();
    let mode = RotationMode::Announce;
    app.opened.keys.rotate(mode, &act).await.unwrap();
    app.database
        .execute("update signing_key set signs_from = signs_from + 1 where state = 'announced'")
        .await;
    let process = app.beside_with(BOTH).await;
    app.opened.presence.end().await;
    let rows = sealed_rows(app).await;
    let all_but_one = Resealed::Done {
        keys: rows - 1,
        foreign: 1,
    };
    assert_eq!(reseal(&process).await, all_but_one);
    let nothing = Resealed::Done {
        keys: 0,
        foreign: 1,
    };
    assert_eq!(reseal(&process).await, nothing);
}
