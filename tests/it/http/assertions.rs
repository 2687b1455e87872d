//! Client authentication by an assertion (RFC 7521, RFC 7523; items 57–62; known failures 12, 13, 15,
//! 16, 17, 19).

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::service::manage::client_keys::NewKeys;
use sealwright::testing::service::manage::credentials::CredentialTerms;
use sealwright::testing::service::manage::keeping::Keep;

use super::on_both;
use super::token::{INVALID_CLIENT, SUSPENDED};
use crate::harness::answer::Answer;
use crate::harness::app::{
    Agent, INTROSPECT, ISSUER, NOW, OAUTH_TOKEN, TOKEN, TestApp, claims, encode,
};

on_both! {
    an_assertion_opens_instead_of_a_secret,
    rsa_keys_open_with_their_own_algorithm_alone,
    one_assertion_gets_one_token_on_all_processes_and_after_a_restart,
    a_refused_request_leaves_its_assertion,
    a_spent_assertion_tells_nothing_of_its_agent,
    assertions_that_are_presented_again_hold_up_no_others,
    a_flood_of_forged_assertions_holds_up_no_other_source,
    what_is_no_proof_is_answered_as_an_unknown_client,
    a_malformed_request_is_told_apart,
    a_suspended_agent_is_told_so_after_its_proof,
    an_ended_key_opens_nothing_on_any_process,
    a_kid_chooses_among_the_keys_of_its_client_alone,
    assertions_open_the_token_endpoints_only,
}

const URN: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that signs.
pub struct Signer {
    id: String,
    ec: EcdsaKeyPair,
    kid: Option<&'static str>,
}

impl Signer {
    fn new(id: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self {
            id: id.to_owned(),
            ec: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap(),
            kid: None,
        }
    }

    fn jwk(&self) -> Value {
        let point = &self.ec.public_key().as_ref()[1..];
        let half = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = json!({
            "kty": "EC", "crv": "P-256", "x": half(&point[..32]), "y": half(&point[32..]),
        });
        if let Some(kid) = self.kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn claims(&self, jti: &str) -> Value {
        json!({
            "iss": self.id, "sub": self.id, "aud": ISSUER, "jti": jti,
            "iat": NOW.0, "exp": NOW.0 + 60,
        })
    }

    fn header(&self) -> Value {
        match self.kid {
            Some(kid) => json!({ "alg": "ES256", "kid": kid }),
            None => json!({ "alg": "ES256" }),
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self
            .ec
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn assertion(&self, jti: &str) -> String {
        self.sign(&self.header(), &self.claims(jti))
    }
}

/// Registers public keys of an agent, and returns the credential's id.
async fn register(app: &TestApp<'_>, agent: &Agent, keys: &[Value]) -> String {
    let terms = CredentialTerms {
        keys: Some(NewKeys::read(&json!({ "keys": keys }), "").unwrap()),
        ..CredentialTerms::default()
    };
    let (id, act) = (agent.parsed_id(), app.opened.operator());
    let agents = app.agents();
    let made = agents.create_credential(&id, terms, &act, Keep::nothing());
    made.await.unwrap().credential.credential_id.to_string()
}

/// An agent with a key.
async fn signer(app: &TestApp<'_>, id: &str, scopes: &str) -> (Agent, Signer) {
    let (agent, signer) = (app.agent_named(id, scopes).await, Signer::new(id));
    register(app, &agent, &[signer.jwk()]).await;
    (agent, signer)
}

fn form(assertion: &str) -> String {
    format!(
        "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}",
        encode(URN)
    )
}

async fn ask(app: &TestApp<'_>, assertion: &str, more: &str) -> Answer {
    app.post(TOKEN, &(form(assertion) + more)).await
}

async fn an_assertion_opens_instead_of_a_secret(app: &TestApp<'_>) {
    let (_, signer) = signer(app, "a", "agents:read").await;
    let got = ask(app, &signer.assertion("1"), "&scope=agents:read").await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(claims(&got.text("access_token"))["sub"], "a");
    let named = ask(app, &signer.assertion("2"), "&client_id=a").await;
    assert_eq!(named.status, 200, "{named:?}");
    // In each form of `/oauth/token`, where no grant need be named.
    let body = json!({ "client_assertion_type": URN, "client_assertion": signer.assertion("3") });
    let merged = app.post_json(OAUTH_TOKEN, &body.to_string()).await;
    assert_eq!(merged.status, 200, "{merged:?}");
    let merged = app.post(OAUTH_TOKEN, &form(&signer.assertion("4"))).await;
    assert_eq!(merged.status, 200, "{merged:?}");
    // An Ed25519 key under both names of its algorithm.
    let agent = app.agent_named("e", "agents:read").await;
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    register(
        app,
        &agent,
        &[json!({ "kty": "OKP", "crv": "Ed25519", "x": x })],
    )
    .await;
    for alg in ["EdDSA", "Ed25519"] {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({ "alg": alg })),
            part(&Signer::new("e").claims(alg))
        );
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()));
        let got = ask(app, &format!("{text}.{signature}"), "").await;
        assert_eq!(got.status, 200, "{alg} {got:?}");
    }
}

async fn rsa_keys_open_with_their_own_algorithm_alone(app: &TestApp<'_>) {
    static PAIR: LazyLock<rsa::KeyPair> =
        LazyLock::new(|| rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap());
    let n = PAIR
        .public_key()
        .modulus()
        .big_endian_without_leading_zero();
    let n = URL_SAFE_NO_PAD.encode(n);
    let sign = |id: &str, alg: &str| {
        let padding: &dyn RsaEncoding = match alg {
            "RS256" => &RSA_PKCS1_SHA256,
            _ => &RSA_PSS_SHA256,
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = Signer::new(id).claims(alg);
        let text = format!("{}.{}", part(&json!({ "alg": alg })), part(&claims));
        let mut signature = vec![0; PAIR.public_modulus_len()];
        PAIR.sign(
            padding,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    for (id, own, other) in [("r", "RS256", "PS256"), ("p", "PS256", "RS256")] {
        let agent = app.agent_named(id, "agents:read").await;
        let jwk = json!({ "kty": "RSA", "e": "AQAB", "n": n, "alg": own });
        register(app, &agent, &[jwk]).await;
        ask(app, &sign(id, other), "").await.is(401, INVALID_CLIENT);
        let got = ask(app, &sign(id, own), "").await;
        assert_eq!(got.status, 200, "{own} {got:?}");
    }
}

/// Item 61; known failure 12.
async fn one_assertion_gets_one_token_on_all_processes_and_after_a_restart(app: &TestApp<'_>) {
    let (_, signer) = signer(app, "a", "agents:read").await;
    let other = app.beside().await;
    for round in ["1", "2", "3"] {
        let assertion = signer.assertion(round);
        let asked = (0..100).map(|i| ask(if i % 2 == 0 { app } else { &other }, &assertion, ""));
        let answers = join_all(asked).await;
        let good: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(good.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.is(401, INVALID_CLIENT);
        }
        let restarted = app.beside().await;
        ask(&restarted, &assertion, "")
            .await
            .is(401, INVALID_CLIENT);
    }
    // Different assertions of one agent that wait together all get their tokens.
    let assertions: Vec<String> = (0..40)
        .map(|i| signer.assertion(&format!("n{i}")))
        .collect();
    let asked = assertions.iter().enumerate();
    let asked = asked.map(|(i, one)| ask(if i % 2 == 0 { app } else { &other }, one, ""));
    for answer in join_all(asked).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // The `jti` of one agent says nothing of another's.
    let (_, second) = self::signer(app, "b", "agents:read").await;
    assert_eq!(ask(app, &second.assertion("1"), "").await.status, 200);
}

async fn a_refused_request_leaves_its_assertion(app: &TestApp<'_>) {
    let (agent, signer) = signer(app, "a", "agents:read").await;
    assert_eq!(ask(app, &signer.assertion("0"), "").await.status, 200);
    let assertion = signer.assertion("1");
    for _ in 0..2 {
        let refused = ask(app, &assertion, "&scope=agents:write").await;
        refused.is_error(400, "invalid_scope");
    }
    app.set_used(&agent, 10_000).await;
    assert_eq!(ask(app, &assertion, "").await.status, 403);
    app.set_used(&agent, 0).await;
    assert_eq!(ask(app, &assertion, "").await.status, 200);
    ask(app, &assertion, "").await.is(401, INVALID_CLIENT);
}

async fn assertions_that_are_presented_again_hold_up_no_others(app: &TestApp<'_>) {
    let (_, signer) = signer(app, "a", "agents:read").await;
    let spent = signer.assertion("spent");
    assert_eq!(ask(app, &spent, "").await.status, 200);
    for round in 0..5 {
        let replays = join_all((0..10).map(|_| ask(app, &spent, "")));
        let honest: Vec<String> = (0..10)
            .map(|n| signer.assertion(&format!("{round}-{n}")))
            .collect();
        let honest = join_all(honest.iter().map(|one| ask(app, one, "")));
        let (replays, honest) = tokio::join!(replays, honest);
        for answer in &replays {
            answer.is(401, INVALID_CLIENT);
        }
        assert!(honest.iter().all(|got| got.status == 200), "{honest:?}");
    }
}

/// Presents an assertion from this address, which a proxy tells.
async fn ask_from(app: &TestApp<'_>, source: &str, assertion: &str) -> Answer {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-forwarded-for", source),
    ];
    let body = form(assertion).into();
    app.send("POST", TOKEN, &headers, body).await
}

async fn a_flood_of_forged_assertions_holds_up_no_other_source(app: &TestApp<'_>) {
    let settings = [
        ("limits.failures_per_minute", "1"),
        ("server.trusted_proxies", "127.0.0.1"),
        ("server.client_address_header", "X-Forwarded-For"),
    ];
    let app = &app.beside_with(&settings).await;
    let (_, known) = signer(app, "known", "agents:read").await;
    let (_, cold) = signer(app, "cold", "agents:read").await;
    let got = ask_from(app, "192.0.2.1", &known.assertion("1")).await;
    assert_eq!(got.status, 200, "{got:?}");
    // Whoever the forged ones name, and whether they come at once or one after the other.
    for (at, id) in ["known", "cold", "nobody"].into_iter().enumerate() {
        let source = format!("192.0.{}.1", 10 + at);
        let forged = Signer::new(id).assertion("f");
        let at_once = join_all((0..30).map(|_| ask_from(app, &source, &forged))).await;
        let refused = |status| at_once.iter().filter(|got| got.status == status).count();
        // Those that are checked at this moment are not charged yet.
        assert!((20..=22).contains(&refused(401)), "{id}: {}", refused(401));
        assert_eq!(refused(401) + refused(429), 30, "{id}");
        let later = ask_from(app, &source, &forged).await;
        later.is_error(429, "slow_down");
        assert_ne!(later.header("retry-after"), "");
    }
    // From the same network: an agent that is known here gets its token, and another one is told
    // what a forger is told.
    let got = ask_from(app, "192.0.10.9", &known.assertion("2")).await;
    assert_eq!(got.status, 200, "{got:?}");
    let refused = ask_from(app, "192.0.10.9", &cold.assertion("1")).await;
    refused.is_error(429, "slow_down");
    let got = ask_from(app, "192.0.2.1", &cold.assertion("1")).await;
    assert_eq!(got.status, 200, "{got:?}");
}

async fn a_spent_assertion_tells_nothing_of_its_agent(app: &TestApp<'_>) {
    let (agent, signer) = signer(app, "a", "agents:read").await;
    let assertion = signer.assertion("1");
    assert_eq!(ask(app, &assertion, "").await.status, 200);
    ask(app, &assertion, "&scope=agents:write")
        .await
        .is(401, INVALID_CLIENT);
    app.set_used(&agent, 10_000).await;
    ask(app, &assertion, "").await.is(401, INVALID_CLIENT);
    app.suspend(&agent).await;
    ask(app, &assertion, "").await.is(401, INVALID_CLIENT);
}

/// Items 54, 57–60 and 62, and the corpus of algorithms.
async fn what_is_no_proof_is_answered_as_an_unknown_client(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let (agent, signer) = signer(app, "a", "agents:read").await;
    let (_, other) = self::signer(app, "b", "agents:read").await;
    let unknown = Signer::new("nobody");
    let expected = ask(app, &unknown.assertion("u"), "").await;
    expected.is(401, INVALID_CLIENT);
    // A library would show the challenge in place of the message.
    assert_eq!(expected.header("www-authenticate"), "");
    let claims = |name: &str, value: Value| {
        let mut claims = signer.claims(name);
        claims[name] = value;
        signer.sign(&signer.header(), &claims)
    };
    let header = |name: &str, value: Value| {
        let mut header = signer.header();
        header[name] = value;
        signer.sign(&header, &signer.claims("h"))
    };
    let confused = {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({ "alg": "HS256" })),
            part(&signer.claims("c"))
        );
        let key = aws_lc_rs::hmac::Key::new(
            aws_lc_rs::hmac::HMAC_SHA256,
            signer.ec.public_key().as_ref(),
        );
        let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let good = signer.assertion("g");
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    let embedded = {
        let header = json!({ "alg": "ES256", "jwk": unknown.jwk(), "jku": "https://evil.example" });
        unknown.sign(&header, &signer.claims("e"))
    };
    let access_token = app.token(&agent).await;
    let cases = [
        claims("iss", json!("b")),
        claims("sub", json!("b")),
        claims("aud", json!(format!("{ISSUER}{TOKEN}"))),
        claims("aud", json!(format!("{ISSUER}/"))),
        claims("aud", json!([ISSUER, "https://other.example"])),
        claims("exp", json!(NOW.0 - 300)),
        claims("exp", json!(NOW.0)),
        claims("exp", json!(NOW.0 + 301)),
        claims("exp", Value::Null),
        claims("iat", json!(NOW.0 + 61)),
        claims("nbf", json!(NOW.0 + 61)),
        claims("jti", Value::Null),
        header("alg", json!("none")),
        header("alg", json!("RS256")),
        header("alg", json!("ES384")),
        header("typ", json!("at+jwt")),
        header("crit", json!(["exp"])),
        other.sign(&other.header(), &signer.claims("o")),
        confused,
        unsigned,
        embedded,
        access_token,
        "x".to_owned(),
        "..".to_owned(),
    ];
    for assertion in cases {
        let refused = ask(app, &assertion, "").await;
        assert_eq!(refused.fingerprint(), expected.fingerprint(), "{assertion}");
    }
    let contradicted = ask(app, &good, "&client_id=b").await;
    assert_eq!(contradicted.fingerprint(), expected.fingerprint());
    // None of that spent anything.
    assert_eq!(ask(app, &good, "").await.status, 200);
    let skewed = [("iat", 8), ("nbf", 8)];
    for (name, ahead) in skewed {
        assert_eq!(
            ask(app, &claims(name, json!(NOW.0 + ahead)), "")
                .await
                .status,
            200
        );
    }
    assert_eq!(
        ask(app, &claims("aud", json!([ISSUER])), "").await.status,
        200
    );
    let typed = header("typ", json!("client-authentication+jwt"));
    assert_eq!(ask(app, &typed, "").await.status, 200);
}

/// Items 12 and 57.
async fn a_malformed_request_is_told_apart(app: &TestApp<'_>) {
    let (agent, signer) = signer(app, "a", "agents:read").await;
    let (good, urn) = (signer.assertion("1"), encode(URN));
    let grant = "grant_type=client_credentials";
    for body in [
        format!("{grant}&client_assertion={good}"),
        format!("{grant}&client_assertion_type={urn}"),
        format!("{grant}&client_assertion_type={urn}&client_assertion="),
        format!("{grant}&client_assertion_type=x&client_assertion={good}"),
        format!("{}&client_assertion={good}", form(&good)),
        format!("{}&client_assertion_type={urn}", form(&good)),
        format!("{}&client_secret=x", form(&good)),
        format!("{}&client_id=a&client_secret={}", form(&good), agent.secret),
    ] {
        app.post(TOKEN, &body)
            .await
            .is_error(400, "invalid_request");
        let merged = app.post(OAUTH_TOKEN, &body).await;
        merged.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
    }
    let beside = app.post_as(&agent.basic(), TOKEN, &form(&good)).await;
    beside.is_error(400, "invalid_request");
    let json = json!({ "client_assertion_type": URN, "client_assertion": 1 }).to_string();
    let mistyped = app.post_json(OAUTH_TOKEN, &json).await;
    mistyped.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
    assert_eq!(ask(app, &good, "").await.status, 200);
}

async fn a_suspended_agent_is_told_so_after_its_proof(app: &TestApp<'_>) {
    let (agent, signer) = signer(app, "a", "agents:read").await;
    let assertion = signer.assertion("1");
    app.suspend(&agent).await;
    ask(app, &assertion, "").await.is(403, SUSPENDED);
    let forged = Signer::new("a").assertion("2");
    ask(app, &forged, "").await.is(401, INVALID_CLIENT);
    app.reactivate(&agent).await;
    assert_eq!(ask(app, &assertion, "").await.status, 200);
}

async fn an_ended_key_opens_nothing_on_any_process(app: &TestApp<'_>) {
    let agent = app.agent_named("a", "agents:read").await;
    let (first, second) = (Signer::new("a"), Signer::new("a"));
    let id = register(app, &agent, &[first.jwk()]).await;
    register(app, &agent, &[second.jwk()]).await;
    let other = app.beside().await;
    for (app, jti) in [(app, "1"), (&other, "2")] {
        assert_eq!(ask(app, &first.assertion(jti), "").await.status, 200);
        assert_eq!(
            ask(app, &second.assertion(&format!("s{jti}")), "")
                .await
                .status,
            200
        );
    }
    let (agents, id) = (app.agents(), CredentialId::parse(&id).unwrap());
    let (agent_id, act) = (agent.parsed_id(), app.opened.operator());
    let ended = agents.end_credential(&agent_id, id, LiveTokens::Keep, &act);
    ended.await.unwrap();
    for (app, jti) in [(app, "3"), (&other, "4")] {
        ask(app, &first.assertion(jti), "")
            .await
            .is(401, INVALID_CLIENT);
        assert_eq!(
            ask(app, &second.assertion(&format!("s{jti}")), "")
                .await
                .status,
            200
        );
    }
}

async fn a_kid_chooses_among_the_keys_of_its_client_alone(app: &TestApp<'_>) {
    let agent = app.agent_named("a", "agents:read").await;
    let mut keys: Vec<Signer> = (0..4).map(|_| Signer::new("a")).collect();
    for (key, kid) in keys.iter_mut().zip(["k0", "k1", "k2", "k3"]) {
        key.kid = Some(kid);
    }
    let jwks: Vec<Value> = keys.iter().map(Signer::jwk).collect();
    register(app, &agent, &jwks).await;
    for (key, jti) in keys.iter().zip(["0", "1", "2", "3"]) {
        assert_eq!(ask(app, &key.assertion(jti), "").await.status, 200);
    }
    for kid in ["k1", "k9", "' OR 1=1--", "../../dev/null", ""] {
        let header = json!({ "alg": "ES256", "kid": kid });
        let refused = keys[0].sign(&header, &keys[0].claims(kid));
        ask(app, &refused, "").await.is(401, INVALID_CLIENT);
    }
}

async fn assertions_open_the_token_endpoints_only(app: &TestApp<'_>) {
    let (_, signer) = signer(app, "a", "tokens:read").await;
    let assertion = signer.assertion("1");
    let body = form(&assertion) + "&token=x";
    app.post(INTROSPECT, &body)
        .await
        .is_error(401, "invalid_client");
    let bearer = format!("Bearer {assertion}");
    let refused = app.post_as(&bearer, INTROSPECT, "token=x").await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(ask(app, &assertion, "").await.status, 200);
    let metadata = app
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    let methods = &metadata["token_endpoint_auth_methods_supported"];
    assert_eq!(
        methods,
        &json!([
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt"
        ])
    );
    let algorithms = &metadata["token_endpoint_auth_signing_alg_values_supported"];
    let all = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA";
    let all: Vec<&str> = all.split(' ').collect();
    assert_eq!(algorithms, &json!(all));
}
