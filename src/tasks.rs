//! Runs background loops. Each loop has a name, a period and a step. Must not know what a step
//! does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// One turn of a loop. A step logs its own errors: the loop goes on after a failed turn.
pub(crate) type Step = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A background loop.
pub struct Loop {
    /// Its name in the log.
    pub name: &'static str,
    /// The time between two turns.
    pub period: Duration,
    /// One turn.
    pub step: Step,
}

/// A loop whose step may fail. Each outage is logged once when it begins and once when it ends.
pub(crate) fn every<F>(
    name: &'static str,
    seconds: u64,
    step: impl FnMut() -> F + Send + 'static,
) -> Loop
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    each(name, Duration::from_secs(seconds), step)
}

/// Like [`every`], with a period of less than a second.
pub(crate) fn each<F>(
    name: &'static str,
    period: Duration,
    mut step: impl FnMut() -> F + Send + 'static,
) -> Loop
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let failing = Arc::new(AtomicBool::new(false));
    Loop {
        name,
        period,
        step: Box::new(move || {
            let (turn, failing) = (step(), Arc::clone(&failing));
            let logged: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                match turn.await {
                    Ok(()) if failing.swap(false, Ordering::Relaxed) => {
                        tracing::info!(name, "a background step works again");
                    }
                    Err(error) if !failing.swap(true, Ordering::Relaxed) => {
                        tracing::warn!(
                            name,
                            error,
                            "a background step fails and will be tried again"
                        );
                    }
                    _ => {}
                }
            });
            logged
        }),
    }
}

/// Runs `loops` for ever. Each begins at its own part of its first period, so that loops of the same
/// period do not take their turns, each with a connection, at the same instants. Returns only when
/// one of them has died, with the name of that loop. The process must then end: a server that no
/// longer refreshes its keys or lists is worse than no server.
pub(crate) async fn run(loops: Vec<Loop>) -> &'static str {
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    let count = u32::try_from(loops.len()).unwrap_or(u32::MAX);
    for (number, mut one) in (1..).zip(loops) {
        let name = one.name;
        // The start of the server has done the work of a turn, so no turn comes at once.
        let begins = Instant::now() + one.period / count * number;
        let handle = running.spawn(async move {
            let mut ticks = interval_at(begins, one.period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                (one.step)().await;
            }
        });
        names.insert(handle.id(), name);
    }
    match running.join_next_with_id().await {
        Some(Err(died)) => names.get(&died.id()).copied().unwrap_or("unknown"),
        Some(Ok((id, ()))) => names.get(&id).copied().unwrap_or("unknown"),
        None => std::future::pending().await,
    }
}
