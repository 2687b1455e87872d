//! `GET /api/v1/agents` and `/api/v1/agents/{id}`: the management API, and how a Bearer is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{AGENTS, ISSUER, TestApp, bearer};

const WHOAMI: &str = "/api/v1/whoami";

on_both! {
    an_agent_is_shown_with_its_usage_and_without_its_secret,
    agents_come_in_pages,
    a_cursor_belongs_to_its_server_and_to_the_reach_of_its_caller,
    a_bad_page_is_a_validation_error,
    every_fault_of_a_query_is_told_at_once,
    an_agent_asks_who_it_is_with_any_token,
    an_agent_reads_itself_with_any_token_and_others_with_agents_read,
    an_unknown_agent_is_not_found,
    an_id_is_read_percent_decoded,
    without_a_token_the_challenge_has_no_error,
    a_bad_token_is_invalid_token,
    a_token_without_the_scope_is_insufficient,
    a_token_for_another_service_opens_nothing_here,
    a_token_counts_in_the_authorization_header_alone,
    a_suspended_agents_token_cannot_read_its_own_record,
}

async fn an_agent_is_shown_with_its_usage_and_without_its_secret(app: &TestApp<'_>) {
    let agent = app.agent_named("agt_1", "agents:read tokens:read").await;
    let token = app.token(&agent).await;
    let answer = app
        .get_as(&bearer(&token), &format!("{AGENTS}/agt_1"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.is_not_kept();
    assert_eq!(answer.header("content-type"), "application/json");
    let mut shown = answer.json();
    let credentials = shown["credentials"].take();
    assert_eq!(
        shown,
        json!({
            "agentId": "agt_1", "orgId": "default", "name": "An agent",
            "description": null, "owner": null, "labels": {}, "status": "active", "expired": false,
            "scopes": ["agents:read", "tokens:read"], "ttl": null, "plan": "free",
            "audiences": [], "redirectUris": [], "userIds": [], "expiresAt": null,
            "usage": {
                "month": "2025-01", "issued": 1, "limit": 10_000, "resetsAt": "2025-02-01T00:00:00Z",
            },
            "version": 1_738_324_800_000_i64,
            "createdAt": "2025-01-31T12:00:00Z", "updatedAt": "2025-01-31T12:00:00Z",
            "credentials": null,
        })
    );
    assert_eq!(credentials.as_array().unwrap().len(), 1);
    assert_eq!(credentials[0]["hint"], agent.secret[..8]);
    assert!(!answer.body.contains(&agent.secret[9..]) && !answer.body.contains("argon2"));
}

async fn agents_come_in_pages(app: &TestApp<'_>) {
    for id in ["d", "b", "a", "c"] {
        app.agent_named(id, "agents:read").await;
    }
    let reader = app.agent_named("e", "agents:read").await;
    let token = bearer(&app.token(&reader).await);
    let ids = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["agentId"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = app.get_as(&token, AGENTS).await;
    assert_eq!(all.keys(), ["data", "limit", "nextCursor"]);
    assert_eq!(ids(&all.json()), ["a", "b", "c", "d", "e"]);
    assert_eq!(
        (&all.json()["limit"], &all.json()["nextCursor"]),
        (&json!(50), &Value::Null)
    );
    let first = app
        .get_as(&token, &format!("{AGENTS}?limit=2"))
        .await
        .json();
    assert_eq!(ids(&first), ["a", "b"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = app
        .get_as(&token, &format!("{AGENTS}?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(ids(&second), ["c", "d"]);
    let cursor = second["nextCursor"].as_str().unwrap();
    let last = app
        .get_as(&token, &format!("{AGENTS}?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(
        (ids(&last), &last["nextCursor"]),
        (vec!["e".to_owned()], &Value::Null)
    );
    assert_eq!(
        ids(&app
            .get_as(&token, &format!("{AGENTS}?limit=5"))
            .await
            .json())
        .len(),
        5
    );
}

async fn a_cursor_belongs_to_its_server_and_to_the_reach_of_its_caller(app: &TestApp<'_>) {
    for id in ["a", "b", "c"] {
        app.agent_named(id, "agents:read").await;
    }
    let reader = bearer(&app.token(&app.agent_named("d", "agents:read").await).await);
    let admin = app.agent_named("e", "agents:read admin:orgs").await;
    let admin = bearer(&app.token(&admin).await);
    let page = app.get_as(&reader, &format!("{AGENTS}?limit=1")).await;
    let cursor = page.text("nextCursor");
    let next = format!("{AGENTS}?limit=1&cursor={cursor}");
    // Every process of the store and every caller of the same reach goes on with it.
    let other = app.beside().await;
    for reading in [
        &reader,
        &bearer(&app.token(&app.agent("agents:read").await).await),
    ] {
        let page = other.get_as(reading, &next).await.json();
        assert_eq!(page["data"][0]["agentId"], "b");
    }
    app.get_as(&admin, &next)
        .await
        .is_management_error(400, "VALIDATION_ERROR");
    // The last id alone, as earlier releases wrote it, and the same position with another MAC.
    let mut forged = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    forged[0] ^= 1;
    for text in ["YQ", &URL_SAFE_NO_PAD.encode(forged)] {
        let answer = app
            .get_as(&reader, &format!("{AGENTS}?cursor={text}"))
            .await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(
            answer.json()["details"]["errors"],
            json!([{ "field": "cursor", "reason": "is no cursor of this list" }])
        );
    }
}

/// Known failure 14: a tampered cursor.
async fn a_bad_page_is_a_validation_error(app: &TestApp<'_>) {
    let reader = app.agent("agents:read").await;
    let token = bearer(&app.token(&reader).await);
    for query in [
        "limit=",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=9223372036854775808",
        "limit=1&limit=2",
        "cursor=",
        "cursor=!",
        "cursor=JyBvciAxPTEgLS0",
        "cursor=YQ&cursor=YQ",
        "x=%zz",
        "unknown=1",
        "limt=2",
        "limit[]=2",
        "limit=&limit=",
        "limit=%ff",
    ] {
        let answer = app.get_as(&token, &format!("{AGENTS}?{query}")).await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(
            answer.json()["details"]["requestId"],
            answer.header("x-request-id")
        );
    }
}

async fn every_fault_of_a_query_is_told_at_once(app: &TestApp<'_>) {
    let reader = app.agent("agents:read").await;
    let token = bearer(&app.token(&reader).await);
    let answer = app
        .get_as(
            &token,
            &format!("{AGENTS}?limit=0&cursor=!&limt=2&cursor=a&%22=1"),
        )
        .await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    assert_eq!(
        answer.json()["details"]["errors"],
        json!([
            { "field": "limit", "reason": "must be a number from 1 to 200" },
            { "field": "cursor", "reason": "is given more than once" },
            { "field": "limt", "reason": "is not known here" },
            { "field": "", "reason": "is not known here" },
        ])
    );
    // The scope is checked first: a caller without it does not learn which parameters are valid.
    let other = app.agent("tokens:read").await;
    let token = bearer(&app.token(&other).await);
    app.get_as(&token, &format!("{AGENTS}?limt=2"))
        .await
        .is_management_error(403, "FORBIDDEN");
}

async fn an_agent_asks_who_it_is_with_any_token(app: &TestApp<'_>) {
    let agent = app.agent_named("agt_1", "audit:read tokens:read").await;
    let answer = app
        .get_as(
            &bearer(&app.token_with(&agent, "scope=audit:read").await),
            WHOAMI,
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.is_not_kept();
    assert_eq!(
        answer.json(),
        json!({
            "agentId": "agt_1", "orgId": "default", "scopes": ["audit:read"], "expiresAt": null, "plan": "free",
            "usage": {
                "month": "2025-01", "issued": 1, "limit": 10_000, "resetsAt": "2025-02-01T00:00:00Z",
            },
        })
    );
    app.get_as(&bearer(&app.token(&agent).await), &format!("{WHOAMI}?a=1"))
        .await
        .is_management_error(400, "VALIDATION_ERROR");
    app.get(WHOAMI)
        .await
        .is_management_error(401, "UNAUTHORIZED");
}

async fn an_agent_reads_itself_with_any_token_and_others_with_agents_read(app: &TestApp<'_>) {
    let plain = app.agent_named("plain", "audit:read").await;
    let reader = app.agent_named("reader", "agents:read").await;
    let (plain, reader) = (
        bearer(&app.token(&plain).await),
        bearer(&app.token(&reader).await),
    );
    assert_eq!(
        app.get_as(&plain, &format!("{AGENTS}/plain"))
            .await
            .text("agentId"),
        "plain"
    );
    assert_eq!(
        app.get_as(&reader, &format!("{AGENTS}/plain"))
            .await
            .text("agentId"),
        "plain"
    );
    for path in [
        format!("{AGENTS}/reader"),
        format!("{AGENTS}/nobody"),
        AGENTS.to_owned(),
    ] {
        app.get_as(&plain, &path)
            .await
            .is_management_error(403, "FORBIDDEN");
    }
}

async fn an_unknown_agent_is_not_found(app: &TestApp<'_>) {
    let reader = app.agent("agents:read").await;
    let token = bearer(&app.token(&reader).await);
    for id in [
        "nobody",
        "%00",
        "%ff",
        "a%2Fb",
        "' or 1=1",
        &"x".repeat(129),
        "%zz",
    ] {
        let answer = app
            .get_as(&token, &format!("{AGENTS}/{}", id.replace(' ', "%20")))
            .await;
        answer.is_management_error(404, "AGENT_NOT_FOUND");
    }
}

async fn an_id_is_read_percent_decoded(app: &TestApp<'_>) {
    let agent = app.agent_named("org:a~b", "audit:read").await;
    let token = bearer(&app.token(&agent).await);
    for id in ["org:a~b", "org%3Aa%7Eb", "%6frg:a~b"] {
        assert_eq!(
            app.get_as(&token, &format!("{AGENTS}/{id}"))
                .await
                .text("agentId"),
            "org:a~b"
        );
    }
    // The path is percent-decoded once, not twice.
    app.get_as(&token, &format!("{AGENTS}/org%253Aa~b"))
        .await
        .is_management_error(403, "FORBIDDEN");
}

/// Item 29; RFC 6750 §3.1.
async fn without_a_token_the_challenge_has_no_error(app: &TestApp<'_>) {
    for path in [AGENTS, "/api/v1/agents/x"] {
        let answer = app.get(path).await;
        answer.is_management_error(401, "UNAUTHORIZED");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"sealwright\""
        );
    }
}

/// Item 29.
async fn a_bad_token_is_invalid_token(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await.is(200, "{}");
    for authorization in [
        bearer(&token),
        bearer("garbage"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Digest x".to_owned(),
        agent.basic(),
    ] {
        let answer = app.get_as(&authorization, AGENTS).await;
        answer.is_management_error(401, "UNAUTHORIZED");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
            "{challenge}"
        );
    }
    let expiring = app.token(&agent).await;
    app.clock.advance(599);
    assert_eq!(app.get_as(&bearer(&expiring), AGENTS).await.status, 200);
    assert_eq!(
        app.get_as(&format!("bEARER {expiring}"), AGENTS)
            .await
            .status,
        200
    );
    app.clock.advance(1);
    app.get_as(&bearer(&expiring), AGENTS)
        .await
        .is_management_error(401, "UNAUTHORIZED");
    let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    app.send("GET", AGENTS, &two, vec![])
        .await
        .is_management_error(400, "VALIDATION_ERROR");
}

/// Item 29.
async fn a_token_without_the_scope_is_insufficient(app: &TestApp<'_>) {
    app.add_scope("agents:reader").await;
    let agent = app
        .agent("agents:reader agents:write admin:orgs tokens:read")
        .await;
    let answer = app.get_as(&bearer(&app.token(&agent).await), AGENTS).await;
    answer.is_management_error(403, "FORBIDDEN");
    let challenge = answer.header("www-authenticate");
    assert_eq!(
        challenge,
        "Bearer realm=\"sealwright\", error=\"insufficient_scope\", scope=\"agents:read\""
    );
}

/// Contract §3: `aud` must hold the issuer or the default audience.
async fn a_token_for_another_service_opens_nothing_here(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for (parameters, status) in [
        ("audience=https://elsewhere", 401),
        (&*format!("audience={ISSUER}/"), 401),
        (&*format!("audience={ISSUER}"), 200),
        (&*format!("audience=x&resource={ISSUER}"), 200),
    ] {
        let token = app.token_with(&agent, parameters).await;
        assert_eq!(
            app.get_as(&bearer(&token), AGENTS).await.status,
            status,
            "{parameters}"
        );
    }
    let other = app
        .beside_with(&[("token.default_audience", "https://api")])
        .await;
    for (parameters, status) in [
        ("", 200),
        (&*format!("audience={ISSUER}"), 200),
        ("audience=https://b", 401),
    ] {
        let token = other.token_with(&agent, parameters).await;
        assert_eq!(
            other.get_as(&bearer(&token), AGENTS).await.status,
            status,
            "{parameters}"
        );
    }
}

/// Item 29: `?access_token=` is never accepted.
async fn a_token_counts_in_the_authorization_header_alone(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    app.get(&format!("{AGENTS}?access_token={token}"))
        .await
        .is_management_error(401, "UNAUTHORIZED");
    let body = format!("access_token={token}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    app.send("GET", AGENTS, &form, body.into())
        .await
        .is_management_error(401, "UNAUTHORIZED");
}

/// Known failure 6.
async fn a_suspended_agents_token_cannot_read_its_own_record(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = bearer(&app.token(&agent).await);
    let path = format!("{AGENTS}/{}", agent.id);
    assert_eq!(app.get_as(&token, &path).await.status, 200);
    app.suspend(&agent).await;
    app.get_as(&token, &path)
        .await
        .is_management_error(401, "UNAUTHORIZED");
    app.reactivate(&agent).await;
    app.get_as(&token, &path)
        .await
        .is_management_error(401, "UNAUTHORIZED");
}
