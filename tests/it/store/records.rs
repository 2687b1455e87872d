//! Reads that are not part of issuing a token (`store::Records`). No wrapper repeats them, so the
//! backend itself must retry a broken connection.

use std::time::Duration;

use sealwright::testing::domain::agent::{AgentName, Epoch};
use sealwright::testing::domain::agent_filter::AgentFilter;
use sealwright::testing::domain::event::search::{EventCriteria, EventOrder};
use sealwright::testing::domain::id::HolderId;
use sealwright::testing::domain::org::{OrgEpoch, OrgId};
use sealwright::testing::domain::partner::{PartnerId, PartnerIssuer};
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::time::Moment;
use sealwright::testing::domain::usage::Day;
use sealwright::testing::store::{
    CredentialQuery, EventTable, IdRange, KilledAgentQuery, LogEntryKind, ReplyPlace,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::kit::{NOW, create, id, issue, jti, uuid};
use crate::harness::database::Database;

/// With `may_enter` false, ends all connections to a PostgreSQL database and refuses new ones. With
/// true, allows connections again.
async fn let_in(db: &Database, may_enter: bool) {
    let Database::Postgres { server, name, .. } = db else {
        unreachable!()
    };
    let mut conn = PgConnection::connect(server).await.unwrap();
    let sql = format!(
        "alter database {name} allow_connections {may_enter};
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and not {may_enter}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
}

/// Reads from the store while the database lets nobody in for a moment.
macro_rules! rides_out {
    ($db:expr, $store:expr; $($read:ident($($argument:expr),*)),* $(,)?) => {$(
        let_in($db, false).await;
        let mut read = Box::pin($store.$read($($argument),*));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut read).await;
        assert!(early.is_err(), "{} gave up: {early:?}", stringify!($read));
        let_in($db, true).await;
        read.await.unwrap();
    )*};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_look_up_rides_out_a_database_that_lets_nobody_in_for_a_moment() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 1, None).await;
    let (agents, tokens) = (
        [id("a")],
        [KilledAgentQuery {
            agent_id: id("a"),
            below: Epoch(9),
            org_below: OrgEpoch(0),
            issued_from: NOW,
        }],
    );
    let (org, issuer) = (
        OrgId::default(),
        PartnerIssuer::parse("https://a.example").unwrap(),
    );
    let (name, filter) = (AgentName::parse("x").unwrap(), AgentFilter::default());
    let credentials = CredentialQuery {
        now: NOW,
        ended_after: None,
        before: None,
        limit: 10,
    };
    let (holder, scope) = (HolderId(uuid(NOW)), Scope::parse("agents:read").unwrap());
    let plans = [(PlanName::free(), 1)];
    let (sought, range) = (
        EventCriteria::default(),
        IdRange {
            after: 0,
            through: 10,
        },
    );
    rides_out!(
        &db, store;
        agents(None, 10),
        agents_where(&filter, None, None, 10),
        agents_named(&name, 10),
        agent_orgs(&agents),
        credentials(&agents[0], credentials),
        agent_usage(&agents[0], Day(0), Day(1)),
        quota_uses(&agents, NOW.month()),
        agents_near_quota(NOW.month(), &plans),
        expiring_credentials((NOW, NOW), 1, 1),
        expiring_agents((NOW, NOW), 1, 1),
        used(&agents, NOW.month()),
        scope_counts(None),
        scope_holders(&scope, None, 10),
        plan_counts(None),
        org(&org),
        orgs(None, 10),
        holders_beyond(&org, &[], 10),
        org_members(&org, 10),
        may_make_orgs(),
        partner(PartnerId(uuid(NOW))),
        partners_of_issuer(&org, &issuer),
        partners(None, None, 10),
        partner_holders(PartnerId(uuid(NOW)), NOW, None, 10),
        partners(Some(&org), None, 10),
        revocations(0, NOW, NOW),
        killed_tokens(&tokens, None, NOW, 10),
        killed_tokens(&tokens, Some(0), NOW, 10),
        newest_event(),
        generation(),
        settled_event(None),
        events(0, 10, 10),
        search_window(EventTable::Tokens, EventOrder::Ascending, range),
        search_events(
            EventTable::Changes,
            &sought,
            EventOrder::Ascending,
            range,
            10
        ),
        search_events(
            EventTable::Tokens,
            &sought,
            EventOrder::Ascending,
            range,
            10
        ),
        first_token(EventOrder::Ascending, range),
        log_indexes(&[(1, LogEntryKind::Event)]),
        take_lease("test", holder, Duration::from_secs(1), Moment::from(NOW)),
        place("test"),
        issued_token(jti()),
        log_heads(),
        log_hashes(0, 0, 1),
        log_entries(0, 10),
        log_entry_from(LogEntryKind::Event, 1),
        keys(),
        keys_version(),
        rotates_by_default(),
        store_keys(),
        kept_reply(ReplyPlace([0; 32]), NOW),
        clock(),
        schema(),
    );
    db.remove().await;
}
