//! Clocks that are far off (D8; known failure 45): no overflow, and no token with an `iat` in the
//! future.

use sealwright::testing::domain::time::Timestamp;

use super::introspect::INACTIVE;
use super::on_both;
use crate::harness::app::{NOW, TestApp, claims};
use crate::harness::database::Database;

/// Times at which counts of seconds have broken programs: 2038, 2106, and the last second of year
/// 9999.
const EDGES: [i64; 7] = [
    0,
    951_782_400,
    2_147_483_647,
    2_147_483_648,
    4_294_967_296,
    253_402_300_799,
    1 << 40,
];

on_both! {
    no_clock_gives_a_fault,
    a_clock_that_goes_back_revives_nothing_that_was_killed,
}

async fn no_clock_gives_a_fault(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for edge in EDGES {
        app.clock.set(Timestamp(edge));
        let token = app.token(&agent).await;
        let claims = claims(&token);
        let (iat, exp) = (
            claims["iat"].as_i64().unwrap(),
            claims["exp"].as_i64().unwrap(),
        );
        assert_eq!(exp - iat, 600, "{edge}");
        match app.database {
            Database::Sqlite { .. } => {
                assert_eq!(iat, edge);
                assert!(app.is_active(&agent, &token).await, "{edge}");
                app.revoke(&agent, &token).await.is(200, "{}");
                app.introspect(&agent, &token).await.is(200, INACTIVE);
            }
            // The database's clock limits `iat`, so a process that is ahead issues no token with an
            // `iat` in the future.
            Database::Postgres { .. } => {
                let theirs = app
                    .database
                    .number("select floor(extract(epoch from now()))")
                    .await;
                assert!(iat <= theirs && iat <= edge, "{iat} {theirs} {edge}");
            }
        }
        assert_eq!(app.get("/api/v1/token/revoked").await.status, 200);
    }
}

async fn a_clock_that_goes_back_revives_nothing_that_was_killed(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let (revoked, killed) = (app.token(&agent).await, app.token(&agent).await);
    app.revoke(&agent, &revoked).await;
    app.revoke_tokens(&agent).await;
    for back in [1, 3_600, 86_400 * 31] {
        app.clock.set(Timestamp(NOW.0 - back));
        for token in [&revoked, &killed] {
            app.introspect(&agent, token).await.is(200, INACTIVE);
        }
        let next = app.token(&agent).await;
        assert!(app.is_active(&agent, &next).await);
    }
}
