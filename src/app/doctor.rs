//! What `doctor` looks at besides the store's content: that the store opens, the disk, and what
//! this machine allows. Opens for reading only, so that a doctor changes nothing.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use crate::clock::{StoreClock, SystemClock};
use crate::config::{Config, DatabaseUrl};
use crate::domain::id::AgentId;
use crate::entropy::SystemEntropy;
use crate::service::doctor::{examine_agent, examine_seals, examine_store};
use crate::service::finding::Finding;
use crate::service::manage::audit::Audit;
use crate::store::Backend;
use crate::telemetry::error_chain;

use super::check::{configured_key, file_faults, plan_fault};
use super::files::folder_of;
use super::open::open_to_read;

/// The least free space of a disk, in bytes, below which something is wrong.
const MIN_FREE: u64 = 512 * 1024 * 1024;

/// The least number of file descriptors with which a server holds some thousand connections.
const MIN_DESCRIPTORS: u64 = 4_096;

/// A store that was opened to be examined.
pub(crate) struct Examined {
    store: Arc<dyn Backend>,
    clock: Arc<StoreClock>,
}

impl Examined {
    /// The operations on events.
    pub(crate) fn audit(&self) -> Audit {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.store));
        Audit::new(store, records, Arc::clone(&self.clock))
    }

    /// Why the agent gets no token now, if it gets none.
    pub(crate) async fn agent(&self, config: &Config, agent_id: &AgentId) -> Vec<Finding> {
        let store = (&*self.store as _, &*self.store as _);
        examine_agent(store, &config.plans, &self.clock, agent_id).await
    }
}

/// Everything about this machine and the configured store, and the store if it opens.
pub(crate) async fn examine(config: &Config) -> (Vec<Finding>, Option<Examined>) {
    let mut findings = vec![descriptors()];
    findings.extend(disk(config));
    for (key, fault) in file_faults(config).await {
        findings.push(Finding::wrong(
            "configuration",
            format!("{key}: {fault}"),
            "",
        ));
    }
    let url = &config.database.url;
    let store = match open_to_read(config).await {
        Ok(Some(store)) => store,
        Ok(None) => {
            let mend = "start a server, or correct database.url";
            findings.push(Finding::wrong(
                "store",
                format!("{url}: there is none"),
                mend,
            ));
            return (findings, None);
        }
        Err(error) => {
            findings.push(Finding::wrong("store", error_chain(&error), ""));
            return (findings, None);
        }
    };
    findings.push(Finding::fine("store", url));
    let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
    findings.extend(examine_store(&*store, &clock).await);
    if let Ok(Some(master)) = configured_key(config).await {
        findings.push(examine_seals(&*store, &master, &SystemEntropy::default()).await);
    }
    if let Some((_, fault)) = plan_fault(config).await {
        findings.push(Finding::wrong("plans", fault, ""));
    }
    (findings, Some(Examined { store, clock }))
}

/// The disk of a SQLite store.
fn disk(config: &Config) -> Option<Finding> {
    let DatabaseUrl::Sqlite(path) = &config.database.url else {
        return None;
    };
    let folder = folder_of(path);
    let stat = rustix::fs::statvfs(folder).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    let says = format!(
        "{} MiB free; the database has {} MiB",
        mebibytes(free),
        mebibytes(bytes)
    );
    Some(if free < MIN_FREE {
        let mend = "free some space: on a full disk no token is issued";
        Finding::wrong("disk", says, mend)
    } else {
        Finding::fine("disk", says)
    })
}

/// How many file descriptors a server that starts as this command did may open.
fn descriptors() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    // A server raises its own limit up to the hard one.
    match limit.maximum {
        Some(most) if most < MIN_DESCRIPTORS => Finding::notice(
            "descriptors",
            format!("{most} at most"),
            "raise LimitNOFILE: each connection takes one",
        ),
        Some(most) => Finding::fine("descriptors", format!("{most} at most")),
        None => Finding::fine("descriptors", "without a limit"),
    }
}
