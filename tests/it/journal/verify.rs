//! What `audit verify` finds: every change of events, entries and tiles that somebody makes in the
//! database, named by its first event; and that nothing else is a break.

use sealwright::testing::domain::tree::checkpoint::Checkpoint;
use sealwright::testing::domain::tree::frontier::Frontier;
use sealwright::testing::domain::tree::hash::leaf_hash;
use sealwright::testing::domain::tree::verify::TreeHead;
use sealwright::testing::service::journal::log::verify::{BrokenPart, KeptNote, Verification};
use sealwright::testing::store::{LogEntry, LogEntryKind};

use super::kit::{entries, events, head, is_token, ledger, log_all, log_key};
use super::on_both;
use crate::harness::app::TestApp;

on_both! {
    a_log_that_was_not_touched_is_whole,
    an_edited_event_is_named,
    a_deleted_event_is_named,
    an_event_that_was_committed_late_is_named,
    a_cut_tail_is_named_against_a_kept_checkpoint,
    an_older_database_is_named_against_a_kept_checkpoint,
    entries_of_two_ledgers_are_named,
    a_swapped_pair_is_named,
    an_edited_entry_and_an_edited_tile_are_named,
    a_log_that_was_made_anew_is_named,
    a_prune_is_no_break,
}

/// A log with several passes of changes and tokens. Returns the ids of all events.
async fn stage(app: &TestApp<'_>) -> Vec<i64> {
    let mut ledger = ledger(app);
    let agent = app.agent("agents:read").await;
    for round in 0..4 {
        app.add_scope(&format!("a{round}:read")).await;
        app.add_scope(&format!("b{round}:read")).await;
        for _ in 0..3 {
            app.token(&agent).await;
        }
        log_all(app, &mut ledger).await;
    }
    events(app).await.iter().map(|event| event.id).collect()
}

async fn verify_against(app: &TestApp<'_>, kept: &[KeptNote]) -> Verification {
    let verifier = app.opened.log_verifier(&app.config);
    let mut covered = 0;
    let found = verifier
        .verify(kept, &mut |done, all| {
            assert!(covered <= done && done <= all);
            covered = done;
        })
        .await;
    found.unwrap()
}

async fn verify(app: &TestApp<'_>) -> Verification {
    verify_against(app, &[]).await
}

/// Verifies, and demands a break of this part.
async fn demand(app: &TestApp<'_>, part: BrokenPart) {
    let found = verify(app).await;
    let broken = found.first_break.expect("the log is broken");
    assert_eq!(broken.part, part, "{broken}");
}

async fn run(app: &TestApp<'_>, sql: &str) {
    app.database.execute(sql).await;
}

/// The newest checkpoint, as somebody keeps it.
async fn keep(app: &TestApp<'_>) -> KeptNote {
    KeptNote::of_file(head(app).await.note.unwrap().as_bytes()).unwrap()
}

/// The ids of the changes, and those of the tokens.
async fn ids(app: &TestApp<'_>) -> (Vec<i64>, Vec<i64>) {
    let (tokens, changes): (Vec<_>, Vec<_>) = events(app).await.into_iter().partition(is_token);
    let ids = |events: Vec<sealwright::testing::domain::event::row::EventRow>| {
        events.iter().map(|event| event.id).collect()
    };
    (ids(changes), ids(tokens))
}

/// The block that has this token.
async fn block_of(app: &TestApp<'_>, id: i64) -> BrokenPart {
    let blocks = entries(app).await;
    let of = |entry: &&LogEntry| {
        entry.kind == LogEntryKind::Tokens && (entry.first_id..=entry.last_id).contains(&id)
    };
    let block = blocks.iter().find(of).unwrap();
    BrokenPart::Tokens(block.first_id, block.last_id)
}

/// SQL that runs on the table that holds this token.
async fn token_table(app: &TestApp<'_>) -> &'static str {
    let old = "select count(*) from audit_event where kind = 'token.issued'";
    if app.database.number(old).await > 0 {
        "audit_event"
    } else {
        "token_event"
    }
}

async fn a_log_that_was_not_touched_is_whole(app: &TestApp<'_>) {
    let nothing = verify(app).await;
    assert_eq!(nothing.first_break, None);
    assert!(nothing.pending > 0 && nothing.entries == 0);
    let all = stage(app).await;
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    let kept = keep(app).await;
    let found = verify_against(app, &[kept.clone(), kept]).await;
    let expected = Verification {
        entries: head(app).await.size,
        events: all.len() as u64,
        pending: 2,
        checkpoints: 2,
        ..Verification::default()
    };
    assert_eq!(found, expected);
}

async fn an_edited_event_is_named(app: &TestApp<'_>) {
    stage(app).await;
    let (changes, tokens) = ids(app).await;
    let table = token_table(app).await;
    let block = block_of(app, tokens[4]).await;
    run(
        app,
        &format!(
            "update {table} set epoch = epoch + 1 where id = {}",
            tokens[4]
        ),
    )
    .await;
    demand(app, block).await;
    run(
        app,
        &format!(
            "update {table} set epoch = epoch - 1 where id = {}",
            tokens[4]
        ),
    )
    .await;
    assert_eq!(verify(app).await.first_break, None);
    run(
        app,
        &format!(
            "update audit_event set actor = 'system' where id = {}",
            changes[6]
        ),
    )
    .await;
    demand(app, BrokenPart::Event(changes[6])).await;
}

async fn a_deleted_event_is_named(app: &TestApp<'_>) {
    stage(app).await;
    let (changes, tokens) = ids(app).await;
    let table = token_table(app).await;
    let block = block_of(app, tokens[7]).await;
    run(
        app,
        &format!("delete from {table} where id = {}", tokens[7]),
    )
    .await;
    demand(app, block).await;
    run(
        app,
        &format!("delete from audit_event where id = {}", changes[2]),
    )
    .await;
    demand(app, BrokenPart::Event(changes[2])).await;
}

async fn an_event_that_was_committed_late_is_named(app: &TestApp<'_>) {
    stage(app).await;
    let agent = app.agent("agents:read").await;
    app.add_scope("late:read").await;
    let change = app.opened.records.newest_event().await.unwrap();
    app.token(&agent).await;
    let token = app.opened.records.newest_event().await.unwrap();
    app.token(&agent).await;
    // The ledger passes while nobody can see the two.
    let table = token_table(app).await;
    free_ids(app).await;
    run(
        app,
        &format!("update audit_event set id = -1 where id = {change}"),
    )
    .await;
    run(
        app,
        &format!("update {table} set id = -2 where id = {token}"),
    )
    .await;
    log_all(app, &mut ledger(app)).await;
    assert_eq!(verify(app).await.first_break, None);
    run(
        app,
        &format!("update {table} set id = {token} where id = -2"),
    )
    .await;
    demand(app, block_of(app, token + 1).await).await;
    run(
        app,
        &format!("update audit_event set id = {change} where id = -1"),
    )
    .await;
    demand(app, BrokenPart::Event(change)).await;
}

/// Lets SQL give ids to events.
async fn free_ids(app: &TestApp<'_>) {
    if app.database.clock().is_some() {
        run(
            app,
            "alter table audit_event alter column id set generated by default",
        )
        .await;
    }
}

/// Sets the log back to this size, as somebody does who kept an older checkpoint.
async fn cut(app: &TestApp<'_>, size: u64, note: &str, place: i64) {
    run(
        app,
        &format!(
            "delete from log_entry where position >= {size};
             update log set size = {size}, note = '{note}';
             update reader set place = {place} where name = 'ledger'"
        ),
    )
    .await;
}

async fn a_cut_tail_is_named_against_a_kept_checkpoint(app: &TestApp<'_>) {
    let all = stage(app).await;
    let (old, place) = (head(app).await, *all.last().unwrap());
    app.add_scope("late:read").await;
    log_all(app, &mut ledger(app)).await;
    let kept = keep(app).await;
    run(app, &format!("delete from audit_event where id > {place}")).await;
    cut(app, old.size, &old.note.unwrap(), place).await;
    // Nothing in the database tells it.
    assert_eq!(verify(app).await.first_break, None);
    let found = verify_against(app, &[kept]).await;
    assert_eq!(found.first_break.unwrap().part, BrokenPart::After(place));
}

async fn an_older_database_is_named_against_a_kept_checkpoint(app: &TestApp<'_>) {
    let all = stage(app).await;
    let (old, place) = (head(app).await, *all.last().unwrap());
    let early = keep(app).await;
    app.clock.advance(20);
    app.add_scope("lost:read").await;
    log_all(app, &mut ledger(app)).await;
    let kept = keep(app).await;
    // The older database goes on with other events, and grows beyond the size that was kept.
    run(app, &format!("delete from audit_event where id > {place}")).await;
    cut(app, old.size, &old.note.unwrap(), place).await;
    app.clock.advance(20);
    app.add_scope("other:read").await;
    app.add_scope("another:read").await;
    log_all(app, &mut ledger(app)).await;
    assert_eq!(verify(app).await.first_break, None);
    let found = verify_against(app, &[kept, early]).await;
    let first = events(app)
        .await
        .iter()
        .map(|e| e.id)
        .find(|id| *id > place);
    let first = first.unwrap();
    assert_eq!(
        found.first_break.unwrap().part,
        BrokenPart::Between(first, first)
    );
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

/// Writes a log of these entries with a checkpoint that the log's key signs, as whoever has both the
/// database and the key can.
async fn write_log(app: &TestApp<'_>, written: &[LogEntry]) {
    let mut tree = Frontier::new();
    let mut sql = "delete from log_entry;".to_owned();
    for entry in written {
        tree.append(leaf_hash(&entry.bytes));
        let quoted = |bytes: &[u8]| {
            let hex = hex(bytes);
            match app.database {
                crate::harness::database::Database::Sqlite { .. } => format!("x'{hex}'"),
                crate::harness::database::Database::Postgres { .. } => format!("'\\x{hex}'::bytea"),
            }
        };
        let (hash, bytes) = (leaf_hash(&entry.bytes), quoted(&entry.bytes));
        let insert = format!(
            "insert into log_entry (position, tokens, first_id, last_id, hash, entry)
             values ({}, {}, {}, {}, {}, {bytes});",
            entry.index,
            entry.kind == LogEntryKind::Tokens,
            entry.first_id,
            entry.last_id,
            quoted(hash.as_bytes()),
        );
        sql.push_str(&insert);
    }
    let state = TreeHead {
        size: tree.size(),
        root: tree.root(),
    };
    let checkpoint = Checkpoint::new(&head(app).await.origin, state).unwrap();
    let note = log_key(app).await.sign(checkpoint.to_text()).unwrap();
    let update = format!("update log set size = {}, note = '{note}'", tree.size());
    sql.push_str(&update);
    run(app, &sql).await;
}

async fn entries_of_two_ledgers_are_named(app: &TestApp<'_>) {
    stage(app).await;
    // The constraint of the table would refuse what two ledgers without a lease would write.
    let mut doubled = entries(app).await;
    let again = doubled[2].clone();
    let index = doubled.len() as u64;
    let first_id = again.first_id;
    drop_constraint(app).await;
    doubled.push(LogEntry { index, ..again });
    write_log(app, &doubled).await;
    demand(app, BrokenPart::Event(first_id)).await;

    doubled.pop();
    let block = doubled
        .iter()
        .find(|entry| entry.kind == LogEntryKind::Tokens)
        .unwrap()
        .clone();
    let part = BrokenPart::Tokens(block.first_id, block.last_id);
    doubled.push(LogEntry { index, ..block });
    write_log(app, &doubled).await;
    demand(app, part).await;
}

/// Lets the table of entries hold an event twice.
async fn drop_constraint(app: &TestApp<'_>) {
    let sql = match app.database {
        crate::harness::database::Database::Postgres { .. } => {
            "alter table log_entry drop constraint log_entry_tokens_last_id_key"
        }
        crate::harness::database::Database::Sqlite { .. } => {
            "create table copy as select * from log_entry; drop table log_entry;
             alter table copy rename to log_entry"
        }
    };
    run(app, sql).await;
}

async fn a_swapped_pair_is_named(app: &TestApp<'_>) {
    stage(app).await;
    let mut swapped = entries(app).await;
    let (one, two) = (swapped[1].clone(), swapped[2].clone());
    let first_id = one.first_id;
    swapped[1] = LogEntry { index: 1, ..two };
    swapped[2] = LogEntry { index: 2, ..one };
    write_log(app, &swapped).await;
    demand(app, BrokenPart::Event(first_id)).await;
    // A swap of two tokens shows in their block.
    let swapped: Vec<LogEntry> = {
        let (one, two) = (swapped[1].clone(), swapped[2].clone());
        swapped[1] = LogEntry { index: 1, ..two };
        swapped[2] = LogEntry { index: 2, ..one };
        swapped
    };
    write_log(app, &swapped).await;
    assert_eq!(verify(app).await.first_break, None);
    let (_, tokens) = ids(app).await;
    let block = block_of(app, tokens[0]).await;
    let (table, a, b) = (token_table(app).await, tokens[0], tokens[1]);
    free_ids(app).await;
    run(
        app,
        &format!(
            "update {table} set id = -1 where id = {a};
             update {table} set id = {a} where id = {b};
             update {table} set id = {b} where id = -1"
        ),
    )
    .await;
    demand(app, block).await;
}

async fn an_edited_entry_and_an_edited_tile_are_named(app: &TestApp<'_>) {
    // Enough changes for two full tiles.
    for round in 0..520 {
        app.add_scope(&format!("s{round}:read")).await;
    }
    log_all(app, &mut ledger(app)).await;
    assert_eq!(verify(app).await.first_break, None);
    let entries = entries(app).await;
    let ids = |index: usize| BrokenPart::Event(entries[index].first_id);
    run(app, "update log_entry set entry = (select entry from log_entry where position = 0) where position = 7").await;
    demand(app, ids(7)).await;
    write_entry(app, &entries[7]).await;
    run(app, "update log_entry set hash = (select hash from log_entry where position = 0) where position = 9").await;
    demand(app, ids(9)).await;
    write_entry(app, &entries[9]).await;
    assert_eq!(verify(app).await.first_break, None);
    run(app, "update log_node set hash = (select hash from log_entry where position = 0) where position = 1").await;
    let found = verify(app).await.first_break.unwrap();
    assert!(
        matches!(found.part, BrokenPart::Tile(_, id) if id == entries[511].last_id),
        "{found}"
    );
    assert!(found.to_string().starts_with("tile/1/000.p/2"), "{found}");
    // The ledger does not go on from what was not signed.
    run(app, "delete from log_entry where position >= 515").await;
    demand(
        app,
        BrokenPart::Tile(tile_of(&found.part), entries[511].last_id),
    )
    .await;
}

fn tile_of(part: &BrokenPart) -> sealwright::testing::domain::tree::tile::Tile {
    match part {
        BrokenPart::Tile(tile, _) => *tile,
        other => panic!("{other:?}"),
    }
}

/// Restores one entry.
async fn write_entry(app: &TestApp<'_>, entry: &LogEntry) {
    let (hash, bytes) = (hex(entry.hash.as_bytes()), hex(&entry.bytes));
    let sql = match app.database {
        crate::harness::database::Database::Sqlite { .. } => format!(
            "update log_entry set hash = x'{hash}', entry = x'{bytes}' where position = {}",
            entry.index
        ),
        crate::harness::database::Database::Postgres { .. } => format!(
            "update log_entry set hash = '\\x{hash}', entry = '\\x{bytes}' where position = {}",
            entry.index
        ),
    };
    run(app, &sql).await;
}

async fn a_log_that_was_made_anew_is_named(app: &TestApp<'_>) {
    stage(app).await;
    let kept = keep(app).await;
    run(
        app,
        "delete from log_entry; delete from log_node; delete from log",
    )
    .await;
    let found = verify(app).await;
    assert_eq!(found.first_break.unwrap().part, BrokenPart::After(0));
    run(
        app,
        "delete from store_key where purpose = 'log'; update reader set place = 0",
    )
    .await;
    app.clock.advance(20);
    log_all(app, &mut ledger(app)).await;
    assert_eq!(verify(app).await.first_break, None);
    let found = verify_against(app, &[kept]).await;
    assert_eq!(found.first_break.unwrap().part, BrokenPart::Kept);
    // A log without its key is not continued under another one.
    run(app, "delete from store_key where purpose = 'log'").await;
    app.clock.advance(20);
    let refused = ledger(app).step().await.unwrap_err();
    assert!(format!("{refused:?}").contains("removed"), "{refused:?}");
}

async fn a_prune_is_no_break(app: &TestApp<'_>) {
    stage(app).await;
    let (_, tokens) = ids(app).await;
    let table = token_table(app).await;
    // The tokens of the first two blocks.
    let to_id = tokens[5];
    let next = app.opened.records.newest_event().await.unwrap() + 1;
    let sql = format!(
        "insert into audit_event (at, kind, actor, detail, data) values (1, 'audit.pruned', 'system', '', '{{\"toId\":{to_id}}}');
         delete from {table} where id <= {to_id} and id in ({})",
        tokens.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    );
    run(app, &sql).await;
    app.clock.advance(20);
    log_all(app, &mut ledger(app)).await;
    let found = verify(app).await;
    assert_eq!((found.first_break, found.pruned), (None, 6));
    assert!(events(app).await.iter().any(|event| event.id == next));
    // One more is a break.
    let block = block_of(app, tokens[6]).await;
    run(
        app,
        &format!("delete from {table} where id = {}", tokens[6]),
    )
    .await;
    demand(app, block).await;
}
