//! What the server makes of recorded events: the tamper-evident log. `kit` checks a log against the
//! events by the definition of its format, without the code that made it.

mod broken_off;
mod kit;
mod ledger;
mod prune;
mod served;
mod usage;
mod verify;

/// Runs each of these tests, `async fn(&TestApp<'_>)`, twice: on a server over a fresh SQLite
/// database, and on one over a fresh PostgreSQL database.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let database = crate::harness::database::Database::sqlite().await;
                let app = crate::harness::app::TestApp::start(&database).await;
                super::$test(&app).await;
                drop(app);
                database.remove().await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let database = crate::harness::database::Database::postgres().await;
                let app = crate::harness::app::TestApp::start(&database).await;
                super::$test(&app).await;
                drop(app);
                database.remove().await;
            })*
        }
    };
}
use on_both;
