//! Fills a store with events of issued tokens, in bulk and past the server, as if the agents of the
//! load had been served.

use sealwright::testing::clock::{Clock as _, SystemClock};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Fallible;
use crate::rows::Kind;

/// What the tokens of each agent were issued for: a row of terms for each of the first agents.
const TERMS: &str =
    "insert into token_terms (agent_id, credential_id, scope, audience, ttl, used_on)
     select agent_id, credential_id, 'agents:read', '[\"http://localhost:8080\"]', 3600, 20000
     from credential
     where agent_id like 'load-%' and not exists (select 1 from token_terms)
     order by agent_id limit 256";

/// An event that is no token. The ledger logs what is waiting with it, instead of ten seconds later.
const CHANGE: &str = "insert into audit_event (at, kind, actor, detail) values (1800000000, 'key.removed', 'system', 'k')";

/// What fills a PostgreSQL store.
fn postgres(count: u32, at: i64) -> String {
    let millis = at.saturating_mul(1_000);
    let jti = format!(
        "(lpad(to_hex({millis}), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
          || substr(md5(i::text), 4, 15))::uuid"
    );
    format!(
        "begin;
         insert into token_event (jti, at, request, source, epoch, terms)
         select {jti}, {at}, decode(md5(i::text), 'hex'), '\\xc00002', 0, ids[1 + i % array_length(ids, 1)]
         from generate_series(1, {count}) as i, (select array_agg(id) as ids from token_terms) as t;
         {CHANGE};
         commit"
    )
}

/// What fills a SQLite store.
fn sqlite(count: u32, at: i64) -> String {
    let millis = at.saturating_mul(1_000);
    let jti = format!(
        "unhex(printf('%012x', {millis}) || '7' || printf('%03x', i % 4096) || '8'
               || substr(hex(randomblob(8)), 1, 15))"
    );
    format!(
        "begin immediate;
         with recursive n (i) as (select 1 union all select i + 1 from n where i < {count})
         insert into token_event (id, jti, at, request, source, epoch, terms)
         select i + (select seq from sqlite_sequence where name = 'audit_event'), {jti}, {at}, randomblob(16),
                x'c00002', 0,
                (select min(id) from token_terms) + i % (select count(*) from token_terms)
         from n;
         update sqlite_sequence set seq = seq + {count} where name = 'audit_event';
         {CHANGE};
         commit"
    )
}

/// Adds this number of events of tokens that were issued at this time, and one other event.
pub fn add(kind: Kind, url: &str, count: u32, at: i64) -> Fallible<()> {
    let sql = match kind {
        Kind::Postgres => postgres(count, at),
        Kind::Sqlite => sqlite(count, at),
    };
    execute(kind, url, &sql)
}

/// Gives rows to the terms of the first agents, unless there are rows of terms.
pub fn add_terms(kind: Kind, url: &str) -> Fallible<()> {
    // On SQLite, the first change draws the first id, which the tokens count from.
    execute(kind, url, &format!("{TERMS}; {CHANGE}"))
}

/// Takes the lease of the ledger, so that it stays away for 15 seconds, or lets it go.
pub fn hold_ledger(kind: Kind, url: &str, is_held: bool) -> Fallible<()> {
    let holder = match kind {
        Kind::Postgres => "'00000000-0000-0000-0000-000000000001'",
        Kind::Sqlite => "x'00000000000000000000000000000001'",
    };
    let until = if is_held {
        now().saturating_add(15).saturating_mul(1_000)
    } else {
        0
    };
    let sql = format!("update reader set holder = {holder}, until = {until} where name = 'ledger'");
    execute(kind, url, &sql)
}

/// The time in unix seconds.
pub fn now() -> i64 {
    SystemClock::default().now().0
}

/// Runs statements on a new connection.
pub fn execute(kind: Kind, url: &str, sql: &str) -> Fallible<()> {
    let sql = AssertSqlSafe(sql.to_owned());
    crate::block_on(async {
        match kind {
            Kind::Postgres => {
                let mut conn = PgConnection::connect(url).await?;
                sqlx::raw_sql(sql).execute(&mut conn).await?;
                Ok(conn.close().await?)
            }
            Kind::Sqlite => {
                let path = url.strip_prefix("sqlite://").ok_or("no SQLite URL")?;
                let options = SqliteConnectOptions::new().filename(path);
                let mut conn = options.pragma("synchronous", "off").connect().await?;
                sqlx::raw_sql(sql).execute(&mut conn).await?;
                Ok(conn.close().await?)
            }
        }
    })
}
