//! Keys that are rotated by themselves, by several processes with one store.

use std::collections::HashMap;

use futures_util::future::join_all;
use sealwright::testing::clock::Clock as _;
use sealwright::testing::service::key_rotation::RotationMode;
use sealwright::testing::store::{KeyRecord, KeyState};

use super::on_both;
use crate::harness::app::{TestApp, header};

const DAY: i64 = 86_400;
const ANNOUNCE: i64 = 3_600;
const JWKS: &str = "/.well-known/jwks.json";
const DAILY: &[(&str, &str)] = &[("keys.rotate_days", "1")];

on_both! {
    a_key_signs_for_its_days_and_all_processes_agree_on_the_next,
    an_overdue_store_announces_a_key_before_it_signs,
    keys_are_rotated_by_hand_where_the_configuration_says_so,
    a_store_of_an_earlier_release_is_rotated_by_hand_until_the_key_is_set,
    a_key_that_was_announced_by_hand_is_the_next,
}

/// What the loop of each process does once a minute, in all processes at the same time.
async fn turn(apps: &[&TestApp<'_>]) {
    let turns = apps.iter().map(|app| async {
        app.opened.keys.refresh().await.unwrap();
        app.opened.keys.announce_due_key().await.unwrap();
    });
    join_all(turns).await;
    for app in apps {
        app.opened.keys.refresh().await.unwrap();
    }
}

async fn stored(app: &TestApp<'_>) -> Vec<KeyRecord> {
    app.opened.records.keys().await.unwrap().keys
}

fn one(keys: &[KeyRecord], state: KeyState) -> Option<&KeyRecord> {
    let found: Vec<&KeyRecord> = keys.iter().filter(|key| key.state == state).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.first().copied()
}

async fn a_key_signs_for_its_days_and_all_processes_agree_on_the_next(app: &TestApp<'_>) {
    let apps = [
        &app.beside_with(DAILY).await,
        &app.beside_with(DAILY).await,
        &app.beside_with(DAILY).await,
    ];
    let agent = app.agent("tokens:read").await;
    let begin = app.opened.clock.now().0;
    let mut published: HashMap<String, i64> = HashMap::new();
    let mut signed: Vec<(String, i64)> = Vec::new();
    // Half an hour at a time, for three and a half days.
    for _ in 0..(7 * 24) {
        turn(&apps).await;
        let (keys, now) = (stored(app).await, app.opened.clock.now().0 - begin);
        one(&keys, KeyState::Announced);
        let signing = one(&keys, KeyState::Signing).unwrap().kid.0.clone();
        for key in &keys {
            published.entry(key.kid.0.clone()).or_insert(now);
        }
        if signed.last().is_none_or(|(kid, _)| *kid != signing) {
            let is_first = signed.is_empty();
            assert!(is_first || published[&signing] + ANNOUNCE <= now);
            signed.push((signing.clone(), now));
            let jwks = apps[0].get(JWKS).await.body;
            for app in apps {
                assert_eq!(app.get(JWKS).await.body, jwks);
                let token = app.token(&agent).await;
                assert_eq!(header(&token)["kid"], signing);
            }
        }
        app.clock.advance(1_800);
    }
    let times: Vec<i64> = signed.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, DAY, 2 * DAY, 3 * DAY]);
}

async fn an_overdue_store_announces_a_key_before_it_signs(app: &TestApp<'_>) {
    let apps = [&app.beside().await, &app.beside_with(DAILY).await];
    // Thirty days are the default in a new store.
    app.clock.advance(30 * DAY - 2 * ANNOUNCE - 1);
    turn(&apps[..1]).await;
    assert!(one(&stored(app).await, KeyState::Announced).is_none());
    app.clock.advance(70 * DAY);
    turn(&apps).await;
    let (keys, now) = (stored(app).await, app.opened.clock.now().0);
    let (old, next) = (
        one(&keys, KeyState::Signing).unwrap(),
        one(&keys, KeyState::Announced).unwrap(),
    );
    assert_eq!(
        (next.announced_at.0, next.signs_from.0),
        (now, now + ANNOUNCE)
    );
    for (later, signs) in [(ANNOUNCE - 1, old), (1, next)] {
        app.clock.advance(later);
        turn(&apps).await;
        let keys = stored(app).await;
        assert_eq!(one(&keys, KeyState::Signing).unwrap().kid, signs.kid);
    }
}

async fn keys_are_rotated_by_hand_where_the_configuration_says_so(app: &TestApp<'_>) {
    let by_hand = app.beside_with(&[("keys.rotate_days", "0")]).await;
    app.clock.advance(400 * DAY);
    turn(&[&by_hand]).await;
    assert_eq!(stored(app).await.len(), 1);
}

async fn a_store_of_an_earlier_release_is_rotated_by_hand_until_the_key_is_set(app: &TestApp<'_>) {
    app.database.execute("delete from store_default").await;
    let (unset, set) = (app.beside().await, app.beside_with(DAILY).await);
    app.clock.advance(400 * DAY);
    turn(&[&unset]).await;
    assert_eq!(stored(app).await.len(), 1);
    turn(&[&set]).await;
    assert_eq!(stored(app).await.len(), 2);
}

async fn a_key_that_was_announced_by_hand_is_the_next(app: &TestApp<'_>) {
    let daily = app.beside_with(DAILY).await;
    app.clock.advance(DAY / 2);
    let act = app.opened.operator();
    let announced = daily.opened.keys.rotate(RotationMode::Announce, &act).await;
    let announced = announced.unwrap().kid;
    app.clock.advance(DAY / 2);
    turn(&[&daily]).await;
    let keys = stored(app).await;
    assert_eq!(one(&keys, KeyState::Signing).unwrap().kid, announced);
    // The days of that key count from when it began to sign.
    assert!(one(&keys, KeyState::Announced).is_none());
}
