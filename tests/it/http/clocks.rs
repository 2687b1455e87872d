//! Clocks that differ: those of several processes, and the database's from all of them (faults
//! C1–C4; contract §2, D7). The tests set the clocks of the processes and of the database.

use sealwright::testing::clock::Clock as _;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::clock::measure_clock;
use sealwright::testing::service::key_rotation::RotationMode;

use super::introspect::INACTIVE;
use crate::harness::app::{NOW, TestApp, claims};
use crate::harness::database::Database;

/// By how many seconds one process's clock differs from the database's.
const SKEWS: [i64; 4] = [1_200, -1_200, 93_600, -93_600];

async fn on_postgres(test: impl AsyncFn(&TestApp<'_>, &TestApp<'_>, i64)) {
    for skew in SKEWS {
        let database = Database::postgres().await;
        let right = TestApp::start(&database).await;
        let wrong = right.beside_ahead(skew, &[]).await;
        test(&right, &wrong, skew).await;
        drop((right, wrong));
        database.remove().await;
    }
}

/// Runs the clean-up that a process runs once a minute.
async fn clean_up(app: &TestApp<'_>) {
    let Some(now) = app.opened.clock.settled() else {
        return;
    };
    app.database.announce_prune().await;
    while app.opened.records.prune(now, 0, 1_000).await.unwrap() > 0 {}
}

#[tokio::test]
async fn a_wrong_clock_removes_no_revocation_before_its_time() {
    on_postgres(async |right, wrong, skew| {
        let agent = right.agent("tokens:read").await;
        let token = right.token(&agent).await;
        right.revoke(&agent, &token).await.is(200, "{}");
        for _ in 0..3 {
            clean_up(wrong).await;
            for app in [right, wrong] {
                app.introspect(&agent, &token).await.is(200, INACTIVE);
            }
            right.clock.advance(240);
        }
        let kept = right
            .database
            .number("select count(*) from revoked_token")
            .await;
        assert_eq!(kept, 1, "{skew}");
    })
    .await;
}

#[tokio::test]
async fn a_revocation_through_a_wrong_clock_holds_everywhere() {
    on_postgres(async |right, wrong, skew| {
        let agent = right.agent("tokens:read").await;
        let token = right.token(&agent).await;
        wrong.revoke(&agent, &token).await.is(200, "{}");
        for app in [right, wrong] {
            app.introspect(&agent, &token).await.is(200, INACTIVE);
        }
        right.state.list.refresh().await.unwrap();
        let list = right.get("/oauth/revoked-tokens").await.json();
        assert_eq!(list["revoked_jtis"][0], claims(&token)["jti"], "{skew}");
    })
    .await;
}

#[tokio::test]
async fn a_suspension_through_a_wrong_clock_is_on_the_list() {
    on_postgres(async |right, wrong, skew| {
        let agent = right.agent("tokens:read").await;
        let token = right.token(&agent).await;
        wrong.suspend(&agent).await;
        let killed_at = right
            .database
            .number("select killed_at from agent where killed_at is not null")
            .await;
        assert_eq!(killed_at, NOW.0, "{skew}");
        for app in [right, wrong] {
            app.state.list.refresh().await.unwrap();
            let list = app.get("/oauth/revoked-tokens").await.json();
            assert_eq!(
                list["revoked_agents"].as_array().unwrap().len(),
                1,
                "{skew}"
            );
            assert_eq!(list["revoked_jtis"][0], claims(&token)["jti"], "{skew}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_is_issued_at_the_smaller_second_and_lives_by_the_databases() {
    on_postgres(async |right, wrong, skew| {
        let agent = right.agent("tokens:read").await;
        let answer = wrong.ask(&agent, "").await;
        let token = answer.text("access_token");
        let (iat, exp) = (
            claims(&token)["iat"].as_i64().unwrap(),
            claims(&token)["exp"].as_i64().unwrap(),
        );
        assert_eq!(iat, NOW.min(wrong.own_clock.now()).0);
        assert_eq!(exp - iat, answer.json()["expires_in"].as_i64().unwrap());
        for app in [right, wrong] {
            assert_eq!(app.is_active(&agent, &token).await, exp > NOW.0, "{skew}");
        }
        // The token is counted in the month that the database's clock shows.
        let month = right.database.number("select month from quota").await;
        assert_eq!(month, NOW.month().key());
    })
    .await;
}

#[tokio::test]
async fn an_old_secret_ends_for_a_wrong_clock_when_it_ends_for_all() {
    on_postgres(async |right, wrong, skew| {
        let old = right.agent("tokens:read").await;
        wrong.rotate(&old, 3_600).await;
        right.clock.advance(3_599);
        for app in [right, wrong] {
            assert_eq!(app.ask(&old, "").await.status, 200, "{skew}");
        }
        right.clock.advance(1);
        for app in [right, wrong] {
            assert_eq!(app.ask(&old, "").await.status, 401, "{skew}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_announced_by_a_wrong_clock_signs_at_its_time() {
    on_postgres(async |right, wrong, skew| {
        let signing = || {
            right
                .database
                .texts("select kid from signing_key where state = 'signing'")
        };
        let first = signing().await;
        let announced = wrong
            .opened
            .keys
            .rotate(RotationMode::Announce, &wrong.opened.operator())
            .await
            .unwrap();
        let wait = right.config.keys.announce_seconds;
        assert_eq!(announced.signs_from.0, NOW.0 + wait, "{skew}");
        right.clock.advance(wait - 1);
        for app in [right, wrong] {
            app.opened.keys.refresh().await.unwrap();
            assert_eq!(signing().await, first, "{skew}");
        }
        right.clock.advance(1);
        right.opened.keys.refresh().await.unwrap();
        assert_eq!(signing().await, [announced.kid.0], "{skew}");
    })
    .await;
}

#[tokio::test]
async fn a_process_whose_clock_is_off_is_not_ready_and_says_so() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    for (ahead, is_ready) in [
        (0, true),
        (2, true),
        (3, false),
        (-2, true),
        (-3, false),
        (93_600, false),
    ] {
        app.own_clock.step(ahead);
        let answer = app.get("/readyz").await;
        if is_ready {
            answer.is(200, r#"{"status":"ok"}"#);
        } else {
            let why = "this machine's clock differs from the database's";
            answer.is(
                503,
                &format!(r#"{{"status":"unavailable","reason":"{why}"}}"#),
            );
            assert_eq!(answer.header("retry-after"), "1");
        }
        app.own_clock.step(-ahead);
    }
    drop(app);
    database.remove().await;
}

#[tokio::test]
async fn a_database_whose_clock_is_set_is_followed() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    database.set_clock(Timestamp(NOW.0 + 600));
    // The next measurement. A server makes one each second.
    measure_clock(&*app.opened.records, &app.opened.clock)
        .await
        .unwrap();
    app.introspect(&agent, &token).await.is(200, INACTIVE);
    assert_eq!(app.get("/readyz").await.status, 503);
    drop(app);
    database.remove().await;
}

/// What a store removes while the clock is ahead, a list in memory may still hold.
#[tokio::test]
async fn a_clock_that_was_ahead_and_is_set_back_is_no_sign_of_a_restore() {
    let database = Database::sqlite().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await.is(200, "{}");
    app.own_clock.step(90_000);
    app.state.list.read_changes().await.unwrap();
    database.execute("delete from revoked_token").await;
    app.own_clock.step(-90_000);
    app.state.list.read_changes().await.unwrap();
    app.token(&agent).await;
    drop(app);
    database.remove().await;
}

/// A machine starts without a network, so its clock is a day ahead for a minute.
#[tokio::test]
async fn a_minute_with_a_clock_a_day_ahead_takes_nothing_away() {
    let database = Database::sqlite().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("tokens:read").await;
    let (early, late, live) = (
        app.token(&agent).await,
        app.token(&agent).await,
        app.token(&agent).await,
    );
    app.revoke(&agent, &early).await.is(200, "{}");
    let announced = app
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
    let signing = || database.texts("select kid from signing_key where state = 'signing'");
    let first = signing().await;

    let again = app.beside_ahead(90_000, &[]).await;
    for _ in 0..2 {
        again.state.list.refresh().await.unwrap();
        again.opened.keys.refresh().await.unwrap();
        clean_up(&again).await;
        again.revoke(&agent, &late).await.is(200, "{}");
        app.clock.advance(30);
    }
    again.own_clock.step(-90_000);
    again.state.list.refresh().await.unwrap();

    for token in [&early, &late] {
        again.introspect(&agent, token).await.is(200, INACTIVE);
    }
    assert!(again.is_active(&agent, &live).await);
    let listed = again.get("/oauth/revoked-tokens").await.json()["revoked_jtis"].clone();
    assert_eq!(
        listed,
        serde_json::json!([claims(&early)["jti"], claims(&late)["jti"]])
    );
    assert_eq!(signing().await, first);
    app.clock.advance(app.config.keys.announce_seconds);
    again.opened.keys.refresh().await.unwrap();
    assert_eq!(signing().await, [announced.kid.0]);
    drop((app, again));
    database.remove().await;
}
