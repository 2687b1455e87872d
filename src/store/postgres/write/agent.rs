//! What can be changed about an agent, on PostgreSQL. The same functions in the same order as on
//! SQLite. Runs inside the transaction that `write` opened. Epochs and versions are never used
//! twice, even after a restore: each new one is the old one plus one, or the database's unix
//! milliseconds, whichever is greater.

use sqlx::postgres::PgConnection;

use crate::domain::about::{Description, Owner};
use crate::domain::act::Actor;
use crate::domain::agent::{Agent, AgentStatus, LiveTokens, Profile, SuspendedBy, UserId};
use crate::domain::credential::Credential;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::store::agent_row::ProfileLists;
use crate::store::write::{AgentChange, Kill, Outcome, transition};

use super::new_credential::insert_credential;
use super::status::status_of;

/// Applies one change of `by`. `killed` is the version of the revocation list if this change raises it.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    by: &Actor,
    change: &AgentChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    match change {
        AgentChange::Create { agent, credential } => {
            create_agent(conn, by, agent, credential).await
        }
        AgentChange::Update {
            agent_id,
            expected_version,
            before: _,
            profile,
            tokens,
        } => {
            let outcome = update_agent(conn, at, agent_id, *expected_version, profile).await?;
            match (outcome, tokens) {
                (Outcome::Applied, LiveTokens::Kill) => {
                    kill_agent(conn, at, agent_id, Kill::Tokens, killed).await
                }
                _ => Ok(outcome),
            }
        }
        AgentChange::Suspend(id, by) => kill_agent(conn, at, id, Kill::Suspend(*by), killed).await,
        AgentChange::Reactivate(id) => reactivate_agent(conn, at, id, AgentStatus::Active).await,
        AgentChange::Decommission(id) => kill_agent(conn, at, id, Kill::Decommission, killed).await,
        AgentChange::RevokeTokens(id) => kill_agent(conn, at, id, Kill::Tokens, killed).await,
    }
}

async fn create_agent(
    conn: &mut PgConnection,
    by: &Actor,
    agent: &Agent,
    credential: &Credential,
) -> sqlx::Result<Outcome> {
    let (profile, lists) = (&agent.profile, ProfileLists::from(&agent.profile));
    if clashes(conn, &agent.agent_id, profile).await? {
        return Ok(Outcome::Clash);
    }
    let made = sqlx::query(
        "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, ttl,
                            plan, epoch, version, longest_ttl, created_at, updated_at, description, owner,
                            labels, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($9, 0), $13, $14, $15, $16, $17, $18)
         on conflict do nothing",
    )
    .bind(agent.agent_id.as_str())
    .bind(agent.org_id.as_str())
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
    .bind(profile.about.description.as_ref().map(Description::as_str))
    .bind(profile.about.owner.as_ref().map(Owner::as_str))
    .bind(lists.labels)
    .bind(profile.expires_at.map(|time| time.0))
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(Outcome::Conflict);
    }
    insert_credential(conn, credential, None, by).await?;
    remember_users(conn, profile).await?;
    Ok(Outcome::Applied)
}

async fn update_agent(
    conn: &mut PgConnection,
    at: Timestamp,
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
         set name = $3, scopes = $4, audiences = $5, redirect_uris = $6, user_ids = $7, ttl = $8, plan = $9,
             longest_ttl = greatest(longest_ttl, $8),
             version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint), updated_at = $10,
             description = $11, owner = $12, labels = $13, expires_at = $14
         where agent_id = $1 and version = $2",
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
    .bind(at.0)
    .bind(profile.about.description.as_ref().map(Description::as_str))
    .bind(profile.about.owner.as_ref().map(Owner::as_str))
    .bind(lists.labels)
    .bind(profile.expires_at.map(|time| time.0))
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() > 0 {
        remember_users(conn, profile).await?;
        return Ok(Outcome::Applied);
    }
    Ok(status_of(conn, agent_id)
        .await?
        .map_or(Outcome::NotFound, |_| Outcome::Conflict))
}

/// Kills all tokens of an agent, and changes its status as the kill says.
pub(super) async fn kill_agent(
    conn: &mut PgConnection,
    at: Timestamp,
    agent_id: &AgentId,
    kill: Kill,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let from = status_of(conn, agent_id).await?;
    let suspended_by = match from {
        Some(AgentStatus::Suspended) => Some(suspended_by(conn, agent_id).await?),
        _ => None,
    };
    let outcome = kill.outcome(from, suspended_by);
    if outcome != Outcome::Applied {
        return Ok(outcome);
    }
    sqlx::query(
        "update agent
         set status = coalesce($2, status),
             epoch = greatest(epoch + 1, floor(extract(epoch from now()) * 1000)::bigint),
             version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint),
             killed_at = greatest(killed_at, $3), killed_version = $4, updated_at = $3,
             agent_suspension_epoch = case
                 when $5 or ($2::text is null and agent_suspension_epoch = epoch)
                 then greatest(epoch + 1, floor(extract(epoch from now()) * 1000)::bigint)
             end
         where agent_id = $1",
    )
    .bind(agent_id.as_str())
    .bind(kill.status().map(AgentStatus::as_str))
    .bind(at.0)
    .bind(killed)
    .bind(kill.is_by_agent())
    .execute(conn)
    .await?;
    Ok(outcome)
}

/// With whose authority a suspended agent was suspended.
async fn suspended_by(conn: &mut PgConnection, agent_id: &AgentId) -> sqlx::Result<SuspendedBy> {
    let sql =
        "select coalesce(agent_suspension_epoch = epoch, false) from agent where agent_id = $1";
    let by_agent: bool = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(if by_agent {
        SuspendedBy::Agent
    } else {
        SuspendedBy::Operator
    })
}

async fn reactivate_agent(
    conn: &mut PgConnection,
    at: Timestamp,
    agent_id: &AgentId,
    to: AgentStatus,
) -> sqlx::Result<Outcome> {
    let outcome = transition(status_of(conn, agent_id).await?, to);
    if outcome == Outcome::Applied {
        let sql = "update agent
                   set status = $2, version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint),
                       updated_at = $3
                   where agent_id = $1";
        sqlx::query(sql)
            .bind(agent_id.as_str())
            .bind(to.as_str())
            .bind(at.0)
            .execute(conn)
            .await?;
    }
    Ok(outcome)
}

/// Whether the agent's id is a user's, or one of its users has an agent's id (RFC 9700 §4.15).
async fn clashes(
    conn: &mut PgConnection,
    agent_id: &AgentId,
    profile: &Profile,
) -> sqlx::Result<bool> {
    let users: Vec<&str> = profile.terms.user_ids.iter().map(UserId::as_str).collect();
    if users.contains(&agent_id.as_str()) {
        return Ok(true);
    }
    let sql = "select exists (select from known_user where user_id = $1)
                   or exists (select from agent where agent_id = any($2))";
    sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(users)
        .fetch_one(conn)
        .await
}

async fn remember_users(conn: &mut PgConnection, profile: &Profile) -> sqlx::Result<()> {
    if profile.terms.user_ids.is_empty() {
        return Ok(());
    }
    let users: Vec<&str> = profile.terms.user_ids.iter().map(UserId::as_str).collect();
    let sql = "insert into known_user (user_id) select unnest($1::text[]) on conflict do nothing";
    sqlx::query(sql).bind(users).execute(conn).await.map(drop)
}
