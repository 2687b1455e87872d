//! Agents that expire.

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::patch::ProfilePatch;
use serde_json::{Value, json};

use super::airisk::{CALLBACK, agent_for};
use super::on_both;
use super::token::SUSPENDED;
use crate::harness::app::{AGENTS, Agent, REVOKED, TestApp, bearer, claims, encode};
use crate::harness::database::Database;

on_both! {
    no_token_outlives_its_agent,
    an_end_that_is_brought_forward_kills_live_tokens,
    an_agent_whose_end_is_put_off_works_again,
    a_token_of_an_earlier_release_ends_with_its_agent,
    an_expired_agent_gets_no_code,
}

async fn end_at(app: &TestApp<'_>, agent: &Agent, end: Option<i64>) -> Vec<String> {
    let patch = ProfilePatch {
        expires_at: Some(end.map(Timestamp)),
        ..ProfilePatch::default()
    };
    let act = app.opened.operator();
    let view = app
        .agents()
        .update(&agent.parsed_id(), &patch, &act)
        .await
        .unwrap();
    view.warnings
}

fn exp(token: &str) -> i64 {
    claims(token)["exp"].as_i64().unwrap()
}

async fn no_token_outlives_its_agent(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let reader = bearer(
        &app.token(
            &app.agent_like(None, "agents:read", |terms| {
                terms.ttl = sealwright::testing::domain::ttl::Ttl::new(86_400).ok();
            })
            .await,
        )
        .await,
    );
    let end = app.clock.now().0 + 700;
    end_at(app, &agent, Some(end)).await;
    let whoami = app
        .get_as(&bearer(&app.token(&agent).await), "/api/v1/whoami")
        .await
        .json();
    assert_eq!(
        (&whoami["orgId"], &whoami["expiresAt"]),
        (&json!("default"), &json!(Timestamp(end).to_rfc3339()))
    );
    for (advance, lifetime) in [(0, 600), (100, 600), (1, 599), (400, 199), (198, 1)] {
        app.clock.advance(advance);
        let answer = app.ask(&agent, "").await;
        assert_eq!(answer.json()["expires_in"], lifetime);
        let token = answer.text("access_token");
        assert_eq!(exp(&token), (app.clock.now().0 + 600).min(end));
        let shown = app
            .get_as(&reader, &format!("{AGENTS}/{}", agent.id))
            .await
            .json();
        assert_eq!(
            (&shown["status"], &shown["expired"]),
            (&json!("active"), &json!(false))
        );
    }
    app.clock.advance(1);
    app.ask(&agent, "").await.is(403, SUSPENDED);
    let shown = app
        .get_as(&reader, &format!("{AGENTS}/{}", agent.id))
        .await
        .json();
    assert_eq!(
        (&shown["status"], &shown["expired"]),
        (&json!("active"), &json!(true))
    );
    // Time alone writes nothing, and needs no place in the revocation list.
    assert_eq!(app.get(REVOKED).await.json()["revoked_agents"], json!([]));
    let last = "select kind from audit_event where kind <> 'token.issued' order by id desc limit 1";
    assert_eq!(app.database.texts(last).await, ["agent.updated"]);
}

async fn an_end_that_is_brought_forward_kills_live_tokens(app: &TestApp<'_>) {
    let (agent, caller) = (
        app.agent("agents:read").await,
        app.agent("tokens:read").await,
    );
    let other = app.beside().await;
    let now = app.clock.now().0;
    let year = 365 * 86_400;
    let mut listed = false;
    for (end, kills) in [
        (Some(now + 2 * year), true),
        (Some(now + 2 * year), false),
        (Some(now + 3 * year), false),
        (Some(now + year), true),
        (None, false),
        (Some(now + year), true),
    ] {
        let (token, seen) = (app.token(&agent).await, other.token(&agent).await);
        let warnings = end_at(app, &agent, end).await;
        for replica in [app, &other] {
            assert_eq!(replica.is_active(&caller, &token).await, !kills, "{end:?}");
            assert_eq!(replica.is_active(&caller, &seen).await, !kills, "{end:?}");
        }
        assert_eq!(
            warnings
                .iter()
                .any(|text| text.contains("its live tokens are killed")),
            kills
        );
        // The list has killed tokens as if they had been revoked by hand.
        app.state.list.refresh().await.unwrap();
        let list = app.get(REVOKED).await.json();
        listed |= kills;
        assert_eq!(
            list["revoked_agents"].as_array().unwrap().len(),
            usize::from(listed)
        );
        let jtis = list["revoked_jtis"].as_array().unwrap();
        let jti: &Value = &claims(&token)["jti"];
        assert_eq!(jtis.contains(jti), kills, "{list}");
        assert_eq!(app.ask(&agent, "").await.status, 200);
    }
}

async fn an_agent_whose_end_is_put_off_works_again(app: &TestApp<'_>) {
    let (agent, caller) = (
        app.agent("agents:read").await,
        app.agent("tokens:read").await,
    );
    let now = app.clock.now().0;
    end_at(app, &agent, Some(now + 100)).await;
    let token = app.token(&agent).await;
    app.clock.advance(100);
    app.ask(&agent, "").await.is(403, SUSPENDED);
    end_at(app, &agent, Some(now + 10_000)).await;
    assert_eq!(app.ask(&agent, "").await.status, 200);
    assert!(!app.is_active(&caller, &token).await);
}

/// An earlier release knows nothing of an agent's end, and may run beside this one.
async fn a_token_of_an_earlier_release_ends_with_its_agent(app: &TestApp<'_>) {
    let (agent, caller) = (
        app.agent("agents:read").await,
        app.agent("tokens:read").await,
    );
    let token = app.token(&agent).await;
    let end = app.clock.now().0 + 10;
    let sql = format!(
        "update agent set expires_at = {end} where agent_id = '{}'",
        agent.id
    );
    app.database.execute(&sql).await;
    app.clock.advance(9);
    assert!(app.is_active(&caller, &token).await);
    app.clock.advance(1);
    assert!(!app.is_active(&caller, &token).await);
    assert_eq!(
        app.get_as(&bearer(&token), "/forward-auth").await.status,
        401
    );
}

async fn an_expired_agent_gets_no_code(app: &TestApp<'_>) {
    let agent = agent_for(app, "agents:read", &["u"]).await;
    end_at(app, &agent, Some(app.clock.now().0 + 10)).await;
    let ask = format!(
        "/api/oauth2?client_id={}&redirect_uri={}",
        encode(&agent.id),
        encode(CALLBACK)
    );
    app.clock.advance(9);
    assert_eq!(app.get(&ask).await.status, 302);
    app.clock.advance(1);
    app.get(&ask).await.is(400, "Invalid request");
}

/// The database's clock decides, however far a replica's own clock is off.
#[tokio::test]
async fn no_token_of_a_replica_with_a_wrong_clock_outlives_its_agent() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("agents:read").await;
    let end = app.clock.now().0 + 100;
    end_at(&app, &agent, Some(end)).await;
    for ahead in [1_200, -1_200] {
        let other = app.beside_ahead(ahead, &[]).await;
        let token = other.token(&agent).await;
        let claims = claims(&token);
        assert!(
            claims["iat"].as_i64().unwrap() <= app.clock.now().0,
            "{claims}"
        );
        assert!(exp(&token) <= end, "{claims}");
    }
    app.clock.advance(100);
    for ahead in [1_200, -1_200] {
        let other = app.beside_ahead(ahead, &[]).await;
        other.ask(&agent, "").await.is(403, SUSPENDED);
    }
    drop(app);
    database.remove().await;
}
