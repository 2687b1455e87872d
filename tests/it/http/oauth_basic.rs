//! How a client of `POST /oauth/token` may authenticate, and what does not count as a method
//! (contract D15).

use super::oauth_token::{FORM, GRANT, JSON, is_invalid, is_unknown, send};
use super::on_both;
use crate::harness::app::{OAUTH_TOKEN, TestApp, basic, encode, raw_basic};

const CHALLENGE: &str = "Basic realm=\"sealwright\", charset=\"UTF-8\"";

on_both! {
    basic_is_read_in_all_four_encodings,
    a_malformed_basic_is_a_failed_authentication,
    more_than_one_method_is_an_invalid_request,
    a_bearer_is_neither_credentials_nor_in_their_way,
}

/// D15: four families of libraries encode the credentials in four ways.
async fn basic_is_read_in_all_four_encodings(app: &TestApp<'_>) {
    let percent = |text: &str| encode(text).replace('+', "%20");
    let strict = |text: &str| {
        let all = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_string()
            } else {
                percent_of(c)
            }
        };
        text.chars().map(all).collect::<String>()
    };
    let plain = app.agent_named("agent_1.a-b~c", "agents:read").await;
    let spaced = app
        .imported("urn:x", "a secret/with é&=", "agents:read")
        .await;
    for (agent, raw) in [(&plain, true), (&spaced, false)] {
        let mut encodings = vec![
            basic(&agent.id, &agent.secret),
            raw_basic(format!("{}:{}", percent(&agent.id), percent(&agent.secret))),
            raw_basic(format!("{}:{}", strict(&agent.id), strict(&agent.secret))),
        ];
        if raw {
            encodings.push(raw_basic(format!("{}:{}", agent.id, agent.secret)));
        }
        for authorization in encodings {
            for (media_type, body) in [(FORM, GRANT), (FORM, ""), (JSON, "{}")] {
                let answer = send(app, media_type, Some(&authorization), body.as_bytes()).await;
                assert_eq!(answer.status, 200, "{authorization} {body}: {answer:?}");
            }
        }
    }
}

fn percent_of(c: char) -> String {
    c.encode_utf8(&mut [0; 4])
        .bytes()
        .fold(String::new(), |text, b| text + &format!("%{b:02X}"))
}

/// D15: the response is the same as for an unknown client.
async fn a_malformed_basic_is_a_failed_authentication(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for authorization in [
        "Basic".to_owned(),
        "Basic ***".to_owned(),
        "Basic YQ".to_owned(),
        format!("{}!", agent.basic()),
        raw_basic("no colon"),
        raw_basic(":secret"),
        raw_basic("id:"),
        raw_basic(b"\xff\xfe:\xff"),
        raw_basic("id:\u{0}"),
        basic(&agent.id, "wrong"),
        "Digest x".to_owned(),
    ] {
        for (media_type, body) in [(FORM, GRANT), (JSON, "{}")] {
            let answer = send(app, media_type, Some(&authorization), body.as_bytes()).await;
            is_unknown(&answer);
            assert_eq!(
                answer.header("www-authenticate"),
                CHALLENGE,
                "{authorization}"
            );
        }
    }
}

/// D15.
async fn more_than_one_method_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let by_basic = agent.basic();
    for body in [
        agent.json(),
        "{\"client_secret\":\"x\"}".to_owned(),
        "{\"client_assertion\":\"x\"}".to_owned(),
        "{\"client_id\":\"other\"}".to_owned(),
    ] {
        is_invalid(&send(app, JSON, Some(&by_basic), body.as_bytes()).await);
    }
    for body in [
        agent.form(),
        "client_secret=x".to_owned(),
        "client_id=other".to_owned(),
    ] {
        is_invalid(&send(app, FORM, Some(&by_basic), body.as_bytes()).await);
    }
    let equal = format!("{{\"client_id\":\"{}\",\"client_secret\":\"\"}}", agent.id);
    assert_eq!(
        send(app, JSON, Some(&by_basic), equal.as_bytes())
            .await
            .status,
        200
    );
    let twice = [
        ("content-type", JSON),
        ("authorization", &*by_basic),
        ("authorization", &*by_basic),
    ];
    is_invalid(&app.send("POST", OAUTH_TOKEN, &twice, b"{}".to_vec()).await);
}

/// Bearer is not a method of client authentication (RFC 6749 §2.3), and some programs send such a
/// header by default.
async fn a_bearer_is_neither_credentials_nor_in_their_way(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for authorization in ["Bearer x", "bearer", "Bearer \u{e9}"] {
        for (media_type, body) in [(FORM, agent.form()), (JSON, agent.json())] {
            assert_eq!(
                send(app, media_type, Some(authorization), body.as_bytes())
                    .await
                    .status,
                200
            );
        }
        let wrong = agent.with_secret("wrong");
        let answer = send(app, JSON, Some(authorization), wrong.json().as_bytes()).await;
        is_unknown(&answer);
        assert_eq!(answer.header("www-authenticate"), "");
        for (media_type, body) in [(FORM, GRANT), (JSON, "{}")] {
            let answer = send(app, media_type, Some(authorization), body.as_bytes()).await;
            answer.is_merged_error(400, "VALIDATION_ERROR", "missing_client_id");
        }
        let assertion = format!("{}&client_assertion=x", agent.form());
        is_invalid(&send(app, FORM, Some(authorization), assertion.as_bytes()).await);
    }
}
