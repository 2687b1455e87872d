//! Fresh databases of both kinds (SQLite and PostgreSQL), one for each test.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::Backend;
use sealwright::testing::store::postgres::{self, PostgresStore};
use sealwright::testing::store::sqlite::SqliteStore;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::time::{CLOCK_SCHEMA, DatabaseClock, NOW, SEARCH_PATH};

/// A database for one test, empty except for the schema.
pub enum Database {
    Sqlite {
        _folder: TempDir,
        path: PathBuf,
    },
    Postgres {
        server: String,
        name: String,
        url: String,
        clock: DatabaseClock,
    },
}

impl Database {
    /// A file in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealwright.db");
        SqliteStore::open(&path).await.unwrap();
        Self::Sqlite {
            _folder: folder,
            path,
        }
    }

    /// A migrated database on the server that `TEST_DATABASE_URL` names. Its clock shows the `NOW`
    /// of the store's tests.
    pub async fn postgres() -> Self {
        static MIGRATED: OnceCell<String> = OnceCell::const_new();
        let migrated = MIGRATED.get_or_init(Self::migrated).await;
        let database = Self::copy_of(migrated).await;
        database.set_clock(NOW);
        database
    }

    /// As [`Self::postgres`], before the first migration.
    pub async fn postgres_without_schema() -> Self {
        let database = Self::copy_of("template1").await;
        DatabaseClock::install(database.url()).await;
        database
    }

    /// The name of a database that is migrated and used by nobody. Copies of it spare each test the
    /// migrations. The database stays on the server for the next run with the same schema.
    async fn migrated() -> String {
        let name = format!("sealwright_migrated_{:016x}", schema_hash());
        let mut conn = PgConnection::connect(&server()).await.unwrap();
        let is_there = sqlx::query("select from pg_database where datname = $1").bind(&name);
        if is_there.fetch_optional(&mut conn).await.unwrap().is_some() {
            return name;
        }
        let made = Self::postgres_without_schema().await;
        postgres::migrate(&[made.url()]).await.unwrap();
        let Self::Postgres { name: given, .. } = &made else {
            panic!("it is a PostgreSQL database");
        };
        let rename = AssertSqlSafe(format!("alter database {given} rename to {name}"));
        if let Err(fault) = sqlx::query(rename).execute(&mut conn).await {
            // Another run was faster.
            let told = fault.as_database_error().and_then(DatabaseError::code);
            assert_eq!(told.as_deref(), Some("42P04"), "{fault}");
            made.remove().await;
        }
        name
    }

    async fn copy_of(template: &str) -> Self {
        let server = server();
        let name = format!(
            "sealwright_test_{}",
            uuid::Builder::from_random_bytes(random())
                .into_uuid()
                .simple()
        );
        let mut conn = PgConnection::connect(&server).await.unwrap();
        let sql = format!("create database {name} template {template}");
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        url.query_pairs_mut().append_pair("options", SEARCH_PATH);
        let url = String::from(url);
        let clock = DatabaseClock::of(&url);
        Self::Postgres {
            server,
            name,
            url,
            clock,
        }
    }

    /// Sets the database's own clock. Does nothing on SQLite, which has none.
    pub fn set_clock(&self, now: Timestamp) {
        if let Some(clock) = self.clock() {
            clock.set(now.0.saturating_mul(1_000));
        }
    }

    /// The database's own clock; `None` on SQLite.
    pub fn clock(&self) -> Option<&DatabaseClock> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { clock, .. } => Some(clock),
        }
    }

    /// The URL that a PostgreSQL store opens.
    pub fn url(&self) -> &str {
        match self {
            Self::Postgres { url, .. } => url,
            Self::Sqlite { .. } => panic!("a SQLite file has no URL here"),
        }
    }

    /// The path that a SQLite store opens.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Sqlite { path, .. } => path,
            Self::Postgres { .. } => panic!("a PostgreSQL database has no path"),
        }
    }

    /// Opens another store on this database, as another process would.
    pub async fn open(&self) -> Arc<dyn Backend> {
        match self {
            Self::Sqlite { path, .. } => Arc::new(SqliteStore::open(path).await.unwrap()),
            Self::Postgres { url, .. } => Arc::new(PostgresStore::open(&[url], 4).await.unwrap()),
        }
    }

    /// Runs SQL directly in the database, without the store.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite { path, .. } => {
                let mut conn = SqliteConnection::connect(path.to_str().unwrap())
                    .await
                    .unwrap();
                sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
            Self::Postgres { url, .. } => {
                let mut conn = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
        }
    }

    /// Lets every issued token be pruned whose time is over, as if the log covered all of them.
    pub async fn announce_prune(&self) {
        let holder = match self {
            Self::Sqlite { .. } => "x'00000000000000000000000000000000'",
            Self::Postgres { .. } => "gen_random_uuid()",
        };
        let sql = format!(
            "insert into reader (name, place, holder, until) values ('prune', 9007199254740991, {holder}, 0)
             on conflict do nothing"
        );
        self.execute(&sql).await;
    }

    /// The one number that `sql` selects, read without the store.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select cast(({sql}) as bigint)"));
        match self {
            Self::Sqlite { path, .. } => {
                let mut conn = SqliteConnection::connect(path.to_str().unwrap())
                    .await
                    .unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
            }
            Self::Postgres { url, .. } => {
                let mut conn = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
            }
        }
    }

    /// The texts of one column, read without the store.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite { path, .. } => {
                let mut conn = SqliteConnection::connect(path.to_str().unwrap())
                    .await
                    .unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
            }
            Self::Postgres { url, .. } => {
                let mut conn = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
            }
        }
    }

    /// Drops the database. A database that a failed test left behind disturbs no other test, since
    /// each has its own random name.
    pub async fn remove(self) {
        if let Self::Postgres { server, name, .. } = self {
            let mut conn = PgConnection::connect(&server).await.unwrap();
            let sql = format!("drop database {name} with (force)");
            sqlx::query(AssertSqlSafe(sql))
                .execute(&mut conn)
                .await
                .unwrap();
        }
    }
}

fn server() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL names no PostgreSQL server: run tests/run, which starts one")
}

/// Differs between schemas, and is the same in every run.
fn schema_hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let files = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        (path.file_name(), std::fs::read(&path).unwrap()).hash(&mut hasher);
    }
    CLOCK_SCHEMA.hash(&mut hasher);
    hasher.finish()
}

fn random() -> [u8; 16] {
    use sealwright::testing::entropy::{Entropy, SystemEntropy};
    let mut bytes = [0; 16];
    SystemEntropy::default().fill(&mut bytes).unwrap();
    bytes
}
