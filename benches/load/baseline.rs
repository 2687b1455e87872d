//! A usual token server on the same tables, for comparison. It reads the same form, checks the
//! secret by HMAC and writes the same audit row, so that only the access to the store and the
//! signature differ.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sealwright::testing::clock::{Clock as _, SystemClock};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::entropy::{SystemEntropy, uuid_v7};
use sealwright::testing::http::parameters::Parameters;
use sealwright::testing::http::serve::Rules;
use sealwright::testing::keys::algorithm::{self, RsaBits};
use sealwright::testing::telemetry::{self, Format, Output};
use serde::Serialize;
use sqlx::postgres::{PgPool, PgPoolOptions};
use uuid::Uuid;

use crate::args::Baseline;
use crate::{Fallible, Problem, seed};

/// The most database connections: as many as the real server may open.
const CONNECTIONS: u32 = 16;

const TTL: i64 = 600;
const ISSUER: &str = "http://localhost:3000";

struct Usual {
    kind: Baseline,
    pool: PgPool,
    /// The HMAC of each agent's secret, by agent id.
    secrets: HashMap<String, hmac::Tag>,
    mac_key: hmac::Key,
    pair: RsaKeyPair,
    encoding_key: EncodingKey,
    header: Header,
    entropy: SystemEntropy,
    random: SystemRandom,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    scope: &'a str,
    jti: String,
    epoch: i64,
    iat: i64,
    exp: i64,
}

#[derive(Serialize)]
struct Reply<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: i64,
    scope: &'a str,
}

/// Serves until the process is killed.
pub fn serve(kind: Baseline, database: &str, listen: SocketAddr, agents: &Path) -> Fallible<()> {
    let _logging = telemetry::start_logging("info", Format::Json, Output::Stdout);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let usual = Usual::open(kind, database, agents).await?;
        let router = Router::new()
            .route("/livez", get(|| async { "{}" }))
            .route("/api/v1/token", post(issue))
            .with_state(Arc::new(usual));
        let listener = std::net::TcpListener::bind(listen)?;
        Ok(sealwright::testing::http::serve::serve(
            listener,
            router,
            Rules::default(),
            std::future::pending(),
            Duration::ZERO,
        )
        .await?)
    })
}

impl Usual {
    async fn open(kind: Baseline, database: &str, agents: &Path) -> Fallible<Self> {
        // The first kind uses the pool's default: a ping before each use of a connection. The
        // better kind does without the ping.
        let ping = kind == Baseline::TxnJsonwebtoken;
        let options = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(ping);
        let pool = options.connect(database).await?;
        let entropy = SystemEntropy::default();
        let mut key = [0u8; 32];
        sealwright::testing::entropy::Entropy::fill(&entropy, &mut key)?;
        let mac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mut secrets = HashMap::new();
        for agent in seed::read_agents(agents)? {
            secrets.insert(agent.id, hmac::sign(&mac_key, agent.secret.as_bytes()));
        }
        let ids: Vec<&str> = secrets.keys().map(String::as_str).collect();
        sqlx::query(
            "insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)
             select id, $2, 0, 0, 9223372036854775807, 0, 0 from unnest($1::text[]) as t (id)
             on conflict (agent_id, month) do update set ceiling = excluded.ceiling",
        )
        .bind(&ids)
        .bind(SystemClock::default().now().month().key())
        .execute(&pool)
        .await?;
        let generated = algorithm::generate(RsaBits::B2048)?;
        let pair = RsaKeyPair::from_pkcs8(&generated.private_der)?;
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(generated.kid.0);
        Ok(Self {
            kind,
            pool,
            secrets,
            mac_key,
            pair,
            encoding_key: EncodingKey::from_rsa_der(pkcs1(&generated.private_der)?),
            header,
            entropy,
            random: SystemRandom::new(),
        })
    }

    /// The agent whose secret the form carries, if the secret is right.
    fn authenticate<'f>(&self, form: &'f Parameters<'_>) -> Option<&'f str> {
        let (id, secret) = (
            form.one("client_id").ok()??,
            form.one("client_secret").ok()??,
        );
        let expected = self.secrets.get(id)?;
        hmac::verify(&self.mac_key, secret.as_bytes(), expected.as_ref()).ok()?;
        Some(id)
    }

    async fn token(&self, agent_id: &str, scope: &str) -> Fallible<String> {
        let (now, jti) = (
            SystemClock::default().now(),
            uuid_v7(&SystemClock::default(), &self.entropy)?,
        );
        let detail = scope.to_owned();
        let epoch = match self.kind {
            Baseline::TxnJsonwebtoken => {
                self.count_in_transaction(agent_id, now, jti, &detail)
                    .await?
            }
            Baseline::Update => self.count_in_one(agent_id, now, jti, &detail).await?,
        };
        let claims = Claims {
            iss: ISSUER,
            sub: agent_id,
            aud: ISSUER,
            client_id: agent_id,
            scope,
            jti: jti.to_string(),
            epoch,
            iat: now.0,
            exp: now.0 + TTL,
        };
        match self.kind {
            Baseline::TxnJsonwebtoken => Ok(jsonwebtoken::encode(
                &self.header,
                &claims,
                &self.encoding_key,
            )?),
            Baseline::Update => self.sign(&claims),
        }
    }

    /// Reads the agent, then locks, raises and records the counter: five statements and a commit.
    async fn count_in_transaction(
        &self,
        agent_id: &str,
        now: Timestamp,
        jti: Uuid,
        detail: &str,
    ) -> Fallible<i64> {
        let month = now.month().key();
        let mut whole = self.pool.begin().await?;
        let (status, _scopes, epoch): (String, String, i64) =
            sqlx::query_as("select status, scopes, epoch from agent where agent_id = $1")
                .bind(agent_id)
                .fetch_one(&mut *whole)
                .await?;
        let (used, ceiling): (i64, i64) = sqlx::query_as(
            "select used, ceiling from quota where agent_id = $1 and month = $2 for update",
        )
        .bind(agent_id)
        .bind(month)
        .fetch_one(&mut *whole)
        .await?;
        if status != "active" || used >= ceiling {
            return Err("refused".into());
        }
        sqlx::query("update quota set used = used + 1 where agent_id = $1 and month = $2")
            .bind(agent_id)
            .bind(month)
            .execute(&mut *whole)
            .await?;
        sqlx::query(
            "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
             values ($1, 'token.issued', 'agent:' || $2, $2, $3, $4, $5, $6)",
        )
        .bind(now.0)
        .bind(agent_id)
        .bind(jti)
        .bind(now.0 + TTL)
        .bind(epoch)
        .bind(detail)
        .execute(&mut *whole)
        .await?;
        whole.commit().await?;
        Ok(epoch)
    }

    /// Does everything in one statement, which commits automatically.
    async fn count_in_one(
        &self,
        agent_id: &str,
        now: Timestamp,
        jti: Uuid,
        detail: &str,
    ) -> Fallible<i64> {
        let epoch: Option<i64> = sqlx::query_scalar(
            "with counted as (
                 update quota q
                 set used = q.used + 1
                 from agent a
                 where a.agent_id = $1 and a.status = 'active' and q.agent_id = a.agent_id and q.month = $2
                   and q.used < q.ceiling
                 returning q.agent_id, a.epoch
             ),
             recorded as (
                 insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
                 select $3, 'token.issued', 'agent:' || agent_id, agent_id, $4, $5, epoch, $6
                 from counted
             )
             select epoch from counted",
        )
        .bind(agent_id)
        .bind(now.month().key())
        .bind(now.0)
        .bind(jti)
        .bind(now.0 + TTL)
        .bind(detail)
        .fetch_optional(&self.pool)
        .await?;
        Ok(epoch.ok_or("refused")?)
    }

    fn sign(&self, claims: &Claims<'_>) -> Fallible<String> {
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&self.header)?);
        let mut jwt = header + "." + &URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(
            &RSA_PKCS1_SHA256,
            &self.random,
            jwt.as_bytes(),
            &mut signature,
        )?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut jwt);
        Ok(jwt)
    }
}

async fn issue(State(usual): State<Arc<Usual>>, body: Bytes) -> Response {
    let begun = Instant::now();
    let response = answer(&usual, &body)
        .await
        .unwrap_or_else(|(status, problem)| {
            tracing::error!(%problem, "no token");
            status.into_response()
        });
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::info!(target: "request", method = "POST", route = "/api/v1/token", status, micros);
    response
}

async fn answer(usual: &Usual, body: &[u8]) -> Result<Response, (StatusCode, Problem)> {
    let malformed = || (StatusCode::BAD_REQUEST, Problem::from("malformed"));
    let form = Parameters::of_form(body).map_err(|_| malformed())?;
    let scope = form
        .one("scope")
        .map_err(|_| malformed())?
        .unwrap_or_default();
    let Some(agent_id) = usual.authenticate(&form) else {
        return Err((StatusCode::UNAUTHORIZED, "wrong secret".into()));
    };
    let token = usual.token(agent_id, scope).await;
    let token = token.map_err(|problem| (StatusCode::INTERNAL_SERVER_ERROR, problem))?;
    let reply = Reply {
        access_token: &token,
        token_type: "Bearer",
        expires_in: TTL,
        scope,
    };
    let body =
        serde_json::to_string(&reply).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.into()))?;
    Ok((
        [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ],
        body,
    )
        .into_response())
}

/// The `RSAPrivateKey` (RFC 8017 App. A.1.2) inside a PKCS #8 key: its OCTET STRING element.
fn pkcs1(pkcs8: &[u8]) -> Fallible<&[u8]> {
    let (_, mut elements, _) = element(pkcs8)?;
    while !elements.is_empty() {
        let (tag, content, rest) = element(elements)?;
        // This tag is OCTET STRING.
        if tag == 4 {
            return Ok(content);
        }
        elements = rest;
    }
    Err("no private key in the PKCS #8 key".into())
}

/// The tag and the content of the first DER element, and the bytes after it.
fn element(der: &[u8]) -> Fallible<(u8, &[u8], &[u8])> {
    let malformed = "malformed DER";
    let (tag, short) = (
        *der.first().ok_or(malformed)?,
        usize::from(*der.get(1).ok_or(malformed)?),
    );
    let (length, start) = if short < 128 {
        (short, 2)
    } else {
        let bytes = der.get(2..2 + (short - 128)).ok_or(malformed)?;
        (
            bytes
                .iter()
                .fold(0usize, |sum, b| sum << 8 | usize::from(*b)),
            2 + bytes.len(),
        )
    };
    let (content, rest) = der
        .get(start..)
        .and_then(|d| d.split_at_checked(length))
        .ok_or(malformed)?;
    Ok((tag, content, rest))
}
