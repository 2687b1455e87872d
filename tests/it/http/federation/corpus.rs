//! Tokens that a platform did not sign, each answered as an unknown client is (known failures 13, 17,
//! 19; items 53 and 54).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::platform::{CLUSTER, Platform, Stage, account, run};
use crate::harness::answer::Answer;
use crate::http::token::INVALID_CLIENT;

with_platform! {
    forged_tokens_are_answered_as_an_unknown_client,
}

/// A token that an RSA key of 1024 bits signed, and that key.
const SHORT_MODULUS: &str = "pOQw9qTjoxHJ0O7JEYYcbTRTwhvpSuWtWEQM-ROC953xum3wBWvTYivAD1tSaVHNC0E1NYsg-w_K8ENdDxyd6g3VVxuP3BQMCTxN2GnQ8x00CS9tlKm83M4dTd6kaazxgbscAaf6YaLTODS6e8Ig6T4WAl7zv9ejhvOOrT3DCS0";
const SHORT_CLAIMS: &str = r#"{"aud":"https://auth.sealwright.test","exp":1738328400,"iat":1738324800,"iss":"https://kubernetes.default.svc.cluster.local","kubernetes.io":{"namespace":"prod","serviceaccount":{"uid":"14a1c3c5-6a0e-4b53-9df5-1a7be1a3a2f7"}},"sub":"system:serviceaccount:prod:reports"}"#;
const SHORT_SIGNATURE: &str = "MHnPvCw6NYm_iZ4dzJ8GCaMu7kAxop9WTBdJ1Gh8pIHBfkXiBoKvcgVQeYfzlkfBkdATUGsOsYkDRbaxc4o70gpEIAhYSq4LWlc0jFOHHlhGhllmXEiRC-7hM1YyuqyXbQD0CxE7jcyFIU5rnJDm-f9okCJ_mC2czGZzUOjEIbw";

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Signs with a public key as if it were a secret.
fn by_public_key(key: &[u8], kid: &str, claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "kid": kid });
    let signed = format!("{}.{}", part(&header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The status, the headers and the body, without what differs between any two answers.
fn seen(answer: &Answer) -> (u16, Vec<String>, String) {
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| *name != "x-request-id" && *name != "date");
    let mut headers: Vec<String> = headers.map(|pair| format!("{pair:?}")).collect();
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

async fn forged_tokens_are_answered_as_an_unknown_client(stage: &Stage<'_>) {
    let platform = &stage.platform;
    stage.app.agent_named("reports", "agents:read").await;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    stage.trust("reports", account(&partner)).await;
    let mut set = platform.key_set();
    let own = set["keys"][0].clone();
    let mut off = own.clone();
    (off["kid"], off["y"]) = (json!("off"), own["x"].clone());
    let short =
        json!({ "kty": "RSA", "kid": "short", "use": "sig", "e": "AQAB", "n": SHORT_MODULUS });
    set["keys"].as_array_mut().unwrap().extend([off, short]);
    *platform.answer.lock().unwrap() = Some(set.to_string());

    let claims = stage.of_cluster();
    let good = platform.sign(&claims);
    assert_eq!(stage.ask_patiently("reports", &good).await.status, 200);
    let unknown = stage.ask("nobody", &good, "").await;
    unknown.is(401, INVALID_CLIENT);

    let evil = Platform::start().await;
    let jwk = evil.key_set()["keys"][0].clone();
    let header = |members: &Value| {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        for (name, value) in members.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let with = |members: &Value| platform.sign_as(&header(members), &claims);
    let by_evil = |members: &Value| evil.sign_as(&header(members), &claims);
    let unsigned = |alg: &str| format!("{}.{}.", part(&json!({ "alg": alg })), part(&claims));
    let x = URL_SAFE_NO_PAD.decode(own["x"].as_str().unwrap()).unwrap();
    let short_header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"short"}"#);
    let short_claims = URL_SAFE_NO_PAD.encode(SHORT_CLAIMS);
    let forged = [
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("no signature", unsigned("ES256")),
        (
            "HS256 with the JWK",
            by_public_key(own.to_string().as_bytes(), "k1", &claims),
        ),
        ("HS256 with a coordinate", by_public_key(&x, "k1", &claims)),
        ("at+jwt", with(&json!({ "typ": "at+jwt" }))),
        ("logout+jwt", with(&json!({ "typ": "logout+jwt" }))),
        ("ES256 as RS256", with(&json!({ "alg": "RS256" }))),
        ("ES256 as ES384", with(&json!({ "alg": "ES384" }))),
        ("ES256 as EdDSA", with(&json!({ "alg": "EdDSA" }))),
        ("crit", with(&json!({ "crit": ["b64"], "b64": false }))),
        ("a point off the curve", with(&json!({ "kid": "off" }))),
        (
            "RSA of 1024 bits",
            format!("{short_header}.{short_claims}.{SHORT_SIGNATURE}"),
        ),
        ("another key", by_evil(&json!({}))),
        ("jwk", by_evil(&json!({ "jwk": jwk }))),
        ("jku", by_evil(&json!({ "jku": evil.uri() }))),
        ("x5u", by_evil(&json!({ "x5u": evil.uri() }))),
        ("x5c", by_evil(&json!({ "x5c": ["MIIB"] }))),
    ];
    for (name, token) in forged {
        let refused = stage.ask("reports", &token, "").await;
        assert_eq!(seen(&refused), seen(&unknown), "{name}");
    }
    assert_eq!((platform.seen(), evil.opened()), (1, 0));
    assert_eq!(stage.ask("reports", &good, "").await.status, 200);
}
