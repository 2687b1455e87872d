//! Revocations: of one token, of all tokens of an agent, and the list of both.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealwright::testing::domain::agent::{AgentStatus, Epoch, LiveTokens};
use sealwright::testing::domain::id::Jti;
use sealwright::testing::domain::org::{OrgId, OrgStanding};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::store::{AgentChange, Backend, Change, Outcome, Standing, TokenChange};
use uuid::Uuid;

use super::kit::{
    MILLIS, NOW, agent, batch_at, commit, commit_at, create, grants, id, jti, read, send,
    suspension, token,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_revoked_token_stands_revoked_everywhere_at_once,
    standings_come_in_the_order_asked,
    a_second_revocation_changes_nothing,
    the_list_leaves_out_what_has_ended,
    the_list_tells_only_what_came_after,
    a_kill_names_the_agent_and_the_longest_life_it_ever_gave,
    versions_are_complete_and_in_order_under_concurrent_revocations,
    an_issued_token_is_found_by_the_time_in_its_id,
}

const LATER: Timestamp = Timestamp(NOW.0 + 600);

fn revocation(jti: Jti, expires_at: Timestamp) -> Change {
    Change::Token(TokenChange::Revoke {
        jti,
        agent_id: Some(id("a")),
        expires_at,
    })
}

async fn a_revoked_token_stands_revoked_everywhere_at_once(db: &Database) {
    let (store, other) = (db.open().await, db.open().await);
    create(&*store, "a").await;
    let jti = jti();
    let active = Some((AgentStatus::Active, Epoch(0)));
    assert_eq!(
        store.standing(&[token(jti, "a")]).await.unwrap(),
        [Standing {
            revoked: false,
            agent: active,
            org_id: Some(OrgId::default()),
            org: OrgStanding::default(),
            expires_at: None,
            keys_version: 0,
        }]
    );
    assert_eq!(
        commit(&*store, revocation(jti, LATER)).await,
        Outcome::Applied
    );
    for store in [store, other] {
        let standing = store.standing(&[token(jti, "a")]).await.unwrap();
        assert_eq!(
            standing,
            [Standing {
                revoked: true,
                agent: active,
                org_id: Some(OrgId::default()),
                org: OrgStanding::default(),
                expires_at: None,
                keys_version: 0,
            }]
        );
    }
    let event = "select kind || ' ' || agent_id || ' ' || expires_at from audit_event where jti is not null";
    assert_eq!(
        db.texts(event).await,
        [format!("token.revoked a {}", LATER.0)]
    );
}

async fn standings_come_in_the_order_asked(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    commit(&*store, suspension(id("b"))).await;
    let revoked = jti();
    commit(&*store, revocation(revoked, LATER)).await;
    let asked = [
        token(jti(), "b"),
        token(revoked, "nobody"),
        token(revoked, "a"),
        token(jti(), "a"),
    ];
    let stands = |revoked, agent: Option<_>| Standing {
        revoked,
        org_id: agent.is_some().then(OrgId::default),
        org: OrgStanding::default(),
        agent,
        expires_at: None,
        keys_version: 0,
    };
    let (active, suspended) = (
        (AgentStatus::Active, Epoch(0)),
        (AgentStatus::Suspended, Epoch(MILLIS)),
    );
    let expected = [
        stands(false, Some(suspended)),
        stands(true, None),
        stands(true, Some(active)),
        stands(false, Some(active)),
    ];
    assert_eq!(store.standing(&asked).await.unwrap(), expected);
    assert_eq!(store.standing(&[]).await.unwrap(), []);
    let many: Vec<_> = (0..300)
        .map(|_| token(jti(), "a"))
        .chain([token(revoked, "a")])
        .collect();
    let standings = store.standing(&many).await.unwrap();
    assert_eq!(
        standings.iter().map(|s| s.revoked).collect::<Vec<_>>(),
        [vec![false; 300], vec![true]].concat()
    );
}

async fn a_second_revocation_changes_nothing(db: &Database) {
    let store = db.open().await;
    let jti = jti();
    let unnamed = |expires_at| {
        Change::Token(TokenChange::Revoke {
            jti,
            agent_id: None,
            expires_at,
        })
    };
    assert_eq!(commit(&*store, unnamed(LATER)).await, Outcome::Applied);
    let before = store.revocations(0, NOW, NOW).await.unwrap();
    assert_eq!(
        commit(&*store, unnamed(Timestamp(LATER.0 + 1))).await,
        Outcome::Unchanged
    );
    assert_eq!(store.revocations(0, NOW, NOW).await.unwrap(), before);
    assert_eq!(db.number("select count(*) from audit_event").await, 1);
}

async fn the_list_leaves_out_what_has_ended(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let (ends, lives) = (jti(), jti());
    commit(&*store, revocation(ends, LATER)).await;
    commit(&*store, revocation(lives, Timestamp(LATER.0 + 1))).await;
    db.set_clock(LATER);
    commit_at(
        &*store,
        LATER,
        Change::Agent(AgentChange::RevokeTokens(id("a"))),
    )
    .await;
    let list = store
        .revocations(0, LATER, Timestamp(LATER.0 - 1))
        .await
        .unwrap();
    assert_eq!(
        list.tokens.iter().map(|t| t.jti).collect::<Vec<_>>(),
        [lives]
    );
    assert_eq!(list.agents.len(), 1);
    let list = store.revocations(0, LATER, LATER).await.unwrap();
    assert_eq!((list.agents.len(), list.version), (0, LATER.0 * 1_000));
}

async fn the_list_tells_only_what_came_after(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(store.revocations(0, NOW, NOW).await.unwrap().version, 0);
    let tokens: Vec<Jti> = (0..4).map(|_| jti()).collect();
    for jti in &tokens {
        commit(&*store, revocation(*jti, LATER)).await;
    }
    let list = store.revocations(MILLIS + 1, NOW, NOW).await.unwrap();
    assert_eq!(list.version, MILLIS + 3);
    assert_eq!(
        list.tokens
            .iter()
            .map(|t| (t.jti, t.version))
            .collect::<Vec<_>>(),
        [(tokens[2], MILLIS + 2), (tokens[3], MILLIS + 3)]
    );
    let none = store.revocations(MILLIS + 3, NOW, NOW).await.unwrap();
    assert_eq!(
        (none.version, none.tokens.len(), none.agents.len()),
        (MILLIS + 3, 0, 0)
    );
}

async fn a_kill_names_the_agent_and_the_longest_life_it_ever_gave(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    for ttl in [Some(86_400), Some(300), None] {
        let version = read(&*store, "a").await.agent.version;
        let mut profile = agent("a").profile;
        Arc::make_mut(&mut profile.terms).ttl = ttl.map(|t| Ttl::new(t).unwrap());
        let change = Change::Agent(AgentChange::Update {
            agent_id: id("a"),
            expected_version: version,
            before: Box::new(agent("a").profile),
            profile: Box::new(profile),
            tokens: LiveTokens::Keep,
        });
        assert_eq!(commit(&*store, change).await, Outcome::Applied);
    }
    commit(&*store, suspension(id("a"))).await;
    db.set_clock(LATER);
    commit_at(
        &*store,
        LATER,
        Change::Agent(AgentChange::RevokeTokens(id("b"))),
    )
    .await;
    commit_at(
        &*store,
        LATER,
        Change::Agent(AgentChange::Decommission(id("a"))),
    )
    .await;
    // A clock that was set back does not undo a kill.
    let later = LATER.0 * 1_000;
    db.set_clock(NOW);
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("b")))).await;
    let list = store.revocations(0, NOW, NOW).await.unwrap();
    let agents: Vec<_> = list
        .agents
        .iter()
        .map(|a| (a.agent_id.as_str(), a.epoch.0, a.longest_ttl, a.version))
        .collect();
    assert_eq!(
        agents,
        [
            ("a", later, 86_400, later + 1),
            ("b", later + 1, 0, later + 2)
        ]
    );
    assert!(list.agents.iter().all(|a| a.killed_at == LATER));
    assert_eq!(list.version, later + 2);
    assert_eq!(read(&*store, "b").await.agent.status, AgentStatus::Active);
}

async fn versions_are_complete_and_in_order_under_concurrent_revocations(db: &Database) {
    let stores: [Arc<dyn Backend>; 2] = [db.open().await, db.open().await];
    for agent_id in ["a", "b"] {
        create(&*stores[0], agent_id).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..2 {
        let store = stores[i].clone();
        tasks.spawn(async move {
            for n in 0..30 {
                let kill = Change::Agent(AgentChange::RevokeTokens(id(["a", "b"][(n + i) % 2])));
                let writes = [revocation(jti(), LATER), kill, revocation(jti(), LATER)];
                let writes = writes.into_iter().map(super::kit::write).collect();
                assert_eq!(store.commit(writes).await.unwrap(), [Outcome::Applied; 3]);
            }
        });
    }
    // A reader that follows the list by its versions misses no revocation.
    let reader = db.open().await;
    let (mut since, mut followed) = (0, BTreeSet::new());
    loop {
        let done = tasks.is_empty();
        let list = reader.revocations(since, NOW, Timestamp(0)).await.unwrap();
        assert!(list.version >= since);
        let versions = list
            .tokens
            .iter()
            .map(|t| t.version)
            .chain(list.agents.iter().map(|a| a.version));
        assert!(versions.into_iter().all(|v| v > since && v <= list.version));
        assert!(
            list.tokens.is_sorted_by_key(|t| t.version)
                && list.agents.is_sorted_by_key(|a| a.version)
        );
        followed.extend(list.tokens.iter().map(|t| t.version));
        since = list.version;
        if done {
            break;
        }
        while let Some(joined) = tasks.try_join_next() {
            joined.unwrap();
        }
    }
    assert_eq!(since, MILLIS + 179);
    let all = reader.revocations(0, NOW, Timestamp(0)).await.unwrap();
    assert_eq!(followed, all.tokens.iter().map(|t| t.version).collect());
    assert_eq!(followed.len(), 120);
}

async fn an_issued_token_is_found_by_the_time_in_its_id(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    db.set_clock(Timestamp(NOW.0 + 3));
    let batch = batch_at(Timestamp(NOW.0 + 3), grants(&*store, "a", 3, None).await);
    send(&*store, &batch).await;
    let found = store
        .issued_token(batch.grants[1].jti())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.expires_at, Timestamp(NOW.0 + 603));
    assert_eq!(store.issued_token(jti()).await.unwrap(), None);
    assert_eq!(store.issued_token(Jti(Uuid::nil())).await.unwrap(), None);
    // The revocation of a token that was never issued does not make it an issued token.
    let other = jti();
    commit(&*store, revocation(other, LATER)).await;
    assert_eq!(store.issued_token(other).await.unwrap(), None);
}
