//! What a store must promise: one suite, run on each backend. `kit` makes what the tests need;
//! `postgres` and `sqlite` hold what only one of them can show.

mod agents;
mod catalogue;
mod codes;
mod credentials;
mod faults;
mod issue;
mod keys;
mod killed;
mod kit;
mod locks;
mod names;
mod postgres;
mod prune;
mod quota;
mod records;
mod revocation;
mod settings;
mod sqlite;
mod versions;

/// Runs each of these tests, `async fn(&Database)`, on a fresh database of either kind.
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
