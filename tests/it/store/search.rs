//! The search for events: what each criterion finds, in both orders, and how much one window reads.

use sealwright::testing::domain::event::kind::EventKind;
use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::domain::event::search::{EventCriteria, EventOrder};
use sealwright::testing::domain::id::Jti;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{Backend, IdRange, MAX_WINDOW_ROWS};
use uuid::Uuid;

use super::kit::id;
use super::on_both;
use crate::harness::database::Database;

on_both! {
    each_criterion_finds_its_events,
    a_search_goes_in_both_orders_and_ends_at_its_limit,
    a_window_has_a_bounded_number_of_rows,
}

const EVERYTHING: IdRange = IdRange {
    after: 0,
    through: i64::MAX,
};

/// The sought number, as a UUID.
const TOKEN: Uuid = Uuid::from_u128(7);

/// Six events, of which the first one is of an earlier release.
async fn fill(db: &Database) {
    let blob = |bytes: Vec<u8>| {
        let digits = digits(&bytes);
        match db {
            Database::Sqlite { .. } => format!("x'{digits}'"),
            Database::Postgres { .. } => format!("'\\x{digits}'"),
        }
    };
    let token = match db {
        Database::Sqlite { .. } => blob(TOKEN.as_bytes().to_vec()),
        Database::Postgres { .. } => format!("'{TOKEN}'"),
    };
    let ours = RequestRef::Ours {
        process: 1,
        count: 2,
    };
    let (ours, sent) = (
        blob(ours.to_bytes()),
        blob(RequestRef::of_client("r").to_bytes()),
    );
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

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| {
        digits + &format!("{byte:02x}")
    })
}

/// The ids that are found in this range, in this order.
async fn find(
    store: &dyn Backend,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> Vec<i64> {
    let rows = store.search_changes(sought, order, range, limit).await;
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
            store.change_window(order, EVERYTHING).await.unwrap(),
            window
        );
        let rest = EVERYTHING.without(order, window);
        assert_eq!(store.change_window(order, rest).await.unwrap(), rest);
        let found = find(&*store, &EventCriteria::default(), order, rest, 99).await;
        assert_eq!(found.len(), 5, "{order:?}");
    }
}
