//! The table of background loops. Owns their periods; must not know what a step means.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::{Clock as _, StoreClock};
use crate::config::Config;
use crate::http::state::State;
use crate::service::clock::{SkewLog, measure_clock};
use crate::service::generation::follow_store;
use crate::service::journal::expiry::warn_of_expiry;
use crate::service::journal::lag::measure_lag;
use crate::service::journal::prune::TokenPruner;
use crate::service::processes::REPORT_PERIOD;
use crate::store::gate::StoreGate;
use crate::store::{Records, TermsBounds};
use crate::tasks::{Loop, each, every};
use crate::telemetry::error_chain;

use super::error::AppError;
use super::gauges;
use super::open::Opened;

/// The most rows of each kind that one clean-up step removes.
const PRUNE_STEP: i64 = 1_000;

/// How often a server looks whether the keys changed. With the time that a reading takes, this is well
/// below the second within which every JWKS shows a change.
const KEYS_PERIOD: Duration = Duration::from_millis(500);

/// How often a server reads the news of the revocation list. With the time that a reading takes, this is
/// well below the second within which every list shows a revocation (contract D7).
const LIST_PERIOD: Duration = Duration::from_millis(500);

/// The table of background loops.
pub fn loops(config: &Config, opened: &Opened, state: &Arc<State>) -> Result<Vec<Loop>, AppError> {
    let keep = i64::from(config.audit.keep_days).saturating_mul(86_400);
    let (keys, kills) = (Arc::clone(&opened.keys), Arc::clone(&state.list));
    let (records, clock) = (Arc::clone(&opened.records), Arc::clone(&opened.clock));
    let idle = Arc::clone(&opened.records);
    let limits = Arc::clone(&state.limits);
    let refusals = Arc::clone(&state.refusals);
    let gate = opened.watch.gate();
    let notes = (
        Arc::clone(&opened.store),
        Arc::clone(&records),
        Arc::clone(&clock),
    );
    let (measured, told, skew) = (
        Arc::clone(&records),
        Arc::clone(&clock),
        Arc::new(SkewLog::default()),
    );
    let pruner = Arc::new(Mutex::new(opened.token_pruner()?));
    let ledger = Arc::new(Mutex::new(opened.ledger(config, state.mint.plans())?));
    Ok(vec![
        every("clock", 1, move || {
            let (records, clock, skew) =
                (Arc::clone(&measured), Arc::clone(&told), Arc::clone(&skew));
            async move {
                measure_clock(&*records, &clock)
                    .await
                    .map_err(|e| error_chain(&e))?;
                skew.note(&clock);
                Ok(())
            }
        }),
        revocation_list(opened, state),
        // In a loop of its own, so that new revocations need not wait for this slower look-up.
        every("killed tokens", 1, move || {
            let list = Arc::clone(&kills);
            async move { list.find_killed_tokens().await.map_err(|e| error_chain(&e)) }
        }),
        every_open(gate, "keys", 60, move || {
            let keys = Arc::clone(&keys);
            async move {
                keys.refresh().await.map_err(|e| error_chain(&e))?;
                keys.announce_due_key().await.map_err(|e| error_chain(&e))
            }
        }),
        followed_keys(opened),
        reported_process(opened),
        every("connections", 1, move || {
            let records = Arc::clone(&idle);
            async move { records.rest().await.map_err(|e| error_chain(&e)) }
        }),
        every_open(gate, "prune", 60, move || {
            let (records, clock, pruner) = (
                Arc::clone(&records),
                Arc::clone(&clock),
                Arc::clone(&pruner),
            );
            async move { prune(&mut *pruner.lock().await, &*records, &clock, keep).await }
        }),
        every_open(gate, "refusals", 60, move || {
            let refusals = Arc::clone(&refusals);
            async move { refusals.write().await.map_err(|e| error_chain(&e)) }
        }),
        every_open(gate, "expiring credentials", 60, move || {
            let (store, records, clock) = (
                Arc::clone(&notes.0),
                Arc::clone(&notes.1),
                Arc::clone(&notes.2),
            );
            async move {
                warn_of_expiry(&*store, &*records, &clock)
                    .await
                    .map_err(|e| error_chain(&e))
            }
        }),
        ledger_lag(opened),
        known_terms(opened),
        new_terms(opened),
        every("limits", 30, move || {
            limits.sweep();
            async { Ok(()) }
        }),
        verifiers(opened, state),
        gauges::in_memory(opened, state),
        gauges::near_quota(opened, state),
        every_open(gate, "ledger", 1, move || {
            let ledger = Arc::clone(&ledger);
            async move {
                ledger
                    .lock()
                    .await
                    .step()
                    .await
                    .map_err(|e| error_chain(&e))
            }
        }),
    ])
}

/// Follows the store: its generation, and its revocations.
fn revocation_list(opened: &Opened, state: &State) -> Loop {
    let (watch, keys) = (Arc::clone(&opened.watch), Arc::clone(&opened.keys));
    let list = Arc::clone(&state.list);
    each("revocation list", LIST_PERIOD, move || {
        let (watch, list, keys) = (Arc::clone(&watch), Arc::clone(&list), Arc::clone(&keys));
        async move {
            let followed = follow_store(&watch, &list, &keys).await;
            followed.map_err(|e| error_chain(&e))
        }
    })
}

/// Writes what verifiers have reported, and measures who enforces the present list.
fn verifiers(opened: &Opened, state: &Arc<State>) -> Loop {
    let state = Arc::clone(state);
    every_open(opened.watch.gate(), "verifiers", 2, move || {
        let state = Arc::clone(&state);
        async move {
            let version = state.list.version();
            let written = state.verifiers.write(version).await;
            written.map_err(|e| error_chain(&e))?;
            let measured = state.verifiers.measure(version).await;
            measured.map_err(|e| error_chain(&e))
        }
    })
}

/// Tells how far the ledger lags. Not a part of the ledger's own loop, which may be what hangs.
fn ledger_lag(opened: &Opened) -> Loop {
    let (records, clock) = (Arc::clone(&opened.records), Arc::clone(&opened.clock));
    every("ledger lag", 5, move || {
        let (records, clock) = (Arc::clone(&records), Arc::clone(&clock));
        async move {
            let measured = measure_lag(&*records, &clock).await;
            measured.map(drop).map_err(|e| error_chain(&e))
        }
    })
}

/// Reads the keys soon after they changed, so that the JWKS shows it within a second.
fn followed_keys(opened: &Opened) -> Loop {
    let keys = Arc::clone(&opened.keys);
    each("changed keys", KEYS_PERIOD, move || {
        let keys = Arc::clone(&keys);
        async move { keys.follow().await.map_err(|e| error_chain(&e)) }
    })
}

/// Reports that this process serves. A restored store is told too: it may be served again.
fn reported_process(opened: &Opened) -> Loop {
    let presence = Arc::clone(&opened.presence);
    every("process", REPORT_PERIOD, move || {
        let presence = Arc::clone(&presence);
        async move { presence.report().await.map_err(|e| error_chain(&e)) }
    })
}

/// Learns which terms of tokens have a row of their own.
fn known_terms(opened: &Opened) -> Loop {
    let records = Arc::clone(&opened.records);
    every("terms", 1, move || {
        let records = Arc::clone(&records);
        async move { records.refresh_terms().await.map_err(|e| error_chain(&e)) }
    })
}

/// Gives rows of their own to the terms of many tokens.
fn new_terms(opened: &Opened) -> Loop {
    let (records, clock) = (Arc::clone(&opened.records), Arc::clone(&opened.clock));
    every_open(opened.watch.gate(), "new terms", 5, move || {
        let (records, clock) = (Arc::clone(&records), Arc::clone(&clock));
        async move {
            // Nothing is removed here, so a clock that has not proven itself is good enough.
            let done = records
                .intern_terms(clock.now(), TermsBounds::DEFAULT)
                .await;
            done.map_err(|e| error_chain(&e))
        }
    })
}

/// A loop that rests while the store is a restored one that nobody has acknowledged: it would change
/// the store.
fn every_open<F>(
    gate: &Arc<StoreGate>,
    name: &'static str,
    seconds: u64,
    mut step: impl FnMut() -> F + Send + 'static,
) -> Loop
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let gate = Arc::clone(gate);
    every(name, seconds, move || {
        let turn = (!gate.is_closed()).then(&mut step);
        async move {
            match turn {
                Some(turn) => turn.await,
                None => Ok(()),
            }
        }
    })
}

/// Removes expired rows in small steps. A pause between two steps lets other transactions run.
async fn prune(
    pruner: &mut TokenPruner,
    records: &dyn Records,
    clock: &StoreClock,
    keep_seconds: i64,
) -> Result<(), String> {
    if let Some(now) = clock.settled() {
        pruner
            .announce(now, keep_seconds)
            .await
            .map_err(|e| error_chain(&e))?;
    }
    loop {
        let Some(now) = clock.settled() else {
            return Ok(());
        };
        let gone = records
            .prune(now, keep_seconds, PRUNE_STEP)
            .await
            .map_err(|e| error_chain(&e))?;
        if gone == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
