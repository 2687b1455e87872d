//! The rows of issued tokens: how they are read back, whichever release wrote them.

use sealwright::testing::domain::agent::Epoch;
use sealwright::testing::domain::id::Jti;
use sealwright::testing::domain::org::OrgEpoch;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{AgentChange, Change, KilledAgentQuery, Records, Settlement};
use uuid::Uuid;

use super::kit::{NOW, commit, create, id, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_row_of_a_token_tells_all_that_its_event_does,
    any_value_of_a_row_is_read_as_it_is,
    a_row_that_names_missing_terms_is_refused_and_stops_no_reader,
    terms_that_changed_since_the_last_piece_are_read_anew,
    both_tables_are_read_in_the_order_of_ids,
    the_newest_event_may_be_in_either_table,
    tokens_of_both_tables_are_found,
    tokens_of_both_tables_are_pruned_by_time,
}

/// The bytes of a value, as the database writes them.
fn bytes(db: &Database, hex: &str) -> String {
    match db {
        Database::Sqlite { .. } => format!("x'{hex}'"),
        Database::Postgres { .. } => format!("'\\x{hex}'"),
    }
}

/// An id, as the database writes it.
fn sql_uuid(db: &Database, id: Uuid) -> String {
    match db {
        Database::Sqlite { .. } => format!("x'{}'", id.simple()),
        Database::Postgres { .. } => format!("'{id}'"),
    }
}

/// Adds the terms 7 of the agent `a`.
async fn add_terms(db: &Database) {
    let credential = sql_uuid(db, Uuid::from_u128(0xC));
    let overriding = match db {
        Database::Sqlite { .. } => "",
        Database::Postgres { .. } => "overriding system value",
    };
    db.execute(&format!(
        "insert into token_terms (id, agent_id, credential_id, scope, audience, ttl, used_on) {overriding}
         values (7, 'a', {credential}, 'db:read files:read', '[\"https://b.example\",\"https://c.example\"]', 600, 1)"
    ))
    .await;
}

/// Adds a token's row at `NOW` with these columns, as SQL.
async fn add(db: &Database, row: i64, jti: Uuid, columns: &str, values: &str) {
    let jti = sql_uuid(db, jti);
    db.execute(&format!(
        "insert into token_event (id, at, jti, epoch, {columns}) values ({row}, {NOW}, {jti}, 3, {values})",
        NOW = NOW.0
    ))
    .await;
}

/// Adds a token's row as the release before this one wrote it.
async fn add_old(db: &Database, row: i64, jti: Uuid) {
    let (at, ends, jti) = (NOW.0, NOW.0 + 600, sql_uuid(db, jti));
    let overriding = match db {
        Database::Sqlite { .. } => "",
        Database::Postgres { .. } => "overriding system value",
    };
    db.execute(&format!(
        "insert into audit_event (id, at, kind, actor, agent_id, jti, expires_at, epoch, detail) {overriding}
         values ({row}, {at}, 'token.issued', 'agent:a', 'a', {jti}, {ends}, 3, 'db:read')"
    ))
    .await;
}

const INLINE: &str = "'a', '{\"aud\":[],\"scope\":\"db:read\",\"ttl\":600}'";

async fn listed(store: &dyn Records) -> Vec<String> {
    let events = store.events(0, i64::MAX, 100).await.unwrap();
    let text = |event: &sealwright::testing::domain::event::row::EventRow| {
        String::from_utf8(event.logged().unwrap().bytes()).unwrap()
    };
    events.iter().map(text).collect()
}

async fn a_row_of_a_token_tells_all_that_its_event_does(db: &Database) {
    let store = db.open().await;
    add_terms(db).await;
    let jti = Uuid::from_u128(0xA);
    let (ours, clients) = (
        bytes(db, "00000000000000ab0000000000000007"),
        bytes(db, "01ba7816bf8f01cfea414140de5dae2223"),
    );
    let (v4, v6) = (
        bytes(db, "c00002"),
        bytes(db, "20010db8000100000000000000000006"),
    );
    let interned = format!("7, {ours}, {v4}");
    add(db, 1, jti, "terms, request, source", &interned).await;
    let inline = "{\"aud\":[\"https://b.example\"],\"credential\":\"00000000-0000-0000-0000-00000000000c\",\
                  \"scope\":\"db:read\",\"ttl\":900,\"user\":\"user \\\"é\\\" 42\"}";
    let rare = format!("'a', '{inline}', {clients}, {v6}");
    add(db, 2, jti, "agent_id, inline, request, source", &rare).await;
    add(db, 3, jti, "agent_id, inline", INLINE).await;
    let expected = [
        "{\"actor\":\"agent:a\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
         \"credentialId\":\"00000000-0000-0000-0000-00000000000c\",\
         \"detail\":{\"aud\":[\"https://b.example\",\"https://c.example\"],\"ttl\":600},\"epoch\":3,\
         \"exp\":\"2023-11-14T22:23:20Z\",\"id\":1,\"jti\":\"00000000-0000-0000-0000-00000000000a\",\
         \"kind\":\"token.issued\",\"requestId\":\"00000000000000ab-7\",\"scope\":\"db:read files:read\",\
         \"source\":\"192.0.2.0/24\",\"v\":1}",
        "{\"actor\":\"agent:a\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
         \"credentialId\":\"00000000-0000-0000-0000-00000000000c\",\
         \"detail\":{\"aud\":[\"https://b.example\"],\"ttl\":900,\"user\":\"user \\\"é\\\" 42\"},\"epoch\":3,\
         \"exp\":\"2023-11-14T22:28:20Z\",\"id\":2,\"jti\":\"00000000-0000-0000-0000-00000000000a\",\
         \"kind\":\"token.issued\",\"requestId\":\"sha256:ba7816bf8f01cfea414140de5dae2223\",\"scope\":\"db:read\",\
         \"source\":\"2001:db8:1::6\",\"v\":1}",
        "{\"actor\":\"agent:a\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
         \"detail\":{\"aud\":[],\"ttl\":600},\"epoch\":3,\
         \"exp\":\"2023-11-14T22:23:20Z\",\"id\":3,\"jti\":\"00000000-0000-0000-0000-00000000000a\",\
         \"kind\":\"token.issued\",\"scope\":\"db:read\",\"v\":1}",
    ];
    assert_eq!(listed(&*store).await, expected);
}

async fn any_value_of_a_row_is_read_as_it_is(db: &Database) {
    const BEYOND_DOUBLES: i64 = (1 << 53) + 1;
    let store = db.open().await;
    let jti = Uuid::from_u128(u128::MAX);
    let user = "\\\"\\\\\\n\\u0001\u{7f}é\u{1d11e}";
    let inline = format!(
        "'a', '{{\"aud\":[],\"scope\":\"db:read\",\"ttl\":600,\"user\":\"{user}\"}}', {}",
        bytes(db, "")
    );
    add(db, BEYOND_DOUBLES, jti, "agent_id, inline, source", &inline).await;
    db.execute("update token_event set epoch = 9223372036854775807")
        .await;
    let events = store.events(0, i64::MAX, i64::MAX).await.unwrap();
    let event = &events[0];
    assert_eq!(
        (event.id, event.epoch, event.jti),
        (BEYOND_DOUBLES, Some(i64::MAX), Some(jti))
    );
    assert_eq!((&event.request, &event.source), (&None, &Some(vec![])));
    assert_eq!(&*event.detail, "db:read \"\"\\\n\u{1}\u{7f}é\u{1d11e}\"");
}

async fn a_row_that_names_missing_terms_is_refused_and_stops_no_reader(db: &Database) {
    let store = db.open().await;
    let jti = Uuid::from_u128(1);
    add(db, 1, jti, "terms", "8").await;
    add(db, 2, jti, "agent_id, inline", "'a', 'x'").await;
    add(db, 3, jti, "agent_id, inline", INLINE).await;
    let events = store.events(0, i64::MAX, 100).await.unwrap();
    let readable: Vec<bool> = events.iter().map(|e| e.logged().is_ok()).collect();
    assert_eq!(readable, [false, false, true]);
    assert!(events.iter().all(|event| event.kind == "token.issued"));
}

async fn terms_that_changed_since_the_last_piece_are_read_anew(db: &Database) {
    let store = db.open().await;
    add_terms(db).await;
    add(db, 1, Uuid::from_u128(1), "terms", "7").await;
    let first = listed(&*store).await;
    assert!(first[0].contains("db:read files:read"), "{first:?}");
    assert_eq!(listed(&*store).await, first);
    db.execute("update token_terms set scope = 'db:write'")
        .await;
    let changed = listed(&*store).await;
    assert!(changed[0].contains("db:write"), "{changed:?}");
    db.execute("delete from token_terms").await;
    let events = store.events(0, i64::MAX, 100).await.unwrap();
    assert!(events[0].logged().is_err());
    // Another history of the store may give the same id to other terms.
    add_terms(db).await;
    assert_eq!(listed(&*store).await, first);
}

async fn both_tables_are_read_in_the_order_of_ids(db: &Database) {
    let store = db.open().await;
    let jti = Uuid::from_u128(1);
    for row in [1, 4, 5, 9] {
        add_old(db, row, jti).await;
    }
    for row in [2, 3, 6, 10] {
        add(db, row, jti, "agent_id, inline", INLINE).await;
    }
    let ids = async |after, through, limit| {
        let events = store.events(after, through, limit).await.unwrap();
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(0, 100, 100).await, [1, 2, 3, 4, 5, 6, 9, 10]);
    assert_eq!(ids(0, 100, 3).await, [1, 2, 3]);
    assert_eq!(ids(3, 9, 3).await, [4, 5, 6]);
    assert_eq!(ids(6, 9, 3).await, [9]);
}

async fn the_newest_event_may_be_in_either_table(db: &Database) {
    let store = db.open().await;
    let jti = Uuid::from_u128(1);
    for row in [1, 2, 3] {
        if row == 2 {
            add_old(db, row, jti).await;
        } else {
            add(db, row, jti, "agent_id, inline", INLINE).await;
        }
        assert_eq!(store.newest_event().await.unwrap(), row);
        let settled = store.settled_event(None).await.unwrap();
        assert_eq!(settled, Settlement::Settled(row));
    }
}

async fn tokens_of_both_tables_are_found(db: &Database) {
    let store = db.open().await;
    add_terms(db).await;
    let jtis = [uuid(NOW), uuid(NOW), uuid(NOW)];
    add_old(db, 1, jtis[0]).await;
    add(db, 2, jtis[1], "terms", "7").await;
    add(db, 3, jtis[2], "agent_id, inline", INLINE).await;
    for jti in jtis {
        let found = store.issued_token(Jti(jti)).await.unwrap().unwrap();
        assert_eq!(
            (found.agent_id, found.expires_at),
            (id("a"), Timestamp(NOW.0 + 600))
        );
    }
    assert_eq!(store.issued_token(Jti(uuid(NOW))).await.unwrap(), None);
    let killed = async |below, after, now| {
        let sought = KilledAgentQuery {
            agent_id: id("a"),
            below: Epoch(below),
            org_below: OrgEpoch(0),
            issued_from: NOW,
        };
        let found = store
            .killed_tokens(&[sought], after, Timestamp(now), 10)
            .await
            .unwrap();
        found[0].tokens.len()
    };
    assert_eq!(killed(4, None, NOW.0).await, 3);
    assert_eq!(killed(4, Some(1), NOW.0).await, 2);
    assert_eq!(killed(4, Some(2), NOW.0).await, 1);
    assert_eq!(killed(3, None, NOW.0).await, 0);
    assert_eq!(killed(4, None, NOW.0 + 599).await, 3);
    assert_eq!(killed(4, None, NOW.0 + 600).await, 0);
}

async fn tokens_of_both_tables_are_pruned_by_time(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for row in 11..16 {
        add_old(db, row, uuid(NOW)).await;
        add(db, row + 10, uuid(NOW), "agent_id, inline", INLINE).await;
    }
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    let later = Timestamp(NOW.0 + 100);
    db.set_clock(later);
    assert_eq!(
        store.prune(later, 0, 1_000).await.unwrap(),
        0,
        "nothing is announced"
    );
    db.announce_prune().await;
    assert_eq!(store.prune(later, 100, 1_000).await.unwrap(), 0);
    let mut gone = 0;
    for _ in 0..2 {
        gone += store.prune(later, 99, 4).await.unwrap();
    }
    assert_eq!(gone, 10);
    let kinds: Vec<String> = store
        .events(0, i64::MAX, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.kind.into_owned())
        .collect();
    assert_eq!(kinds, ["agent.created", "agent.tokens_revoked"]);
}
