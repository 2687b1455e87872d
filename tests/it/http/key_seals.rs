//! Changes to the row of a signing key: an attacker who can write to the database makes them, or an
//! older release, which may.

use sealwright::testing::keys::algorithm::{RsaBits, generate};
use sealwright::testing::service::key_rotation::RotationMode;
use sealwright::testing::store::{Change, KeyChange, KeyRecord, KeyState, Write};
use serde_json::json;

use super::on_both;
use crate::harness::app::{Agent, TestApp, bearer, header};

const JWKS: &str = "/.well-known/jwks.json";

on_both! {
    a_retired_key_that_was_changed_is_refused,
    a_key_that_was_moved_back_never_signs_again,
    an_announced_key_whose_times_were_changed_is_refused,
    keys_of_an_older_release_serve_and_are_sealed_with_their_next_move,
    a_move_that_an_older_release_makes_beside_this_one_counts,
    a_key_that_was_put_into_the_database_keeps_none_from_being_made,
    a_key_that_servers_refuse_is_listed_with_the_reason,
}

async fn kids(app: &TestApp<'_>) -> Vec<String> {
    let keys = app.get(JWKS).await.json()["keys"].take();
    keys.as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

async fn demand_standing(app: &TestApp<'_>, agent: &Agent, token: &str, is_genuine: bool) {
    assert_eq!(
        app.is_active(agent, token).await,
        is_genuine,
        "{}",
        kid(token)
    );
    let status = app.get_as(&bearer(token), "/forward-auth").await.status;
    assert_eq!(status, if is_genuine { 200 } else { 401 });
}

/// Changes the key's row. The change takes effect when the keys are read next.
async fn change(app: &TestApp<'_>, kid: &str, set: &str) {
    app.database
        .execute(&format!("update signing_key set {set} where kid = '{kid}'"))
        .await;
    app.clock.advance(1);
}

/// A process, and a token of the key that retired just now. Another key signs now.
async fn rotated<'a>(app: &TestApp<'a>, agent: &Agent) -> (TestApp<'a>, String) {
    let process = app.beside_with(&[("keys.announce_seconds", "360")]).await;
    process
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
    let old = process.token(agent).await;
    app.clock.advance(360);
    process.opened.keys.refresh().await.unwrap();
    assert_ne!(kid(&process.token(agent).await), kid(&old));
    (process, old)
}

async fn a_retired_key_that_was_changed_is_refused(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let (process, old) = rotated(app, &agent).await;
    let (retired, signing) = (kid(&old), kid(&process.token(&agent).await));
    let column = |column: &str| {
        format!("select cast({column} as text) from signing_key where kid = '{retired}'")
    };
    let end = app
        .database
        .texts(&column("published_until"))
        .await
        .remove(0);
    let (back, seal) = (
        format!("state = 'retiring', published_until = {end}"),
        format!("seal = (select seal from signing_key where kid = '{signing}')"),
    );
    app.database
        .execute("create table kept as select kid, seal from signing_key")
        .await;
    for changed in [
        "state = 'announced', published_until = null",
        "state = 'announced', published_until = null, signs_until = null, seal = null",
        "state = 'announced'",
        "published_until = published_until + 1",
        "published_until = published_until + 31536000, seal = null",
        "announced_at = announced_at + 1",
        "seal = null",
        &seal,
    ] {
        let times = app.database.texts(&column("announced_at")).await.remove(0);
        change(app, &retired, changed).await;
        let other = app.beside().await;
        for app in [&process, &other] {
            app.opened.keys.refresh().await.unwrap();
            demand_standing(app, &agent, &old, false).await;
            assert_eq!(kids(app).await, [&*signing], "{changed}");
            let token = app.token(&agent).await;
            demand_standing(app, &agent, &token, true).await;
        }
        let restored = format!(
            "{back}, announced_at = {times}, seal = (select seal from kept where kept.kid = signing_key.kid)"
        );
        change(app, &retired, &restored).await;
        process.opened.keys.refresh().await.unwrap();
        demand_standing(&process, &agent, &old, true).await;
        assert_eq!(kids(&process).await, [&*signing, &*retired], "{changed}");
    }
}

async fn a_key_that_was_moved_back_never_signs_again(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let (process, old) = rotated(app, &agent).await;
    let (retired, signing) = (kid(&old), kid(&process.token(&agent).await));
    let published = process.get(JWKS).await.body;
    app.database
        .execute(&format!("delete from signing_key where kid = '{signing}'"))
        .await;
    for seal in ["", ", seal = null"] {
        let back = format!("state = 'signing', signs_until = null, published_until = null{seal}");
        change(app, &retired, &back).await;
        // The process keeps its last good key set until that is too old to sign with.
        let fault = process.opened.keys.refresh().await.unwrap_err();
        assert!(format!("{fault:?}").contains(&retired), "{fault:?}");
        assert_eq!(process.get(JWKS).await.body, published);
        assert_eq!(kid(&process.token(&agent).await), signing);
    }
    app.clock.advance(121);
    let answer = process.ask(&agent, "").await;
    assert!(answer.status >= 500, "{answer:?}");
}

async fn an_announced_key_whose_times_were_changed_is_refused(app: &TestApp<'_>) {
    let added = app
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap()
        .kid
        .0;
    assert_eq!(kids(app).await.len(), 2);
    for (changed, back) in [
        (
            "signs_from = signs_from - 3600",
            "signs_from = signs_from + 3600",
        ),
        (
            "announced_at = announced_at - 1",
            "announced_at = announced_at + 1",
        ),
    ] {
        change(app, &added, changed).await;
        // A new process lets no key begin to sign at first. Go beyond that time.
        app.clock.advance(310);
        for _ in 0..2 {
            app.opened.keys.refresh().await.unwrap();
            assert!(!kids(app).await.contains(&added));
            let signing = app
                .database
                .texts("select kid from signing_key where state = 'signing'")
                .await;
            assert_ne!(signing, [&*added]);
        }
        change(app, &added, back).await;
        app.opened.keys.refresh().await.unwrap();
        assert!(kids(app).await.contains(&added));
    }
}

/// A key's row as a release without seals writes it.
fn older(app: &TestApp<'_>, state: KeyState) -> KeyRecord {
    let made = generate(RsaBits::B2048).unwrap();
    let now = app.clock.now();
    let master = app.opened.keyring.master_key();
    let sealed = master.seal(
        &made.private_der,
        made.kid.0.as_bytes(),
        &*app.opened.entropy,
    );
    KeyRecord {
        kid: made.kid,
        public_jwk: made.public_jwk,
        private_key: sealed.unwrap(),
        state,
        announced_at: now,
        signs_from: now,
        signs_until: None,
        published_until: None,
        seal: None,
    }
}

async fn insert(app: &TestApp<'_>, record: KeyRecord) {
    let write = Write::new(
        app.opened.operator(),
        Change::Key(KeyChange::Insert(Box::new(record))),
    );
    app.opened.store.commit(vec![write]).await.unwrap();
}

async fn keys_of_an_older_release_serve_and_are_sealed_with_their_next_move(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    app.database.execute("delete from signing_key").await;
    let record = older(app, KeyState::Signing);
    let older = record.kid.0.clone();
    insert(app, record).await;
    app.clock.advance(1);
    app.opened.keys.refresh().await.unwrap();
    assert_eq!(kids(app).await, [&*older]);
    let (process, old) = rotated(app, &agent).await;
    assert_eq!(kid(&old), older);
    demand_standing(&process, &agent, &old, true).await;
    assert_eq!(
        app.database
            .number("select count(*) from signing_key where seal is null")
            .await,
        0
    );
    change(app, &older, "state = 'announced', published_until = null").await;
    process.opened.keys.refresh().await.unwrap();
    demand_standing(&process, &agent, &old, false).await;
}

async fn a_move_that_an_older_release_makes_beside_this_one_counts(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let added = app
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap()
        .kid
        .0;
    let old = app.token(&agent).await;
    let end = app.clock.now().0 + 86_580;
    change(
        app,
        &kid(&old),
        &format!("state = 'retiring', signs_until = 1, published_until = {end}"),
    )
    .await;
    change(app, &added, "state = 'signing'").await;
    let other = app.beside().await;
    for app in [app, &other] {
        app.opened.keys.refresh().await.unwrap();
        assert_eq!(kids(app).await, [added.clone(), kid(&old)]);
        let token = app.token(&agent).await;
        assert_eq!(kid(&token), added);
        demand_standing(app, &agent, &token, true).await;
        demand_standing(app, &agent, &old, true).await;
    }
    // A key that the older release announces is published too.
    let record = older(app, KeyState::Announced);
    let announced = record.kid.0.clone();
    insert(app, record).await;
    app.clock.advance(1);
    other.opened.keys.refresh().await.unwrap();
    assert!(kids(&other).await.contains(&announced));
}

async fn a_key_that_was_put_into_the_database_keeps_none_from_being_made(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let kept = kids(app).await.remove(0);
    change(app, &kept, "state = 'announced', seal = null").await;
    let other = app.beside().await;
    let token = other.token(&agent).await;
    assert_ne!(kid(&token), kept);
    assert_eq!(kids(&other).await, [kid(&token)]);
}

async fn a_key_that_servers_refuse_is_listed_with_the_reason(app: &TestApp<'_>) {
    let admin = app.agent("admin:orgs tokens:read").await;
    let (process, old) = rotated(app, &admin).await;
    let listed = async || {
        let token = process.token(&admin).await;
        let page = process.get_as(&bearer(&token), "/api/v1/keys").await;
        let keys = page.json()["data"].take();
        let reason = |kid: &str| {
            let mut keys = keys.as_array().unwrap().iter();
            keys.find(|key| key["kid"] == kid).unwrap()["unusable"].clone()
        };
        (reason(&kid(&old)), reason(&kid(&token)))
    };
    assert_eq!(listed().await, (json!(null), json!(null)));
    change(app, &kid(&old), "published_until = published_until + 1").await;
    let (refused, genuine) = listed().await;
    assert!(
        refused
            .as_str()
            .unwrap()
            .contains("somebody changed its row"),
        "{refused}"
    );
    assert_eq!(genuine, json!(null));
}
