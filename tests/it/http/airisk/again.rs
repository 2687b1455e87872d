//! A code that is presented again (RFC 6749 §4.1.2): which requests revoke the code's first token
//! by that, and which do not.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use sealwright::testing::domain::agent::{Audience, RedirectUri};
use sealwright::testing::domain::quota::Plans;
use sealwright::testing::service::manage::patch::ProfilePatch;
use serde_json::Value;

use super::{
    CALLBACK, CODE, USERS, WITH_QUERY, agent, code, exchange, exchange_at, on_both, token_of,
    update,
};
use crate::harness::app::{REVOKED, TestApp, claims};

on_both! {
    a_code_that_comes_again_kills_its_first_token_on_every_process,
    a_code_that_comes_again_kills_its_first_token_whatever_it_is_refused_for,
    a_code_that_comes_again_beyond_a_limit_kills_its_first_token,
    a_refusal_of_a_code_that_nobody_exchanged_kills_nothing,
    of_exchanges_at_once_the_token_that_was_granted_is_dead,
    only_a_whole_exchange_kills_the_first_token,
    the_first_token_is_killed_once,
}

async fn a_code_that_comes_again_kills_its_first_token_on_every_process(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = agent(app).await;
    let (code, kept) = (code(app, &agent).await, code(app, &agent).await);
    let (first, kept) = (
        token_of(&exchange(app, &agent, &code).await),
        token_of(&exchange(app, &agent, &kept).await),
    );
    app.clock.advance(30);
    assert!(app.is_active(&agent, &first).await && other.is_active(&agent, &first).await);
    exchange(&other, &agent, &code).await.is_line(CODE);
    assert!(lists(&other, &first).await);
    for process in [app, &other] {
        assert!(!process.is_active(&agent, &first).await);
        assert!(process.is_active(&agent, &kept).await);
        process.state.list.read_changes().await.unwrap();
        let listed = process.get(REVOKED).await.json()["revoked_jtis"].clone();
        assert_eq!(listed, Value::Array(vec![claims(&first)["jti"].clone()]));
    }
    // The list names the token until the token expires. A clean-up deletes it after that.
    app.clock.advance(569);
    assert_eq!(
        app.get(REVOKED).await.json()["revoked_jtis"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.clock.advance(1);
    assert!(
        app.get(REVOKED).await.json()["revoked_jtis"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

async fn of_exchanges_at_once_the_token_that_was_granted_is_dead(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    let answers = join_all((0..16).map(|_| exchange(app, &agent, &code))).await;
    let (granted, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((granted.len(), refused.len()), (1, 15));
    assert!(!app.is_active(&agent, &token_of(granted[0])).await);
}

async fn only_a_whole_exchange_kills_the_first_token(app: &TestApp<'_>) {
    let elsewhere = app.beside().await;
    let (mine, other) = (agent(app).await, agent(app).await);
    let (code, rest) = (code(app, &mine).await, code(app, &mine).await);
    let first = token_of(&exchange(app, &mine, &code).await);
    exchange(app, &mine.with_secret(&mine.forged_secret()), &code)
        .await
        .is_problem(401, "Unauthorized");
    exchange(app, &other, &code).await.is_line(CODE);
    let user = format!("&userid={}", USERS[0]);
    for (redirect_uri, more) in [
        (WITH_QUERY, ""),
        (CALLBACK, user.as_str()),
        // A request with an invalid parameter does not count as an exchange.
        (CALLBACK, "&scope=%22"),
        (CALLBACK, "&resource=x"),
        (
            CALLBACK,
            "&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
    ] {
        assert_eq!(
            exchange_at(app, &mine, &code, redirect_uri, more)
                .await
                .status,
            400
        );
    }
    assert!(app.is_active(&mine, &first).await);
    // The old secret has been rotated away, but this process still remembers it as proven.
    exchange(&elsewhere, &mine, &rest).await;
    let new = app.rotate(&mine, 0).await;
    exchange(&elsewhere, &mine, &code)
        .await
        .is_problem(401, "Unauthorized");
    assert!(app.is_active(&new, &first).await);
}

/// Whether the revocation list of this process names the token, without a refresh.
async fn lists(app: &TestApp<'_>, token: &str) -> bool {
    let listed = app.get(REVOKED).await.json()["revoked_jtis"].clone();
    listed.as_array().unwrap().contains(&claims(token)["jti"])
}

async fn a_code_that_comes_again_kills_its_first_token_whatever_it_is_refused_for(
    app: &TestApp<'_>,
) {
    let (other, watcher) = (app.beside().await, app.agent("tokens:read").await);
    let audiences = Some(vec![Audience::parse("https://orders.example").unwrap()]);
    let unchanged = ProfilePatch {
        audiences,
        ..ProfilePatch::default()
    };
    let elsewhere = Some(vec![RedirectUri::parse(WITH_QUERY).unwrap()]);
    for (more, status, meanwhile, seconds) in [
        ("&scope=agents:write", 400, unchanged.clone(), 0),
        ("&scope=nothing:known", 400, unchanged.clone(), 0),
        (
            "&audience=https://elsewhere.example",
            400,
            unchanged.clone(),
            0,
        ),
        (
            "",
            403,
            ProfilePatch {
                scopes: Some(vec![]),
                ..ProfilePatch::default()
            },
            0,
        ),
        (
            "",
            400,
            ProfilePatch {
                redirect_uris: elsewhere,
                ..ProfilePatch::default()
            },
            0,
        ),
        // The code has expired, but its token has not.
        ("", 400, unchanged.clone(), 60),
        ("", 400, unchanged.clone(), 599),
    ] {
        let agent = agent(app).await;
        let (code, kept) = (code(app, &agent).await, code(app, &agent).await);
        let first = token_of(&exchange(app, &agent, &code).await);
        update(app, &agent, meanwhile).await;
        app.clock.advance(seconds);
        assert!(app.is_active(&watcher, &first).await);
        let answer = exchange_at(&other, &agent, &code, CALLBACK, more).await;
        assert_eq!(answer.status, status, "{more} {answer:?}");
        assert!(lists(&other, &first).await, "{more} {seconds}");
        for process in [app, &other] {
            assert!(
                !process.is_active(&watcher, &first).await,
                "{more} {seconds}"
            );
        }
        // A refusal still does not spend a code.
        if seconds == 0 && !more.is_empty() {
            token_of(&exchange(&other, &agent, &kept).await);
        }
    }
}

async fn a_code_that_comes_again_beyond_a_limit_kills_its_first_token(app: &TestApp<'_>) {
    let limited = app
        .beside_with(&[("limits.requests_per_minute", "1")])
        .await;
    let without = app.beside().await;
    let (mine, watcher) = (agent(app).await, app.agent("tokens:read").await);
    let codes = [
        code(app, &mine).await,
        code(app, &mine).await,
        code(app, &mine).await,
    ];
    let first = token_of(&exchange(&limited, &mine, &codes[0]).await);
    exchange(&limited, &mine, &codes[0])
        .await
        .is_problem(429, "Too Many Requests");
    assert!(!app.is_active(&watcher, &first).await && lists(&limited, &first).await);
    let first = token_of(&exchange(app, &mine, &codes[1]).await);
    let last = token_of(&exchange(app, &mine, &codes[2]).await);
    app.set_used(&mine, 10_000).await;
    exchange(app, &mine, &codes[1]).await.is_line(CODE);
    assert!(!app.is_active(&watcher, &first).await && lists(app, &first).await);
    // A plan that the configuration lacks is an error and not a verdict. The code was presented
    // again all the same.
    without.state.mint.set_plans(Plans(BTreeMap::new()));
    exchange(&without, &mine, &codes[2])
        .await
        .is_problem(503, "Service Unavailable");
    assert!(!app.is_active(&watcher, &last).await && lists(&without, &last).await);
    let events = "select distinct actor from audit_event where kind = 'token.revoked'";
    let by = format!("agent:{}", mine.id);
    assert_eq!(app.database.texts(events).await, [by]);
}

async fn a_refusal_of_a_code_that_nobody_exchanged_kills_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let (code, other) = (code(app, &agent).await, super::code(app, &agent).await);
    let other = token_of(&exchange(app, &agent, &other).await);
    for _ in 0..2 {
        exchange_at(app, &agent, &code, CALLBACK, "&scope=agents:write")
            .await
            .is_line("Invalid scope");
    }
    assert_eq!(
        app.database
            .number("select count(*) from revoked_token")
            .await,
        0
    );
    let first = token_of(&exchange(app, &agent, &code).await);
    assert!(app.is_active(&agent, &first).await && app.is_active(&agent, &other).await);
}

async fn the_first_token_is_killed_once(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    token_of(&exchange(app, &agent, &code).await);
    for _ in 0..3 {
        exchange(app, &agent, &code).await.is_line(CODE);
    }
    let events = "select kind || ' ' || actor from audit_event where kind = 'token.revoked'";
    let event = format!("token.revoked agent:{}", agent.id);
    assert_eq!(app.database.texts(events).await, [event]);
    assert_eq!(
        app.database
            .number("select version from revision where name = 'revocation'")
            .await,
        app.database
            .number("select max(version) from revoked_token")
            .await
    );
}
