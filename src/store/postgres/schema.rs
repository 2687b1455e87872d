//! The schema on PostgreSQL: all its changes, in order, and what the database reports about itself.
//!
//! Must not know when the schema is changed, or who waits for that.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;

use crate::store::error::OpenError;

/// Every schema change, in order. Each entry needs a file with the same number for SQLite.
pub(super) const MIGRATIONS: [(i64, &str, &str); 24] = [
    (
        1,
        "initial",
        include_str!("../../../migrations/postgres/0001_initial.sql"),
    ),
    (
        2,
        "authorization_code",
        include_str!("../../../migrations/postgres/0002_authorization_code.sql"),
    ),
    (
        3,
        "raw_basic",
        include_str!("../../../migrations/postgres/0003_raw_basic.sql"),
    ),
    (
        4,
        "known_user",
        include_str!("../../../migrations/postgres/0004_known_user.sql"),
    ),
    (
        5,
        "imported_cost",
        include_str!("../../../migrations/postgres/0005_imported_cost.sql"),
    ),
    (
        6,
        "spent_token",
        include_str!("../../../migrations/postgres/0006_spent_token.sql"),
    ),
    (
        7,
        "signing_key_seal",
        include_str!("../../../migrations/postgres/0007_signing_key_seal.sql"),
    ),
    (
        8,
        "reader",
        include_str!("../../../migrations/postgres/0008_reader.sql"),
    ),
    (
        9,
        "log",
        include_str!("../../../migrations/postgres/0009_log.sql"),
    ),
    (
        10,
        "event_facts",
        include_str!("../../../migrations/postgres/0010_event_facts.sql"),
    ),
    (
        11,
        "token_event",
        include_str!("../../../migrations/postgres/0011_token_event.sql"),
    ),
    (
        12,
        "usage",
        include_str!("../../../migrations/postgres/0012_usage.sql"),
    ),
    (
        13,
        "agent_fields",
        include_str!("../../../migrations/postgres/0013_agent_fields.sql"),
    ),
    (
        14,
        "agent_expiry",
        include_str!("../../../migrations/postgres/0014_agent_expiry.sql"),
    ),
    (
        15,
        "kept_reply",
        include_str!("../../../migrations/postgres/0015_kept_reply.sql"),
    ),
    (
        16,
        "credential",
        include_str!("../../../migrations/postgres/0016_credential.sql"),
    ),
    (
        17,
        "keys_revision",
        include_str!("../../../migrations/postgres/0017_keys_revision.sql"),
    ),
    (
        19,
        "store_default",
        include_str!("../../../migrations/postgres/0019_store_default.sql"),
    ),
    (
        20,
        "store_generation",
        include_str!("../../../migrations/postgres/0020_store_generation.sql"),
    ),
    (
        21,
        "process",
        include_str!("../../../migrations/postgres/0021_process.sql"),
    ),
    (
        22,
        "revocation_feed",
        include_str!("../../../migrations/postgres/0022_revocation_feed.sql"),
    ),
    (
        23,
        "org",
        include_str!("../../../migrations/postgres/0023_org.sql"),
    ),
    (
        24,
        "client_key",
        include_str!("../../../migrations/postgres/0024_client_key.sql"),
    ),
    (
        25,
        "partner",
        include_str!("../../../migrations/postgres/0025_partner.sql"),
    ),
];

/// The number of the newest change.
pub(super) fn newest_known() -> i64 {
    let numbers = MIGRATIONS.iter().map(|(version, _, _)| *version);
    numbers.max().unwrap_or_default()
}

/// Applies the missing changes of the schema.
pub(super) fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect());
    // A newer program may have migrated this database. Migrations only expand, so this program
    // works too.
    migrator.set_ignore_missing(true);
    migrator
}

/// What the first query asks about the database and the role; see [`terms`].
pub(super) type ServerTerms = (String, Option<i32>);

/// The encoding, and how many connections the database and this role may have; `None` if there is
/// no limit.
pub(super) async fn terms(conn: &mut PgConnection) -> sqlx::Result<ServerTerms> {
    let sql = "select current_setting('server_encoding'), least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
               from pg_database d
               left join pg_roles r on r.rolname = current_user and not r.rolsuper
               where d.datname = current_database()";
    sqlx::query_as(sql).fetch_one(conn).await
}

/// How many more connections this role gets, negative if it has more than it may have; `None` for a
/// superuser, whom no limit holds. The least of what the role's limit, the database's and the
/// server's leave. The server's counts only while this role has half of all connections or more:
/// what it gave back otherwise, others would take.
pub(super) async fn free_connections(conn: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    let sql = "select least(
                   nullif(r.rolconnlimit, -1) - count(*) filter (where a.usesysid = r.oid),
                   nullif(d.datconnlimit, -1) - count(*) filter (where a.datid = d.oid),
                   case when 2 * count(*) filter (where a.usesysid = r.oid) >= count(*) then
                       current_setting('max_connections')::bigint - count(*)
                       - current_setting('superuser_reserved_connections')::bigint
                       - coalesce(current_setting('reserved_connections', true)::bigint, 0)
                   end
               )
               from pg_database d
               join pg_roles r on r.rolname = session_user and not r.rolsuper
               join pg_stat_activity a on a.usesysid is not null and a.datid is not null
                   and coalesce(a.backend_type, 'client backend') = 'client backend'
               where d.datname = current_database()
               group by d.oid, d.datconnlimit, r.oid, r.rolconnlimit";
    let free: Option<Option<i64>> = sqlx::query_scalar(sql).fetch_optional(conn).await?;
    Ok(free.flatten())
}

/// Refuses other encodings than UTF-8. A user id may be in any script, and every such text must
/// fit.
pub(super) fn demand_utf8(encoding: String) -> Result<(), OpenError> {
    if encoding == "UTF8" {
        Ok(())
    } else {
        Err(OpenError::Encoding(encoding))
    }
}

/// The encoding in which the database stores text.
pub(super) async fn server_encoding(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("select current_setting('server_encoding')")
        .fetch_one(conn)
        .await
}

/// The versions of all applied migrations; `None` before the first.
pub(super) async fn applied_migrations(conn: &mut PgConnection) -> sqlx::Result<Option<Vec<i64>>> {
    let table: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *conn)
        .await?;
    if !table {
        return Ok(None);
    }
    let sql = "select version from _sqlx_migrations where success";
    sqlx::query_scalar(sql)
        .fetch_all(&mut *conn)
        .await
        .map(Some)
}

/// The sessions that have held tables of this schema in an open transaction for a second or longer,
/// each described in words. What the role may not see of other sessions is left out.
pub(super) async fn table_holders(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let sql = "select concat('pid ', a.pid, ' (', concat_ws(', ',
                   coalesce(nullif(a.application_name, ''), 'without a name'),
                   'user ' || a.usename,
                   'since ' || to_char(a.xact_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
               ), ') holds ', string_agg(distinct c.relname, ', '))
               from pg_locks l
               join pg_class c on c.oid = l.relation and c.relkind = 'r'
               join pg_stat_activity a on a.pid = l.pid
               where l.granted and l.locktype = 'relation' and l.pid <> pg_backend_pid()
                 and a.datname = current_database() and pg_table_is_visible(c.oid)
                 and coalesce(a.xact_start, 'epoch') <= pg_catalog.clock_timestamp() - interval '1 second'
               group by a.pid, a.application_name, a.usename, a.xact_start
               order by a.xact_start";
    sqlx::query_scalar(sql).fetch_all(conn).await
}

/// The process id of this session.
pub(super) async fn backend_pid(conn: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(conn)
        .await
}

/// What keeps the session `pid` waiting, whatever kind of lock it is, in the words of
/// [`table_holders`]. A prepared transaction has no session.
pub(super) async fn blocking_sessions(
    conn: &mut PgConnection,
    pid: i32,
) -> sqlx::Result<Vec<String>> {
    let sql = "select distinct concat('pid ', a.pid, ' (', concat_ws(', ',
                       coalesce(nullif(a.application_name, ''), 'without a name'),
                       'user ' || a.usename,
                       'since ' || to_char(a.xact_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                   ), ') holds a lock')
               from unnest(pg_catalog.pg_blocking_pids($1)) as b (pid)
               join pg_stat_activity a on a.pid = b.pid
               union all
               select concat('prepared transaction ', p.gid, ' (user ', p.owner, ', since ',
                   to_char(p.prepared at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), ') holds a lock')
               from pg_prepared_xacts p
               where 0 = any (pg_catalog.pg_blocking_pids($1)) and p.database = current_database()";
    sqlx::query_scalar(sql).bind(pid).fetch_all(conn).await
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        let listed = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(names, listed);
    }
}
