//! Counting tokens that are issued for an authorization code: each code is spent at most once, in
//! the same commit that counts its token.

use std::collections::HashSet;
use std::sync::Arc;

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::code::CodeRef;
use sealwright::testing::domain::grant::Grant;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    AgentChange, Batch, Change, Outcome, SPENT_GRACE, Store, StoreError,
};

use super::kit::{
    EVENTS, MILLIS, NOW, Seen, agent, batch, batch_at, code, commit, count, counted, create,
    exchange, grants, id, send, suspension, used,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_code_is_spent_with_the_counting_of_its_token,
    a_code_is_spent_once,
    a_code_that_an_older_release_spent_revokes_its_token_too,
    of_two_grants_of_one_batch_the_first_gets_the_code,
    of_two_grants_for_one_code_both_are_told_why_it_lives_on,
    a_batch_mixes_codes_and_none_and_each_gets_its_own_verdict,
    a_refusal_gives_the_code_back,
    a_hundred_exchanges_of_one_code_on_two_servers_give_one_token,
    batches_of_the_same_codes_in_any_order_count_each_once,
    a_batch_that_comes_twice_recalls_its_codes,
    a_batch_that_is_sent_twice_at_once_recalls_its_codes,
    a_batch_whose_codes_were_all_refused_is_decided_again,
    a_failed_call_spends_nothing,
    a_spent_code_is_forgotten_long_after_its_end,
    an_ordinary_batch_leaves_no_trace_among_the_codes,
}

const SPENT: &str = "select count(*) from spent_code";

/// A batch with one grant, which exchanges this code.
async fn one(store: &dyn Store, agent_id: &str, code: CodeRef) -> Batch {
    batch(vec![exchange(store, agent_id, code, None).await])
}

async fn redeem(store: &dyn Store, agent_id: &str, code: CodeRef) -> Seen {
    send(store, &one(store, agent_id, code).await).await[0]
}

async fn a_code_is_spent_with_the_counting_of_its_token(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let grant = exchange(&*store, "a", code(), Some(10)).await;
    assert_eq!(
        send(&*store, &batch(vec![grant.clone()])).await,
        [counted(0)]
    );
    assert_eq!(
        (
            used(&*store, "a").await,
            db.number(EVENTS).await,
            db.number(SPENT).await
        ),
        (Some(1), 1, 1)
    );
    let joined = "select count(*) from spent_code s join token_event e on e.jti = s.jti
                  where s.expires_at = e.at + 60";
    assert_eq!(db.number(joined).await, 1);
    assert_eq!(grant.subject(), super::kit::USER);
}

async fn a_code_is_spent_once(db: &Database) {
    let (here, elsewhere) = (db.open().await, db.open().await);
    create(&*here, "a").await;
    let code = code();
    assert_eq!(redeem(&*here, "a", code).await, counted(0));
    for store in [&here, &elsewhere] {
        assert_eq!(redeem(&**store, "a", code).await, Seen::Spent);
    }
    assert_eq!(
        (used(&*here, "a").await, db.number(EVENTS).await),
        (Some(1), 1)
    );
}

async fn of_two_grants_of_one_batch_the_first_gets_the_code(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let code = code();
    let mut twins = Vec::new();
    for _ in 0..4 {
        twins.push(exchange(&*store, "a", code, None).await);
    }
    // Token ids rise in the order in which they were made. In reverse order, only the position in
    // the batch can decide which grant comes first.
    twins.reverse();
    let seen = send(&*store, &batch(twins)).await;
    assert_eq!(seen, [counted(0), Seen::Spent, Seen::Spent, Seen::Spent]);
    assert_eq!(
        (used(&*store, "a").await, db.number(SPENT).await),
        (Some(1), 1)
    );
}

async fn of_two_grants_for_one_code_both_are_told_why_it_lives_on(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let code = code();
    let twins = async |limit| {
        let store = &*store;
        batch(vec![
            exchange(store, "a", code, limit).await,
            exchange(store, "a", code, limit).await,
        ])
    };
    assert_eq!(
        send(&*store, &twins(Some(0)).await).await,
        [Seen::QuotaReached; 2]
    );
    let before = twins(None).await;
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    assert_eq!(send(&*store, &before).await, [Seen::Stale; 2]);
    assert_eq!(db.number(SPENT).await, 0);
    assert_eq!(
        send(&*store, &twins(None).await).await,
        [counted(MILLIS), Seen::Spent]
    );
}

async fn a_batch_mixes_codes_and_none_and_each_gets_its_own_verdict(db: &Database) {
    use Seen::{QuotaReached, Spent, Stale};
    let store = db.open().await;
    for agent_id in ["a", "b", "c"] {
        create(&*store, agent_id).await;
    }
    let spent = code();
    redeem(&*store, "a", spent).await;
    let late = code();
    let stale = exchange(&*store, "c", late, None).await;
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("c")))).await;
    let (plain, fresh, over) = (
        grants(&*store, "a", 2, Some(3)).await,
        exchange(&*store, "a", code(), Some(3)).await,
        exchange(&*store, "b", code(), Some(0)).await,
    );
    let used_up = exchange(&*store, "a", spent, Some(3)).await;
    let mixed = vec![
        plain[0].clone(),
        used_up,
        stale,
        fresh,
        over,
        plain[1].clone(),
    ];
    let seen = send(&*store, &batch(mixed)).await;
    // `a` may have three tokens and has used one. The grants earlier in the batch get the other
    // two.
    assert_eq!(
        seen,
        [
            counted(0),
            Spent,
            Stale,
            counted(0),
            QuotaReached,
            QuotaReached
        ]
    );
    assert_eq!(
        [used(&*store, "a").await, used(&*store, "b").await],
        [Some(3), None]
    );
    assert_eq!((db.number(EVENTS).await, db.number(SPENT).await), (3, 2));
    assert_eq!(redeem(&*store, "c", late).await, counted(MILLIS));
}

async fn a_refusal_gives_the_code_back(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let code = code();
    let over = exchange(&*store, "a", code, Some(0)).await;
    assert_eq!(
        send(&*store, &batch(vec![over])).await,
        [Seen::QuotaReached]
    );
    let before = one(&*store, "a", code).await;
    commit(&*store, suspension(id("a"))).await;
    assert_eq!(send(&*store, &before).await, [Seen::Stale]);
    commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await;
    assert_eq!(db.number(SPENT).await, 0);
    assert_eq!(redeem(&*store, "a", code).await, counted(MILLIS));
}

async fn a_hundred_exchanges_of_one_code_on_two_servers_give_one_token(db: &Database) {
    let stores = [db.open().await, db.open().await];
    create(&*stores[0], "a").await;
    for round in 1..=3 {
        let code = code();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..100 {
            let store = Arc::clone(&stores[n % 2]);
            let batch = one(&*store, "a", code).await;
            tasks.spawn(async move { send(&*store, &batch).await });
        }
        let seen = tasks.join_all().await.concat();
        assert_eq!(count(&seen), 1);
        assert_eq!(seen.iter().filter(|s| **s == Seen::Spent).count(), 99);
        assert_eq!(
            (used(&*stores[0], "a").await, db.number(EVENTS).await),
            (Some(round), round)
        );
    }
}

async fn batches_of_the_same_codes_in_any_order_count_each_once(db: &Database) {
    let stores = [db.open().await, db.open().await];
    create(&*stores[0], "a").await;
    create(&*stores[0], "b").await;
    for _ in 0..20 {
        let codes: Vec<CodeRef> = (0..5).map(|_| code()).collect();
        let mut batches = Vec::new();
        for turned in [false, true] {
            let mut tokens: Vec<Arc<Grant>> = Vec::new();
            for code in &codes {
                tokens.push(exchange(&*stores[0], "a", *code, None).await);
                tokens.extend(grants(&*stores[0], "b", 1, None).await);
            }
            if turned {
                tokens.reverse();
            }
            batches.push(batch(tokens));
        }
        let (one, other) = tokio::join!(
            send(&*stores[0], &batches[0]),
            send(&*stores[1], &batches[1])
        );
        assert_eq!(count(&one) + count(&other), 15);
    }
    assert_eq!(
        [used(&*stores[0], "a").await, used(&*stores[0], "b").await],
        [Some(100), Some(200)]
    );
    assert_eq!(db.number(SPENT).await, 100);
    let twice = "select count(*) from (select jti from token_event
                 group by jti having count(*) > 1) t";
    assert_eq!(db.number(twice).await, 0);
    // Each code was presented twice, so the token of its first use is revoked.
    let dead = "select count(*) from spent_code s join revoked_token r on r.jti = s.jti
                where r.expires_at = s.token_expires_at";
    assert_eq!(db.number(dead).await, 100);
}

async fn a_batch_that_comes_twice_recalls_its_codes(db: &Database) {
    let (store, elsewhere) = (db.open().await, db.open().await);
    create(&*store, "a").await;
    let spent = code();
    redeem(&*store, "a", spent).await;
    let mut tokens = grants(&*store, "a", 1, None).await;
    tokens.push(exchange(&*store, "a", code(), None).await);
    tokens.push(exchange(&*store, "a", spent, None).await);
    let batch = batch(tokens);
    assert_eq!(
        send(&*store, &batch).await,
        [counted(0), counted(0), Seen::Spent]
    );
    // A grant that was not counted is stale when the batch comes again: the server decides about it
    // again. Then its code is spent, as before.
    for store in [&store, &elsewhere] {
        assert_eq!(
            send(&**store, &batch).await,
            [counted(0), counted(0), Seen::Stale]
        );
    }
    let alone = one(&*store, "a", code()).await;
    for store in [&store, &store, &elsewhere] {
        assert_eq!(send(&**store, &alone).await, [counted(0)]);
    }
    commit(&*store, suspension(id("a"))).await;
    assert_eq!(
        send(&*store, &batch).await,
        [counted(0), counted(0), Seen::Stale]
    );
    assert_eq!(send(&*store, &alone).await, [counted(0)]);
    assert_eq!(
        (
            used(&*store, "a").await,
            db.number(EVENTS).await,
            db.number(SPENT).await
        ),
        (Some(4), 4, 3)
    );
}

async fn a_batch_that_is_sent_twice_at_once_recalls_its_codes(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    create(&*one, "a").await;
    for round in 1..=10 {
        // In rounds 1 to 5 the exchange is alone in its batch, then it comes with plain tokens.
        let mut tokens = grants(&*one, "a", usize::from(round > 5), None).await;
        tokens.push(exchange(&*one, "a", code(), None).await);
        let batch = batch(tokens);
        let (first, second) = tokio::join!(send(&*one, &batch), send(&*other, &batch));
        assert_eq!((&first, &second), (&vec![counted(0); first.len()], &first));
        let others = (round - 5).max(0);
        assert_eq!(
            (used(&*one, "a").await, db.number(SPENT).await),
            (Some(round + others), round)
        );
    }
}

async fn a_batch_whose_codes_were_all_refused_is_decided_again(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let code = code();
    let over = batch(vec![exchange(&*store, "a", code, Some(0)).await]);
    assert_eq!(send(&*store, &over).await, [Seen::QuotaReached]);
    let again = send(&*store, &over).await;
    assert!(
        again == [Seen::Stale] || again == [Seen::QuotaReached],
        "{again:?}"
    );
    assert_eq!(db.number(SPENT).await, 0);
    assert_eq!(redeem(&*store, "a", code).await, counted(0));
}

async fn a_failed_call_spends_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = one(&*store, "a", code()).await;
    db.execute("alter table quota rename to away").await;
    assert!(matches!(
        store.issue(&batch).await,
        Err(StoreError::Fault(_))
    ));
    assert_eq!(db.number(SPENT).await, 0);
    db.execute("alter table away rename to quota").await;
    assert_eq!(send(&*store, &batch).await, [counted(0)]);
}

async fn a_spent_code_is_forgotten_long_after_its_end(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let mut spent = HashSet::new();
    for _ in 0..5 {
        let code = code();
        spent.insert(code.id);
        redeem(&*store, "a", code).await;
    }
    assert_eq!(spent.len(), 5);
    let end = NOW.0 + 60 + SPENT_GRACE;
    for (at, steps) in [(end, vec![0]), (end + 1, vec![4, 1, 0])] {
        for gone in steps {
            db.set_clock(Timestamp(at));
            assert_eq!(store.prune(Timestamp(at), 1 << 40, 4).await.unwrap(), gone);
        }
    }
    assert_eq!(db.number(SPENT).await, 0);
}

async fn an_ordinary_batch_leaves_no_trace_among_the_codes(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    // A batch without codes does not touch the table, so it succeeds even when the table is
    // missing.
    db.execute("drop table spent_code").await;
    assert_eq!(
        send(&*store, &batch_at(NOW, grants(&*store, "a", 2, None).await)).await,
        vec![counted(0); 2]
    );
    let costly = one(&*store, "a", code()).await;
    assert!(matches!(
        store.issue(&costly).await,
        Err(StoreError::Fault(_))
    ));
    let profile = Box::new(agent("a").profile);
    let update = Change::Agent(AgentChange::Update {
        agent_id: id("a"),
        expected_version: 1,
        before: profile.clone(),
        profile,
        tokens: LiveTokens::Keep,
    });
    assert_eq!(commit(&*store, update).await, Outcome::Applied);
}

/// A row of an older release has no `token_expires_at`. Its revocation is kept for as long as any
/// token can live.
async fn a_code_that_an_older_release_spent_revokes_its_token_too(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let code = code();
    assert_eq!(redeem(&*store, "a", code).await, counted(0));
    db.execute("update spent_code set token_expires_at = null")
        .await;
    assert_eq!(redeem(&*store, "a", code).await, Seen::Spent);
    let ends = db.number("select expires_at from revoked_token").await;
    assert_eq!(ends, code.expires_at.0 + 86_400);
}
