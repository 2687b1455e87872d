//! The test harness: the server in this process, its database, its clock, its entropy and its
//! clients.

pub mod agent;
pub mod answer;
pub mod app;
pub mod database;
pub mod entropy;
pub mod patience;
pub mod restore;
pub mod time;
pub mod wire;

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
pub(crate) use on_both;
