//! SIGHUP: the configuration is read again, and what can change without a restart changes.
//!
//! Owns which keys those are. Must not know what they do.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::fault::Faults;
use crate::config::{Config, Shown};
use crate::http::state::State;
use crate::telemetry::LogFilter;

/// What a process can change while it runs.
pub struct Reloading {
    /// Reads all layers again: the file, the files that variables name, and what else was given at start.
    pub reread: Box<dyn Fn() -> Result<Given, Faults> + Send>,
    /// Changes what is logged.
    pub filter: LogFilter,
    /// Every value that the process runs with.
    pub running: Vec<Shown>,
}

/// A configuration, and each of its values as it is shown.
pub struct Given {
    /// As it is meant.
    pub config: Config,
    /// Every key with its value, secrets redacted.
    pub shown: Vec<Shown>,
}

/// The keys that change without a restart; of plans, all.
const LIVE: &[&str] = &["log.filter", "limits.requests_per_minute"];

fn is_live(key: &str) -> bool {
    LIVE.contains(&key) || key.starts_with("plans.")
}

impl Reloading {
    /// Reads the configuration again. One with a fault changes nothing. Keys that need a restart stay as they
    /// were and are told each time.
    pub(super) fn turn(&mut self, state: &Arc<State>) {
        let running = &mut self.running;
        let given = match (self.reread)() {
            Ok(given) => given,
            Err(faults) => {
                let faults = faults.to_string();
                tracing::error!(faults, "SIGHUP: the configuration has faults, the old one stays");
                return;
            }
        };
        let changed = changed_keys(running, &given.shown);
        self.filter.set(&given.config.log.filter);
        state.mint.limits.set_requests(given.config.limits.requests_per_minute);
        state.mint.plans.store(Arc::new(given.config.plans.clone()));
        let (live, restart): (Vec<&str>, Vec<&str>) = changed.iter().partition(|key| is_live(key));
        tracing::info!(changed = live.join(" "), "SIGHUP: the configuration was read again");
        if !restart.is_empty() {
            tracing::warn!(
                keys = restart.join(" "),
                "SIGHUP: these keys need a restart, and stay as they were"
            );
        }
        // What needs a restart is compared with what runs, the next time too.
        let stays = std::mem::take(running).into_iter().filter(|shown| !is_live(&shown.key));
        let comes = given.shown.into_iter().filter(|shown| is_live(&shown.key));
        *running = stays.chain(comes).collect();
    }
}

fn changed_keys<'a>(old: &'a [Shown], new: &'a [Shown]) -> Vec<&'a str> {
    let value =
        |all: &'a [Shown], key: &str| all.iter().find(|shown| shown.key == key).map(|shown| &shown.value);
    let gone = old.iter().filter(|shown| value(new, &shown.key).is_none());
    let set = new.iter().filter(|shown| value(old, &shown.key) != Some(&shown.value));
    gone.chain(set).map(|shown| shown.key.as_str()).collect()
}

/// SIGHUP from now on: before this it ends the process. `None` where there are no such signals.
pub(super) fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}

/// The next SIGHUP.
pub(super) async fn next(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => {
            let _ = hangups.recv().await;
        }
        None => std::future::pending().await,
    }
}
