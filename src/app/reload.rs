//! SIGHUP: reads the configuration again and applies the keys that can change without a restart.
//!
//! Owns which keys can change. Must not know what they do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::fault::Faults;
use crate::config::{Config, Shown};
use crate::http::state::State;
use crate::service::limits::Rates;
use crate::telemetry::LogFilter;

use super::certificates::CertificateFiles;
use super::signals::received;
use super::supervisor::Supervisor;

/// What a process can change while it runs.
pub(crate) struct Reloading {
    /// Reads all layers again: the file, the files that environment variables name, and the
    /// environment and flags as they were at the start.
    pub reread: Arc<dyn Fn() -> Result<Reread, Faults> + Send + Sync>,
    /// Changes what is logged.
    pub filter: LogFilter,
    /// Every value that the process uses now.
    pub running: Vec<Shown>,
}

/// A configuration that was read again, in two forms.
pub(crate) struct Reread {
    /// The typed configuration.
    pub config: Config,
    /// Every key with its value, secrets redacted.
    pub shown: Vec<Shown>,
}

/// The keys that change without a restart. All keys of plans do so too.
const LIVE: &[&str] = &[
    "limits.requests_per_minute",
    "limits.introspections_per_minute",
    "limits.revocations_per_minute",
    "limits.failures_per_minute",
    "log.filter",
];

/// If reading the configuration takes longer than this, the old one stays.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The rates that a configuration sets.
pub(super) fn rates(config: &Config) -> Rates {
    Rates {
        requests: config.limits.requests_per_minute,
        introspections: config.limits.introspections_per_minute,
        revocations: config.limits.revocations_per_minute,
        failures: config.limits.failures_per_minute,
    }
}

fn is_live(key: &str) -> bool {
    LIVE.contains(&key) || key.starts_with("plans.")
}

impl Reloading {
    /// Reads the configuration again, in a thread of its own. A file server that is gone may block
    /// the read for ever. That must block neither requests, nor a stop, nor the next SIGHUP: after
    /// [`READ_TIMEOUT`], nobody waits for this thread.
    async fn reread(&self) -> Option<Result<Reread, Faults>> {
        let (reread, (tell, told)) = (Arc::clone(&self.reread), oneshot::channel());
        let reading = move || {
            let _ = tell.send(reread());
        };
        if let Err(error) = std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(reading)
        {
            tracing::error!(%error, "SIGHUP: the configuration cannot be read, the old one stays");
            return None;
        }
        if let Ok(read) = timeout(READ_TIMEOUT, told).await {
            return read.ok();
        }
        tracing::error!(
            "SIGHUP: the configuration could not be read within {} s, the old one stays",
            READ_TIMEOUT.as_secs()
        );
        None
    }

    /// Applies the keys that can change. A configuration with a fault changes nothing. A key that
    /// needs a restart keeps its value, and each SIGHUP logs it again.
    fn apply(&mut self, given: Result<Reread, Faults>, state: &State) {
        let running = &mut self.running;
        let given = match given {
            Ok(given) => given,
            Err(faults) => {
                let faults = faults.to_string();
                tracing::error!(
                    faults,
                    "SIGHUP: the configuration has faults, the old one stays"
                );
                return;
            }
        };
        let changed = changed_keys(running, &given.shown);
        self.filter.set(&given.config.log.filter);
        state.limits.set(&rates(&given.config));
        state.mint.set_plans(given.config.plans.clone());
        let (live, restart): (Vec<&str>, Vec<&str>) = changed.iter().partition(|key| is_live(key));
        tracing::info!(
            changed = live.join(" "),
            "SIGHUP: the configuration was read again"
        );
        if !restart.is_empty() {
            tracing::warn!(
                keys = restart.join(" "),
                "SIGHUP: these keys need a restart, and stay as they were"
            );
        }
        // For a key that needs a restart, keep the value in use: the next SIGHUP must be compared
        // with it too.
        let stays = std::mem::take(running)
            .into_iter()
            .filter(|shown| !is_live(&shown.key));
        let comes = given.shown.into_iter().filter(|shown| is_live(&shown.key));
        *running = stays.chain(comes).collect();
    }
}

fn changed_keys<'a>(old: &'a [Shown], new: &'a [Shown]) -> Vec<&'a str> {
    let value = |all: &'a [Shown], key: &str| {
        all.iter()
            .find(|shown| shown.key == key)
            .map(|shown| &shown.value)
    };
    let gone = old.iter().filter(|shown| value(new, &shown.key).is_none());
    let set = new
        .iter()
        .filter(|shown| value(old, &shown.key) != Some(&shown.value));
    gone.chain(set).map(|shown| shown.key.as_str()).collect()
}

/// Reads the configuration again at each SIGHUP. If signals arrive while it is being read, it is
/// read once more for all of them.
pub(super) async fn run(
    hangups: &mut Option<Signal>,
    mut reloading: Reloading,
    state: &Arc<State>,
    certificates: Option<&CertificateFiles>,
    supervisor: &Supervisor,
) -> Infallible {
    loop {
        received(hangups).await;
        supervisor.tell_reloading();
        if let Some(files) = certificates {
            files.hurry.notify_one();
        }
        if let Some(given) = reloading.reread().await {
            reloading.apply(given, state);
        }
        // A configuration with faults changes nothing, and the server serves as before.
        supervisor.tell_ready();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A file server that is gone blocks every read of its files.
    #[tokio::test(start_paused = true)]
    async fn a_read_that_does_not_end_does_not_keep_the_next_from_its_turn() {
        let (free, blocked) = mpsc::channel::<()>();
        let (tell_blocked, is_blocked) = mpsc::channel();
        let (first, filter) = (
            std::sync::Mutex::new(Some(blocked)),
            crate::telemetry::start_logging(
                "off",
                crate::telemetry::Format::Json,
                crate::telemetry::Output::Stderr,
            )
            .1,
        );
        let reread = move || {
            let first = first.lock().unwrap().take();
            if let Some(blocked) = first {
                let _ = tell_blocked.send(());
                let _ = blocked.recv();
            }
            Err(Faults(vec![]))
        };
        let reloading = Reloading {
            reread: Arc::new(reread),
            filter,
            running: vec![],
        };
        assert!(reloading.reread().await.is_none());
        // The deadline may come before the thread has begun.
        is_blocked.recv().unwrap();
        // Real time passes while the second thread reads, so this test must not skip it.
        tokio::time::resume();
        assert!(reloading.reread().await.is_some_and(|read| read.is_err()));
        drop(free);
    }
}
