//! The statement that counts a batch of tokens on PostgreSQL, and records them.
//!
//! Owns that statement. Must not know what happens when its answer is lost.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::agent::Epoch;
use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::event::token_row::InlineTerms;
use crate::domain::time::Timestamp;
use crate::store::fold::{Counted, Folded, Slot};
use crate::store::row::json;
use crate::store::spend::spends;
use crate::store::terms_book::BatchTerms;
use crate::store::token::Batch;

/// The parts, in the order in which they run:
///
/// - `entered` makes the batch count once: a second sending fails here, or waits here for the
///   first. It records the database's time, which decides when this row is removed.
/// - `period` finds the month by the same clock. `iat` is never in the future of either clock.
/// - `asked` joins each slot with its agent and the catalogue as the decision saw them, in the
///   order of the slots. It locks no agent's row: if a batch waits for a counter while a suspension
///   commits, the batch continues with the epoch of its snapshot, and its tokens are dead. A slot is
///   counted only if the database holds the credentials with which the agent authenticated: a
///   cached secret that the database does not hold opens nothing, whatever version its row has. If
///   tokens are recorded by rows of terms, and these rows changed since this process read them,
///   nothing is counted. The same holds for the signing keys.
/// - `updated` counts the slots whose counters exist. `greatest` prevents a lowered limit from
///   reducing the counter. Neither side can overflow, because 0 <= used and 0 <= ceiling. An update
///   costs less of the database's log than `on conflict`, which logs the lock of each row as well,
///   and it need not store what it can return. The log holds what lies between the first and the
///   last changed byte of a row, so `granted` changes only at the limit: a counter that stays below
///   the limit has counted all tokens of the slot. An update locks the rows in the order in which
///   its plan finds them. This is the order of the slots if the plan may neither use a hash nor begin
///   at the counters, as with [`QueryPlanning::ByIndex`]. Otherwise this part counts nothing.
/// - `inserted` counts the other slots, usually the first tokens of an agent in a month. A counter
///   that appeared after this statement began is locked out of order. If two statements then wait
///   for each other, the lock timeout ends it.
/// - `recorded` writes one event for each token: the first tokens of each slot, as many as were
///   granted. Most slots have one token, and a list function for each would cost more than its row.
///
/// [`QueryPlanning::ByIndex`]: super::query_planning::QueryPlanning::ByIndex
macro_rules! count {
    ($unspent:literal, $spent:literal) => {
        concat!(
            "
    with entered as (
        insert into batch (batch_id, at)
        values ($1, floor(extract(epoch from now()))::bigint)
        returning at
    ),
    period as (
        select at, least($2::bigint, at) as iat, (date_part('year', t) * 100 + date_part('month', t))::bigint as month
        from entered
        cross join lateral (
            select to_timestamp(least(greatest(at, 0), 253402300799)) at time zone 'UTC' as t
        ) as moment
    ),
    asked as (
        select a.agent_id, p.month, s.asked, s.ceiling, s.slot, a.epoch
        from period p
        cross join unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                          $12::text[], $13::bigint[])
            as s (agent_id, version, catalogue_version, asked, ceiling, slot, credentials, proofs)
        join agent a on a.agent_id = any (array[s.agent_id]) and a.version = s.version and a.status = 'active'
        where s.catalogue_version = (select version from revision where name = 'catalogue')
          and s.proofs = (
              select count(*) from credential c
              where c.agent_id = s.agent_id and position(c.credential_id::text in s.credentials) > 0
                and (c.expires_at is null or c.expires_at > p.at)
          )
          and ($14::bigint is null or $14 = (select version from revision where name = 'terms'))
          and $17 = (select version from revision where name = 'keys')",
            $unspent,
            "
        order by s.slot
    ),
    updated as (
        update quota q
        set used = q.used + greatest(0, least(s.asked, s.ceiling - q.used)),
            granted = case when s.asked < s.ceiling - q.used then q.granted else greatest(0, s.ceiling - q.used) end
        from asked s
        where q.agent_id = any (array[s.agent_id]) and q.month = s.month and current_setting('enable_hashjoin') = 'off'
        returning q.agent_id, case when q.used < s.ceiling then s.asked else q.granted end, s.slot, s.epoch, q.used
    ),
    inserted as (
        insert into quota as q (agent_id, month, used, granted, ceiling, slot, epoch)
        select s.agent_id, s.month, least(s.asked, s.ceiling), least(s.asked, s.ceiling), s.ceiling, s.slot, s.epoch
        from asked s
        where s.slot <> all (array(select slot from updated))
        on conflict (agent_id, month) do update
        set used = q.used + greatest(0, least(excluded.granted, excluded.ceiling - q.used)),
            granted = greatest(0, least(excluded.granted, excluded.ceiling - q.used)),
            ceiling = excluded.ceiling,
            slot = excluded.slot,
            epoch = excluded.epoch
        returning q.agent_id, q.granted, q.slot, q.epoch, q.used
    ),
    counted (agent_id, granted, slot, epoch, used) as (
        select * from updated union all select * from inserted
    ),
    recorded as (
        insert into token_event (request, jti, at, epoch, terms, source, agent_id, inline)
        select ($15::bytea[])[i], ($9::uuid[])[i], p.iat, c.epoch, ($10::integer[])[i], ($16::bytea[])[i],
               case when ($10::integer[])[i] is null then c.agent_id end, ($11::text[])[i]
        from period p
        cross join counted c
        cross join lateral generate_series(c.slot + 1, c.slot + c.granted) as i
    )",
            $spent,
            "
    select slot, granted, epoch, (select iat from period), used
    from counted"
        )
    };
}

/// The statement, for tokens that cost nothing else.
const COUNT: &str = count!("", "");

/// The statement, for tokens that cost client assertions: for each token in folded order, `$18` is
/// the hash of its assertion and `$19` when that one expires. A slot is counted only if none of its
/// assertions is spent, and `spent` spends those of the tokens that are counted. If another
/// statement spends one of them meanwhile, `spent` fails, and nothing is counted.
const COUNT_AND_SPEND: &str = count!(
    "
          and not exists (
              select from spent_assertion x
              where x.assertion = any (($18::bytea[])[s.slot + 1 : s.slot + s.asked])
          )",
    ",
    spent as (
        insert into spent_assertion (assertion, expires_at)
        select ($18::bytea[])[i], ($19::bigint[])[i]
        from counted c
        cross join lateral generate_series(c.slot + 1, c.slot + c.granted) as i
        where ($18::bytea[])[i] is not null
    )"
);

/// What was counted. `terms` are those of the grants of the batch.
pub(super) async fn count(
    conn: &mut PgConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<Vec<Counted>> {
    let ids: Vec<&str> = folded.slots.iter().map(|s| s.agent_id.as_str()).collect();
    let versions: Vec<i64> = folded.slots.iter().map(|s| s.agent_version).collect();
    let catalogues: Vec<i64> = folded.slots.iter().map(|s| s.catalogue_version).collect();
    let asked: Vec<i64> = folded.slots.iter().map(|s| s.asked).collect();
    let ceilings: Vec<i64> = folded.slots.iter().map(|s| s.ceiling).collect();
    let slots: Vec<i64> = folded.slots.iter().map(|s| s.first).collect();
    let join = |s: &Slot<'_>| {
        s.credentials
            .iter()
            .map(|c| c.0.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let credentials: Vec<String> = folded.slots.iter().map(join).collect();
    let proofs: Vec<i64> = folded.slots.iter().map(Slot::proofs).collect();
    let jtis: Vec<Uuid> = folded.tokens().map(|(_, g)| g.jti().0).collect();
    let term_ids: Vec<Option<i32>> = folded.tokens().map(|(place, _)| terms.id(place)).collect();
    let inlines = inlines(folded, terms)?;
    let requests: Vec<Option<Vec<u8>>> = folded
        .tokens()
        .map(|(_, grant)| grant.request().map(RequestRef::to_bytes))
        .collect();
    let sources: Vec<Option<Vec<u8>>> = folded
        .tokens()
        .map(|(_, grant)| grant.source().map(EventSource::to_bytes))
        .collect();
    let is_spending = spends(batch);
    let sql = if is_spending { COUNT_AND_SPEND } else { COUNT };
    let mut query = sqlx::query_as(sql)
        .bind(batch.id.0)
        .bind(batch.now.second().0)
        .bind(&ids)
        .bind(&versions)
        .bind(&catalogues)
        .bind(&asked)
        .bind(&ceilings)
        .bind(&slots)
        .bind(&jtis)
        .bind(&term_ids)
        .bind(&inlines)
        .bind(&credentials)
        .bind(&proofs)
        .bind(terms.number())
        .bind(&requests)
        .bind(&sources)
        .bind(batch.keys_version);
    if is_spending {
        let assertions = || folded.tokens().map(|(_, grant)| grant.assertion());
        let hashes: Vec<Option<Vec<u8>>> = assertions()
            .map(|one| one.map(|one| one.hash.0.to_vec()))
            .collect();
        let ends: Vec<Option<i64>> = assertions()
            .map(|one| one.map(|one| one.expires_at.0))
            .collect();
        query = query.bind(hashes).bind(ends);
    }
    let rows: Vec<(i64, i64, i64, i64, i64)> = query.fetch_all(conn).await?;
    let counted = |(slot, granted, epoch, iat, used)| Counted {
        slot,
        granted,
        epoch: Epoch(epoch),
        iat: Timestamp(iat),
        used,
    };
    if rows.is_empty() {
        terms.doubt();
    }
    Ok(rows.into_iter().map(counted).collect())
}

/// For each token in folded order, its terms as text, unless they have a row.
fn inlines(folded: &Folded<'_>, terms: &BatchTerms) -> sqlx::Result<Vec<Option<String>>> {
    let inline = |(place, grant)| match terms.id(place) {
        Some(_) => Ok(None),
        None => json(&InlineTerms::from(grant)).map(Some),
    };
    let inlines: Result<_, _> = folded.tokens().map(inline).collect();
    inlines.map_err(sqlx::Error::Encode)
}
