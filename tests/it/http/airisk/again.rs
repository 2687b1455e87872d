//! A code that is presented again (RFC 6749 §4.1.2): who kills its first token by it, and who does not.

use futures_util::future::join_all;
use serde_json::Value;

use super::{CALLBACK, CODE, USERS, WITH_QUERY, agent, code, exchange, exchange_at, on_both, token_of};
use crate::harness::app::{REVOKED, TestApp, claims};

on_both! {
    a_code_that_comes_again_kills_its_first_token_on_every_process,
    of_exchanges_at_once_the_token_that_was_granted_is_dead,
    only_a_whole_exchange_kills_the_first_token,
    the_first_token_is_killed_once,
}

async fn a_code_that_comes_again_kills_its_first_token_on_every_process(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = agent(app).await;
    let (code, kept) = (code(app, &agent).await, code(app, &agent).await);
    let (first, kept) =
        (token_of(&exchange(app, &agent, &code).await), token_of(&exchange(app, &agent, &kept).await));
    app.clock.advance(30);
    assert!(app.is_active(&agent, &first).await && other.is_active(&agent, &first).await);
    exchange(&other, &agent, &code).await.is_line(CODE);
    for process in [app, &other] {
        assert!(!process.is_active(&agent, &first).await);
        assert!(process.is_active(&agent, &kept).await);
        process.state.list.catch_up().await.unwrap();
        let listed = process.get(REVOKED).await.json()["revoked_jtis"].clone();
        assert_eq!(listed, Value::Array(vec![claims(&first)["jti"].clone()]));
    }
    // It is listed until it expires, and a clean-up forgets it then.
    app.clock.advance(569);
    assert_eq!(app.get(REVOKED).await.json()["revoked_jtis"].as_array().unwrap().len(), 1);
    app.clock.advance(1);
    assert!(app.get(REVOKED).await.json()["revoked_jtis"].as_array().unwrap().is_empty());
}

async fn of_exchanges_at_once_the_token_that_was_granted_is_dead(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    let answers = join_all((0..16).map(|_| exchange(app, &agent, &code))).await;
    let (granted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((granted.len(), refused.len()), (1, 15));
    assert!(!app.is_active(&agent, &token_of(granted[0])).await);
}

async fn only_a_whole_exchange_kills_the_first_token(app: &TestApp<'_>) {
    let elsewhere = app.beside().await;
    let (mine, other) = (agent(app).await, agent(app).await);
    let (code, rest) = (code(app, &mine).await, code(app, &mine).await);
    let first = token_of(&exchange(app, &mine, &code).await);
    exchange(app, &mine.with_secret(&mine.forged_secret()), &code).await.is_problem(401, "Unauthorized");
    exchange(app, &other, &code).await.is_line(CODE);
    let user = format!("&userid={}", USERS[0]);
    for (redirect_uri, more) in [
        (WITH_QUERY, ""),
        (CALLBACK, user.as_str()),
        (CALLBACK, "&scope=agents:write"),
        (CALLBACK, "&resource=x"),
    ] {
        assert_eq!(exchange_at(app, &mine, &code, redirect_uri, more).await.status, 400);
    }
    assert!(app.is_active(&mine, &first).await);
    // The secret was rotated away, and this process remembers it as proven.
    exchange(&elsewhere, &mine, &rest).await;
    let new = app.rotate(&mine, 0).await;
    exchange(&elsewhere, &mine, &code).await.is_problem(401, "Unauthorized");
    assert!(app.is_active(&new, &first).await);
    // A code that has died says nothing of its token any more.
    app.clock.advance(60);
    exchange(app, &new, &code).await.is_line(CODE);
    assert!(app.is_active(&new, &first).await);
}

async fn the_first_token_is_killed_once(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    token_of(&exchange(app, &agent, &code).await);
    for _ in 0..3 {
        exchange(app, &agent, &code).await.is_line(CODE);
    }
    let events = "select kind || ' ' || actor from audit_event where kind = 'token.revoked'";
    assert_eq!(app.database.texts(events).await, ["token.revoked system"]);
    assert_eq!(
        app.database.number("select version from revision where name = 'revocation'").await,
        app.database.number("select max(version) from revoked_token").await
    );
}
