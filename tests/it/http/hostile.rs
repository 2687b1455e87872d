//! Tokens that this server must never accept as its own (items 37, 38, 40, 46–56; known failures
//! 11, 15–19). The vectors are in `tests/vectors/hostile_jwts.json`, where other verifiers can read
//! them too. The tests make each token with this server's own key, so that it fails for the reason
//! that its name gives.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealwright::testing::store::KeyState;
use serde::Deserialize;

use super::introspect::INACTIVE;
use super::on_both;
use crate::harness::app::{
    AGENTS, Agent, INTROSPECT, ISSUER, REVOKE, TestApp, bearer, claims, encode,
};

on_both! {
    no_hostile_token_counts,
    a_token_that_the_tests_sign_counts,
    a_token_of_another_server_with_the_same_ids_does_not_count,
    a_token_of_the_configured_typ_counts_and_of_another_does_not,
}

#[derive(Deserialize)]
struct Corpus {
    expected: serde_json::Value,
    vectors: Vec<Vector>,
}

/// How one hostile token is made. An absent member means that the token is like a genuine one
/// there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[expect(dead_code, reason = "only readers of the file need it")]
    item: String,
    header: Option<String>,
    #[serde(default)]
    claims: ClaimsEdit,
    sign: Option<String>,
    shape: Option<String>,
    /// The status of a revocation, for a token of another agent with a valid signature: it depends
    /// on who may revoke that token.
    revoke: Option<u16>,
    /// Whether the token can be sent in a header field and still be what its name says.
    #[serde(default = "yes")]
    bearer: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ClaimsEdit {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
    append: String,
    append_after: String,
    raw: Option<String>,
    keep: bool,
}

fn corpus() -> Corpus {
    serde_json::from_str(include_str!("../../vectors/hostile_jwts.json")).unwrap()
}

/// A genuine token, the server's own key, and all else that the vectors need.
struct Forge {
    own: KeyPair,
    own_jwk: String,
    other: KeyPair,
    genuine: Vec<String>,
    values: Vec<(&'static str, String)>,
}

fn jwk_of(pair: &KeyPair) -> String {
    let public = pair.public_key();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (public.modulus(), public.exponent());
    format!(
        r#"{{"kty":"RSA","use":"sig","alg":"RS256","n":"{}","e":"{}"}}"#,
        text(n.big_endian_without_leading_zero()),
        text(e.big_endian_without_leading_zero())
    )
}

impl Forge {
    async fn open(app: &TestApp<'_>, agent: &Agent, genuine: &str) -> Self {
        let records = app.opened.records.keys().await.unwrap().keys;
        let record = records
            .into_iter()
            .find(|k| k.state == KeyState::Signing)
            .unwrap();
        let kid = record.kid.0.clone();
        let der = app
            .opened
            .keyring
            .master_key()
            .unseal(&record.private_key, kid.as_bytes())
            .unwrap();
        let own = KeyPair::from_pkcs8(&der).unwrap();
        let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let now = app.clock.now().0;
        let values = vec![
            ("{KID}", kid.to_uppercase()),
            ("{kid}", kid),
            (
                "{other_kid}",
                "b3RoZXIta2V5LW9mLXNvbWVib2R5LWVsc2UtYWx0b2dldGg".to_owned(),
            ),
            ("{other_jwk}", jwk_of(&other)),
            ("{iss_prefix}", ISSUER[..ISSUER.len() - 1].to_owned()),
            ("{ISS}", ISSUER.to_uppercase()),
            ("{iss}", ISSUER.to_owned()),
            ("{agent}", agent.id.clone()),
            (
                "{epoch}",
                claims(&app.token(agent).await)["epoch"].to_string(),
            ),
            ("{now}", now.to_string()),
            ("{past}", (now - 1).to_string()),
            ("{future}", (now + 60).to_string()),
            ("{exp}", (now + 600).to_string()),
            ("{5KB}", "k".repeat(5_000)),
            ("{8KB}", "p".repeat(8_000)),
            ("{20KB}", "k".repeat(20_000)),
            ("{1MB of dots}", ".".repeat(1_000_000)),
            ("{1MB}", "k".repeat(1_000_000)),
            ("{dots}", ".".repeat(60_000)),
            ("{nested}", "[".repeat(10_000)),
        ];
        let genuine = genuine.split('.').map(str::to_owned).collect();
        Self {
            own,
            own_jwk: record.public_jwk,
            other,
            genuine,
            values,
        }
    }

    /// Replaces the placeholders by their values. Each jti is new, so that no token affects
    /// another.
    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("{jti}", &uuid::Uuid::from_bytes(random()).to_string());
        for (name, value) in &self.values {
            text = text.replace(name, value);
        }
        text
    }

    fn claims(&self, edit: &ClaimsEdit) -> String {
        if edit.keep {
            return self.genuine[1].clone();
        }
        let members = [
            ("iss", "\"{iss}\""),
            ("sub", "\"{agent}\""),
            ("aud", "\"{iss}\""),
            ("client_id", "\"{agent}\""),
            ("scope", "\"tokens:read agents:read\""),
            ("jti", "\"{jti}\""),
            ("epoch", "{epoch}"),
            ("iat", "{now}"),
            ("exp", "{exp}"),
        ];
        let mut members: Vec<(&str, &str)> = members
            .into_iter()
            .filter(|(name, _)| !edit.remove.iter().any(|gone| gone == name))
            .collect();
        for (name, value) in &edit.set {
            match members.iter_mut().find(|(known, _)| known == name) {
                Some(member) => member.1 = value,
                None => members.push((name, value)),
            }
        }
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let whole = format!(
            "{{{}{}}}{}",
            members.join(","),
            edit.append,
            edit.append_after
        );
        URL_SAFE_NO_PAD.encode(self.fill(edit.raw.as_deref().unwrap_or(&whole)))
    }

    fn make(&self, vector: &Vector) -> String {
        let header = match &vector.header {
            Some(text) => URL_SAFE_NO_PAD.encode(self.fill(text)),
            None => self.genuine[0].clone(),
        };
        let claims = self.claims(&vector.claims);
        let message = format!("{header}.{claims}");
        let signature = self.sign(vector.sign.as_deref().unwrap_or("own"), message.as_bytes());
        let shape = vector
            .shape
            .as_deref()
            .unwrap_or("{header}.{claims}.{signature}");
        let joined = shape
            .replace("{header}", &header)
            .replace("{claims}", &claims)
            .replace("{signature}", &signature);
        self.fill(&joined)
    }

    fn sign(&self, how: &str, message: &[u8]) -> String {
        let kept = URL_SAFE_NO_PAD.decode(&self.genuine[2]).unwrap();
        let signature = match how {
            "nothing" => vec![],
            "own" => rsa_sign(&self.own, &RSA_PKCS1_SHA256, message),
            "own:ps256" => rsa_sign(&self.own, &RSA_PSS_SHA256, message),
            "own:rs384" => rsa_sign(&self.own, &RSA_PKCS1_SHA384, message),
            "own:rs512" => rsa_sign(&self.own, &RSA_PKCS1_SHA512, message),
            "other" => rsa_sign(&self.other, &RSA_PKCS1_SHA256, message),
            "es256" => es256_sign(message),
            "kept" => kept,
            "cut" => kept[..255].to_vec(),
            "longer" => [&kept[..], &[0]].concat(),
            "zeros" => vec![0; 256],
            // The last character of the encoding of 256 bytes has four unused bits.
            "loose bits" => {
                let mut text = self.genuine[2].clone();
                let last = text.pop().unwrap();
                let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                let at = alphabet.find(last).unwrap();
                return text + &alphabet[at + 1..at + 2];
            }
            how if how.starts_with("flip:") => {
                let bit: usize = how["flip:".len()..].parse().unwrap();
                let mut flipped = kept;
                flipped[bit / 8] ^= 0x80 >> (bit % 8);
                flipped
            }
            how => {
                let secret = self.public_bytes(how.strip_prefix("hs256:").unwrap());
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message)
                    .as_ref()
                    .to_vec()
            }
        };
        URL_SAFE_NO_PAD.encode(signature)
    }

    /// The public key in the forms that a careless verifier might use as an HMAC secret.
    fn public_bytes(&self, form: &str) -> Vec<u8> {
        let public: &rsa::PublicKey = self.own.public_key();
        let der: PublicKeyX509Der<'_> = public.as_der().unwrap();
        match form {
            "der" => der.as_ref().to_vec(),
            "pkcs1" => public.as_ref().to_vec(),
            "jwk" => self.own_jwk.clone().into_bytes(),
            "modulus" => public.modulus().big_endian_without_leading_zero().to_vec(),
            "empty" => vec![],
            "pem" => {
                let text = STANDARD.encode(der.as_ref());
                let lines: Vec<&str> = text
                    .as_bytes()
                    .chunks(64)
                    .map(|line| std::str::from_utf8(line).unwrap())
                    .collect();
                format!(
                    "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                    lines.join("\n")
                )
                .into_bytes()
            }
            form => panic!("no such form: {form}"),
        }
    }
}

fn rsa_sign(pair: &KeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

fn es256_sign(message: &[u8]) -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    pair.sign(&SystemRandom::new(), message)
        .unwrap()
        .as_ref()
        .to_vec()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

const PLAIN: &str = r#"{"name":"plain","item":"","sign":"own"}"#;

async fn no_hostile_token_counts(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let genuine = app.token(&agent).await;
    let forge = Forge::open(app, &agent, &genuine).await;
    let corpus = corpus();
    assert_eq!(corpus.expected["introspect"].to_string(), INACTIVE);
    let mut faults = Vec::new();
    for vector in &corpus.vectors {
        let token = forge.make(vector);
        let name = &vector.name;
        assert_ne!(token, genuine, "{name}");
        let form = format!("token={}", encode(&token));
        // A body or a head beyond the limits is not read.
        let (status, inactive, revoked) = if form.len() > 65_536 {
            (413, None, None)
        } else {
            (200, Some(INACTIVE), Some("{}"))
        };
        let (revoked, revoke_status) = match vector.revoke {
            Some(status) => (None, status),
            None => (revoked, status),
        };
        for (path, status, body) in [
            (INTROSPECT, status, inactive),
            (REVOKE, revoke_status, revoked),
        ] {
            let answer = app.post_as(&agent.basic(), path, &form).await;
            if answer.status != status || body.is_some_and(|body| answer.body != body) {
                faults.push(format!(
                    "{name}: {path} says {} {}",
                    answer.status, answer.body
                ));
            }
        }
        let header_safe = token.bytes().all(|b| matches!(b, b' '..=b'~'));
        if vector.bearer && header_safe && token.len() < 60_000 {
            for path in [AGENTS.to_owned(), format!("{AGENTS}/{}", agent.id)] {
                let answer = app.get_as(&bearer(&token), &path).await;
                let told = answer
                    .header("www-authenticate")
                    .contains("error=\"invalid_token\"");
                if answer.status != 401 || !told {
                    faults.push(format!(
                        "{name}: as a Bearer {} {}",
                        answer.status, answer.body
                    ));
                }
            }
            let own = format!("token={genuine}");
            for path in [INTROSPECT, REVOKE] {
                let answer = app.post_as(&bearer(&token), path, &own).await;
                if answer.status != 401 {
                    faults.push(format!("{name}: as a Bearer at {path} {}", answer.status));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        corpus.vectors.len(),
        faults.join("\n")
    );
    // The control: the genuine token is still active.
    assert!(app.is_active(&agent, &genuine).await);
    assert_eq!(app.get_as(&bearer(&genuine), AGENTS).await.status, 200);
}

/// Without this test, a vector might fail because the tests sign wrongly.
async fn a_token_that_the_tests_sign_counts(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let genuine = app.token(&agent).await;
    let forge = Forge::open(app, &agent, &genuine).await;
    for set in ["{}", r#"{"unknown":"1"}"#, r#"{"aud":"[\"x\",\"{iss}\"]"}"#] {
        let mut vector: Vector = serde_json::from_str(PLAIN).unwrap();
        vector.header = Some(r#"{"kid":"{kid}","alg":"RS256","typ":"at+jwt"}"#.to_owned());
        vector.claims.set = serde_json::from_str(set).unwrap();
        let token = forge.make(&vector);
        assert!(app.is_active(&agent, &token).await, "{set}");
        assert_eq!(
            app.get_as(&bearer(&token), AGENTS).await.status,
            200,
            "{set}"
        );
    }
}

/// Item 31: a token of another issuer with a valid signature, the id of an agent of this server,
/// and a live jti.
async fn a_token_of_another_server_with_the_same_ids_does_not_count(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let renamed = app
        .beside_with(&[("token.issuer", "https://auth.sealwright.test/other")])
        .await;
    let token = renamed.token(&agent).await;
    assert!(renamed.is_active(&agent, &token).await);
    app.introspect(&agent, &token).await.is(200, INACTIVE);
    app.revoke(&agent, &token).await.is(200, "{}");
    assert!(
        renamed.is_active(&agent, &token).await,
        "{:?}",
        claims(&token)
    );
}

async fn a_token_of_the_configured_typ_counts_and_of_another_does_not(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let plain = app.beside_with(&[("token.typ", "JWT")]).await;
    let (at, jwt) = (app.token(&agent).await, plain.token(&agent).await);
    assert!(plain.is_active(&agent, &jwt).await);
    // Tokens that were issued before the setting changed stay active.
    assert!(plain.is_active(&agent, &at).await);
    app.introspect(&agent, &jwt).await.is(200, INACTIVE);
}
