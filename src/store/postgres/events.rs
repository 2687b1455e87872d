//! Reads of events, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
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
use crate::store::row::{EventColumns, TokenColumns, issued};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadEvents for PostgresStore {
    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask_again!(self.general, newest_event).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        ask_again!(self.general, issued_token, jti).await
    }

    async fn settled_event(&self, earlier: Option<Unsettled>) -> Result<Settlement, StoreError> {
        let earlier = earlier.as_ref();
        ask_again!(self.general, settled_event, earlier).await
    }

    async fn events(
        &self,
        after: i64,
        through: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let known = &self.named_terms;
        ask_again!(self.general, events, known, after, through, limit).await
    }
}

/// How many seconds before its id was drawn a token may have been issued, because the database's
/// clock is behind. [`DRAWN_AFTER`] is how many seconds after.
const DRAWN_BEFORE: i64 = 900;
/// See [`DRAWN_BEFORE`].
const DRAWN_AFTER: i64 = 300;

pub(super) async fn newest_event(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "select greatest(
                   (select coalesce(max(id), 0) from audit_event),
                   (select coalesce(max(id), 0) from token_event))";
    sqlx::query_scalar(sql).fetch_one(conn).await
}

pub(super) async fn issued_token(
    conn: &mut PgConnection,
    jti: Jti,
) -> sqlx::Result<Option<IssuedToken>> {
    let Some(drawn) = jti.drawn_at() else {
        return Ok(None);
    };
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "select jti, agent_id, expires_at
         from audit_event
         where at between $1 and $2 and kind = 'token.issued' and jti = $3
         union all
         select e.jti, coalesce(e.agent_id, t.agent_id), e.at + coalesce(t.ttl, (e.inline::json ->> 'ttl')::bigint)
         from token_event e
         left join token_terms t on t.id = e.terms
         where e.at between $1 and $2 and e.jti = $3
         limit 1",
    )
    .bind(drawn.0.saturating_sub(DRAWN_BEFORE))
    .bind(drawn.0.saturating_add(DRAWN_AFTER))
    .bind(jti.0)
    .fetch_optional(conn)
    .await?;
    row.map(issued).transpose().map_err(broken)
}

/// The newest event, and in a later statement the transactions that may still commit an older one.
///
/// A transaction that inserts an event takes `RowExclusiveLock` on its table before it draws the
/// id, and drops the lock after its commit is visible. So a transaction that holds a smaller id
/// than a visible event, and is not visible itself, has the lock when the second statement runs.
/// The sequence has no cache, so ids are drawn in the order of the ids.
///
/// `pg_snapshot_xmin` and its kind cannot replace the locks: a transaction has no transaction id
/// until it stores its first row, and the id of an event is drawn before that. For a moment such a
/// transaction is in no snapshot (`store::settled` in the tests stops one there).
async fn settled_event(
    conn: &mut PgConnection,
    earlier: Option<&Unsettled>,
) -> sqlx::Result<Settlement> {
    let newest = match earlier {
        Some(earlier) => earlier.newest,
        None => newest_event(conn).await?,
    };
    let (run, writers) = writers(conn, earlier).await?;
    if let Some(earlier) = earlier
        && earlier.run != run
    {
        // Another server answers, for example after a failover. It may lack the newest event.
        let newest = newest_event(conn).await?;
        let (run, writers) = self::writers(conn, None).await?;
        return Ok(settlement(newest, writers, run));
    }
    Ok(settlement(newest, writers, run))
}

fn settlement(newest: i64, writers: Vec<String>, run: i64) -> Settlement {
    if writers.is_empty() {
        Settlement::Settled(newest)
    } else {
        Settlement::Unsettled(Unsettled {
            newest,
            writers,
            run,
        })
    }
}

/// The transactions that write events now: with `earlier`, only those of its transactions that
/// still do. Also names the run of the server.
///
/// The locks of subtransactions are listed under their transaction. A prepared transaction is
/// always counted, since its name changes when the server is started again. Other tables, other
/// databases and locks of mere readers are not counted.
async fn writers(
    conn: &mut PgConnection,
    earlier: Option<&Unsettled>,
) -> sqlx::Result<(i64, Vec<String>)> {
    let sql = "select floor(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
                   array(select distinct virtualtransaction from pg_locks
                         where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
                           and database = (select oid from pg_database where datname = current_database())
                           and relation in (to_regclass('audit_event'), to_regclass('token_event'))
                           and ($1::text[] is null or virtualtransaction = any($1) or pid is null))";
    sqlx::query_as(sql)
        .bind(earlier.map(|earlier| &earlier.writers[..]))
        .fetch_one(conn)
        .await
}

/// The events of both tables. Up to a settled id, both tables are complete, so no common snapshot
/// is needed.
async fn events(
    conn: &mut PgConnection,
    known: &NamedTerms,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let tokens: Vec<LeanColumns> = sqlx::query_as(
        "select id, at, jti, epoch, request, source, agent_id, inline, terms,
                (select version from revision where name = 'terms')
         from token_event
         where id > $1 and id <= $2
         order by id
         limit $3",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let terms = terms_of(conn, known, &tokens).await?;
    let tokens = match token_events(tokens, &terms) {
        Some(tokens) => tokens,
        None => whole_tokens(conn, after, through, limit).await?,
    };
    let rows: Vec<EventColumns> = sqlx::query_as(
        "select id, at, kind, actor, agent_id, jti, expires_at, epoch, detail, credential_id, org_id, source,
                request, reason, data
         from audit_event
         where id > $1 and id <= $2
         order by id
         limit $3",
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
    conn: &mut PgConnection,
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
         where id = any($1)",
    )
    .bind(&named)
    .fetch_all(conn)
    .await?;
    let read = decoded(read);
    known.learn(number, &read);
    terms.extend(read);
    Ok(terms)
}

/// The events of tokens, read in one snapshot with their terms.
async fn whole_tokens(
    conn: &mut PgConnection,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let tokens: Vec<TokenColumns> = sqlx::query_as(
        "select e.id, e.at, e.jti, e.epoch, e.request, e.source, coalesce(e.agent_id, t.agent_id), e.inline,
                t.credential_id, t.scope, t.audience, t.ttl
         from token_event e
         left join token_terms t on t.id = e.terms
         where e.id > $1 and e.id <= $2
         order by e.id
         limit $3",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(whole_token_events(tokens))
}
