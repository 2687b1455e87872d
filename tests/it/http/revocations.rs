//! The revocation list at both of its paths (contract §4, T6; D7).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{NOW, REVOKED, TestApp, bearer, claims};

const NAMES: [&str; 2] = [REVOKED, "/oauth/revoked-tokens"];

on_both! {
    an_empty_list_is_the_same_under_both_names,
    a_revoked_token_is_listed_at_once_and_until_it_expires,
    an_unchanged_list_is_not_sent_again,
    a_conditional_request_may_name_several_tags,
    a_suspended_agent_is_listed_with_its_live_tokens,
    every_kill_lists_its_tokens,
    an_agents_entry_outlives_its_longest_token_and_then_goes,
    equal_lists_have_equal_tags_on_every_process,
    another_process_lists_it_after_its_next_step,
    a_list_needs_no_authentication_and_ignores_a_bad_one,
    a_list_takes_only_get_and_head,
}

fn jti(token: &str) -> Value {
    claims(token)["jti"].clone()
}

fn listed(answer: &Answer) -> Vec<Value> {
    answer.json()["revoked_jtis"].as_array().unwrap().clone()
}

fn tag_of(body: &str) -> String {
    format!(
        "\"{}\"",
        URL_SAFE_NO_PAD.encode(&digest(&SHA256, body.as_bytes()).as_ref()[..16])
    )
}

fn hashed(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, id.as_bytes()))
}

#[track_caller]
fn is_a_list(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.keys(), ["revoked_jtis", "revoked_agents", "version"]);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("etag"), tag_of(&answer.body));
    answer.names_its_request();
}

async fn an_empty_list_is_the_same_under_both_names(app: &TestApp<'_>) {
    let (one, other) = (app.get(NAMES[0]).await, app.get(NAMES[1]).await);
    is_a_list(&one);
    assert_eq!(
        one.body,
        r#"{"revoked_jtis":[],"revoked_agents":[],"version":0}"#
    );
    assert_eq!(one.fingerprint(), other.fingerprint());
}

/// T6.
async fn a_revoked_token_is_listed_at_once_and_until_it_expires(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let (first, second) = (app.token(&agent).await, app.token(&agent).await);
    app.revoke(&agent, &second).await;
    app.clock.advance(1);
    app.revoke(&agent, &first).await;
    // The version is the time of the last revocation in milliseconds.
    let version = (NOW.0 + 1) * 1_000;
    let body = format!(
        r#"{{"revoked_jtis":[{},{}],"revoked_agents":[],"version":{}}}"#,
        jti(&second),
        jti(&first),
        version
    );
    for name in NAMES {
        let answer = app.get(name).await;
        is_a_list(&answer);
        assert_eq!(answer.body, body);
    }
    app.clock.advance(598);
    assert_eq!(app.get(REVOKED).await.body, body);
    app.clock.advance(1);
    // Time alone removes the token from the list. No loop has to run.
    let empty = app.get(REVOKED).await;
    is_a_list(&empty);
    assert_eq!(
        empty.body,
        format!(r#"{{"revoked_jtis":[],"revoked_agents":[],"version":{version}}}"#)
    );
}

/// T6.
async fn an_unchanged_list_is_not_sent_again(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    let before = app.get(REVOKED).await.header("etag").to_owned();
    for name in NAMES {
        let same = app.get_if_none_match(name, &before).await;
        assert_eq!(
            (same.status, same.body.as_str(), same.header("etag")),
            (304, "", &*before)
        );
        assert_eq!(same.header("cache-control"), "no-cache");
        same.names_its_request();
    }
    app.revoke(&agent, &token).await;
    let changed = app.get_if_none_match(REVOKED, &before).await;
    is_a_list(&changed);
    assert_eq!(listed(&changed), [jti(&token)]);
    assert_ne!(changed.header("etag"), before);
    assert_eq!(
        app.get_if_none_match(REVOKED, changed.header("etag"))
            .await
            .status,
        304
    );
}

/// RFC 9110 §13.1.2.
async fn a_conditional_request_may_name_several_tags(app: &TestApp<'_>) {
    let tag = app.get(REVOKED).await.header("etag").to_owned();
    let bare = tag.trim_matches('"');
    for (tags, status) in [
        (format!("\"a\", {tag}"), 304),
        (format!("{tag},\"b\""), 304),
        (format!("W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        (bare.to_owned(), 200),
        (format!("\"x{bare}\""), 200),
        (String::new(), 200),
        ("\"".to_owned(), 200),
    ] {
        assert_eq!(
            app.get_if_none_match(REVOKED, &tags).await.status,
            status,
            "{tags}"
        );
    }
    let two = [("if-none-match", "\"a\""), ("if-none-match", &*tag)];
    assert_eq!(app.send("GET", REVOKED, &two, vec![]).await.status, 304);
}

/// T6: the list names the agent's tokens that have not expired, newest first.
async fn a_suspended_agent_is_listed_with_its_live_tokens(app: &TestApp<'_>) {
    let (agent, other) = (
        app.agent_named("agt_1", "tokens:read").await,
        app.agent("tokens:read").await,
    );
    let expired = app.token(&agent).await;
    app.clock.advance(500);
    let older = app.token(&agent).await;
    app.clock.advance(99);
    let (newer, of_other) = (app.token(&agent).await, app.token(&other).await);
    app.clock.advance(1);
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    let answer = app.get(REVOKED).await;
    is_a_list(&answer);
    let killed = (NOW.0 + 600) * 1_000;
    let body = format!(
        r#"{{"revoked_jtis":[{},{}],"revoked_agents":[{{"agent":"{}","epoch":{killed}}}],"version":{killed}}}"#,
        jti(&newer),
        jti(&older),
        hashed("agt_1")
    );
    assert_eq!(answer.body, body);
    assert!(!answer.body.contains(jti(&expired).as_str().unwrap()));
    assert!(app.is_active(&other, &of_other).await);
    app.clock.advance(500);
    assert_eq!(listed(&app.get(REVOKED).await), [jti(&newer)]);
}

/// D8.
async fn every_kill_lists_its_tokens(app: &TestApp<'_>) {
    let (a, b, c) = (
        app.agent_named("a", "tokens:read").await,
        app.agent_named("b", "tokens:read").await,
        app.agent_named("c", "tokens:read").await,
    );
    let (ta, tb, tc) = (
        app.token(&a).await,
        app.token(&b).await,
        app.token(&c).await,
    );
    app.decommission(&b).await;
    app.revoke_tokens(&a).await;
    app.suspend(&c).await;
    app.state.list.refresh().await.unwrap();
    let agents = |answer: &Answer| answer.json()["revoked_agents"].clone();
    let entry =
        |id: &str, epoch: i64| json!({ "agent": hashed(id), "epoch": NOW.0 * 1_000 + epoch });
    let answer = app.get(REVOKED).await;
    assert_eq!(listed(&answer), [jti(&tb), jti(&ta), jti(&tc)]);
    assert_eq!(
        agents(&answer),
        json!([entry("b", 1), entry("a", 1), entry("c", 1)])
    );
    // A token that was issued after the kill is active. A later kill moves its agent's entry to the
    // end.
    let live = app.token(&a).await;
    assert!(app.is_active(&a, &live).await);
    assert_eq!(listed(&app.get(REVOKED).await).len(), 3);
    app.revoke_tokens(&a).await;
    app.state.list.refresh().await.unwrap();
    let answer = app.get(REVOKED).await;
    assert_eq!(
        agents(&answer),
        json!([entry("b", 1), entry("c", 1), entry("a", 2)])
    );
    assert_eq!(listed(&answer).len(), 4);
    assert!(listed(&answer).contains(&jti(&live)));
}

async fn an_agents_entry_outlives_its_longest_token_and_then_goes(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    let entries = async || {
        app.get(REVOKED).await.json()["revoked_agents"]
            .as_array()
            .unwrap()
            .len()
    };
    app.clock.advance(86_400);
    assert_eq!(entries().await, 1);
    app.clock.advance(121);
    assert_eq!(entries().await, 0);
}

/// Contract §4, known failure 8: the second process reads the list anew, with an empty memory.
async fn equal_lists_have_equal_tags_on_every_process(app: &TestApp<'_>) {
    let (a, b) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let token = app.token(&a).await;
    app.token(&b).await;
    app.revoke(&a, &token).await;
    app.suspend(&b).await;
    app.state.list.refresh().await.unwrap();
    let other = app.beside().await;
    let (one, two) = (app.get(REVOKED).await, other.get(REVOKED).await);
    assert_eq!(listed(&one).len(), 2);
    assert_eq!(one.fingerprint(), two.fingerprint());
}

async fn another_process_lists_it_after_its_next_step(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    assert_eq!(listed(&app.get(REVOKED).await), [jti(&token)]);
    assert_eq!(listed(&other.get(REVOKED).await), [] as [Value; 0]);
    other.state.list.refresh().await.unwrap();
    assert_eq!(listed(&other.get(REVOKED).await), [jti(&token)]);
}

async fn a_list_needs_no_authentication_and_ignores_a_bad_one(app: &TestApp<'_>) {
    for authorization in [bearer("garbage"), "Basic !".to_owned()] {
        is_a_list(&app.get_as(&authorization, REVOKED).await);
    }
    is_a_list(&app.get(&format!("{REVOKED}?token=x&x=%zz")).await);
}

async fn a_list_takes_only_get_and_head(app: &TestApp<'_>) {
    let got = app.get(REVOKED).await;
    for name in NAMES {
        let head = app.send("HEAD", name, &[], vec![]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("etag"), got.header("etag"));
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = app.send(method, name, &[], vec![]).await;
            answer.is_error(405, "invalid_request");
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
}
