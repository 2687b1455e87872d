//! Inserts agents directly into the store, in bulk, each with a secret that the server will accept.
//!
//! Owns the form of an agent of the load. The generated secrets are real secrets of the store, with
//! its tag. [`Wanted::real`] explains how much their hashes cost.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sealwright::testing::app;
use sealwright::testing::clock::{Clock as _, SystemClock};
use sealwright::testing::config::raw::Raw;
use sealwright::testing::config::{Config, DatabaseUrl, MasterKeyNeed};
use sealwright::testing::domain::credential::SecretHash;
use sealwright::testing::domain::id::AgentId;
use sealwright::testing::entropy::{SystemEntropy, uuid_v7};
use sealwright::testing::service::clients::secret::kdf::{self, Workspace};
use sealwright::testing::service::clients::secret::{Secret, Secrets, bulk};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use crate::cores::Cores;
use crate::server::Place;
use crate::{Fallible, raw};

/// The number of agents whose hash costs as much as in production: see [`Wanted::real`].
pub const REAL: usize = 256;

/// The scopes of every agent of the load.
const SCOPES: &str = "[\"agents:read\",\"tokens:read\"]";

/// Rows in one statement.
const PIECE: usize = 5_000;

/// An agent's credentials, as a client has them.
#[derive(Clone)]
pub struct Agent {
    pub id: String,
    pub secret: String,
}

/// The agents that were inserted into a store.
pub struct Seeded {
    /// Agents with generated secrets, for the rows that are measured warm.
    pub warm: Vec<Agent>,
    /// Agents with one imported secret, the same for all, and a real argon2id hash of it.
    pub cold: Vec<Agent>,
}

/// Writes an id and a secret on each line, to a file that only its owner may read.
pub fn write_agents(path: &Path, agents: &[Agent]) -> Fallible<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    for agent in agents {
        writeln!(file, "{} {}", agent.id, agent.secret)?;
    }
    Ok(())
}

pub fn read_agents(path: &Path) -> Fallible<Vec<Agent>> {
    let text = fs::read_to_string(path)?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs
        .map(|(id, secret)| Agent {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
        .collect())
}

/// An agent's row in the store.
struct Row {
    id: String,
    credential_id: Uuid,
    hash: String,
    tag: Option<String>,
    prefix: String,
}

/// A store's configuration, as the server reads it from its environment.
pub fn config(place: &Place) -> Fallible<Config> {
    let environment = [
        ("SEALWRIGHT_DATABASE__URL", &place.database),
        ("SEALWRIGHT_KEYS__MASTER_KEY", &place.master_key),
    ];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    Ok(Config::resolve(
        &Raw::read(None, environment, &[]),
        MasterKeyNeed::WithPostgres,
    )
    .map_err(|faults| faults.to_string())?)
}

/// How many agents of each kind.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub warm: usize,
    /// How many of the warm agents have a hash that costs as much as in production. The hashes of
    /// the others cost only microseconds, so that thousands of agents can be warmed up. This does
    /// not change the figures: once a secret is proven, the server does not use its hash again.
    pub real: usize,
    pub cold: usize,
}

/// Creates the schema, the keys and the agents.
pub fn seed(place: &Place, wanted: Wanted) -> Fallible<Seeded> {
    let config = config(place)?;
    let opened = crate::block_on(async {
        app::migrate(&config).await?;
        let opened = app::open(&config).await?;
        opened.keys.ensure_signing_key().await?;
        Ok::<_, crate::Problem>(opened)
    })?;
    let (warm, mut rows) = warm_agents(&opened.secrets, wanted)?;
    let (cold, cold_rows) = cold_agents(wanted.cold)?;
    rows.extend(cold_rows);
    match &config.database.url {
        DatabaseUrl::Postgres(url) => crate::block_on(insert_postgres(&url.each()[0], &rows))?,
        DatabaseUrl::Sqlite(path) => {
            crate::block_on(insert_sqlite(
                SqliteConnectOptions::new().filename(path),
                &rows,
            ))?;
        }
    }
    Ok(Seeded { warm, cold })
}

fn warm_agents(secrets: &Secrets, wanted: Wanted) -> Fallible<(Vec<Agent>, Vec<Row>)> {
    let count = wanted.warm;
    let entropy = SystemEntropy::default();
    let mut drawn = Vec::with_capacity(count);
    for i in 0..count {
        let id = format!("load-{i:06}");
        let (secret, tag) = secrets
            .generate(&AgentId::parse(&id)?)?
            .ok_or("the store has no tag key")?;
        drawn.push((id, secret, tag));
    }
    let dear: Vec<Secret> = drawn
        .iter()
        .take(wanted.real)
        .map(|(_, secret, _)| secret.clone())
        .collect();
    let mut hashes: Vec<String> = Vec::with_capacity(count);
    for hash in bulk::hash_all(&dear, &entropy) {
        hashes.push(hash?.0.to_string());
    }
    for (_, secret, _) in drawn.iter().skip(wanted.real) {
        hashes.push(cheap_hash(secret)?);
    }
    let (mut agents, mut rows) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for ((id, secret, tag), hash) in drawn.into_iter().zip(hashes) {
        let credential_id = uuid_v7(&SystemClock::default(), &entropy)?;
        rows.push(Row {
            id: id.clone(),
            credential_id,
            hash,
            tag: Some(tag.0.into()),
            prefix: secret.prefix(),
        });
        agents.push(Agent {
            id,
            secret: secret.expose().to_owned(),
        });
    }
    Ok((agents, rows))
}

/// argon2id verifications in a second of CPU time, with the parameters of a new secret.
pub fn argon2_rate(cores: &Cores, time: Duration) -> Fallible<f64> {
    let (secret, hash) = imported()?;
    raw::argon2_rate(cores, &secret, &hash, time)
}

fn imported() -> Fallible<(Secret, SecretHash)> {
    let secret = Secret::parse("an imported secret, the same for all")?;
    let hash = kdf::hash(
        &secret,
        &SystemEntropy::default(),
        &mut Workspace::default(),
    )?;
    Ok((secret, hash))
}

/// Agents with one secret and one hash for all. This works since an imported secret is not bound to
/// its agent.
fn cold_agents(count: usize) -> Fallible<(Vec<Agent>, Vec<Row>)> {
    let entropy = SystemEntropy::default();
    let (secret, SecretHash(hash)) = imported()?;
    let (mut agents, mut rows) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for i in 0..count {
        let id = format!("cold-{i:06}");
        let credential_id = uuid_v7(&SystemClock::default(), &entropy)?;
        let prefix = secret.prefix();
        rows.push(Row {
            id: id.clone(),
            credential_id,
            hash: hash.to_string(),
            tag: None,
            prefix,
        });
        agents.push(Agent {
            id,
            secret: secret.expose().to_owned(),
        });
    }
    Ok((agents, rows))
}

/// A cheap hash: argon2id with 8 KiB and one pass.
fn cheap_hash(secret: &Secret) -> Fallible<String> {
    const SALT: &[u8; 16] = b"load-harness-one";
    let params = Params::new(8, 1, 1, Some(32)).map_err(|e| e.to_string())?;
    let mut output = [0u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.expose().as_bytes(), SALT, &mut output)
        .map_err(|e| e.to_string())?;
    let (salt, output) = (STANDARD_NO_PAD.encode(SALT), STANDARD_NO_PAD.encode(output));
    Ok(format!("$argon2id$v=19$m=8,t=1,p=1${salt}${output}"))
}

async fn insert_postgres(url: &str, rows: &[Row]) -> Fallible<()> {
    let mut conn = PgConnection::connect(url).await?;
    let now = SystemClock::default().now().0;
    for piece in rows.chunks(PIECE) {
        let ids: Vec<&str> = piece.iter().map(|r| r.id.as_str()).collect();
        sqlx::query(
            "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids,
                                plan, epoch, version, longest_ttl, created_at, updated_at)
             select id, 'default', id, 'active', $2, '[]', '[]', '[]', 'unlimited', 0, 1, 0, $3, $3
             from unnest($1::text[]) as t (id)",
        )
        .bind(&ids)
        .bind(SCOPES)
        .bind(now)
        .execute(&mut conn)
        .await?;
        let credential_ids: Vec<Uuid> = piece.iter().map(|r| r.credential_id).collect();
        let hashes: Vec<&str> = piece.iter().map(|r| r.hash.as_str()).collect();
        let tags: Vec<Option<&str>> = piece.iter().map(|r| r.tag.as_deref()).collect();
        let prefixes: Vec<&str> = piece.iter().map(|r| r.prefix.as_str()).collect();
        sqlx::query(
            "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at)
             select c, a, h, t, p, $6
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) as r (c, a, h, t, p)",
        )
        .bind(&credential_ids)
        .bind(&ids)
        .bind(&hashes)
        .bind(&tags)
        .bind(&prefixes)
        .bind(now)
        .execute(&mut conn)
        .await?;
    }
    sqlx::raw_sql("vacuum analyze").execute(&mut conn).await?;
    sqlx::raw_sql("checkpoint").execute(&mut conn).await?;
    Ok(conn.close().await?)
}

async fn insert_sqlite(options: SqliteConnectOptions, rows: &[Row]) -> Fallible<()> {
    let mut conn = options.connect().await?;
    let now = SystemClock::default().now().0;
    for piece in rows.chunks(PIECE) {
        let ids = serde_json::to_string(&piece.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())?;
        let mut whole = conn.begin().await?;
        sqlx::query(
            "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids,
                                plan, epoch, version, longest_ttl, created_at, updated_at)
             select value, 'default', value, 'active', ?2, '[]', '[]', '[]', 'unlimited', 0, 1, 0, ?3, ?3
             from json_each(?1)",
        )
        .bind(ids)
        .bind(SCOPES)
        .bind(now)
        .execute(&mut *whole)
        .await?;
        let credentials: Vec<_> = piece
            .iter()
            .map(|r| {
                (
                    r.credential_id.simple().to_string(),
                    &r.id,
                    &r.hash,
                    &r.tag,
                    &r.prefix,
                )
            })
            .collect();
        sqlx::query(
            "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at)
             select unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?2
             from json_each(?1)",
        )
        .bind(serde_json::to_string(&credentials)?)
        .bind(now)
        .execute(&mut *whole)
        .await?;
        whole.commit().await?;
    }
    sqlx::raw_sql("pragma wal_checkpoint(truncate)")
        .execute(&mut conn)
        .await?;
    Ok(conn.close().await?)
}
