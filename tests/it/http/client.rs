//! Client authentication (RFC 6749 §2.3; D10, D15; items 8–15).

use super::on_both;
use super::token::{DECOMMISSIONED, INVALID_CLIENT, SUSPENDED};
use crate::harness::answer::Answer;
use crate::harness::app::{INTROSPECT, REVOKE, TOKEN, TestApp, basic, encode, raw_basic};

const GRANT: &str = "grant_type=client_credentials";
const CHALLENGE: &str = "Basic realm=\"sealwright\", charset=\"UTF-8\"";

on_both! {
    basic_alone_is_enough,
    basic_is_form_decoded,
    an_imported_id_with_a_colon_works_form_encoded,
    the_scheme_is_read_in_any_letter_case,
    a_malformed_basic_is_a_failed_authentication,
    a_bearer_beside_the_body_s_credentials_changes_nothing,
    two_authorization_headers_are_an_invalid_request,
    more_than_one_method_is_an_invalid_request,
    an_equal_client_id_beside_basic_is_fine_and_another_is_not,
    a_failed_basic_is_challenged_and_a_failed_form_is_not,
    no_credentials_are_a_failed_authentication,
    an_id_outside_the_alphabet_is_simply_unknown,
    a_variant_of_an_id_is_another_id,
    nobody_can_tell_which_ids_exist,
    a_secret_is_compared_to_its_last_byte,
}

async fn with(app: &TestApp<'_>, authorization: &str) -> Answer {
    app.post_as(authorization, TOKEN, GRANT).await
}

/// D15.
async fn basic_alone_is_enough(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    assert_eq!(with(app, &agent.basic()).await.text("scope"), "agents:read");
}

/// Item 10.
async fn basic_is_form_decoded(app: &TestApp<'_>) {
    let agent = app.imported("a:b~c", "p%q+r", "agents:read").await;
    for text in [
        "a%3Ab~c:p%25q%2Br",
        "a%3ab%7Ec:p%25q%2Br",
        "%61%3Ab~c:%70%25q%2Br",
    ] {
        assert_eq!(with(app, &raw_basic(text)).await.status, 200, "{text}");
    }
    assert_eq!(with(app, &agent.basic()).await.status, 200);
    with(app, &raw_basic("a%3Ab~c:p%q+r "))
        .await
        .is(401, INVALID_CLIENT);
}

/// D10.
async fn an_imported_id_with_a_colon_works_form_encoded(app: &TestApp<'_>) {
    let agent = app.agent_named("urn:agent:1", "agents:read").await;
    assert_eq!(with(app, &agent.basic()).await.status, 200);
    with(app, &raw_basic(format!("urn:agent:1:{}", agent.secret)))
        .await
        .is(401, INVALID_CLIENT);
    assert_eq!(app.ask(&agent, "").await.status, 200);
}

/// Item 11.
async fn the_scheme_is_read_in_any_letter_case(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for scheme in ["basic", "BASIC", "bAsIc", "Basic "] {
        let authorization = agent.basic().replace("Basic", scheme);
        assert_eq!(with(app, &authorization).await.status, 200, "{scheme}");
    }
    let unpadded = agent.basic().trim_end_matches('=').to_owned();
    assert_eq!(with(app, &unpadded).await.status, 200);
}

/// Item 11: the response is the same as for an unknown client.
async fn a_malformed_basic_is_a_failed_authentication(app: &TestApp<'_>) {
    let unknown = with(app, &basic("nobody", "x")).await;
    unknown.is(401, INVALID_CLIENT);
    for authorization in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic ***".to_owned(),
        "Basic YQ".to_owned(),
        raw_basic("no colon"),
        raw_basic(":secret"),
        raw_basic("id:"),
        raw_basic(":"),
        raw_basic(b"\xff\xfe:\xff"),
        raw_basic("id:\u{0}"),
        raw_basic("%ff:%ff"),
        raw_basic(format!("id:{}", "x".repeat(4_097))),
        "Bearer x".to_owned(),
        "Digest username=\"x\"".to_owned(),
        "Basic\u{7f}".replace('\u{7f}', ","),
        String::new(),
    ] {
        let answer = with(app, &authorization).await;
        assert_eq!(
            answer.fingerprint(),
            unknown.fingerprint(),
            "{authorization}"
        );
    }
}

/// Bearer is not a method of client authentication (RFC 6749 §2.3), and some programs send such a
/// header by default.
async fn a_bearer_beside_the_body_s_credentials_changes_nothing(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for authorization in ["Bearer x", "bearer", "Bearer \u{e9}"] {
        let answer = app
            .post_as(authorization, TOKEN, &format!("{GRANT}&{}", agent.form()))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let wrong = agent.with_secret("wrong").form();
        let answer = app
            .post_as(authorization, TOKEN, &format!("{GRANT}&{wrong}"))
            .await;
        answer.is(401, INVALID_CLIENT);
    }
    let other = app
        .post_as("Digest x", TOKEN, &format!("{GRANT}&{}", agent.form()))
        .await;
    other.is_error(400, "invalid_request");
}

/// Item 11.
async fn two_authorization_headers_are_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let (form, basic) = ("application/x-www-form-urlencoded", agent.basic());
    let headers = [
        ("content-type", form),
        ("authorization", &*basic),
        ("authorization", &*basic),
    ];
    app.send("POST", TOKEN, &headers, GRANT.into())
        .await
        .is_error(400, "invalid_request");
}

/// Item 12; D15.
async fn more_than_one_method_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for extra in [
        format!("client_secret={}", agent.secret),
        "client_secret=other".to_owned(),
        agent.form(),
        "client_assertion_type=x".to_owned(),
    ] {
        let answer = app
            .post_as(&agent.basic(), TOKEN, &format!("{GRANT}&{extra}"))
            .await;
        answer.is_error(400, "invalid_request");
        // The same holds for Basic credentials that fail, and for a Basic header that cannot be
        // decoded.
        for bad in [basic("nobody", "x"), "Basic !".to_owned()] {
            app.post_as(&bad, TOKEN, &format!("{GRANT}&{extra}"))
                .await
                .is_error(400, "invalid_request");
        }
    }
    app.ask(&agent, "client_assertion=x")
        .await
        .is_error(400, "invalid_request");
    // An empty `client_secret` counts as absent.
    let answer = app
        .post_as(&agent.basic(), TOKEN, &format!("{GRANT}&client_secret="))
        .await;
    assert_eq!(answer.status, 200);
}

/// Item 12; RFC 6749 §3.2.1.
async fn an_equal_client_id_beside_basic_is_fine_and_another_is_not(app: &TestApp<'_>) {
    let agent = app.agent_named("a:b", "agents:read").await;
    for (id, status) in [
        ("a:b", 200),
        ("a%3Ab", 200),
        ("", 200),
        ("a:c", 400),
        ("A:b", 400),
        ("a:b+", 400),
    ] {
        let answer = app
            .post_as(&agent.basic(), TOKEN, &format!("{GRANT}&client_id={id}"))
            .await;
        assert_eq!(answer.status, status, "{id}");
        if status == 400 {
            answer.is_error(400, "invalid_request");
        }
    }
}

/// Item 13.
async fn a_failed_basic_is_challenged_and_a_failed_form_is_not(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let by_basic = with(app, &basic(&agent.id, "wrong")).await;
    by_basic.is(401, INVALID_CLIENT);
    assert_eq!(by_basic.header("www-authenticate"), CHALLENGE);
    let by_form = app.ask(&agent.with_secret("wrong"), "").await;
    by_form.is(401, INVALID_CLIENT);
    assert_eq!(by_form.header("www-authenticate"), "");
}

/// Items 8, 13, 14.
async fn no_credentials_are_a_failed_authentication(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for parameters in [
        String::new(),
        format!("client_id={}", agent.id),
        format!("client_id={}&client_secret=", agent.id),
        format!("client_secret={}", agent.secret),
        format!("client_id=&client_secret={}", agent.secret),
    ] {
        app.post(TOKEN, &format!("{GRANT}&{parameters}"))
            .await
            .is(401, INVALID_CLIENT);
    }
}

/// D10: an id may have any length and any bytes.
async fn an_id_outside_the_alphabet_is_simply_unknown(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let unknown = app.ask(&agent.with_secret("x"), "").await;
    let long = "x".repeat(30_000);
    for id in [
        "a b",
        "a/b",
        "é",
        "\u{0}",
        "' or 1=1 --",
        "a\r\nb",
        "\u{1F980}",
        &"x".repeat(129),
        &long,
    ] {
        for secret in ["x", &*agent.secret] {
            let body = format!("{GRANT}&client_id={}&client_secret={secret}", encode(id));
            let answer = app.post(TOKEN, &body).await;
            answer.is(401, INVALID_CLIENT);
            assert_eq!(answer.fingerprint(), unknown.fingerprint());
        }
    }
}

/// Known failure 21.
async fn a_variant_of_an_id_is_another_id(app: &TestApp<'_>) {
    let agent = app.agent_named("Agent-1", "agents:read").await;
    for id in [
        "agent-1",
        "AGENT-1",
        "Agent-1 ",
        " Agent-1",
        "Agent-1\t",
        "Agent-1\u{0}",
        "Agent\u{2010}1",
    ] {
        let body = format!(
            "{GRANT}&client_id={}&client_secret={}",
            encode(id),
            agent.secret
        );
        app.post(TOKEN, &body).await.is(401, INVALID_CLIENT);
    }
}

/// Item 15; D6; T5: the responses are equal byte for byte, except for the request's id and the
/// date.
async fn nobody_can_tell_which_ids_exist(app: &TestApp<'_>) {
    // The limit on failures that cost a hash goes by the real clock, so it is switched off here.
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let (active, other) = (
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    );
    let (suspended, retired) = (
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    );
    let stale = app.agent("agents:read").await;
    for agent in [&active, &suspended, &retired, &stale] {
        app.token(agent).await;
    }
    app.suspend(&suspended).await;
    app.decommission(&retired).await;
    app.rotate(&stale, 0).await;
    let forged = active.forged_secret();
    for imported in [false, true] {
        if imported {
            app.imported("imported", "hunter2", "agents:read").await;
        }
        for path in [TOKEN, INTROSPECT, REVOKE] {
            let body = if path == TOKEN { GRANT } else { "token=x" };
            let first = app.post_as(&basic("nobody", "junk"), path, body).await;
            first.is(401, INVALID_CLIENT);
            let form =
                |id: &str, secret: &str| format!("{body}&client_id={id}&client_secret={secret}");
            let first_form = app.post(path, &form("nobody", "junk")).await;
            first_form.is(401, INVALID_CLIENT);
            for id in [
                "nobody",
                &active.id,
                &suspended.id,
                &retired.id,
                &stale.id,
                "imported",
            ] {
                for secret in ["junk", &other.secret, &forged, &stale.secret] {
                    let answer = app.post_as(&basic(id, secret), path, body).await;
                    assert_eq!(answer.fingerprint(), first.fingerprint(), "{id} {secret}");
                    let answer = app.post(path, &form(id, secret)).await;
                    assert_eq!(
                        answer.fingerprint(),
                        first_form.fingerprint(),
                        "{id} {secret}"
                    );
                }
            }
        }
    }
    with(app, &suspended.basic()).await.is(403, SUSPENDED);
    with(app, &retired.basic()).await.is(403, DECOMMISSIONED);
}

/// Known failures 24, 25: every byte of a secret counts, also in one longer than 72 bytes.
async fn a_secret_is_compared_to_its_last_byte(app: &TestApp<'_>) {
    let secret = format!("{}y", "x".repeat(79));
    let agent = app.imported("long", &secret, "agents:read").await;
    for warm in [false, true] {
        let wrong = [
            format!("{secret}z"),
            "x".repeat(79),
            format!("{}z", "x".repeat(79)),
            "x".repeat(72),
        ];
        for wrong in wrong {
            app.ask(&agent.with_secret(&wrong), "")
                .await
                .is(401, INVALID_CLIENT);
        }
        assert_eq!(app.ask(&agent, "").await.status, 200, "warm: {warm}");
    }
}
