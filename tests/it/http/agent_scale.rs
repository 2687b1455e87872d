//! A list costs what its page costs, however many agents there are.

use std::time::{Duration, Instant};

use super::on_both;
use crate::harness::app::{AGENTS, TestApp, bearer};

on_both! { a_page_and_a_single_read_take_as_long_with_many_agents_as_with_few }

/// How often each request is sent. The long form sets `AGENT_SCALE_TRIES`, and compares the times of
/// the slowest hundredth too.
fn tries() -> (usize, bool) {
    let long = std::env::var("AGENT_SCALE_TRIES").ok();
    let tries = long.as_deref().map(|tries| tries.parse().unwrap());
    (tries.unwrap_or(60), tries.is_some())
}

/// Writes agents directly into the database, each like the one that is there.
async fn fill(app: &TestApp<'_>, numbers: std::ops::Range<usize>) {
    app.database
        .execute(&format!(
            "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch,
                                version, longest_ttl, created_at, updated_at)
             with recursive n (i) as (select {} union all select i + 1 from n where i < {})
             select 'm-' || i, org_id, name, status, scopes, audiences, redirect_uris, '[]', plan, epoch, version,
                    longest_ttl, created_at, updated_at
             from n, agent where agent_id = 'a'",
            numbers.start,
            numbers.end - 1
        ))
        .await;
}

/// The median time of each of these requests, and its 99th percentile. They are sent in turn, so that
/// whatever else the machine does slows all of them down.
async fn times(app: &TestApp<'_>, caller: &str, paths: &[String]) -> Vec<(Duration, Duration)> {
    let mut times = vec![Vec::new(); paths.len()];
    for _ in 0..tries().0 {
        for (path, times) in paths.iter().zip(&mut times) {
            let began = Instant::now();
            let answer = app.get_as(caller, path).await;
            times.push(began.elapsed());
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    let quantiles = |mut times: Vec<Duration>| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    times.into_iter().map(quantiles).collect()
}

async fn a_page_and_a_single_read_take_as_long_with_many_agents_as_with_few(app: &TestApp<'_>) {
    let reader = app.agent_named("z-reader", "agents:read").await;
    let caller = bearer(&app.token(&reader).await);
    app.agent_named("a", "tokens:read").await;
    fill(app, 1_000_000..1_001_000).await;
    // The cursor of a page in the middle of the few.
    let first = app.get_as(&caller, &format!("{AGENTS}?limit=200")).await;
    let cursor = first.text("nextCursor");
    let paths = [
        format!("{AGENTS}?limit=50"),
        format!("{AGENTS}?limit=50&cursor={cursor}"),
        format!("{AGENTS}/m-1000500"),
        format!("{AGENTS}?limit=50&scope=tokens:read"),
        format!("{AGENTS}?id=m-1000001&id=m-1000900"),
    ];
    let few = times(app, &caller, &paths).await;
    fill(app, 1_001_000..1_100_000).await;
    let many = times(app, &caller, &paths).await;
    for ((path, few), many) in paths.iter().zip(few).zip(many) {
        // A machine that others use may be slower by then; a scan would be a hundredfold.
        assert!(many.0 < few.0 * 4, "{path}: {few:?} and {many:?}");
        if tries().1 {
            println!("{path}: median and p99 of 1,000 agents {few:?}, of 100,000 {many:?}");
            assert!(many.1 < few.1 * 2, "{path}");
        }
    }
}
