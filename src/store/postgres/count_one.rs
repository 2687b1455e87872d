//! The statement that counts a batch of one token on PostgreSQL, and records it.
//!
//! Owns that statement. Must not know what happens when its answer is lost. What it does not count,
//! `count` counts or refuses.

use sqlx::postgres::PgConnection;

use crate::domain::agent::Epoch;
use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::event::token_row::InlineTerms;
use crate::domain::time::Timestamp;
use crate::store::fold::{Counted, Folded};
use crate::store::row::json;
use crate::store::terms_book::BatchTerms;
use crate::store::token::Batch;

/// The same conditions and rows as in `count`, for the usual case: one token of an agent that had
/// one this month, below the limit. At a low rate nearly all batches are such batches, and a
/// statement without lists takes the database half the time.
///
/// The batch is entered only with its token. A second sending waits for the counter that the first
/// one locked, then fails at the batch, and its count is rolled back.
macro_rules! count_one {
    ($unspent:literal, $spent:literal) => {
        concat!(
            "
    with period as (
        select at, least($2::bigint, at) as iat, (date_part('year', t) * 100 + date_part('month', t))::bigint as month
        from (select floor(extract(epoch from now()))::bigint as at) as clock
        cross join lateral (
            select to_timestamp(least(greatest(at, 0), 253402300799)) at time zone 'UTC' as t
        ) as moment
    ),
    counted as (
        update quota q
        set used = q.used + 1
        from period p, agent a
        where q.agent_id = $3 and q.month = p.month and q.used < $4
          and a.agent_id = $3 and a.version = $5 and a.status = 'active'
          and $6 = (select version from revision where name = 'catalogue')
          and $7 = (
              select count(*) from credential c
              where c.agent_id = $3 and c.credential_id = any($8)
                and (c.expires_at is null or c.expires_at > p.at)
          )
          and ($9::bigint is null or $9 = (select version from revision where name = 'terms'))
          and $15 = (select version from revision where name = 'keys')",
            $unspent,
            "
        returning a.epoch, p.at, p.iat, q.used
    ),
    entered as (
        insert into batch (batch_id, at) select $1, at from counted
    ),
    recorded as (
        insert into token_event (request, jti, at, epoch, terms, source, agent_id, inline)
        select $10, $11, iat, epoch, $12, $13, case when $12::integer is null then $3 end, $14
        from counted
    )",
            $spent,
            "
    select epoch, iat, used from counted"
        )
    };
}

/// The statement, for a token that costs nothing else.
const COUNT_ONE: &str = count_one!("", "");

/// The statement, for a token that costs the client assertion with the hash `$16`, which expires at
/// `$17`.
const COUNT_AND_SPEND_ONE: &str = count_one!(
    "
          and not exists (select from spent_assertion x where x.assertion = $16)",
    ",
    spent as (
        insert into spent_assertion (assertion, expires_at) select $16, $17 from counted
    )"
);

/// What was counted of a batch of one token. `None` if nothing was counted or entered, or if the
/// batch has more or fewer tokens.
pub(super) async fn count_one(
    conn: &mut PgConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<Option<Counted>> {
    let ([slot], [grant]) = (folded.slots.as_slice(), batch.grants.as_slice()) else {
        return Ok(None);
    };
    let credentials: Vec<_> = slot.credentials.iter().map(|c| c.0).collect();
    let term_id = terms.id(0);
    let inline = match term_id {
        Some(_) => None,
        None => Some(json(&InlineTerms::from(&**grant)).map_err(sqlx::Error::Encode)?),
    };
    let assertion = grant.assertion();
    let sql = match assertion {
        Some(_) => COUNT_AND_SPEND_ONE,
        None => COUNT_ONE,
    };
    let mut query = sqlx::query_as(sql)
        .bind(batch.id.0)
        .bind(batch.now.second().0)
        .bind(slot.agent_id.as_str())
        .bind(slot.ceiling)
        .bind(slot.agent_version)
        .bind(slot.catalogue_version)
        .bind(slot.proofs())
        .bind(&credentials)
        .bind(terms.number())
        .bind(grant.request().map(RequestRef::to_bytes))
        .bind(grant.jti().0)
        .bind(term_id)
        .bind(grant.source().map(EventSource::to_bytes))
        .bind(inline)
        .bind(batch.keys_version);
    if let Some(assertion) = assertion {
        let hash = assertion.hash.0.to_vec();
        query = query.bind(hash).bind(assertion.expires_at.0);
    }
    let rows: Vec<(i64, i64, i64)> = query.fetch_all(conn).await?;
    Ok(rows.first().map(|(epoch, iat, used)| Counted {
        slot: slot.first,
        granted: 1,
        epoch: Epoch(*epoch),
        iat: Timestamp(*iat),
        used: *used,
    }))
}
