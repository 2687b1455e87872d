//! Requests that wait for news of the revocation list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealwright::testing::domain::ttl::Ttl;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::feed::{held, is_a_delta, jti, revoke_one, version};
use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{REVOKED, TestApp};

on_both! {
    a_poll_is_answered_as_soon_as_a_token_is_revoked,
    a_poll_without_news_is_answered_after_its_wait,
    a_poll_by_tag_is_answered_for_the_tokens_of_a_killed_agent_too,
    entries_that_expire_are_no_news,
    a_client_that_holds_nothing_does_not_wait,
    one_poll_more_than_the_limit_is_answered_at_once,
    a_client_that_leaves_frees_its_place,
    a_stopping_process_answers_its_polls,
    a_poll_of_http_1_0_is_answered,
    many_polls_are_all_answered,
}

/// Polls by version and by tag.
async fn poll_in_both_ways(app: &TestApp<'_>, wait: u64) -> (Answer, Answer) {
    let list = app.get(REVOKED).await;
    let version = list.json()["version"].clone();
    let (by_version, by_tag) = (
        format!("{REVOKED}?since={version}&wait={wait}"),
        format!("{REVOKED}?wait={wait}"),
    );
    tokio::join!(
        app.get(&by_version),
        app.get_if_none_match(&by_tag, list.header("etag"))
    )
}

async fn a_poll_is_answered_as_soon_as_a_token_is_revoked(app: &TestApp<'_>) {
    let (_, first) = revoke_one(app).await;
    let began = Instant::now();
    let revoking = async {
        held(app, 2).await;
        revoke_one(app).await.1
    };
    let ((by_version, by_tag), second) = tokio::join!(poll_in_both_ways(app, 25), revoking);
    assert!(began.elapsed() < Duration::from_secs(20));
    is_a_delta(&by_version);
    assert_eq!(by_version.json()["revoked_tokens"][0]["jti"], second);
    assert_eq!(by_tag.json()["revoked_jtis"], json!([first, second]));
    assert_eq!(by_version.header("retry-after"), "");
    held(app, 0).await;
}

async fn a_poll_without_news_is_answered_after_its_wait(app: &TestApp<'_>) {
    revoke_one(app).await;
    let began = Instant::now();
    let (by_version, by_tag) = poll_in_both_ways(app, 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    is_a_delta(&by_version);
    let delta = by_version.json();
    assert_eq!(
        (&delta["since"], &delta["revoked_tokens"]),
        (&delta["version"], &json!([]))
    );
    assert_eq!((by_tag.status, by_tag.body.as_str()), (304, ""));
    for answer in [&by_version, &by_tag] {
        assert_eq!(answer.header("retry-after"), "");
    }
    // The time for which a request was held does not count as the time that it took.
    let metrics = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await
        .body;
    let line = format!(
        "sealwright_http_request_duration_seconds_bucket{{route=\"{REVOKED}\",le=\"0.5\"}} "
    );
    let fast = metrics.lines().find_map(|l| l.strip_prefix(&line)).unwrap();
    let all = format!("sealwright_http_request_duration_seconds_count{{route=\"{REVOKED}\"}} ");
    let all = metrics.lines().find_map(|l| l.strip_prefix(&all)).unwrap();
    assert!(
        fast.parse::<u64>().unwrap() + 1 >= all.parse().unwrap() || fast != "0",
        "{fast} of {all}"
    );
}

async fn a_poll_by_tag_is_answered_for_the_tokens_of_a_killed_agent_too(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.suspend(&agent).await;
    app.state.list.read_changes().await.unwrap();
    let list = app.get(REVOKED).await;
    assert!(!list.body.contains(jti(&token).as_str().unwrap()));
    let looking = async {
        held(app, 1).await;
        app.state.list.find_killed_tokens().await.unwrap();
    };
    let path = format!("{REVOKED}?wait=25");
    let (answer, ()) = tokio::join!(app.get_if_none_match(&path, list.header("etag")), looking);
    assert_eq!(answer.json()["revoked_jtis"], json!([jti(&token)]));
}

async fn entries_that_expire_are_no_news(app: &TestApp<'_>) {
    let agent = app
        .agent_like(None, "tokens:read", |terms| terms.ttl = Ttl::new(300).ok())
        .await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    let list = app.get(REVOKED).await;
    app.clock.advance(300);
    // Somebody else gets the list without the entry, which has another tag.
    let later = app.get(REVOKED).await;
    assert_ne!(later.header("etag"), list.header("etag"));
    let began = Instant::now();
    let path = format!("{REVOKED}?wait=1");
    let answer = app.get_if_none_match(&path, list.header("etag")).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.body, later.body);
    // An unknown tag may stand for anything.
    let answer = app
        .get_if_none_match(&format!("{REVOKED}?wait=25"), "\"x\"")
        .await;
    assert_eq!(answer.body, later.body);
}

async fn a_client_that_holds_nothing_does_not_wait(app: &TestApp<'_>) {
    let began = Instant::now();
    assert_eq!(app.get(&format!("{REVOKED}?wait=25")).await.status, 200);
    revoke_one(app).await;
    for path in ["?since=0&wait=25", "?since=1&wait=25"] {
        let answer = app.get(&format!("{REVOKED}{path}")).await;
        assert_eq!(answer.json()["since"], Value::Null);
    }
    let head = app
        .send(
            "HEAD",
            &format!("{REVOKED}?wait=25"),
            &[("if-none-match", "*")],
            vec![],
        )
        .await;
    assert_eq!(head.status, 304);
    assert!(began.elapsed() < Duration::from_secs(20));
}

async fn one_poll_more_than_the_limit_is_answered_at_once(app: &TestApp<'_>) {
    let app = &app.beside_with(&[("limits.held_polls", "2")]).await;
    revoke_one(app).await;
    let third = async {
        held(app, 2).await;
        let early = poll_in_both_ways(app, 25).await;
        revoke_one(app).await;
        early
    };
    let (held, (by_version, by_tag)) = tokio::join!(poll_in_both_ways(app, 25), third);
    is_a_delta(&by_version);
    assert_eq!(by_version.json()["since"], by_version.json()["version"]);
    assert_eq!(by_tag.status, 304);
    for early in [&by_version, &by_tag] {
        assert_eq!(
            (early.header("retry-after"), early.header("connection")),
            ("15", "")
        );
    }
    for answer in [&held.0, &held.1] {
        assert_eq!((answer.status, answer.header("retry-after")), (200, ""));
    }
}

async fn send_poll(app: &TestApp<'_>, version_of_http: &str) -> TcpStream {
    let version = version(app).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head =
        format!("GET {REVOKED}?since={version}&wait=25 HTTP/{version_of_http}\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn a_client_that_leaves_frees_its_place(app: &TestApp<'_>) {
    revoke_one(app).await;
    let (one, other) = (send_poll(app, "1.1").await, send_poll(app, "1.1").await);
    held(app, 2).await;
    drop(one);
    held(app, 1).await;
    drop(other);
    held(app, 0).await;
}

async fn a_stopping_process_answers_its_polls(app: &TestApp<'_>) {
    let app = &app.beside().await;
    revoke_one(app).await;
    let stopping = async {
        held(app, 2).await;
        app.state.list.drain_polls();
    };
    let ((by_version, by_tag), ()) = tokio::join!(poll_in_both_ways(app, 25), stopping);
    let (later_by_version, later_by_tag) = poll_in_both_ways(app, 25).await;
    for early in [&by_version, &later_by_version] {
        is_a_delta(early);
        assert_eq!(early.json()["since"], early.json()["version"]);
    }
    for early in [&by_tag, &later_by_tag] {
        assert_eq!(early.status, 304);
    }
    for early in [by_version, by_tag, later_by_version, later_by_tag] {
        assert_eq!(
            (early.header("retry-after"), early.header("connection")),
            ("1", "close")
        );
    }
    assert_eq!(app.get(REVOKED).await.header("connection"), "");
}

async fn a_poll_of_http_1_0_is_answered(app: &TestApp<'_>) {
    revoke_one(app).await;
    let mut stream = send_poll(app, "1.0").await;
    held(app, 1).await;
    let (_, jti) = revoke_one(app).await;
    let mut reply = String::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_string(&mut reply));
    read.await
        .expect("the connection ends with its answer")
        .unwrap();
    assert!(reply.starts_with("HTTP/1.0 200 "), "{reply}");
    assert!(
        reply.contains("content-length: ") && reply.contains(jti.as_str().unwrap()),
        "{reply}"
    );
}

async fn many_polls_are_all_answered(app: &TestApp<'_>) {
    revoke_one(app).await;
    let mut polls = Vec::new();
    for _ in 0..200 {
        polls.push(send_poll(app, "1.0").await);
    }
    held(app, 200).await;
    let (_, jti) = revoke_one(app).await;
    let jti = Arc::new(jti.as_str().unwrap().to_owned());
    for mut poll in polls {
        let mut reply = String::new();
        let read = timeout(Duration::from_secs(20), poll.read_to_string(&mut reply));
        read.await.expect("an answer").unwrap();
        assert!(reply.contains(jti.as_str()), "{reply}");
    }
    held(app, 0).await;
}
