//! What can be changed about an agent's secrets, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::act::Actor;
use crate::domain::agent::LiveTokens;
use crate::domain::credential::{Credential, CredentialKind, CredentialLabel, SecretHash};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::time::Timestamp;
use crate::store::credential::kind_column;
use crate::store::write::{
    CredentialChange, Effect, EndedColumns, Kill, Outcome, Previous, effect,
};

use super::super::errors::broken;
use super::agent::kill_agent;
use super::new_credential::insert_credential;
use super::partner::has_partner;
use super::status::status_of;

/// Applies one change of `by`. `killed` is the version of the revocation list if this change raises
/// it.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    by: &Actor,
    change: &CredentialChange,
    killed: i64,
) -> sqlx::Result<Effect> {
    match change {
        CredentialChange::Create {
            credential,
            label,
            max_live,
        } => create_credential(conn, at, by, (credential, label.as_ref()), *max_live).await,
        CredentialChange::Rotate {
            credential,
            label,
            overlap,
            max_live,
        } => {
            let new = (&**credential, label.as_ref());
            rotate_credentials(conn, at, by, new, *overlap, *max_live).await
        }
        CredentialChange::End {
            agent_id,
            credential_id,
            tokens,
        } => {
            let end = end_credential(conn, at, by, agent_id, *credential_id).await?;
            match (end, tokens) {
                (End::Missing, _) => Ok(effect(Outcome::NotFound)),
                (End::Before, LiveTokens::Keep) => Ok(effect(Outcome::Unchanged)),
                (end @ End::Now(..), LiveTokens::Keep) => {
                    raise_version(conn, at, agent_id).await?;
                    Ok((Outcome::Applied, end.previous()))
                }
                (end, LiveTokens::Kill) => {
                    let outcome = kill_agent(conn, at, agent_id, Kill::Tokens, killed).await?;
                    Ok((outcome, end.previous()))
                }
            }
        }
        CredentialChange::Rehash {
            agent_id,
            credential_id,
            from,
            to,
        } => rehash_credential(conn, agent_id, *credential_id, from, to).await,
    }
}

/// A new credential, and what the operator calls it.
type New<'a> = (&'a Credential, Option<&'a CredentialLabel>);

/// What happened to a credential that was to be ended.
enum End {
    /// The agent has no such credential.
    Missing,
    /// It had ended before.
    Before,
    /// It was ended now, and was this before.
    Now(Previous),
}

impl End {
    fn previous(self) -> Previous {
        match self {
            Self::Now(previous) => previous,
            Self::Missing | Self::Before => Previous::Nothing,
        }
    }
}

async fn create_credential(
    conn: &mut PgConnection,
    at: Timestamp,
    by: &Actor,
    (credential, label): New<'_>,
    max_live: i64,
) -> sqlx::Result<Effect> {
    let agent_id = &credential.agent_id;
    if let Some(refused) = refuse_new(conn, credential).await? {
        return Ok(effect(refused));
    }
    if live_credentials(conn, at, agent_id, credential.kind()).await? >= max_live {
        return Ok(effect(Outcome::TooMany));
    }
    move_ended(conn, at, agent_id).await?;
    insert_credential(conn, credential, label, by).await?;
    raise_version(conn, at, agent_id).await?;
    Ok(effect(Outcome::Applied))
}

async fn rotate_credentials(
    conn: &mut PgConnection,
    at: Timestamp,
    by: &Actor,
    (credential, label): New<'_>,
    overlap: i64,
    max_live: i64,
) -> sqlx::Result<Effect> {
    let agent_id = &credential.agent_id;
    if let Some(refused) = refuse_new(conn, credential).await? {
        return Ok(effect(refused));
    }
    if overlap > 0 && live_credentials(conn, at, agent_id, credential.kind()).await? >= max_live {
        return Ok(effect(Outcome::TooMany));
    }
    let sql = "update credential
               set ends_by = case when expires_at <= $2 then ends_by else $4 end, expires_at = least(expires_at, $2)
               where agent_id = $1 and (expires_at is null or expires_at > $3) and kind is not distinct from $5
               returning position, credential_id, expires_at";
    let mut ended: Vec<(i64, Uuid, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(at.saturating_add(overlap).0)
        .bind(at.0)
        .bind(by.to_string())
        .bind(kind_column(credential.kind()))
        .fetch_all(&mut *conn)
        .await?;
    ended.sort_unstable();
    let ends = ended
        .into_iter()
        .map(|(_, id, ends_at)| (CredentialId(id), Timestamp(ends_at)))
        .collect();
    move_ended(conn, at, agent_id).await?;
    insert_credential(conn, credential, label, by).await?;
    raise_version(conn, at, agent_id).await?;
    Ok((Outcome::Applied, Previous::Ends(ends)))
}

async fn end_credential(
    conn: &mut PgConnection,
    at: Timestamp,
    by: &Actor,
    agent_id: &AgentId,
    credential_id: CredentialId,
) -> sqlx::Result<End> {
    if status_of(conn, agent_id).await?.is_none() {
        return Ok(End::Missing);
    }
    let sql = "select expires_at, kind, partner_id, federation from credential
               where agent_id = $1 and credential_id = $2";
    let held: Option<EndedColumns> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(credential_id.0)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(held) = held else {
        let sql = "select exists (select from ended_credential where agent_id = $1 and credential_id = $2)";
        let has_ended: bool = sqlx::query_scalar(sql)
            .bind(agent_id.as_str())
            .bind(credential_id.0)
            .fetch_one(conn)
            .await?;
        return Ok(if has_ended { End::Before } else { End::Missing });
    };
    if held.0.is_some_and(|end| end <= at.0) {
        return Ok(End::Before);
    }
    let sql = "update credential set expires_at = $3, ends_by = $4 where agent_id = $1 and credential_id = $2";
    sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(credential_id.0)
        .bind(at.0)
        .bind(by.to_string())
        .execute(&mut *conn)
        .await?;
    move_ended(conn, at, agent_id).await?;
    Previous::of_ended(held).map(End::Now).map_err(broken)
}

/// Why this credential is not given: its agent gets none any more, or its partner is gone. The rows of
/// both are locked until the commit, so that no two transactions count an agent's credentials at once,
/// and no partner is deleted beside a new credential of it.
async fn refuse_new(
    conn: &mut PgConnection,
    credential: &Credential,
) -> sqlx::Result<Option<Outcome>> {
    match status_of(conn, &credential.agent_id).await? {
        None => return Ok(Some(Outcome::NotFound)),
        Some(status) if status.is_final() => return Ok(Some(Outcome::Conflict)),
        Some(_) => {}
    }
    let Some(federation) = &credential.federation else {
        return Ok(None);
    };
    let is_there = has_partner(conn, federation.partner_id).await?;
    Ok((!is_there).then_some(Outcome::PartnerGone))
}

async fn live_credentials(
    conn: &mut PgConnection,
    now: Timestamp,
    agent_id: &AgentId,
    kind: CredentialKind,
) -> sqlx::Result<i64> {
    let sql = "select count(*) from credential
               where agent_id = $1 and (expires_at is null or expires_at > $2) and kind is not distinct from $3";
    sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(now.0)
        .bind(kind_column(kind))
        .fetch_one(conn)
        .await
}

/// Moves the credentials that have ended to their own table, which has nothing that could verify a
/// secret or an assertion. A credential may be there already if its row came back from a backup.
async fn move_ended(
    conn: &mut PgConnection,
    now: Timestamp,
    agent_id: &AgentId,
) -> sqlx::Result<()> {
    let sql = "with ended as (
                   delete from credential where agent_id = $1 and expires_at <= $2
                   returning credential_id, position, agent_id, label, prefix, created_at, created_by, expires_at,
                             ends_by, kind, partner_id, federation
               )
               insert into ended_credential (credential_id, position, agent_id, label, prefix, created_at,
                                             created_by, ended_at, ended_by, kind, partner_id, federation)
               select * from ended
               on conflict (credential_id) do update set ended_at = excluded.ended_at, ended_by = excluded.ended_by";
    sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(now.0)
        .execute(conn)
        .await
        .map(drop)
}

async fn raise_version(
    conn: &mut PgConnection,
    at: Timestamp,
    agent_id: &AgentId,
) -> sqlx::Result<()> {
    let sql = "update agent
               set version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint), updated_at = $2
               where agent_id = $1";
    sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(at.0)
        .execute(conn)
        .await
        .map(drop)
}

async fn rehash_credential(
    conn: &mut PgConnection,
    agent_id: &AgentId,
    credential_id: CredentialId,
    from: &SecretHash,
    to: &SecretHash,
) -> sqlx::Result<Effect> {
    let sql =
        "update credential set hash = $4 where agent_id = $1 and credential_id = $2 and hash = $3
               returning expires_at";
    let changed: Option<Option<i64>> = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(credential_id.0)
        .bind(&from.0)
        .bind(&to.0)
        .fetch_optional(conn)
        .await?;
    Ok(match changed {
        Some(expires_at) => {
            let expires_at = expires_at.map(Timestamp);
            let expiry = Previous::Credential(CredentialKind::Secret, expires_at, None);
            (Outcome::Applied, expiry)
        }
        None => effect(Outcome::NotFound),
    })
}
