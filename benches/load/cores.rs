//! Divides the cores of this process between the measured processes and the load generator.
//!
//! A process or thread inherits the cores of the thread that starts it. So a thread moves to the
//! cores of its children while it starts them.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Fallible;

/// The two groups of cores. With a single core, or when the groups share all cores, both groups
/// hold every core.
pub struct Cores {
    /// For the server and the database.
    pub served: Vec<usize>,
    /// For the load generator.
    pub client: Vec<usize>,
}

impl Cores {
    /// Gives a quarter of the cores to the load generator, at least one core. The server and the
    /// database get the others.
    pub fn deal(shared: bool) -> Fallible<Self> {
        let allowed = sched_getaffinity(None)?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        if shared || all.len() < 2 {
            return Ok(Self {
                served: all.clone(),
                client: all,
            });
        }
        let (served, client) = all.split_at(all.len() - (all.len() / 4).max(1));
        Ok(Self {
            served: served.to_vec(),
            client: client.to_vec(),
        })
    }

    pub fn all(&self) -> Vec<usize> {
        let mut all = self.served.clone();
        all.extend(&self.client);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Runs `start` on the cores of the server, so that the processes that it starts stay there.
    pub fn start_served<T>(&self, start: impl FnOnce() -> T) -> Fallible<T> {
        let before = sched_getaffinity(None)?;
        pin(&self.served)?;
        let started = start();
        sched_setaffinity(None, &before)?;
        Ok(started)
    }
}

/// Restricts the calling thread to these cores.
pub fn pin(cores: &[usize]) -> Fallible<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}
