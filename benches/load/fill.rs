//! Fills a store with SQL: many agents that never log in, all with the same hash, and many
//! revocations whose tokens have expired.
//!
//! The server removes expired revocations a thousand at a time. Here a trigger keeps them, so that
//! the table has the same size from the beginning of the row to its end.

use sealwright::testing::clock::{Clock as _, SystemClock};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Fallible;
use crate::postgres::Postgres;

/// A hash in the form of a real one. No secret matches it.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bG9hZC1oYXJuZXNzLW9uZQ$\
                    MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

const AGENT: &str =
    "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids,
                       plan, epoch, version, longest_ttl, created_at, updated_at)";
const CREDENTIAL: &str =
    "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at)";
const QUOTA: &str = "insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)";
const REVOKED: &str = "insert into revoked_token (jti, agent_id, expires_at, version)";

/// The values of the columns after the id. They are the same for all agents.
const SAME: &str =
    "'default', 'filler', 'active', '[\"agents:read\"]', '[]', '[]', '[]', 'unlimited', 0, 1, 0";

/// How many seconds ago the revoked tokens expired: an hour.
const EXPIRED: i64 = 3_600;

pub fn postgres(
    postgres: &Postgres,
    database: &str,
    agents: i64,
    revocations: i64,
) -> Fallible<()> {
    let now = SystemClock::default().now();
    let (at, month) = (now.0, now.month().key());
    let (past, first) = (at - EXPIRED, (at - 86_400) * 1_000);
    let id = "'filler-' || lpad(i::text, 8, '0')";
    // The same form as the server's ids: UUID version 7, in the order of time.
    let jti = format!(
        "(lpad(to_hex({first} + i), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
          || substr(md5(i::text), 4, 15))::uuid"
    );
    postgres.execute(
        database,
        &format!(
            "{AGENT} select {id}, {SAME}, {at}, {at} from generate_series(1, {agents}) as i;
             {CREDENTIAL} select gen_random_uuid(), {id}, '{HASH}', 'z' || lpad(i::text, 11, '0'), 'sw_z', {at}
             from generate_series(1, {agents}) as i;
             {QUOTA} select {id}, {month}, i % 1000, 1, 9223372036854775807, 0, 0
             from generate_series(1, {agents}) as i;
             {REVOKED} select {jti}, 'filler-' || lpad((i % {agents} + 1)::text, 8, '0'), {past}, i
             from generate_series(1, {revocations}::bigint) as i;
             update revision set version = {revocations} where name = 'revocation';
             create function keep() returns trigger language plpgsql as 'begin return null; end';
             create trigger keep before delete on revoked_token for each row execute function keep();"
        ),
    )?;
    postgres.execute(database, "vacuum analyze")?;
    postgres.execute(database, "checkpoint")
}

/// Rows in one transaction. More rows would only make the write-ahead log longer.
const PIECE: i64 = 500_000;

pub fn sqlite(url: &str, agents: i64, revocations: i64) -> Fallible<()> {
    let path = url.strip_prefix("sqlite://").ok_or("no SQLite URL")?;
    crate::block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(path).connect().await?;
        let now = SystemClock::default().now();
        let (at, month) = (now.0, now.month().key());
        let (past, first) = (at - EXPIRED, (at - 86_400) * 1_000);
        let id = "'filler-' || printf('%08d', i)";
        let jti = format!(
            "unhex(printf('%012x', {first} + i) || '7' || printf('%03x', i % 4096) || '8'
                   || substr(hex(randomblob(8)), 1, 15))"
        );
        sqlx::raw_sql("pragma synchronous = off; pragma cache_size = -500000")
            .execute(&mut conn)
            .await?;
        for (from, to) in pieces(agents) {
            let series = series(from, to);
            run(
                &mut conn,
                format!(
                    "begin immediate;
                     {AGENT} {series} select {id}, {SAME}, {at}, {at} from n;
                     {CREDENTIAL} {series}
                     select randomblob(16), {id}, '{HASH}', 'z' || printf('%011d', i), 'sw_z', {at} from n;
                     {QUOTA} {series} select {id}, {month}, i % 1000, 1, 9223372036854775807, 0, 0 from n;
                     commit"
                ),
            )
            .await?;
        }
        for (from, to) in pieces(revocations) {
            let series = series(from, to);
            let agent = format!("'filler-' || printf('%08d', i % {agents} + 1)");
            run(
                &mut conn,
                format!("{REVOKED} {series} select {jti}, {agent}, {past}, i from n"),
            )
            .await?;
        }
        run(
            &mut conn,
            format!(
                "update revision set version = {revocations} where name = 'revocation';
                 create trigger keep before delete on revoked_token begin select raise(ignore); end;
                 analyze;
                 pragma wal_checkpoint(truncate)"
            ),
        )
        .await?;
        Ok(conn.close().await?)
    })
}

async fn run(conn: &mut sqlx::SqliteConnection, sql: String) -> Fallible<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

fn series(from: i64, to: i64) -> String {
    format!("with recursive n (i) as (select {from} union all select i + 1 from n where i < {to})")
}

fn pieces(count: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..count)
        .step_by(PIECE as usize)
        .map(move |done| (done + 1, (done + PIECE).min(count)))
}
