//! Runs background loops: each a name, a period and a step. Must not know what a step does.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// One turn of a loop. Its errors are its own to log: a loop goes on after a failed turn.
pub(crate) type Step = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A background loop.
pub struct Loop {
    /// For the log.
    pub name: &'static str,
    /// The time between two turns.
    pub period: Duration,
    /// One turn.
    pub step: Step,
}

/// Runs `loops` for ever. Returns only when one of them died, with its name: the process must end
/// then, since a server whose keys or lists no longer move is worse than none.
pub(crate) async fn run(loops: Vec<Loop>) -> &'static str {
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for mut one in loops {
        let name = one.name;
        let handle = running.spawn(async move {
            let mut ticks = interval(one.period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is immediate, and what it would do was done at the start.
            ticks.tick().await;
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
