//! A backup is restored under running processes: nothing is served from it until an operator has
//! acknowledged that, and then nothing that was killed after the backup is alive.

use std::sync::Arc;

use sealwright::testing::app::{self, Wrapping};
use sealwright::testing::clock::Clock;
use sealwright::testing::entropy::SystemEntropy;
use sealwright::testing::service::generation::{Sight, follow_store};
use sealwright::testing::service::key_rotation::RotationMode;
use sealwright::testing::service::restore::Unmarked;

use super::introspect::INACTIVE;
use super::on_both;
use super::rewound::{back_up, wind_back};
use crate::harness::app::{Agent, TestApp, claims};
use crate::harness::restore::acknowledge;

on_both! {
    nothing_is_served_from_a_restored_store_until_it_is_acknowledged,
    what_was_killed_after_the_backup_is_dead_after_the_acknowledgement,
    a_restore_that_was_changed_again_before_anybody_looked_is_recognised,
    a_process_that_starts_on_a_marked_store_does_not_serve_it,
    one_backup_that_is_restored_twice_makes_two_lives,
    a_store_without_any_sign_is_acknowledged_only_by_force,
    an_acknowledgement_beside_running_processes_is_followed,
    an_agent_that_is_older_than_it_was_closes_the_store,
    keys_that_are_older_than_they_were_close_the_store_and_are_not_published,
}

/// What the server's loop does once a second.
async fn follow(app: &TestApp<'_>) {
    follow_store(&app.opened.watch, &app.state.list, &app.opened.keys)
        .await
        .unwrap();
}

async fn stage(app: &TestApp<'_>) -> (Agent, Agent) {
    let caller = app.agent("tokens:read").await;
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.clock.advance(1);
    back_up(app).await;
    (caller, agent)
}

async fn nothing_is_served_from_a_restored_store_until_it_is_acknowledged(app: &TestApp<'_>) {
    let (caller, agent) = stage(app).await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await.is(200, "{}");
    wind_back(app).await;
    follow(app).await;
    for _ in 0..2 {
        let ready = app.get("/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(
            ready
                .body
                .contains("a restore of the store is not acknowledged")
        );
        assert_eq!(app.ask(&agent, "").await.status, 503);
        assert_eq!(app.introspect(&caller, &token).await.status, 503);
        assert_eq!(app.revoke(&agent, &token).await.status, 503);
        // What offline verifiers need is in memory, with the revocation that the store has lost.
        assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
        let list = app.get("/oauth/revoked-tokens").await.json();
        assert_eq!(list["revoked_jtis"][0], claims(&token)["jti"]);
        follow(app).await;
    }
    assert!(acknowledge(app, Unmarked::Refuse).await.is_some());
    assert_eq!(app.ask(&agent, "").await.status, 503);
    follow(app).await;
    assert_eq!(app.get("/readyz").await.status, 200);
    app.introspect(&caller, &token).await.is(200, INACTIVE);
    let new = app.token(&agent).await;
    assert!(app.is_active(&caller, &new).await);
}

async fn what_was_killed_after_the_backup_is_dead_after_the_acknowledgement(app: &TestApp<'_>) {
    let other = app.beside().await;
    let (caller, agent) = stage(app).await;
    let mut tokens = vec![app.token(&agent).await];
    app.revoke(&agent, &tokens[0]).await.is(200, "{}");
    tokens.push(app.token(&agent).await);
    app.revoke_tokens(&agent).await;
    tokens.push(other.token(&agent).await);
    app.suspend(&agent).await;
    app.clock.advance(1);
    follow(app).await;
    wind_back(app).await;
    follow(app).await;
    // This process knows nothing of the kills. It sees the mark of the other one.
    follow(&other).await;
    assert_eq!(other.ask(&agent, "").await.status, 503);
    let done = acknowledge(app, Unmarked::Refuse).await.unwrap();
    assert_eq!(done.agents, 2);
    for app in [app, &other] {
        follow(app).await;
        for token in &tokens {
            app.introspect(&caller, token).await.is(200, INACTIVE);
        }
        let list = app.get("/oauth/revoked-tokens").await.json();
        assert_eq!(list["revoked_agents"].as_array().unwrap().len(), 2);
    }
    let told = app
        .database
        .texts("select data from audit_event where kind = 'store.restored'")
        .await;
    assert_eq!(told, [format!("{{\"generation\":{}}}", done.generation)]);
}

/// Another process raises the version of the list above all that this process knows.
async fn a_restore_that_was_changed_again_before_anybody_looked_is_recognised(app: &TestApp<'_>) {
    let (_, agent) = stage(app).await;
    for kills_agent in [false, true] {
        let token = app.token(&agent).await;
        if kills_agent {
            app.revoke_tokens(&agent).await;
        } else {
            app.revoke(&agent, &token).await.is(200, "{}");
        }
        follow(app).await;
        app.clock.advance(1);
        wind_back(app).await;
        let other = app.beside().await;
        let third = other.agent("agents:read").await;
        other.revoke_tokens(&third).await;
        follow(app).await;
        assert_eq!(app.ask(&agent, "").await.status, 503);
        acknowledge(app, Unmarked::Refuse).await.unwrap();
        follow(app).await;
        app.clock.advance(1);
    }
}

async fn a_process_that_starts_on_a_marked_store_does_not_serve_it(app: &TestApp<'_>) {
    let (_, agent) = stage(app).await;
    app.revoke_tokens(&agent).await;
    follow(app).await;
    app.clock.advance(1);
    wind_back(app).await;
    follow(app).await;
    let clock: Arc<dyn Clock> = app.clock.process(0);
    let entropy = Arc::new(SystemEntropy::default());
    let late = app::open_with(&app.config, Wrapping::Serving, clock, entropy).await;
    let late = late.unwrap();
    assert_eq!(late.watch.look().await.unwrap(), Sight::Restored);
    assert!(late.store.ping().await.is_err());
    acknowledge(app, Unmarked::Refuse).await.unwrap();
    assert!(matches!(late.watch.look().await.unwrap(), Sight::Begun(_)));
    follow(app).await;
    app.token(&agent).await;
}

async fn one_backup_that_is_restored_twice_makes_two_lives(app: &TestApp<'_>) {
    let (caller, agent) = stage(app).await;
    let mut lives = Vec::new();
    for _ in 0..2 {
        wind_back(app).await;
        app.clock.advance(1);
        let done = acknowledge(app, Unmarked::Accept).await.unwrap();
        let life = app.beside().await;
        lives.push((done.generation, life.token(&agent).await));
        let (last, dead) = lives.split_last().unwrap();
        assert!(life.is_active(&caller, &last.1).await);
        for (generation, token) in dead {
            assert_ne!(*generation, last.0);
            life.introspect(&caller, token).await.is(200, INACTIVE);
        }
    }
}

async fn a_store_without_any_sign_is_acknowledged_only_by_force(app: &TestApp<'_>) {
    let (caller, agent) = stage(app).await;
    let token = app.token(&agent).await;
    assert_eq!(acknowledge(app, Unmarked::Refuse).await, None);
    assert!(app.is_active(&caller, &token).await);
    let done = acknowledge(app, Unmarked::Accept).await.unwrap();
    assert!(done.generation > 1);
    app.introspect(&caller, &token).await.is(200, INACTIVE);
    // Its log has a name of its own, which ends in the generation.
    let heads = app.opened.records.log_heads().await.unwrap();
    let origin = &heads.last().unwrap().origin;
    assert!(
        origin.ends_with(&format!("/{}", done.generation)),
        "{origin}"
    );
}

async fn an_acknowledgement_beside_running_processes_is_followed(app: &TestApp<'_>) {
    let (_, agent) = stage(app).await;
    app.token(&agent).await;
    acknowledge(app, Unmarked::Accept).await.unwrap();
    follow(app).await;
    app.token(&agent).await;
    let list = app.get("/oauth/revoked-tokens").await.json();
    assert_eq!(list["revoked_agents"].as_array().unwrap().len(), 2);
    // A generation that was seen may not be lost either.
    app.database
        .execute("update store_generation set generation = 1")
        .await;
    follow(app).await;
    assert_eq!(app.ask(&agent, "").await.status, 503);
}

/// A lost rotation raises no version of the list. The row itself is older than this process knows it.
async fn an_agent_that_is_older_than_it_was_closes_the_store(app: &TestApp<'_>) {
    let (_, first) = stage(app).await;
    app.clock.advance(1);
    let second = app.rotate(&first, 0).await;
    app.token(&second).await;
    wind_back(app).await;
    assert_eq!(app.ask(&second, "").await.status, 503);
    assert_eq!(app.ask(&first, "").await.status, 503);
}

/// A lost revocation of a key raises no other version, and the key would be published again.
async fn keys_that_are_older_than_they_were_close_the_store_and_are_not_published(
    app: &TestApp<'_>,
) {
    const JWKS: &str = "/.well-known/jwks.json";
    let (caller, agent) = stage(app).await;
    let kept = "create table kept_signing_key as select * from signing_key";
    app.database.execute(kept).await;
    let token = app.token(&agent).await;
    let operator = app.opened.operator();
    let revoking = RotationMode::NowRevoking;
    app.opened.keys.rotate(revoking, &operator).await.unwrap();
    app.introspect(&caller, &token).await.is(200, INACTIVE);
    let published = app.get(JWKS).await.body;
    wind_back(app).await;
    app.database.execute("delete from signing_key").await;
    let back = "insert into signing_key select * from kept_signing_key";
    app.database.execute(back).await;
    assert!(app.opened.keys.refresh().await.is_err());
    assert_eq!(app.ask(&agent, "").await.status, 503);
    assert_eq!(app.introspect(&caller, &token).await.status, 503);
    assert_eq!(app.get(JWKS).await.body, published);
    follow(app).await;
    acknowledge(app, Unmarked::Refuse).await.unwrap();
    follow(app).await;
    app.introspect(&caller, &token).await.is(200, INACTIVE);
    assert_eq!(app.ask(&agent, "").await.status, 200);
}
