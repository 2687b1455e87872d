//! The search for events: what each criterion finds, in both orders, and how much one window reads.

use sealwright::testing::domain::event::kind::EventKind;
use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::domain::event::search::{EventCriteria, EventOrder};
use sealwright::testing::domain::id::Jti;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{Backend, EventTable, IdRange, LogEntryKind, MAX_WINDOW_ROWS};
use uuid::Uuid;

use super::kit::id;
use super::on_both;
use crate::harness::database::Database;

on_both! {
    each_criterion_finds_its_events,
    a_search_goes_in_both_orders_and_ends_at_its_limit,
    a_window_has_a_bounded_number_of_rows,
    tokens_are_found_by_terms_of_their_own_and_by_shared_ones,
    the_entry_of_an_event_is_its_own_or_its_blocks,
}

const EVERYTHING: IdRange = IdRange {
    after: 0,
    through: i64::MAX,
};

/// The sought number, as a UUID.
const TOKEN: Uuid = Uuid::from_u128(7);

/// Bytes as SQL.
fn blob(db: &Database, bytes: &[u8]) -> String {
    let digits = bytes.iter().fold(String::new(), |digits, byte| {
        digits + &format!("{byte:02x}")
    });
    match db {
        Database::Sqlite { .. } => format!("x'{digits}'"),
        Database::Postgres { .. } => format!("'\\x{digits}'"),
    }
}

/// A UUID as SQL.
fn uuid_text(db: &Database, id: Uuid) -> String {
    match db {
        Database::Sqlite { .. } => blob(db, id.as_bytes()),
        Database::Postgres { .. } => format!("'{id}'"),
    }
}

/// Six events, of which the first one is of an earlier release.
async fn fill(db: &Database) {
    let token = uuid_text(db, TOKEN);
    let ours = RequestRef::Ours {
        process: 1,
        count: 2,
    };
    let ours = blob(db, &ours.to_bytes());
    let sent = blob(db, &RequestRef::of_client("r").to_bytes());
    db.execute(&format!(
        "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, detail, request) values
         (10, 'scope.updated',     'operator', null, null,    null, 's', null),
         (11, 'agent.suspended',   'operator', 'a',  null,    null, '',  {ours}),
         (13, 'agent.reactivated', 'agent:b',  'a',  null,    null, '',  {sent}),
         (12, 'token.revoked',     'agent:a',  'a',  {token}, 99,   '',  null),
         (14, 'agent.suspended',   'operator', 'b',  null,    null, '',  null),
         (15, 'key.removed',       'system',   null, null,    null, 'k', null)"
    ))
    .await;
}

/// The ids that are found in this range, in this order.
async fn find(
    store: &dyn Backend,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> Vec<i64> {
    let rows = store
        .search_events(EventTable::Changes, sought, order, range, limit)
        .await;
    let rows = rows.unwrap();
    assert!(rows.iter().all(|row| row.logged().is_ok()));
    rows.iter().map(|row| row.id).collect()
}

/// These criteria alone, made by a change of those that everything meets.
fn sought(change: impl FnOnce(&mut EventCriteria)) -> EventCriteria {
    let mut sought = EventCriteria::default();
    change(&mut sought);
    sought
}

async fn each_criterion_finds_its_events(db: &Database) {
    let store = db.open().await;
    fill(db).await;
    let actor = |text: &str| sought(|s| s.actor = Some(text.to_owned()));
    let agent = |text: &str| sought(|s| s.agent_id = Some(id(text)));
    let kinds = |kinds: &[EventKind]| sought(|s| s.kinds = Some(kinds.to_vec()));
    let jti = |id: Uuid| sought(|s| s.jti = Some(Jti(id)));
    let request = |text: &str| sought(|s| s.requests = Some(RequestRef::sought(text)));
    let time = |from: Option<i64>, to: Option<i64>| {
        sought(|s| (s.from, s.to) = (from.map(Timestamp), to.map(Timestamp)))
    };
    for (sought, ids) in [
        (EventCriteria::default(), &[1, 2, 3, 4, 5, 6][..]),
        (agent("a"), &[2, 3, 4]),
        (agent("c"), &[]),
        (actor("operator"), &[1, 2, 5]),
        (actor("' or 1=1 --"), &[]),
        // The kind had another name in earlier releases.
        (
            kinds(&[EventKind::ScopeChanged, EventKind::KeyRemoved]),
            &[1, 6],
        ),
        (kinds(&[]), &[]),
        (jti(TOKEN), &[4]),
        (jti(Uuid::nil()), &[]),
        (request("0000000000000001-2"), &[2]),
        (request("r"), &[3]),
        (request(&RequestRef::of_client("r").to_string()), &[3]),
        (request("none"), &[]),
        (time(Some(13), None), &[3, 5, 6]),
        (time(None, Some(13)), &[1, 2, 4]),
        (time(Some(12), Some(13)), &[4]),
        (time(Some(12), Some(12)), &[]),
        (
            sought(|s| {
                s.agent_id = Some(id("a"));
                s.kinds = EventKind::select("agent.*").ok();
                s.actor = Some("operator".to_owned());
            }),
            &[2],
        ),
    ] {
        let found = find(&*store, &sought, EventOrder::Ascending, EVERYTHING, 10).await;
        assert_eq!(found, ids, "{sought:?}");
    }
}

async fn a_search_goes_in_both_orders_and_ends_at_its_limit(db: &Database) {
    let store = db.open().await;
    fill(db).await;
    let sought = EventCriteria {
        agent_id: Some(id("a")),
        ..EventCriteria::default()
    };
    let range = |after, through| IdRange { after, through };
    for (order, range, limit, ids) in [
        (EventOrder::Ascending, EVERYTHING, 2, &[2, 3][..]),
        (EventOrder::Descending, EVERYTHING, 2, &[4, 3]),
        (EventOrder::Ascending, range(2, 3), 9, &[3]),
        (EventOrder::Descending, range(1, 3), 9, &[3, 2]),
        (EventOrder::Descending, range(3, 3), 9, &[]),
        (EventOrder::Descending, range(4, 3), 9, &[]),
    ] {
        assert_eq!(find(&*store, &sought, order, range, limit).await, ids);
    }
}

async fn a_window_has_a_bounded_number_of_rows(db: &Database) {
    let store = db.open().await;
    let rows = MAX_WINDOW_ROWS + 5;
    // Every third id, as when others were removed.
    db.execute(&format!(
        "with recursive n (id) as (select 3 union all select id + 3 from n where id < 3 * {rows})
         insert into audit_event (id, at, kind, actor, agent_id, detail) {}
         select id, 1, 'agent.suspended', 'operator', 'a', '' from n",
        match db {
            Database::Sqlite { .. } => "",
            Database::Postgres { .. } => "overriding system value",
        }
    ))
    .await;
    let last = 3 * rows;
    for (order, window) in [
        (
            EventOrder::Ascending,
            IdRange {
                after: 0,
                through: last - 15,
            },
        ),
        (
            EventOrder::Descending,
            IdRange {
                after: 17,
                through: i64::MAX,
            },
        ),
    ] {
        assert_eq!(
            store
                .search_window(EventTable::Changes, order, EVERYTHING)
                .await
                .unwrap(),
            window
        );
        let rest = EVERYTHING.without(order, window);
        assert_eq!(
            store
                .search_window(EventTable::Changes, order, rest)
                .await
                .unwrap(),
            rest
        );
        let found = find(&*store, &EventCriteria::default(), order, rest, 99).await;
        assert_eq!(found.len(), 5, "{order:?}");
    }
}

async fn tokens_are_found_by_terms_of_their_own_and_by_shared_ones(db: &Database) {
    let store = db.open().await;
    let (own, shared) = (uuid_text(db, TOKEN), uuid_text(db, Uuid::from_u128(8)));
    let sent = blob(db, &RequestRef::of_client("r").to_bytes());
    db.execute(&format!(
        "insert into token_terms (agent_id, credential_id, scope, audience, ttl, used_on)
         values ('a', {shared}, 's', '[\"x\"]', 600, 0);
         insert into token_event (id, jti, at, epoch, terms, agent_id, inline, request) values
         (1, {own},    10, 0, null, 'b',  '{{\"aud\":[\"x\"],\"scope\":\"s\",\"ttl\":600}}', null),
         (3, {shared}, 11, 0, 1,    null, null, {sent});"
    ))
    .await;
    let agent = |text: &str| sought(|s| s.agent_id = Some(id(text)));
    let actor = |text: &str| sought(|s| s.actor = Some(text.to_owned()));
    for (sought, ids) in [
        (EventCriteria::default(), &[3, 1][..]),
        (agent("a"), &[3]),
        (agent("b"), &[1]),
        (agent("c"), &[]),
        (actor("agent:a"), &[3]),
        (actor("agent:b"), &[1]),
        (actor("a"), &[]),
        (sought(|s| s.jti = Some(Jti(TOKEN))), &[1]),
        (sought(|s| s.requests = Some(RequestRef::sought("r"))), &[3]),
        (sought(|s| s.from = Some(Timestamp(11))), &[3]),
        (sought(|s| s.to = Some(Timestamp(11))), &[1]),
    ] {
        let order = EventOrder::Descending;
        let table = EventTable::Tokens;
        let rows = store
            .search_events(table, &sought, order, EVERYTHING, 9)
            .await
            .unwrap();
        let found: Vec<i64> = rows
            .iter()
            .map(|row| row.logged().unwrap().id.get())
            .collect();
        assert_eq!(found, ids, "{sought:?}");
    }
    for (order, range, first) in [
        (EventOrder::Descending, EVERYTHING, Some((3, 11))),
        (
            EventOrder::Descending,
            IdRange {
                after: 0,
                through: 2,
            },
            Some((1, 10)),
        ),
        (
            EventOrder::Ascending,
            IdRange {
                after: 1,
                through: 9,
            },
            Some((3, 11)),
        ),
        (
            EventOrder::Ascending,
            IdRange {
                after: 1,
                through: 2,
            },
            None,
        ),
    ] {
        let first = first.map(|(id, at)| (id, Timestamp(at)));
        assert_eq!(store.first_token(order, range).await.unwrap(), first);
    }
}

async fn the_entry_of_an_event_is_its_own_or_its_blocks(db: &Database) {
    let store = db.open().await;
    let hash = blob(db, &[0; 32]);
    let (yes, no) = match db {
        Database::Sqlite { .. } => ("1", "0"),
        Database::Postgres { .. } => ("true", "false"),
    };
    db.execute(&format!(
        "insert into log_entry (position, tokens, first_id, last_id, hash, entry) values
         (0, {no}, 1, 1, {hash}, {hash}), (1, {no}, 4, 4, {hash}, {hash}), (2, {yes}, 2, 6, {hash}, {hash})"
    ))
    .await;
    let (event, token) = (LogEntryKind::Event, LogEntryKind::Tokens);
    let sought = [
        (1, event),
        (4, event),
        (5, event),
        (1, token),
        (2, token),
        (3, token),
        (6, token),
        (7, token),
    ];
    let mut found = store.log_indexes(&sought).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [(1, 0), (2, 2), (3, 2), (4, 1), (6, 2)]);
    assert_eq!(store.log_indexes(&[]).await.unwrap(), []);
}
