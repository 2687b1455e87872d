//! Reads of events, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::event::row::EventRow;
use crate::domain::id::Jti;
use crate::store::error::StoreError;
use crate::store::journal::{Settlement, Unsettled};
use crate::store::named_terms::{NamedTerms, TermsById};
use crate::store::piece::{
    LeanColumns, NamedTermsColumns, decoded, merged_events, named_terms, number_of_terms,
    token_events, whole_token_events,
};
use crate::store::records::ReadEvents;
use crate::store::revocation::IssuedToken;
use crate::store::row::{EventColumns, TokenColumns, issued, json};

use super::errors::broken;
use super::lane::{Readers, ask_again};
use super::open::SqliteStore;
use super::packed_tokens;

#[async_trait]
impl ReadEvents for SqliteStore {
    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask_again!(self.readers, newest_event).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        issued_token(&self.readers, jti).await
    }

    /// One transaction at a time writes, so ids are committed in the order in which they are drawn.
    async fn settled_event(&self, _earlier: Option<Unsettled>) -> Result<Settlement, StoreError> {
        self.newest_event().await.map(Settlement::Settled)
    }

    async fn events(
        &self,
        after: i64,
        through: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let known = &self.named_terms;
        ask_again!(self.readers, events, known, after, through, limit).await
    }
}

/// How many events one statement reads.
const CHUNK: i64 = 10_000;

/// How far out of order events may be, in seconds: a clock may have been set back a little.
pub(super) const DISORDER: i64 = 3_600;

pub(super) async fn newest_event(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    let sql = "select max(
                   (select coalesce(max(id), 0) from audit_event),
                   (select coalesce(max(id), 0) from token_event))";
    sqlx::query_scalar(sql).fetch_one(conn).await
}

/// Searches back chunk by chunk. Each chunk has the timeout of a call of its own. The token id
/// tells when it was drawn, and so where to stop.
pub(super) async fn issued_token(
    lane: &Readers,
    jti: Jti,
) -> Result<Option<IssuedToken>, StoreError> {
    let Some(drawn) = jti.drawn_at() else {
        return Ok(None);
    };
    let mut until = i64::MAX;
    loop {
        let floor = ask_again!(lane, floor, until).await?;
        let stretch = (floor.map_or(i64::MIN, |(id, _)| id), until);
        let found = ask_again!(lane, issued_between, jti, stretch).await?;
        match floor {
            Some((id, at)) if found.is_none() && at >= drawn.0.saturating_sub(DISORDER) => {
                until = id;
            }
            _ => return Ok(found),
        }
    }
}

/// The oldest of the [`CHUNK`] events before `id`, and its time; `None` if there are fewer.
pub(super) async fn floor(
    conn: &mut SqliteConnection,
    id: i64,
) -> sqlx::Result<Option<(i64, i64)>> {
    let sql = "select id, at from audit_event where id < ?1
               union all
               select id, at from token_event where id < ?1
               order by id desc limit 1 offset ?2";
    sqlx::query_as(sql)
        .bind(id)
        .bind(CHUNK - 1)
        .fetch_optional(conn)
        .await
}

/// The token with this id in one range of events; see [`issued_token`].
async fn issued_between(
    conn: &mut SqliteConnection,
    jti: Jti,
    (from, until): (i64, i64),
) -> sqlx::Result<Option<IssuedToken>> {
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "select jti, agent_id, expires_at
         from audit_event
         where id >= ?1 and id < ?2 and kind = 'token.issued' and jti = ?3
         union all
         select e.jti, coalesce(e.agent_id, t.agent_id), e.at + coalesce(t.ttl, e.inline ->> 'ttl')
         from token_event e
         left join token_terms t on t.id = e.terms
         where e.id >= ?1 and e.id < ?2 and e.jti = ?3
         limit 1",
    )
    .bind(from)
    .bind(until)
    .bind(jti.0)
    .fetch_optional(conn)
    .await?;
    row.map(issued).transpose().map_err(broken)
}

/// The events of both tables. Up to a settled id, both tables are complete, so no common snapshot
/// is needed.
async fn events(
    conn: &mut SqliteConnection,
    known: &NamedTerms,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let tokens = packed_tokens::read(conn, after, through, limit).await?;
    let terms = terms_of(conn, known, &tokens).await?;
    let tokens = match token_events(tokens, &terms) {
        Some(tokens) => tokens,
        None => whole_tokens(conn, after, through, limit).await?,
    };
    let rows: Vec<EventColumns> = sqlx::query_as(
        "select id, at, kind, actor, agent_id, jti, expires_at, epoch, detail, credential_id, org_id, source,
                request, reason, data
         from audit_event
         where id > ?1 and id <= ?2
         order by id
         limit ?3",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(merged_events(rows, tokens, limit))
}

/// The terms that these tokens name.
async fn terms_of(
    conn: &mut SqliteConnection,
    known: &NamedTerms,
    tokens: &[LeanColumns],
) -> sqlx::Result<TermsById> {
    let (number, mut named) = (number_of_terms(tokens), named_terms(tokens));
    let mut terms = known.recall(number, &named);
    named.retain(|id| !terms.contains_key(id));
    if named.is_empty() {
        return Ok(terms);
    }
    let read: Vec<NamedTermsColumns> = sqlx::query_as(
        "select id, agent_id, credential_id, scope, audience, ttl
         from token_terms
         where id in (select value from json_each(?1))",
    )
    .bind(json(&named).map_err(sqlx::Error::Encode)?)
    .fetch_all(conn)
    .await?;
    let read = decoded(read);
    known.learn(number, &read);
    terms.extend(read);
    Ok(terms)
}

/// The events of tokens, read in one snapshot with their terms.
async fn whole_tokens(
    conn: &mut SqliteConnection,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let tokens: Vec<TokenColumns> = sqlx::query_as(
        "select e.id, e.at, e.jti, e.epoch, e.request, e.source, coalesce(e.agent_id, t.agent_id), e.inline,
                t.credential_id, t.scope, t.audience, t.ttl
         from token_event e
         left join token_terms t on t.id = e.terms
         where e.id > ?1 and e.id <= ?2
         order by e.id
         limit ?3",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(whole_token_events(tokens))
}
