//! `POST /oauth/token`: which requests are valid, and how it refuses all others (contract §4, §5,
//! D6, D10–D15). The requests that real clients send are in `tests/vectors/oculus_orum.json`.

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{Agent, OAUTH_TOKEN, TestApp};

pub const GRANT: &str = "grant_type=client_credentials";
pub const FORM: &str = "application/x-www-form-urlencoded";
pub const JSON: &str = "application/json";

on_both! {
    other_methods_and_media_types_are_refused_in_the_same_shape,
    both_media_types_are_read_in_any_letter_case_and_with_parameters,
    a_body_beyond_the_limit_is_refused_in_the_same_shape,
    each_check_comes_before_the_next,
    what_is_no_json_is_an_invalid_request,
    json_may_be_large_deep_and_strange_within_its_bounds,
    a_member_that_comes_twice_is_refused_if_it_is_known,
    a_parameter_in_the_query_counts_as_one_of_the_body,
    an_unreadable_form_is_an_invalid_request,
    what_is_missing_is_told_before_what_stands_behind_it,
    nobody_can_tell_which_ids_exist,
    the_time_to_wait_is_told_twice,
    no_reply_brings_a_refresh_token,
}

#[track_caller]
pub fn is_invalid(answer: &Answer) {
    answer.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
    assert_eq!(answer.header("www-authenticate"), "");
}

#[track_caller]
pub fn is_unknown(answer: &Answer) {
    answer.is_merged_error(401, "AUTH_INVALID_CREDENTIALS", "unauthorized");
}

pub async fn send(
    app: &TestApp<'_>,
    media_type: &str,
    authorization: Option<&str>,
    body: &[u8],
) -> Answer {
    let mut headers = vec![("content-type", media_type)];
    headers.extend(authorization.map(|value| ("authorization", value)));
    app.send("POST", OAUTH_TOKEN, &headers, body.to_vec()).await
}

async fn json(app: &TestApp<'_>, body: impl AsRef<[u8]>) -> Answer {
    send(app, JSON, None, body.as_ref()).await
}

/// The agent's credentials as JSON, with these members added.
fn with(agent: &Agent, members: &str) -> String {
    agent.json().replacen('{', &format!("{{{members},"), 1)
}

/// D6, D12: such a request is not evaluated, so even the right secret gets no token.
async fn other_methods_and_media_types_are_refused_in_the_same_shape(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
    ] {
        let answer = app
            .send(
                method,
                OAUTH_TOKEN,
                &[("content-type", JSON)],
                agent.json().into(),
            )
            .await;
        answer.is_merged_error(405, "VALIDATION_ERROR", "bad_request");
        assert_eq!(answer.header("allow"), "POST", "{method}");
    }
    for media_type in [
        "text/plain",
        "application/jsonx",
        "text/json",
        "application/json, text/plain",
        "",
        ";",
    ] {
        is_invalid(&send(app, media_type, None, agent.json().as_bytes()).await);
    }
    is_invalid(
        &app.send("POST", OAUTH_TOKEN, &[], agent.form().into())
            .await,
    );
    let two = [("content-type", JSON), ("content-type", FORM)];
    is_invalid(
        &app.send("POST", OAUTH_TOKEN, &two, agent.json().into())
            .await,
    );
    assert_eq!(app.database.number("select count(*) from quota").await, 0);
}

async fn both_media_types_are_read_in_any_letter_case_and_with_parameters(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for media_type in [FORM, "Application/X-WWW-Form-URLEncoded;charset=utf-8"] {
        assert_eq!(
            send(app, media_type, None, agent.form().as_bytes())
                .await
                .status,
            200
        );
    }
    for media_type in [
        JSON,
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json ; x=y",
    ] {
        assert_eq!(
            send(app, media_type, None, agent.json().as_bytes())
                .await
                .status,
            200
        );
    }
}

async fn a_body_beyond_the_limit_is_refused_in_the_same_shape(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let padded = |length: usize| {
        let rest = with(&agent, "\"pad\":\"\"").len();
        with(
            &agent,
            &format!("\"pad\":\"{}\"", "x".repeat(length - rest)),
        )
    };
    assert_eq!(json(app, padded(65_536)).await.status, 200);
    json(app, padded(65_537))
        .await
        .is_merged_error(413, "VALIDATION_ERROR", "bad_request");
    let announced = b"content-type: application/json\r\ncontent-length: 10000000000\r\n";
    let answer = app.raw_post(OAUTH_TOKEN, announced, b"").await.unwrap();
    answer.is_merged_error(413, "VALIDATION_ERROR", "bad_request");
}

/// D6: each request breaks two rules. The response is that of the earlier check.
async fn each_check_comes_before_the_next(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let wrong = agent.with_secret("wrong");
    let long = "x".repeat(70_000);
    let method = app
        .send(
            "PUT",
            OAUTH_TOKEN,
            &[("content-type", "text/plain")],
            vec![],
        )
        .await;
    method.is_merged_error(405, "VALIDATION_ERROR", "bad_request");
    is_invalid(&send(app, "text/plain", None, long.as_bytes()).await);
    json(app, &long)
        .await
        .is_merged_error(413, "VALIDATION_ERROR", "bad_request");
    is_invalid(&json(app, with(&wrong, "\"scope\":\"a  b\"")).await);
    app.suspend(&agent).await;
    is_unknown(&json(app, with(&wrong, "\"scope\":\"nothing:known\"")).await);
    let suspended = json(app, with(&agent, "\"scope\":\"nothing:known\"")).await;
    suspended.is_merged_error(403, "AUTH_AGENT_SUSPENDED", "forbidden");
}

/// W5. A body with invalid JSON in an unknown member is invalid as a whole.
async fn what_is_no_json_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let good = agent.json();
    let inner = good.trim_start_matches('{').trim_end_matches('}');
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"x\"".to_owned(),
        format!("[{good}]"),
        format!("{{{inner}"),
        format!("{{{inner},}}"),
        format!("{good}{good}"),
        format!("{good} x"),
        format!("{good}\0"),
        format!("\u{feff}{good}"),
        with(&agent, "\"x\":1e999"),
        with(&agent, "\"x\":NaN"),
        with(&agent, "\"x\":01"),
        with(&agent, "\"x\":\"\\ud800\""),
        with(&agent, "\"x\":\"\n\""),
        with(&agent, "\"\\udfff\":1"),
        with(
            &agent,
            &format!("\"x\":{}{}", "[".repeat(32), "]".repeat(32)),
        ),
        with(&agent, &format!("\"x\":{}", "[".repeat(60_000))),
        "[".repeat(65_536),
        "{\"a\":".repeat(13_000),
    ] {
        is_invalid(&json(app, &body).await);
    }
    for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
        let body = [b"{\"x\":\"", bytes, b"\",", inner.as_bytes(), b"}"].concat();
        is_invalid(&json(app, body).await);
        let body = [b"{\"", bytes, b"\":1,", inner.as_bytes(), b"}"].concat();
        is_invalid(&json(app, body).await);
    }
    assert_eq!(app.database.number("select count(*) from quota").await, 0);
}

async fn json_may_be_large_deep_and_strange_within_its_bounds(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let pairs = |count: usize| {
        (0..count)
            .map(|i| format!("\"{i}\":1"))
            .collect::<Vec<_>>()
            .join(",")
    };
    for members in [
        pairs(1_022),
        vec!["\"\":0"; 1_022].join(","),
        format!("\"x\":{}{}", "[".repeat(31), "]".repeat(31)),
        "\"x\":{\"client_id\":1,\"client_id\":2}".to_owned(),
        format!("\"x\":{}", "9".repeat(300)),
        "\"x\":-0.0e-999".to_owned(),
        "\"x\":\"\\u0000\"".to_owned(),
        "\"grant_type\":\"client_credentials\",\"scope\":\"agents:read\",\"audience\":null"
            .to_owned(),
        "\"grant_type\":\"\",\"scope\":\"\"".to_owned(),
        "\"resource\":\"https://a\",\"resource\":\"https://b\"".to_owned(),
        "\"resource\":[\"https://a\",\"https://b\"]".to_owned(),
        "\"resource\":[]".to_owned(),
        "\"audience\":\"a\",\"audience\":[\"b\",\"c\"]".to_owned(),
        "\"scop\\u0065\":\"agents:read\"".to_owned(),
    ] {
        let answer = json(app, with(&agent, &members)).await;
        assert_eq!(answer.status, 200, "{members}: {answer:?}");
    }
    // D10: an id or a secret may have any bytes. If no agent has it, the client is unknown.
    for (name, value) in [
        ("client_id", "\\u0000"),
        ("client_id", "é \\n"),
        ("client_secret", "\\u0000"),
    ] {
        let other = if name == "client_id" {
            "client_secret"
        } else {
            "client_id"
        };
        is_unknown(&json(app, format!("{{\"{name}\":\"{value}\",\"{other}\":\"x\"}}")).await);
    }
    is_invalid(&json(app, with(&agent, "\"scope\":\"a\\u0000\"")).await);
    // RFC 8707 §2: `resource` may be repeated. In JSON, an array holds several resources.
    let answer = json(
        app,
        with(&agent, "\"resource\":[\"https://a\",\"https://b\"]"),
    )
    .await;
    let audience = &crate::harness::app::claims(&answer.text("access_token"))["aud"];
    assert_eq!(*audience, serde_json::json!(["https://a", "https://b"]));
    for members in [
        "\"resource\":[1]",
        "\"resource\":[[\"https://a\"]]",
        "\"audience\":[1]",
        "\"scope\":[]",
    ] {
        is_invalid(&json(app, with(&agent, members)).await);
    }
    for many in [pairs(1_023), pairs(5_000), vec!["\"\":0"; 10_000].join(",")] {
        is_invalid(&json(app, with(&agent, &many)).await);
    }
}

/// D14.
async fn a_member_that_comes_twice_is_refused_if_it_is_known(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for members in [
        "\"client_id\":\"x\"",
        "\"client_secret\":\"\"",
        "\"client_secret\":null",
        "\"client_i\\u0064\":1",
        "\"scope\":\"agents:read\",\"scope\":\"agents:read\"",
        "\"scope\":null,\"scope\":null",
        "\"grant_type\":\"client_credentials\",\"grant_type\":\"\"",
    ] {
        is_invalid(&json(app, with(&agent, members)).await);
    }
    // `audience` may be repeated, and so may members that the server does not know.
    for members in [
        "\"audience\":\"a\",\"audience\":\"b\"",
        "\"task_id\":1,\"task_id\":2",
        "\"Client_id\":1,\"client_id \":1",
    ] {
        assert_eq!(
            json(app, with(&agent, members)).await.status,
            200,
            "{members}"
        );
    }
    for parameters in [
        "client_id=x",
        "client_secret=",
        "scope=agents:read&scope=agents:read",
    ] {
        is_invalid(
            &app.post(OAUTH_TOKEN, &format!("{}&{parameters}", agent.form()))
                .await,
        );
    }
}

/// D14.
async fn a_parameter_in_the_query_counts_as_one_of_the_body(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = with(&agent, "\"scope\":\"agents:read\",\"audience\":\"a\"");
    for query in [
        "client_id=x",
        "client_secret=",
        "code=x",
        "token=x",
        "scope=",
        "audience=a",
        "x=%zz",
    ] {
        is_invalid(
            &app.post_json(&format!("{OAUTH_TOKEN}?{query}"), &body)
                .await,
        );
    }
    assert_eq!(
        app.post_json(&format!("{OAUTH_TOKEN}?foo=bar"), &body)
            .await
            .status,
        200
    );
}

async fn an_unreadable_form_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for parameters in [
        "scope=%",
        "foo=%zz",
        "foo=%ff",
        "%c3=x",
        "client_assertion=x",
        "scope=%00",
    ] {
        is_invalid(
            &app.post(OAUTH_TOKEN, &format!("{}&{parameters}", agent.form()))
                .await,
        );
    }
    let bytes = [agent.form().as_bytes(), b"&foo=\xff"].concat();
    is_invalid(&send(app, FORM, None, &bytes).await);
    let pairs = |count: usize| format!("{}&{}", agent.form(), vec!["a=1"; count].join("&"));
    assert_eq!(app.post(OAUTH_TOKEN, &pairs(1_022)).await.status, 200);
    for count in [1_023, 10_000] {
        is_invalid(&app.post(OAUTH_TOKEN, &pairs(count)).await);
    }
}

/// W2 to W4: the checks are whether `client_id` is present, then what it is, then the same for
/// `client_secret`.
async fn what_is_missing_is_told_before_what_stands_behind_it(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for (body, error_code) in [
        ("{\"client_secret\":1}", "missing_client_id"),
        ("{\"client_secret\":null}", "missing_client_id"),
        ("{\"client_id\":1}", "invalid_client_id"),
        (
            "{\"client_id\":null,\"client_secret\":null}",
            "invalid_client_id",
        ),
        (
            "{\"client_id\":\"a\",\"client_secret\":null}",
            "invalid_client_secret",
        ),
    ] {
        json(app, body)
            .await
            .is_merged_error(400, "VALIDATION_ERROR", error_code);
    }
    // With Basic credentials these members may be null, as serializers write an absent value.
    for (body, status) in [
        ("{\"client_id\":null,\"client_secret\":null}", 200),
        ("{\"client_id\":null}", 200),
        ("{\"client_id\":1}", 400),
        ("{\"client_secret\":[]}", 400),
    ] {
        assert_eq!(
            send(app, JSON, Some(&agent.basic()), body.as_bytes())
                .await
                .status,
            status,
            "{body}"
        );
    }
}

/// T5, D6: the responses are equal byte for byte. All requests have the same request id.
async fn nobody_can_tell_which_ids_exist(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let (active, suspended) = (
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    );
    let retired = app.agent("agents:read").await;
    app.suspend(&suspended).await;
    app.decommission(&retired).await;
    let imported = app.imported("imported", "hunter2", "agents:read").await;
    let ask = async |media_type: &str, body: String| {
        let headers = [("content-type", media_type), ("x-request-id", "same")];
        app.send("POST", OAUTH_TOKEN, &headers, body.into()).await
    };
    let nobody = Agent {
        id: "nobody".to_owned(),
        secret: "junk".to_owned(),
    };
    let first = ask(JSON, nobody.json()).await;
    is_unknown(&first);
    for agent in [&nobody, &active, &suspended, &retired, &imported] {
        for secret in ["junk", "hunter3", &active.forged_secret(), &active.secret] {
            if (&agent.id, secret) == (&active.id, &*active.secret) {
                continue;
            }
            let agent = agent.with_secret(secret);
            for (media_type, body) in [(JSON, agent.json()), (FORM, agent.form())] {
                let answer = ask(media_type, body).await;
                assert_eq!(
                    answer.fingerprint(),
                    first.fingerprint(),
                    "{} {secret}",
                    agent.id
                );
            }
        }
    }
}

async fn the_time_to_wait_is_told_twice(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.requests_per_minute", "1")])
        .await;
    let agent = app.agent("agents:read").await;
    assert_eq!(app.post_json(OAUTH_TOKEN, &agent.json()).await.status, 200);
    let answer = app.post_json(OAUTH_TOKEN, &agent.json()).await;
    answer.is_merged_error(429, "RATE_LIMIT_EXCEEDED", "too_many_requests");
    let precise = answer.header("x-retry-in").strip_suffix('s').unwrap();
    let (seconds, millis) = precise.split_once('.').unwrap();
    assert_eq!(millis.len(), 3, "{answer:?}");
    let rounded = seconds.parse::<u64>().unwrap() + u64::from(millis != "000");
    assert_eq!(answer.header("retry-after"), rounded.to_string());
    assert!((1..=60).contains(&rounded), "{answer:?}");
}

/// D12.
async fn no_reply_brings_a_refresh_token(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for members in [
        "\"x\":1",
        "\"grant_type\":\"client_credentials\",\"scope\":\"agents:read\"",
    ] {
        let answer = json(app, with(&agent, members)).await;
        assert_eq!(
            answer.keys(),
            ["access_token", "token_type", "expires_in", "scope"]
        );
    }
    let refresh = json(
        app,
        with(
            &agent,
            "\"grant_type\":\"refresh_token\",\"refresh_token\":\"x\"",
        ),
    )
    .await;
    is_invalid(&refresh);
}
