//! What the record of a token costs in room: bytes of the tables that grow with tokens, of their
//! indexes, and of the write-ahead log.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Fallible;
use crate::drive::Pace;
use crate::interrupt::pause;
use crate::report::{Figure, Reach, Row, Unit};

use super::{Kind, World, token_stream};

/// The number of agents.
const AGENTS: usize = 32;

/// How long after the first tokens the server has given their terms a row.
const SETTLED_AFTER: Duration = Duration::from_secs(8);

/// For how long bytes are counted, at least.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// The tokens of 90 days at 100 a second.
const QUARTER: f64 = 90.0 * 86_400.0 * 100.0;

/// What has grown: tokens, and bytes of the tables, of the indexes and of the log.
const POSTGRES: &str = "
    select array[
        (select coalesce(max(id), 0) from token_event),
        pg_relation_size('token_event') + pg_relation_size('batch'),
        pg_indexes_size('token_event') + pg_indexes_size('batch'),
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint
    ]";

/// The same where tables and indexes are one file, whose log is as short as the server keeps it.
const SQLITE: &str = "
    select (select coalesce(max(id), 0) from token_event),
           (select (page_count - freelist_count) * page_size
            from pragma_page_count, pragma_freelist_count, pragma_page_size),
           0, 0";

/// Counts the bytes of ten seconds of load, in steady state.
pub fn measure(world: &World<'_>) -> Fallible<Row> {
    let stream = token_stream(world, 64, AGENTS, Pace::Closed);
    let mut repetitions = vec![world.bench.repeat(world.subject, &stream)?];
    pause(SETTLED_AFTER)?;
    repetitions.push(world.bench.repeat(world.subject, &stream)?);
    let (begun, before) = (Instant::now(), read(world)?);
    while begun.elapsed() < COUNTED_FOR {
        repetitions.push(world.bench.repeat(world.subject, &stream)?);
    }
    let after = read(world)?;
    let tokens = (after[0] - before[0]) as f64;
    let each = |n: usize| (after[n] - before[n]) as f64 / tokens;
    let figure = |name, value| Figure::new(name, Unit::Bytes, vec![value]);
    let mut figures = match world.kind {
        Kind::Postgres => vec![
            figure("heap a token", each(1)).reach(Some(Reach::AtMost(120.0))),
            figure("index a token", each(2)),
            figure("write-ahead log a token", each(3)).reach(Some(Reach::AtMost(270.0))),
        ],
        Kind::Sqlite => {
            vec![figure("file a token", each(1)).reach(Some(Reach::AtMost(110.0)))]
        }
    };
    figures.push(Figure::new(
        "90 days at 100 tokens/s",
        Unit::Megabytes,
        vec![(each(1) + each(2)) * QUARTER],
    ));
    figures.push(Figure::new("tokens", Unit::Count, vec![tokens]));
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(repetitions))
}

fn read(world: &World<'_>) -> Fallible<Vec<i64>> {
    let url = &world.place.database;
    crate::block_on(async {
        match world.kind {
            Kind::Postgres => {
                let mut conn = PgConnection::connect(url).await?;
                let read = sqlx::query_scalar(AssertSqlSafe(POSTGRES));
                let read: Vec<i64> = read.fetch_one(&mut conn).await?;
                conn.close().await?;
                Ok(read)
            }
            Kind::Sqlite => {
                let path = url.strip_prefix("sqlite://").ok_or("no SQLite URL")?;
                let mut conn = SqliteConnectOptions::new().filename(path).connect().await?;
                let read = sqlx::query_as(AssertSqlSafe(SQLITE));
                let (tokens, file, index, log): (i64, i64, i64, i64) =
                    read.fetch_one(&mut conn).await?;
                conn.close().await?;
                Ok(vec![tokens, file, index, log])
            }
        }
    })
}
