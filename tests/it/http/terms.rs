//! The terms of tokens, in a server that has just started: its loops give common terms a row.

use sealwright::testing::app::loops;

use super::on_both;
use crate::harness::app::TestApp;

on_both! {
    the_terms_of_common_tokens_get_a_row_as_soon_as_a_server_runs,
}

async fn the_terms_of_common_tokens_get_a_row_as_soon_as_a_server_runs(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let mut loops = loops::loops(&app.config, &app.opened, &app.state).unwrap();
    loops.retain(|one| ["terms", "new terms"].contains(&one.name));
    assert_eq!(loops.len(), 2);
    for _ in 0..2 {
        for one in &mut loops {
            (one.step)().await;
        }
        for _ in 0..5 {
            app.token(&agent).await;
        }
    }
    for one in &mut loops {
        (one.step)().await;
    }
    app.token(&agent).await;
    let rows = "select count(*) from token_terms";
    assert_eq!(app.database.number(rows).await, 1);
    let lean = "select count(*) from token_event where terms is not null and inline is null";
    assert!(app.database.number(lean).await > 0);
}
