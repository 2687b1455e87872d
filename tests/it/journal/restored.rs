//! The log of a restored store: it goes on from the restored entries, under a name of its own.

use sealwright::testing::service::restore::Unmarked;

use super::kit::{check, checkpoint, head, ledger, log_all};
use super::on_both;
use crate::harness::app::TestApp;
use crate::harness::restore::acknowledge;

on_both! {
    a_restored_log_goes_on_under_a_name_of_its_own,
}

async fn a_restored_log_goes_on_under_a_name_of_its_own(app: &TestApp<'_>) {
    let (mut first, agent) = (ledger(app), app.agent("agents:read").await);
    app.token(&agent).await;
    log_all(app, &mut first).await;
    let before = checkpoint(app).await;
    let done = acknowledge(app, Unmarked::Accept).await.unwrap();
    assert_eq!(head(app).await.generation, done.generation);
    let verifier = app.opened.log_verifier(&app.config);
    let found = verifier.verify(&[], &mut |_, _| ()).await.unwrap();
    assert!(found.first_break.is_none(), "{:?}", found.first_break);
    // The ledger of a process that has not noticed it appends nothing to the log of before.
    app.add_scope("a:read").await;
    let _ = first.step().await;
    let mut second = ledger(app);
    app.clock.advance(11);
    log_all(app, &mut second).await;
    let after = checkpoint(app).await;
    assert_ne!(before.origin(), after.origin());
    assert!(after.head().size > before.head().size);
    check(app).await;
    let found = verifier.verify(&[], &mut |_, _| ()).await.unwrap();
    assert!(found.first_break.is_none(), "{:?}", found.first_break);
    let heads = app.opened.records.log_heads().await.unwrap();
    assert_eq!(heads[0].size, before.head().size);
}
