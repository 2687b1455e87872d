//! Public keys of agents over HTTP: which are accepted, who gives them, and how they end.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer};

on_both! {
    a_public_key_is_a_credential_without_a_secret,
    every_fault_of_a_key_set_is_told_at_its_place,
    secrets_and_public_keys_are_counted_and_rotated_apart,
    an_agent_gives_itself_no_public_key_without_an_admin_scope,
    a_public_key_is_no_secret,
}

/// The P-256 key of RFC 7517 appendix A.1, and the Ed25519 key of RFC 8037 appendix A.2.
pub fn ec_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

fn ed_key() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

/// Another P-256 key.
fn other_ec_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "NX-3f47bKoCZW4Fs6IEOPMWcaGSmzDrEvdxMujUzMtc",
        "y": "8Hf2iwMxS9l9ot4yzPgC3ir-iiOgz6yo6-p_utZ6WxU",
    })
}

/// An RSA key in which this member has this value.
fn rsa(name: &str, bytes: &[u8]) -> Value {
    let n = URL_SAFE_NO_PAD.encode([0xff; 256]);
    let mut key = json!({ "kty": "RSA", "e": "AQAB", "n": n });
    key[name] = URL_SAFE_NO_PAD.encode(bytes).into();
    key
}

/// An Ed25519 key of zeros but for these bytes.
fn small_order(bytes: &[(usize, u8)]) -> Value {
    let mut x = [0; 32];
    for (at, byte) in bytes {
        x[*at] = *byte;
    }
    json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(x) })
}

/// The thumbprint of [`ed_key`], from RFC 8037 appendix A.3.
const ED_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

/// A body that gives these keys.
fn with_keys(keys: &[Value]) -> Value {
    json!({ "kind": "publicKey", "jwks": { "keys": keys } })
}

async fn token(app: &TestApp<'_>, agent: &Agent) -> String {
    bearer(&app.token(agent).await)
}

async fn admin(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs audit:read";
    token(app, &app.agent_named("boss", scopes).await).await
}

/// Sends a line such as `POST a/credentials`.
async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        vec![]
    } else {
        body.to_string().into()
    };
    app.send(method, &format!("{AGENTS}/{path}"), &headers, body)
        .await
}

/// The kinds of the credentials that a list shows, newest first.
async fn kinds(app: &TestApp<'_>, token: &str, line: &str) -> Vec<String> {
    let list = send(app, token, line, &Value::Null).await;
    assert_eq!(list.status, 200, "{list:?}");
    let rows = list.json()["data"].as_array().unwrap().clone();
    let kind = |row: &Value| row["kind"].as_str().unwrap().to_owned();
    rows.iter().map(kind).collect()
}

async fn a_public_key_is_a_credential_without_a_secret(app: &TestApp<'_>) {
    let (by, agent) = (admin(app).await, app.agent_named("a", "agents:read").await);
    let body = with_keys(&[ed_key()]);
    let dry = send(app, &by, "POST a/credentials?dryRun=true", &body).await;
    assert_eq!(dry.status, 201, "{dry:?}");
    assert_eq!(kinds(app, &by, "GET a/credentials").await, ["secret"]);
    let made = send(app, &by, "POST a/credentials", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(
        !made.keys().contains(&"clientSecret".to_owned()),
        "{made:?}"
    );
    assert_eq!(made.text("kind"), "publicKey");
    assert_eq!(made.text("hint"), ED_THUMBPRINT);
    let shown = send(app, &by, "GET a", &Value::Null).await;
    assert_eq!(shown.json()["credentials"][0]["kind"], "publicKey");
    // The secret goes on to open, until it is ended.
    app.token(&agent).await;
    let id = made.text("credentialId");
    let line = format!("DELETE a/credentials/{id}");
    assert_eq!(send(app, &by, &line, &Value::Null).await.status, 204);
    assert_eq!(kinds(app, &by, "GET a/credentials").await, ["secret"]);
    let all = kinds(app, &by, "GET a/credentials?all=true").await;
    assert_eq!(all, ["publicKey", "secret"]);
    let audit = app.get_as(&by, "/api/v1/audit?agentId=a&kind=credential.*");
    let told: Vec<(String, Value)> = audit.await.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["event"])
        .map(|event| {
            (
                event["kind"].as_str().unwrap().to_owned(),
                event["detail"]["kind"].clone(),
            )
        })
        .collect();
    let expected = ["credential.ended", "credential.created"];
    assert_eq!(
        told,
        expected.map(|kind| (kind.to_owned(), json!("publicKey")))
    );
}

async fn every_fault_of_a_key_set_is_told_at_its_place(app: &TestApp<'_>) {
    let by = admin(app).await;
    app.agent_named("a", "agents:read").await;
    let with = |name: &str, value: Value| {
        let mut key = ec_key();
        key[name] = value;
        with_keys(&[key])
    };
    let short = json!({ "kty": "RSA", "e": "AQAB", "n": "_".repeat(171) });
    let cases = [
        (with("d", json!("AQ")), "/jwks/keys/0"),
        (with("use", json!("enc")), "/jwks/keys/0/use"),
        (with("alg", json!("ES384")), "/jwks/keys/0/alg"),
        (with("x", ec_key()["y"].clone()), "/jwks/keys/0"),
        (with("kty", json!("oct")), "/jwks/keys/0/kty"),
        (with_keys(&[ec_key(), short]), "/jwks/keys/1/n"),
        (with_keys(&[rsa("n", &[0xff; 16])]), "/jwks/keys/0/n"),
        (with_keys(&[rsa("n", &[0xfe; 256])]), "/jwks/keys/0/n"),
        (with_keys(&[rsa("n", &[0xff; 513])]), "/jwks/keys/0/n"),
        (with_keys(&[rsa("e", &[1])]), "/jwks/keys/0/e"),
        (with_keys(&[rsa("e", &[3])]), "/jwks/keys/0/e"),
        (with_keys(&[rsa("e", &[1, 0, 0])]), "/jwks/keys/0/e"),
        (with_keys(&[rsa("e", &[0, 1, 0, 1])]), "/jwks/keys/0/e"),
        (with_keys(&[rsa("e", &[1, 0, 3])]), "/jwks/keys/0/e"),
        (with_keys(&[small_order(&[])]), "/jwks/keys/0/x"),
        (with_keys(&[small_order(&[(0, 1)])]), "/jwks/keys/0/x"),
        (
            with_keys(&[small_order(&[(0, 1), (31, 0x80)])]),
            "/jwks/keys/0/x",
        ),
        (with_keys(&[ec_key(), other_ec_key()]), "/jwks/keys/1/kid"),
        (with_keys(&[]), "/jwks/keys"),
        (json!({ "kind": "publicKey", "jwks": {} }), "/jwks/keys"),
        (
            json!({ "kind": "publicKey", "jwks": ec_key() }),
            "/jwks/keys",
        ),
        (json!({ "kind": "publicKey", "jwks": "{}" }), "/jwks"),
        (json!({ "kind": "publicKey" }), "/jwks"),
        (json!({ "jwks": { "keys": [ec_key()] } }), "/jwks"),
        (
            json!({ "kind": "secret", "jwks": { "keys": [ec_key()] } }),
            "/jwks",
        ),
    ];
    for (body, place) in cases {
        for line in ["POST a/credentials", "POST a/credentials/rotate"] {
            let answer = send(app, &by, line, &body).await;
            answer.is_management_error(400, "VALIDATION_ERROR");
            let errors = answer.json()["details"]["errors"].clone();
            assert_eq!(errors[0]["field"], place, "{line} {body} {errors}");
        }
    }
    assert_eq!(kinds(app, &by, "GET a/credentials").await, ["secret"]);
}

async fn secrets_and_public_keys_are_counted_and_rotated_apart(app: &TestApp<'_>) {
    let (by, agent) = (admin(app).await, app.agent_named("a", "agents:read").await);
    let (one, two) = (with_keys(&[ec_key()]), with_keys(&[ed_key()]));
    for body in [&one, &two, &Value::Null] {
        let made = send(app, &by, "POST a/credentials", body).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    for body in [&one, &Value::Null] {
        let many = send(app, &by, "POST a/credentials", body).await;
        many.is_management_error(409, "TOO_MANY_CREDENTIALS");
        let ids = many.json()["details"]["credentials"].clone();
        assert_eq!(ids.as_array().unwrap().len(), 1, "{many:?}");
    }
    let rotated = send(app, &by, "POST a/credentials/rotate", &one).await;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    assert_eq!(rotated.text("oldSecretExpiresAt").len(), 20);
    let live = kinds(app, &by, "GET a/credentials").await;
    assert_eq!(live, ["publicKey", "secret", "secret"]);
    app.token(&agent).await;
    let secret = send(app, &by, "POST a/credentials/rotate", &Value::Null).await;
    assert_eq!(secret.status, 201, "{secret:?}");
    let live = kinds(app, &by, "GET a/credentials").await;
    assert_eq!(live, ["secret", "publicKey"]);
    app.token(&agent.with_secret(&secret.text("clientSecret")))
        .await;
}

async fn an_agent_gives_itself_no_public_key_without_an_admin_scope(app: &TestApp<'_>) {
    let by = token(app, &app.agent_named("a", "agents:write").await).await;
    let body = with_keys(&[ec_key()]);
    for line in ["POST a/credentials", "POST a/credentials/rotate"] {
        let refused = send(app, &by, line, &body).await;
        refused.is_management_error(403, "FORBIDDEN");
        assert_eq!(send(app, &by, line, &Value::Null).await.status, 201);
    }
    app.agent_named("less", "agents:write").await;
    let given = send(app, &by, "POST less/credentials", &body).await;
    assert_eq!(given.status, 201, "{given:?}");
    let boss = admin(app).await;
    let own = send(app, &boss, "POST boss/credentials", &body).await;
    assert_eq!(own.status, 201, "{own:?}");
}

async fn a_public_key_is_no_secret(app: &TestApp<'_>) {
    let (by, agent) = (admin(app).await, app.agent_named("a", "agents:read").await);
    let imported = app.imported("i", "an old secret", "agents:read").await;
    let body = with_keys(&[ec_key()]);
    for line in ["POST a/credentials", "POST i/credentials"] {
        assert_eq!(send(app, &by, line, &body).await.status, 201);
    }
    app.token(&agent).await;
    app.token(&imported).await;
    for secret in ["", "x", &agent.forged_secret()] {
        for id in [&agent, &imported] {
            let refused = app.ask(&id.with_secret(secret), "").await;
            assert_eq!(refused.status, 401, "{refused:?}");
        }
    }
}
