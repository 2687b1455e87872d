//! An agent that authenticates by assertions, and what it signs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::client::post;
use super::server::{Agent, Site};

/// The issuer of every server: each has a port of its own, and an assertion names one audience.
pub const ISSUER: &str = "https://auth.example.com";

/// A P-256 key.
pub struct Key(EcdsaKeyPair);

impl Key {
    pub fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = &self.0.public_key().as_ref()[1..];
        let half = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "x": half(&point[..32]), "y": half(&point[32..]) })
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An agent with a key of its own.
pub struct Signer {
    pub agent: Agent,
    pub key: Key,
}

impl Signer {
    pub fn new(site: &Site) -> Self {
        let key = Key::new();
        let agent = site.agent("signer", "unlimited");
        let file = site.write("key.json", &key.jwk());
        site.must(&["credential", "create", &agent.id, "--public-key", &file]);
        Self { agent, key }
    }

    /// The request with the assertion of this name, made now.
    pub fn request(&self, jti: &str, now: i64) -> Vec<u8> {
        let claims = own_claims(&self.agent.id, jti, now);
        present(&self.key.sign(&json!({ "alg": "ES256" }), &claims), None)
    }
}

/// The claims of an agent's own assertion, which ends as late as it may.
pub fn own_claims(id: &str, jti: &str, now: i64) -> Value {
    json!({ "iss": id, "sub": id, "aud": ISSUER, "jti": jti, "iat": now, "exp": now + 300 })
}

/// The request for a token with this assertion.
pub fn present(assertion: &str, client_id: Option<&str>) -> Vec<u8> {
    let named = client_id.map(|id| format!("&client_id={id}"));
    let form = format!(
        "grant_type=client_credentials&client_assertion={assertion}&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer{}",
        named.unwrap_or_default()
    );
    post("/api/v1/token", "", &form)
}
