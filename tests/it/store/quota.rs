//! Quotas: the limit is never exceeded, even when several stores count at once.

use std::sync::Arc;

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::Backend;

use super::kit::{
    EVENTS, NOW, Seen, batch, batch_at, count, counted, create, grants, id, issue, send, used,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    the_first_of_a_batch_get_through_up_to_the_limit,
    sixty_four_at_once_get_exactly_the_limit,
    two_stores_on_one_database_get_exactly_the_limit,
    a_lowered_limit_refuses_and_leaves_the_counter,
    without_a_limit_everything_is_counted,
    a_limit_of_nothing_or_less_allows_nothing,
    a_full_counter_refuses_and_never_overflows,
    of_different_limits_in_one_batch_the_lowest_holds,
    the_count_starts_anew_with_each_utc_month,
    an_agent_without_tokens_is_absent_from_the_usage,
}

async fn the_first_of_a_batch_get_through_up_to_the_limit(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let mut expected = vec![counted(0); 5];
    expected.extend([Seen::QuotaReached; 3]);
    assert_eq!(issue(&*store, "a", 8, Some(5)).await, expected);
    assert_eq!(
        issue(&*store, "a", 2, Some(5)).await,
        [Seen::QuotaReached; 2]
    );
    assert_eq!(
        issue(&*store, "a", 2, Some(6)).await,
        [counted(0), Seen::QuotaReached]
    );
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(6), 6)
    );
}

/// Sends `n` batches of `each` tokens at once, spread over the stores. Returns how many tokens were
/// counted.
async fn storm(stores: &[Arc<dyn Backend>], n: usize, each: usize, limit: i64) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..n {
        let store = stores[i % stores.len()].clone();
        let batch = batch(grants(&*store, "a", each, Some(limit)).await);
        tasks.spawn(async move { count(&send(&*store, &batch).await) });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn sixty_four_at_once_get_exactly_the_limit(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(storm(std::slice::from_ref(&store), 64, 1, 20).await, 20);
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(20), 20)
    );
}

async fn two_stores_on_one_database_get_exactly_the_limit(db: &Database) {
    let stores = [db.open().await, db.open().await];
    create(&*stores[0], "a").await;
    assert_eq!(storm(&stores, 64, 7, 200).await, 200);
    assert_eq!(
        (used(&*stores[1], "a").await, db.number(EVENTS).await),
        (Some(200), 200)
    );
}

async fn a_lowered_limit_refuses_and_leaves_the_counter(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(count(&issue(&*store, "a", 10, Some(10)).await), 10);
    assert_eq!(
        issue(&*store, "a", 2, Some(3)).await,
        [Seen::QuotaReached; 2]
    );
    assert_eq!(used(&*store, "a").await, Some(10));
    assert_eq!(issue(&*store, "a", 1, Some(11)).await, [counted(0)]);
}

async fn without_a_limit_everything_is_counted(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for _ in 0..2 {
        assert_eq!(count(&issue(&*store, "a", 200, None).await), 200);
    }
    assert_eq!(used(&*store, "a").await, Some(400));
}

async fn a_limit_of_nothing_or_less_allows_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let refused = async |limit| {
        assert_eq!(
            issue(&*store, "a", 2, Some(limit)).await,
            [Seen::QuotaReached; 2]
        );
    };
    for limit in [0, -1, i64::MIN] {
        refused(limit).await;
    }
    assert_eq!(used(&*store, "a").await, None);
    assert_eq!(count(&issue(&*store, "a", 1, Some(i64::MAX)).await), 1);
    for limit in [0, -1, i64::MIN] {
        refused(limit).await;
    }
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(1), 1)
    );
}

async fn a_full_counter_refuses_and_never_overflows(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 1, None).await;
    db.execute(&format!("update quota set used = {}", i64::MAX - 1))
        .await;
    assert_eq!(
        issue(&*store, "a", 3, None).await,
        [counted(0), Seen::QuotaReached, Seen::QuotaReached]
    );
    assert_eq!(
        issue(&*store, "a", 1, Some(i64::MAX)).await,
        [Seen::QuotaReached]
    );
    assert_eq!(
        issue(&*store, "a", 1, Some(i64::MIN)).await,
        [Seen::QuotaReached]
    );
    assert_eq!(used(&*store, "a").await, Some(i64::MAX));
}

async fn of_different_limits_in_one_batch_the_lowest_holds(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let mut tokens = grants(&*store, "a", 2, None).await;
    tokens.extend(grants(&*store, "a", 2, Some(1)).await);
    assert_eq!(count(&send(&*store, &batch(tokens)).await), 1);
}

async fn the_count_starts_anew_with_each_utc_month(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let last = Timestamp(1_709_251_199);
    assert_eq!(last.to_rfc3339(), "2024-02-29T23:59:59Z");
    let first = Timestamp(last.0 + 1);
    for (now, expected) in [(last, 3), (last, 0), (first, 3), (first, 0), (last, 0)] {
        db.set_clock(now);
        let batch = batch_at(now, grants(&*store, "a", 4, Some(3)).await);
        assert_eq!(count(&send(&*store, &batch).await), expected);
    }
    for now in [last, first] {
        assert_eq!(
            store.used(&[id("a")], now.month()).await.unwrap()[&id("a")],
            3
        );
    }
    let months = db
        .texts("select cast(month as text) from quota order by month")
        .await;
    assert_eq!(months, ["202402", "202403"]);
}

async fn an_agent_without_tokens_is_absent_from_the_usage(db: &Database) {
    let store = db.open().await;
    for agent_id in ["a", "b", "c"] {
        create(&*store, agent_id).await;
    }
    issue(&*store, "a", 2, None).await;
    issue(&*store, "b", 1, Some(0)).await;
    let usage = store
        .used(&["a", "b", "c", "nobody"].map(id), NOW.month())
        .await
        .unwrap();
    assert_eq!(usage.into_iter().collect::<Vec<_>>(), [(id("a"), 2)]);
    assert!(store.used(&[], NOW.month()).await.unwrap().is_empty());
}
