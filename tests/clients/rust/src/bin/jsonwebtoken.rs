//! jsonwebtoken: a service that verifies offline, with the JWKS and the revocation list.

use clients::{Given, Outcome, done};

// recipe: verify
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Claims {
    client_id: String,
    scope: String,
    jti: String,
    epoch: i64,
}

#[derive(Deserialize)]
struct Revoked {
    revoked_jtis: HashSet<String>,
    revoked_agents: Vec<RevokedAgent>,
}

#[derive(Deserialize)]
struct RevokedAgent {
    agent: String,
    epoch: i64,
}

/// Says what a token's claims are, or why it is worth nothing.
struct Verifier {
    issuer: String,
    validation: Validation,
    keys: JwkSet,
    keys_asked: Instant,
    etag: String,
    jtis: HashSet<String>,
    epochs: HashMap<String, i64>,
}

impl Verifier {
    fn new(issuer: &str, audience: &str) -> Result<Self, Box<dyn Error>> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // No leeway: the revocation list forgets what has expired.
        validation.leeway = 0;
        let mut verifier = Self {
            issuer: issuer.to_owned(),
            validation,
            keys: fetch_keys(issuer)?,
            keys_asked: Instant::now(),
            etag: String::new(),
            jtis: HashSet::new(),
            epochs: HashMap::new(),
        };
        verifier.poll()?;
        Ok(verifier)
    }

    /// Call this every few seconds: a revocation is known after one poll. Nearly all answers are 304.
    fn poll(&mut self) -> Result<(), Box<dyn Error>> {
        let list = format!("{}/api/v1/token/revoked", self.issuer);
        let mut answer = ureq::get(list).header("If-None-Match", &self.etag).call()?;
        if answer.status() == 304 {
            return Ok(());
        }
        let revoked: Revoked = answer.body_mut().read_json()?;
        self.jtis = revoked.revoked_jtis;
        self.epochs = revoked.revoked_agents.into_iter().map(|entry| (entry.agent, entry.epoch)).collect();
        self.etag = answer.headers().get("ETag").ok_or("no ETag")?.to_str()?.to_owned();
        Ok(())
    }

    fn verify(&mut self, token: &str) -> Result<Claims, Box<dyn Error>> {
        let kid = decode_header(token)?.kid.ok_or("the token names no key")?;
        // A key that is not known may be a new one, but nobody can make this ask more than twice a minute.
        if self.keys.find(&kid).is_none() && self.keys_asked.elapsed() > Duration::from_secs(30) {
            self.keys_asked = Instant::now();
            self.keys = fetch_keys(&self.issuer)?;
        }
        let key = DecodingKey::from_jwk(self.keys.find(&kid).ok_or("nobody knows the token's key")?)?;
        let claims = decode::<Claims>(token, &key, &self.validation)?.claims;
        let agent = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&claims.client_id));
        if self.jtis.contains(&claims.jti)
            || self.epochs.get(&agent).is_some_and(|epoch| claims.epoch < *epoch)
        {
            return Err("the token was revoked".into());
        }
        Ok(claims)
    }
}

fn fetch_keys(issuer: &str) -> Result<JwkSet, Box<dyn Error>> {
    Ok(ureq::get(format!("{issuer}/.well-known/jwks.json")).call()?.body_mut().read_json()?)
}
// end of recipe

fn main() -> Outcome {
    let given = Given::read()?;
    assert_eq!(given.endpoint("jwks_uri"), format!("{}/.well-known/jwks.json", given.issuer));
    let mut verifier = Verifier::new(&given.issuer, "https://db.example")?;
    let token = given.request_token(&[("audience", "https://db.example"), ("scope", &given.scope)])?;
    let claims = verifier.verify(&token)?;
    assert_eq!((&claims.client_id, &claims.scope), (&given.client_id, &given.scope));
    verifier.poll()?;
    verifier.verify(&token)?;

    let refusal = |verifier: &mut Verifier, token: &str| {
        verifier.verify(token).err().map(|reason| reason.to_string()).unwrap_or_default()
    };
    let elsewhere = given.request_token(&[])?;
    assert_eq!(refusal(&mut verifier, &elsewhere), "InvalidAudience");
    let forged = format!("{}AAAAAAAA", &token[..token.len() - 8]);
    assert_eq!(refusal(&mut verifier, &forged), "InvalidSignature");

    given.revoke(&token)?;
    verifier.poll()?;
    assert_eq!(refusal(&mut verifier, &token), "the token was revoked");
    done(
        "jsonwebtoken",
        "verified offline; another audience, a forged signature and a revoked `jti` are refused",
    )
}
