//! A list costs what its page costs, however many agents there are.

use std::time::{Duration, Instant};

use super::on_both;
use crate::harness::app::{AGENTS, TestApp, bearer};

on_both! { a_page_and_a_single_read_take_as_long_with_many_agents_as_with_few }

/// How often each request is sent.
const TRIES: usize = 60;

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

/// The median time of each of these requests. They are sent in turn, so that whatever else the
/// machine does slows all of them down.
async fn medians(app: &TestApp<'_>, caller: &str, paths: &[String]) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(TRIES); paths.len()];
    for _ in 0..TRIES {
        for (path, times) in paths.iter().zip(&mut times) {
            let began = Instant::now();
            let answer = app.get_as(caller, path).await;
            times.push(began.elapsed());
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
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
    let few = medians(app, &caller, &paths).await;
    fill(app, 1_001_000..1_100_000).await;
    let many = medians(app, &caller, &paths).await;
    for ((path, few), many) in paths.iter().zip(few).zip(many) {
        // A machine that others use may be slower by then; a scan would be a hundredfold.
        assert!(many < few * 4, "{path}: {few:?} and {many:?}");
    }
}
