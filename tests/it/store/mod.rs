//! What a store must promise: one suite that runs on each backend. `kit` makes the agents, grants
//! and batches of the tests. `postgres` and `sqlite` hold the tests that only one backend can run.

mod agents;
mod assertions;
mod batches;
mod catalogue;
mod changes;
mod codes;
mod conditions;
mod credentials;
mod ended_credentials;
mod faults;
mod filters;
mod generation;
mod issue;
mod keys;
mod killed;
mod kit;
mod locks;
mod log;
mod names;
mod places;
mod postgres;
mod processes;
mod prune;
mod quota;
mod reader;
mod records;
mod rehearsals;
mod replies;
mod revocation;
mod schema;
mod search;
mod settings;
mod settled;
mod sqlite;
mod terms;
mod tokens;
mod versions;

/// Runs each of these tests, `async fn(&Database)`, twice: on a fresh SQLite database and on a
/// fresh PostgreSQL database.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let database = crate::harness::database::Database::sqlite().await;
                super::$test(&database).await;
                database.remove().await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let database = crate::harness::database::Database::postgres().await;
                super::$test(&database).await;
                database.remove().await;
            })*
        }
    };
}
use on_both;
