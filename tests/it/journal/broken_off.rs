//! Passes that break off: whatever statement a process or a connection dies at, the next pass goes
//! on without a gap and without a double.

use super::kit::{check, events, head, ledger, log_all};
use super::on_both;
use crate::harness::app::TestApp;
use crate::harness::database::Database;

on_both! {
    a_pass_that_dies_at_any_statement_leaves_no_gap_and_no_double,
}

/// The statements of a pass: what each does to which table.
const STATEMENTS: [(&str, &str); 5] = [
    ("update of place", "reader"),
    ("insert", "usage_day"),
    ("update", "log"),
    ("insert", "log_entry"),
    ("insert", "log_node"),
];

/// SQL after which such a statement ends its connection, with all that its transaction did. On
/// SQLite, whose connection is a part of the process, it ends the transaction.
fn deadly(app: &TestApp<'_>, (what, table): (&str, &str)) -> (String, String) {
    match app.database {
        Database::Sqlite { .. } => (
            format!(
                "create trigger die before {what} on {table} begin select raise(rollback, 'died'); end"
            ),
            "drop trigger die".to_owned(),
        ),
        Database::Postgres { .. } => (
            format!(
                "{DIE}; create trigger die before {what} on {table} for each row execute function die()"
            ),
            format!("drop trigger die on {table}"),
        ),
    }
}

const DIE: &str = "create or replace function die() returns trigger language plpgsql as $$ begin
    perform pg_terminate_backend(pg_backend_pid());
    return new;
end $$";

/// A pass with changes and tokens fails. Afterwards, everything is as before, and the next pass has
/// it all.
async fn demand_whole(app: &TestApp<'_>, round: usize, (deadly, harmless): (String, String)) {
    let mut ledger = ledger(app);
    let agent = app.agent("agents:read").await;
    // One more full tile.
    for scope in 0..256 {
        app.add_scope(&format!("s{round}x{scope}:read")).await;
    }
    app.token(&agent).await;
    app.clock.advance(20);
    let before = (
        head(app).await,
        app.opened.records.place("ledger").await.unwrap(),
    );
    app.database.execute(&deadly).await;
    ledger.step().await.unwrap_err();
    app.database.execute(&harmless).await;
    let after = (
        head(app).await,
        app.opened.records.place("ledger").await.unwrap(),
    );
    assert_eq!(after, before, "{deadly}");
    log_all(app, &mut ledger).await;
    assert_eq!(check(app).await, events(app).await.len(), "{deadly}");
}

async fn a_pass_that_dies_at_any_statement_leaves_no_gap_and_no_double(app: &TestApp<'_>) {
    log_all(app, &mut ledger(app)).await;
    for (round, statement) in STATEMENTS.into_iter().enumerate() {
        demand_whole(app, round, deadly(app, statement)).await;
    }
    if app.database.clock().is_some() {
        // It dies at the commit, so that nobody is told whether it was done.
        let deadly = format!(
            "{DIE}; create constraint trigger die after insert on log_entry deferrable initially deferred
             for each row execute function die()"
        );
        demand_whole(app, 9, (deadly, "drop trigger die on log_entry".to_owned())).await;
    }
    let verifier = app.opened.log_verifier(&app.config);
    let found = verifier.verify(&[], &mut |_, _| ()).await.unwrap();
    assert_eq!((found.first_break, found.pending), (None, 0));
}
