//! PKCE (RFC 7636) and the issuer in the redirect (RFC 9207), for the clients that ask for them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright::testing::domain::agent::RedirectUri;
use sealwright::testing::service::manage::patch::ProfilePatch;
use url::Url;

use super::{
    CALLBACK, CODE, EXCHANGE, REQUEST, agent, authorize, code, code_of, exchange_at, on_both,
    token_of,
};
use crate::harness::app::{Agent, ISSUER, TestApp, encode};

on_both! {
    a_code_got_with_a_challenge_needs_its_verifier,
    a_verifier_is_refused_where_no_challenge_was_sent,
    every_challenge_but_one_of_s256_is_refused,
    the_issuer_stands_in_the_redirect_where_a_challenge_was_sent,
    a_redirect_that_has_an_issuer_of_its_own_gets_no_code_with_a_challenge,
    a_refused_verifier_does_not_spend_the_code,
}

/// RFC 7636, Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn challenged(challenge: &str) -> String {
    format!(
        "&code_challenge={}&code_challenge_method=S256",
        encode(challenge)
    )
}

fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

async fn challenged_code(app: &TestApp<'_>, agent: &Agent, challenge: &str) -> String {
    code_of(&authorize(app, &agent.id, CALLBACK, &challenged(challenge)).await)
}

async fn a_code_got_with_a_challenge_needs_its_verifier(app: &TestApp<'_>) {
    let agent = agent(app).await;
    assert_eq!(challenge_of(VERIFIER), CHALLENGE);
    let other = "x".repeat(43);
    let code = challenged_code(app, &agent, CHALLENGE).await;
    for wrong in [
        String::new(),
        "&code_verifier=".to_owned(),
        format!("&code_verifier={other}"),
        // The challenge itself, which the method `plain` would accept.
        format!("&code_verifier={CHALLENGE}"),
        format!("&code_verifier={VERIFIER}="),
        format!("&code_verifier={}", VERIFIER.to_lowercase()),
        format!("&code_challenge={CHALLENGE}"),
    ] {
        exchange_at(app, &agent, &code, CALLBACK, &wrong)
            .await
            .is_line(CODE);
    }
    token_of(
        &exchange_at(
            app,
            &agent,
            &code,
            CALLBACK,
            &format!("&code_verifier={VERIFIER}"),
        )
        .await,
    );
    exchange_at(
        app,
        &agent,
        &code,
        CALLBACK,
        &format!("&code_verifier={VERIFIER}"),
    )
    .await
    .is_line(CODE);
    // The exchange works with JSON too, on another process, and for a token about a user.
    let other_process = app.beside().await;
    let query = format!("&userid=user_42{}", challenged(CHALLENGE));
    let code = code_of(&authorize(app, &agent.id, CALLBACK, &query).await);
    let body = serde_json::json!({
        "client_id": agent.id, "client_secret": agent.secret, "redirect_uri": CALLBACK, "code": code,
        "userid": "user_42", "code_verifier": VERIFIER,
    });
    token_of(&other_process.post_json(EXCHANGE, &body.to_string()).await);
    // The bounds of RFC 7636 §4.1 hold for any verifier, even when its hash matches the challenge.
    for (verifier, good) in [
        ("x".repeat(42), false),
        ("x".repeat(43), true),
        ("-._~".repeat(32), true),
        ("x".repeat(129), false),
        (format!("{}+", "x".repeat(43)), false),
        (format!("{}é", "x".repeat(43)), false),
    ] {
        let code = challenged_code(app, &agent, &challenge_of(&verifier)).await;
        let more = format!("&code_verifier={}", encode(&verifier));
        let answer = exchange_at(app, &agent, &code, CALLBACK, &more).await;
        if good {
            token_of(&answer);
        } else {
            answer.is_line(CODE);
        }
    }
}

/// RFC 9700 §4.8: otherwise an attacker could remove the challenge from an authorization request
/// and so switch PKCE off.
async fn a_verifier_is_refused_where_no_challenge_was_sent(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    for verifier in [VERIFIER, CHALLENGE, "x"] {
        let more = format!("&code_verifier={verifier}");
        exchange_at(app, &agent, &code, CALLBACK, &more)
            .await
            .is_line(CODE);
    }
    token_of(&exchange_at(app, &agent, &code, CALLBACK, "&code_verifier=").await);
}

async fn every_challenge_but_one_of_s256_is_refused(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let (long, short) = (format!("{CHALLENGE}A"), &CHALLENGE[1..]);
    let (padded, plus) = (format!("{CHALLENGE}="), CHALLENGE.replace('-', "+"));
    // The last character has bits set that the encoding of 32 bytes leaves zero.
    let spare = format!("{}N", &CHALLENGE[..42]);
    for (challenge, method) in [
        (CHALLENGE, ""),
        (CHALLENGE, "plain"),
        (CHALLENGE, "s256"),
        (CHALLENGE, "S512"),
        ("", "S256"),
        ("", "plain"),
        (&long, "S256"),
        (short, "S256"),
        (&padded, "S256"),
        (&plus, "S256"),
        (&spare, "S256"),
        (VERIFIER, "plain"),
    ] {
        let more = format!(
            "&code_challenge={}&code_challenge_method={method}",
            encode(challenge)
        );
        authorize(app, &agent.id, CALLBACK, &more)
            .await
            .is_line(REQUEST);
    }
    for alone in [
        format!("&code_challenge={CHALLENGE}"),
        "&code_challenge_method=S256".to_owned(),
    ] {
        authorize(app, &agent.id, CALLBACK, &alone)
            .await
            .is_line(REQUEST);
    }
    let nothing = "&code_challenge=&code_challenge_method=";
    let code = code_of(&authorize(app, &agent.id, CALLBACK, nothing).await);
    token_of(&exchange_at(app, &agent, &code, CALLBACK, "").await);
}

async fn the_issuer_stands_in_the_redirect_where_a_challenge_was_sent(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for uri in [CALLBACK, super::WITH_QUERY] {
        let answer = authorize(
            app,
            &agent.id,
            uri,
            &format!("&state=a+b{}", challenged(CHALLENGE)),
        )
        .await;
        let location = Url::parse(answer.header("location")).unwrap();
        let pairs: Vec<(String, String)> = location.query_pairs().into_owned().collect();
        let values = |name: &str| {
            pairs
                .iter()
                .filter(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(values("iss"), [ISSUER], "{answer:?}");
        assert_eq!(values("state"), ["a b"], "{answer:?}");
        assert_eq!(values("code").len(), 1, "{answer:?}");
        let plain = authorize(app, &agent.id, uri, "&state=s").await;
        assert!(!plain.header("location").contains("iss="), "{plain:?}");
    }
    let document = app
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(
        document["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
}

/// A client could read the redirect URI's own `iss` instead of this server's.
async fn a_redirect_that_has_an_issuer_of_its_own_gets_no_code_with_a_challenge(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for uri in [
        "https://app.example/cb?iss=https://other",
        "https://app.example/cb?x=1&%69ss=",
    ] {
        let redirect_uris = Some(vec![RedirectUri::parse(uri).unwrap()]);
        let patch = ProfilePatch {
            redirect_uris,
            ..ProfilePatch::default()
        };
        app.agents()
            .update(&agent.parsed_id(), &patch, &app.opened.operator())
            .await
            .unwrap();
        authorize(app, &agent.id, uri, &challenged(CHALLENGE))
            .await
            .is_line(REQUEST);
        code_of(&authorize(app, &agent.id, uri, "").await);
    }
}

async fn a_refused_verifier_does_not_spend_the_code(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = challenged_code(app, &agent, CHALLENGE).await;
    let wrong = format!("&code_verifier={}", "y".repeat(43));
    for _ in 0..3 {
        exchange_at(app, &agent, &code, CALLBACK, &wrong)
            .await
            .is_line(CODE);
    }
    token_of(
        &exchange_at(
            app,
            &agent,
            &code,
            CALLBACK,
            &format!("&code_verifier={VERIFIER}"),
        )
        .await,
    );
}
