//! Agents that prove themselves by a key of their own (RFC 7523): gives agents of the store a public
//! key in bulk, and signs their assertions.
//!
//! An assertion is good once, so each request of the load has one of its own, signed beforehand.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright::testing::clock::{Clock as _, SystemClock};
use sealwright::testing::config::DatabaseUrl;
use sealwright::testing::entropy::{SystemEntropy, uuid_v7};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::seed::{self, Agent};
use crate::server::Place;
use crate::{Fallible, wire};

/// How long an assertion of the load lives. The server accepts five minutes at most.
const TTL: Duration = Duration::from_mins(4);

/// How a form names an assertion (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// What an assertion is signed with.
#[derive(Clone, Copy)]
pub enum Algorithm {
    Es256,
    EdDsa,
    Rs256,
}

impl Algorithm {
    /// The name in the header (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub fn word(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

/// One key, which all agents of a row share.
pub struct AgentKey {
    algorithm: Algorithm,
    pair: Pair,
    random: SystemRandom,
}

impl AgentKey {
    pub fn generate(algorithm: Algorithm) -> Fallible<Self> {
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::generate()?),
            Algorithm::Rs256 => Pair::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048)?),
        };
        Ok(Self {
            algorithm,
            pair,
            random: SystemRandom::new(),
        })
    }

    /// The public key as a JWK (RFC 7517).
    fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": text(public.modulus().big_endian_without_leading_zero()),
                    "e": text(public.exponent().big_endian_without_leading_zero()),
                })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Fallible<Vec<u8>> {
        Ok(match &self.pair {
            Pair::Ec(pair) => pair.sign(&self.random, message)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)?;
                signature
            }
        })
    }

    /// Token requests of these agents in turn, each with an assertion of its own for `issuer`.
    pub fn requests(&self, agents: &[Agent], issuer: &str, count: usize) -> Fallible<Vec<Vec<u8>>> {
        let (clock, entropy) = (SystemClock::default(), SystemEntropy::default());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(&json!({ "alg": self.algorithm.word() }));
        let now = clock.now().0;
        let expires_at = now + i64::try_from(TTL.as_secs())?;
        let each = agents.iter().cycle().take(count);
        each.map(|agent| {
            let claims = json!({
                "iss": agent.id, "sub": agent.id, "aud": issuer, "iat": now, "exp": expires_at,
                "jti": uuid_v7(&clock, &entropy)?.to_string(),
            });
            let signed = format!("{header}.{}", part(&claims));
            let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
            let form = format!(
                "grant_type=client_credentials&scope=agents:read\
                 &client_assertion_type={ASSERTION_TYPE}&client_assertion={signed}.{signature}"
            );
            Ok(wire::post("/api/v1/token", "", &form))
        })
        .collect()
    }
}

/// Gives each of these agents a credential with this public key, besides its secret.
pub fn register(place: &Place, agents: &[Agent], key: &AgentKey) -> Fallible<()> {
    let config = seed::config(place)?;
    let (clock, entropy) = (SystemClock::default(), SystemEntropy::default());
    let jwks = json!({ "keys": [key.jwk()] }).to_string();
    let now = clock.now().0;
    crate::block_on(async {
        match &config.database.url {
            DatabaseUrl::Postgres(url) => {
                let mut conn = PgConnection::connect(&url.each()[0]).await?;
                for agent in agents {
                    sqlx::query(
                        "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, kind, jwks)
                         values ($1, $2, '', '', '', $3, 'publicKey', $4)",
                    )
                    .bind(uuid_v7(&clock, &entropy)?)
                    .bind(&agent.id)
                    .bind(now)
                    .bind(&jwks)
                    .execute(&mut conn)
                    .await?;
                }
                Ok(conn.close().await?)
            }
            DatabaseUrl::Sqlite(path) => {
                let mut conn = SqliteConnectOptions::new().filename(path).connect().await?;
                for agent in agents {
                    sqlx::query(
                        "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, kind, jwks)
                         values (?1, ?2, '', '', '', ?3, 'publicKey', ?4)",
                    )
                    .bind(uuid_v7(&clock, &entropy)?)
                    .bind(&agent.id)
                    .bind(now)
                    .bind(&jwks)
                    .execute(&mut conn)
                    .await?;
                }
                Ok(conn.close().await?)
            }
        }
    })
}
