//! Where and when a code is valid, and what a token about a user may be used for.

use futures_util::future::join_all;
use proptest::test_runner::{Config, TestRunner};
use sealwright::testing::domain::agent::{RedirectUri, UserId};
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::service::manage::patch::ProfilePatch;
use serde_json::json;

use super::{
    CALLBACK, CODE, EXCHANGE, REQUEST, USERS, agent, agent_with, authorize, code, code_about,
    exchange, exchange_at, on_both, token_of, update,
};
use crate::harness::app::{AGENTS, INTROSPECT, REVOKE, TestApp, bearer, encode};
use crate::harness::database::Database;

on_both! {
    authorizing_writes_nothing,
    a_code_survives_a_restart_and_opens_on_every_process,
    a_code_of_another_store_is_nothing,
    a_changed_code_is_nothing,
    a_code_is_worthless_to_others_and_without_the_secret,
    who_left_the_lists_meanwhile_gets_nothing,
    a_suspension_and_a_new_secret_between_both_steps_hold,
    a_token_about_a_user_opens_nothing_here,
    a_token_about_a_user_dies_as_any_other,
    a_scope_and_an_audience_may_be_asked_for_as_anywhere,
    a_code_is_exchanged_nowhere_else,
    a_spent_code_does_not_hide_where_its_agent_stands,
    exchanges_at_once_beyond_the_quota_are_all_told_so,
    no_code_is_logged_or_stored,
}

async fn authorizing_writes_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let events = "select count(*) from audit_event";
    let before = app.database.number(events).await;
    for _ in 0..5 {
        code(app, &agent).await;
    }
    assert_eq!(app.database.number(events).await, before);
    assert_eq!(
        app.database.number("select count(*) from spent_code").await,
        0
    );
    assert_eq!(app.database.number("select count(*) from batch").await, 0);
}

async fn a_code_survives_a_restart_and_opens_on_every_process(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let codes = [code(app, &agent).await, code(app, &agent).await];
    let restarted = app.beside().await;
    token_of(&exchange(&restarted, &agent, &codes[0]).await);
    token_of(&exchange(app, &agent, &codes[1]).await);
    let again = app.beside().await;
    for code in &codes {
        exchange(&again, &agent, code).await.is_line(CODE);
    }
    token_of(&exchange(app, &agent, &code(&again, &agent).await).await);
}

async fn a_code_of_another_store_is_nothing(app: &TestApp<'_>) {
    let database = Database::sqlite().await;
    let elsewhere = TestApp::start(&database).await;
    let shape = |terms: &mut sealwright::testing::domain::agent::Terms| {
        terms.redirect_uris = vec![RedirectUri::parse(CALLBACK).unwrap()];
    };
    // Both stores have the same agent id, the same redirect URI and the same master key.
    let (here, there) = (
        app.agent_like(Some("twin"), "agents:read", shape).await,
        elsewhere
            .agent_like(Some("twin"), "agents:read", shape)
            .await,
    );
    let code = code(&elsewhere, &there).await;
    exchange(app, &here, &code).await.is_line(CODE);
    token_of(&exchange(&elsewhere, &there, &code).await);
}

async fn a_changed_code_is_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    for at in (0..code.len()).step_by(7) {
        let mut changed = code.clone();
        changed.replace_range(at..=at, if &code[at..=at] == "A" { "B" } else { "A" });
        exchange(app, &agent, &changed).await.is_line(CODE);
    }
    for junk in [
        &code[1..],
        &code[..code.len() - 1],
        "x",
        "\0",
        "\u{e9}\u{1f600}",
        &"A".repeat(60_000),
    ] {
        exchange(app, &agent, junk).await.is_line(CODE);
    }
    exchange(app, &agent, &format!("{code}="))
        .await
        .is_line(CODE);
    exchange(app, &agent, &format!(" {code}"))
        .await
        .is_line(CODE);
    token_of(&exchange(app, &agent, &code).await);
}

async fn a_code_is_worthless_to_others_and_without_the_secret(app: &TestApp<'_>) {
    let (agent, thief) = (agent(app).await, super::agent(app).await);
    let code = code(app, &agent).await;
    exchange(app, &thief, &code).await.is_line(CODE);
    exchange(app, &agent.with_secret(&thief.secret), &code)
        .await
        .is_problem(401, "Unauthorized");
    let claimed = format!(
        "client_id={}&code={code}&redirect_uri={}",
        agent.id,
        encode(CALLBACK)
    );
    app.post_as(&thief.basic(), EXCHANGE, &claimed)
        .await
        .is_line(REQUEST);
    app.post(EXCHANGE, &claimed)
        .await
        .is_line("Invalid client_secret");
    token_of(&exchange(app, &agent, &code).await);
}

async fn who_left_the_lists_meanwhile_gets_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let user = format!("&userid={}", USERS[0]);
    let (plain, about) = (
        code(app, &agent).await,
        code_about(app, &agent, USERS[0]).await,
    );
    app.token(&agent).await;
    let elsewhere = app.beside().await;
    let users = |names: &[&str]| {
        Some(
            names
                .iter()
                .map(|name| UserId::parse(name).unwrap())
                .collect(),
        )
    };
    update(
        &elsewhere,
        &agent,
        ProfilePatch {
            user_ids: users(&[]),
            ..ProfilePatch::default()
        },
    )
    .await;
    exchange_at(app, &agent, &about, CALLBACK, &user)
        .await
        .is_line(CODE);
    let uris = |uris: &[&str]| {
        Some(
            uris.iter()
                .map(|uri| RedirectUri::parse(uri).unwrap())
                .collect(),
        )
    };
    let other = uris(&["https://other.example/"]);
    update(
        &elsewhere,
        &agent,
        ProfilePatch {
            redirect_uris: other,
            ..ProfilePatch::default()
        },
    )
    .await;
    exchange(app, &agent, &plain).await.is_line(CODE);
    authorize(app, &agent.id, CALLBACK, "")
        .await
        .is_line(REQUEST);
    let back = ProfilePatch {
        redirect_uris: uris(&[CALLBACK]),
        user_ids: users(&USERS),
        ..ProfilePatch::default()
    };
    update(&elsewhere, &agent, back).await;
    token_of(&exchange(app, &agent, &plain).await);
    token_of(&exchange_at(app, &agent, &about, CALLBACK, &user).await);
}

async fn a_suspension_and_a_new_secret_between_both_steps_hold(app: &TestApp<'_>) {
    let elsewhere = app.beside().await;
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    app.token(&agent).await;
    elsewhere.suspend(&agent).await;
    exchange(app, &agent, &code)
        .await
        .is_problem(403, "Forbidden");
    // The agent's status is checked before the code.
    exchange(app, &agent, "junk")
        .await
        .is_problem(403, "Forbidden");
    elsewhere.reactivate(&agent).await;
    let new = elsewhere.rotate(&agent, 0).await;
    exchange(app, &agent, &code)
        .await
        .is_problem(401, "Unauthorized");
    token_of(&exchange(app, &new, &code).await);
}

async fn a_token_about_a_user_opens_nothing_here(app: &TestApp<'_>) {
    let agent = agent_with(app, "agents:read tokens:read admin:orgs").await;
    let code = code_about(app, &agent, USERS[0]).await;
    let more = format!("&userid={}", USERS[0]);
    let token = token_of(&exchange_at(app, &agent, &code, CALLBACK, &more).await);
    let own = app.token(&agent).await;
    for path in [AGENTS.to_owned(), format!("{AGENTS}/{}", agent.id)] {
        assert_eq!(app.get_as(&bearer(&token), &path).await.status, 401);
        assert_eq!(app.get_as(&bearer(&own), &path).await.status, 200);
    }
    for path in [INTROSPECT, REVOKE] {
        let refused = app
            .post_as(&bearer(&token), path, &format!("token={own}"))
            .await;
        refused.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
    }
    // A token about the agent itself that was issued for a code works like any other token of the
    // agent.
    let generic = token_of(&exchange(app, &agent, &super::code(app, &agent).await).await);
    assert_eq!(app.get_as(&bearer(&generic), AGENTS).await.status, 200);
    assert!(app.is_active(&agent, &own).await);
}

async fn a_token_about_a_user_dies_as_any_other(app: &TestApp<'_>) {
    let (agent, other) = (agent(app).await, app.agent("tokens:read").await);
    let more = format!("&userid={}", USERS[0]);
    let issue = async || {
        let code = code_about(app, &agent, USERS[0]).await;
        token_of(&exchange_at(app, &agent, &code, CALLBACK, &more).await)
    };
    let (revoked, killed, expired) = (issue().await, issue().await, issue().await);
    assert_eq!(app.revoke(&other, &revoked).await.status, 403);
    app.revoke(&agent, &revoked).await.is(200, "{}");
    assert!(!app.is_active(&other, &revoked).await);
    assert!(app.is_active(&other, &killed).await);
    app.suspend(&agent).await;
    app.reactivate(&agent).await;
    assert!(!app.is_active(&other, &killed).await);
    let live = issue().await;
    assert!(app.is_active(&other, &live).await);
    app.clock.advance(600);
    for token in [&live, &expired] {
        assert!(!app.is_active(&other, token).await);
    }
}

/// D3, D4: the token gets all scopes of the agent, or those in the request. The server never drops
/// a scope silently.
async fn a_scope_and_an_audience_may_be_asked_for_as_anywhere(app: &TestApp<'_>) {
    let agent = agent_with(app, "agents:read tokens:read").await;
    let ask = async |more: &str| {
        let code = code(app, &agent).await;
        exchange_at(app, &agent, &code, CALLBACK, more).await
    };
    for (more, scope, audience) in [
        ("", "agents:read tokens:read", crate::harness::app::ISSUER),
        (
            "&scope=&audience=",
            "agents:read tokens:read",
            crate::harness::app::ISSUER,
        ),
        (
            "&scope=tokens:read",
            "tokens:read",
            crate::harness::app::ISSUER,
        ),
        (
            "&scope=tokens:read+agents:read&audience=x",
            "tokens:read agents:read",
            "x",
        ),
        (
            "&resource=https://a.example",
            "agents:read tokens:read",
            "https://a.example",
        ),
    ] {
        let claims = crate::harness::app::claims(&token_of(&ask(more).await));
        assert_eq!(
            (&claims["scope"], &claims["aud"]),
            (&json!(scope), &json!(audience)),
            "{more}"
        );
    }
    let code = code(app, &agent).await;
    for (more, line) in [
        ("&scope=agents:write", "Invalid scope"),
        ("&scope=agents:read+agents:write", "Invalid scope"),
        ("&scope=nothing:known", "Invalid scope"),
        ("&scope=a++b", "Invalid scope"),
        ("&resource=x", "Invalid target"),
        ("&scope=agents:read&scope=agents:read", "Invalid scope"),
    ] {
        exchange_at(app, &agent, &code, CALLBACK, more)
            .await
            .is_line(line);
    }
    // None of these requests spent the code.
    token_of(&exchange(app, &agent, &code).await);
}

async fn a_code_is_exchanged_nowhere_else(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    let form = format!(
        "code={code}&redirect_uri={}&{}",
        encode(CALLBACK),
        agent.form()
    );
    let elsewhere = app
        .post(
            "/api/v1/token",
            &format!("grant_type=authorization_code&{form}"),
        )
        .await;
    elsewhere.is_error(400, "unsupported_grant_type");
    token_of(&exchange(app, &agent, &code).await);
}

/// D6: the status comes before the code. Each process remembers the agent as it was before the
/// suspension.
async fn a_spent_code_does_not_hide_where_its_agent_stands(app: &TestApp<'_>) {
    let elsewhere = app.beside().await;
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    token_of(&exchange(app, &agent, &code).await);
    exchange(&elsewhere, &agent, &code).await.is_line(CODE);
    elsewhere.suspend(&agent).await;
    for app in [app, &elsewhere] {
        exchange(app, &agent, &code)
            .await
            .is_problem(403, "Forbidden");
    }
    elsewhere.reactivate(&agent).await;
    exchange(app, &agent, &code).await.is_line(CODE);
    let new = elsewhere.rotate(&agent, 0).await;
    exchange(app, &agent, &code)
        .await
        .is_problem(401, "Unauthorized");
    exchange(app, &new, &code).await.is_line(CODE);
    assert_eq!(app.database.number("select sum(used) from quota").await, 1);
}

async fn exchanges_at_once_beyond_the_quota_are_all_told_so(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = agent(app).await;
    app.token(&agent).await;
    app.set_used(&agent, 10_000).await;
    for _ in 0..5 {
        let code = code(app, &agent).await;
        let (code, agent, other) = (&code, &agent, &other);
        let asks = (0..8).map(|n| exchange(if n % 2 == 0 { app } else { other }, agent, code));
        for answer in join_all(asks).await {
            answer.is_problem(403, "Forbidden");
            assert!(answer.text("detail").contains("10,000"), "{answer:?}");
        }
    }
    let last = code(app, &agent).await;
    exchange(app, &agent, &last)
        .await
        .is_problem(403, "Forbidden");
    let plan = Some(PlanName::parse("unlimited").unwrap());
    update(
        app,
        &agent,
        ProfilePatch {
            plan,
            ..ProfilePatch::default()
        },
    )
    .await;
    token_of(&exchange(&other, &agent, &last).await);
    assert_eq!(
        app.database.number("select count(*) from spent_code").await,
        1
    );
}

async fn no_code_is_logged_or_stored(app: &TestApp<'_>) {
    let (log, _guard) = crate::http::secrecy::Log::here();
    let agent = agent(app).await;
    let codes = [code(app, &agent).await, code(app, &agent).await];
    token_of(&exchange(app, &agent, &codes[0]).await);
    exchange(app, &agent, &codes[0]).await.is_line(CODE);
    app.post(&format!("{EXCHANGE}?code={}", codes[1]), "x=y")
        .await
        .is_line("Invalid code");
    app.get(&format!("{EXCHANGE}/{}?code={}", codes[1], codes[1]))
        .await;
    let text = log.text();
    for code in &codes {
        assert!(
            !text.contains(code.as_str()) && !text.contains(&code[..20]),
            "a code was logged"
        );
    }
}

async fn agree_on_the_code_key(database: Database) {
    let start = || Box::pin(TestApp::start(&database));
    let (one, other) = tokio::join!(start(), start());
    let agent = agent(&one).await;
    token_of(&exchange(&one, &agent, &code(&other, &agent).await).await);
    token_of(&exchange(&other, &agent, &code(&one, &agent).await).await);
    assert_eq!(
        database
            .number("select count(*) from store_key where purpose = 'code'")
            .await,
        1
    );
    drop((one, other));
    database.remove().await;
}

#[tokio::test]
async fn processes_that_start_at_once_on_sqlite_agree_on_the_code_key() {
    Box::pin(agree_on_the_code_key(Database::sqlite().await)).await;
}

#[tokio::test]
async fn processes_that_start_at_once_on_postgres_agree_on_the_code_key() {
    Box::pin(agree_on_the_code_key(Database::postgres().await)).await;
}

/// Any text presented as a code is refused in the form that the path prescribes.
#[test]
fn no_text_as_a_code_is_a_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let database = runtime.block_on(Database::sqlite());
    let app = runtime.block_on(TestApp::start(&database));
    let agent = runtime.block_on(agent(&app));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let texts = (
        "\\PC{1,120}|[A-Za-z0-9_-]{71}|[\\x00-\\x7f]{1,80}",
        "\\PC{0,40}",
    );
    runner
        .run(&texts, |(code, user)| {
            let more = format!("&userid={}", encode(&user));
            let answer = runtime.block_on(exchange_at(&app, &agent, &code, CALLBACK, &more));
            answer.is_line(CODE);
            let query = format!(
                "client_id={0}&redirect_uri={1}&state={0}&userid={0}",
                encode(&code),
                encode(&user)
            );
            let answer = runtime.block_on(app.get(&format!("/api/oauth2?{query}")));
            assert!(
                answer.body == REQUEST || answer.body == "Invalid redirect_uri",
                "{answer:?}"
            );
            Ok(())
        })
        .unwrap();
}
