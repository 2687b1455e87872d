//! What can be changed about an agent and its credentials, on SQLite. The same functions in the
//! same order as on PostgreSQL. Runs inside the transaction that `write` opened. Epochs and versions are never
//! given twice, after a restore either: each is the greater of its successor and the moment's unix milliseconds.

use sqlx::sqlite::SqliteConnection;

use crate::domain::agent::{Agent, AgentStatus, Profile, UserId};
use crate::domain::credential::{Credential, SecretHash};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::DEFAULT_ORG;
use crate::domain::time::Moment;
use crate::domain::ttl::Ttl;

use super::super::Outcome;
use super::super::row::{ProfileLists, list};
use super::super::write::transition;
use super::write::applied_or;

pub async fn create_agent(
    conn: &mut SqliteConnection,
    agent: &Agent,
    credential: &Credential,
) -> sqlx::Result<Outcome> {
    let (profile, lists) = (&agent.profile, ProfileLists::from(&agent.profile));
    if clashes(conn, &agent.agent_id, profile).await? {
        return Ok(Outcome::Clash);
    }
    let made = sqlx::query(
        "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, ttl,
                            plan, epoch, version, longest_ttl, created_at, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, coalesce(?9, 0), ?13, ?14)
         on conflict do nothing",
    )
    .bind(agent.agent_id.as_str())
    .bind(DEFAULT_ORG)
    .bind(profile.name.as_str())
    .bind(agent.status.as_str())
    .bind(lists.scopes)
    .bind(lists.audiences)
    .bind(lists.redirect_uris)
    .bind(lists.user_ids)
    .bind(profile.terms.ttl.map(Ttl::secs))
    .bind(profile.terms.plan.as_str())
    .bind(agent.epoch.0)
    .bind(agent.version)
    .bind(agent.created_at.0)
    .bind(agent.updated_at.0)
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(Outcome::Conflict);
    }
    insert_credential(conn, credential).await?;
    remember_users(conn, profile).await?;
    Ok(Outcome::Applied)
}

/// Whether the agent's id is a user's, or one of its users an agent (RFC 9700 §4.15).
async fn clashes(conn: &mut SqliteConnection, agent_id: &AgentId, profile: &Profile) -> sqlx::Result<bool> {
    let users: Vec<&str> = profile.terms.user_ids.iter().map(UserId::as_str).collect();
    if users.contains(&agent_id.as_str()) {
        return Ok(true);
    }
    let sql = "select exists (select 1 from known_user where user_id = ?1)
                   or exists (select 1 from json_each(?2) join agent on agent_id = value)";
    sqlx::query_scalar(sql).bind(agent_id.as_str()).bind(list(users.into_iter())).fetch_one(conn).await
}

async fn remember_users(conn: &mut SqliteConnection, profile: &Profile) -> sqlx::Result<()> {
    if profile.terms.user_ids.is_empty() {
        return Ok(());
    }
    let users = list(profile.terms.user_ids.iter().map(UserId::as_str));
    let sql = "insert into known_user (user_id) select value from json_each(?1) where true
               on conflict do nothing";
    sqlx::query(sql).bind(users).execute(conn).await.map(drop)
}

async fn insert_credential(conn: &mut SqliteConnection, credential: &Credential) -> sqlx::Result<()> {
    let sql = "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    sqlx::query(sql)
        .bind(credential.credential_id.0)
        .bind(credential.agent_id.as_str())
        .bind(&credential.hash.0)
        .bind(credential.tag.as_ref().map(|tag| &*tag.0))
        .bind(&credential.prefix)
        .bind(credential.created_at.0)
        .bind(credential.expires_at.map(|t| t.0))
        .bind(credential.raw_basic)
        .execute(conn)
        .await
        .map(drop)
}

pub async fn update_agent(
    conn: &mut SqliteConnection,
    at: Moment,
    agent_id: &AgentId,
    expected_version: i64,
    profile: &Profile,
) -> sqlx::Result<Outcome> {
    let lists = ProfileLists::from(profile);
    if !profile.terms.user_ids.is_empty() && clashes(conn, agent_id, profile).await? {
        return Ok(Outcome::Clash);
    }
    let changed = sqlx::query(
        "update agent
         set name = ?3, scopes = ?4, audiences = ?5, redirect_uris = ?6, user_ids = ?7, ttl = ?8, plan = ?9,
             longest_ttl = max(longest_ttl, coalesce(?8, 0)), version = max(version + 1, ?11),
             updated_at = ?10
         where agent_id = ?1 and version = ?2",
    )
    .bind(agent_id.as_str())
    .bind(expected_version)
    .bind(profile.name.as_str())
    .bind(lists.scopes)
    .bind(lists.audiences)
    .bind(lists.redirect_uris)
    .bind(lists.user_ids)
    .bind(profile.terms.ttl.map(Ttl::secs))
    .bind(profile.terms.plan.as_str())
    .bind(at.second().0)
    .bind(at.0)
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() > 0 {
        remember_users(conn, profile).await?;
        return Ok(Outcome::Applied);
    }
    Ok(status_of(conn, agent_id).await?.map_or(Outcome::NotFound, |_| Outcome::Conflict))
}

/// Where an agent stands; `None` when there is none. The transaction holds the write lock.
async fn status_of(conn: &mut SqliteConnection, agent_id: &AgentId) -> sqlx::Result<Option<AgentStatus>> {
    let sql = "select status from agent where agent_id = ?1";
    let status: Option<String> = sqlx::query_scalar(sql).bind(agent_id.as_str()).fetch_optional(conn).await?;
    status.as_deref().map(AgentStatus::parse).transpose().map_err(|e| sqlx::Error::Decode(e.into()))
}

/// Kills all tokens of an agent and makes it stand at `to`, if that is given.
pub async fn kill_agent(
    conn: &mut SqliteConnection,
    at: Moment,
    agent_id: &AgentId,
    to: Option<AgentStatus>,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let from = status_of(conn, agent_id).await?;
    let outcome = match (from, to) {
        (_, Some(to)) => transition(from, to),
        (Some(_), None) => Outcome::Applied,
        (None, None) => Outcome::NotFound,
    };
    if outcome != Outcome::Applied {
        return Ok(outcome);
    }
    sqlx::query(
        "update agent
         set status = coalesce(?2, status), epoch = max(epoch + 1, ?5), version = max(version + 1, ?5),
             killed_at = max(coalesce(killed_at, ?3), ?3), killed_version = ?4, updated_at = ?3
         where agent_id = ?1",
    )
    .bind(agent_id.as_str())
    .bind(to.map(AgentStatus::as_str))
    .bind(at.second().0)
    .bind(killed)
    .bind(at.0)
    .execute(conn)
    .await?;
    Ok(outcome)
}

pub async fn reactivate_agent(
    conn: &mut SqliteConnection,
    at: Moment,
    agent_id: &AgentId,
    to: AgentStatus,
) -> sqlx::Result<Outcome> {
    let outcome = transition(status_of(conn, agent_id).await?, to);
    if outcome == Outcome::Applied {
        let sql = "update agent set status = ?2, version = max(version + 1, ?4), updated_at = ?3
                   where agent_id = ?1";
        let update = sqlx::query(sql).bind(agent_id.as_str()).bind(to.as_str());
        update.bind(at.second().0).bind(at.0).execute(conn).await?;
    }
    Ok(outcome)
}

pub async fn rotate_secret(
    conn: &mut SqliteConnection,
    at: Moment,
    credential: &Credential,
    overlap: i64,
    max_live: i64,
) -> sqlx::Result<Outcome> {
    let (agent_id, now) = (&credential.agent_id, at.second());
    match status_of(conn, agent_id).await? {
        None => return Ok(Outcome::NotFound),
        Some(AgentStatus::Decommissioned) => return Ok(Outcome::Conflict),
        Some(AgentStatus::Active | AgentStatus::Suspended) => {}
    }
    let sql =
        "select count(*) from credential where agent_id = ?1 and (expires_at is null or expires_at > ?2)";
    let live: i64 = sqlx::query_scalar(sql).bind(agent_id.as_str()).bind(now.0).fetch_one(&mut *conn).await?;
    if overlap > 0 && live >= max_live {
        return Ok(Outcome::TooMany);
    }
    let sql = "update credential set expires_at = min(coalesce(expires_at, ?2), ?2) where agent_id = ?1";
    sqlx::query(sql).bind(agent_id.as_str()).bind(now.saturating_add(overlap).0).execute(&mut *conn).await?;
    let sql = "delete from credential where agent_id = ?1 and expires_at <= ?2";
    sqlx::query(sql).bind(agent_id.as_str()).bind(now.0).execute(&mut *conn).await?;
    insert_credential(conn, credential).await?;
    let sql = "update agent set version = max(version + 1, ?3), updated_at = ?2 where agent_id = ?1";
    sqlx::query(sql).bind(agent_id.as_str()).bind(now.0).bind(at.0).execute(conn).await?;
    Ok(Outcome::Applied)
}

pub async fn rehash_credential(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
    credential_id: CredentialId,
    from: &SecretHash,
    to: &SecretHash,
) -> sqlx::Result<Outcome> {
    let sql = "update credential set hash = ?4 where agent_id = ?1 and credential_id = ?2 and hash = ?3";
    let changed = sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(credential_id.0)
        .bind(&from.0)
        .bind(&to.0)
        .execute(conn)
        .await?;
    Ok(applied_or(changed.rows_affected(), Outcome::NotFound))
}
