//! Who runs where: the cores of this process, dealt out between what is measured and what measures.
//!
//! A process or thread inherits the cores of the thread that starts it, so a thread takes its
//! children's cores while it starts them.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Fallible;

/// The two halves; both hold every core where there is only one, or when they are to share.
pub struct Cores {
    /// For the server and the database.
    pub served: Vec<usize>,
    /// For the load generator.
    pub client: Vec<usize>,
}

impl Cores {
    /// One core in four measures, and at least one; the rest is measured.
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

    /// Runs `start` so that whatever it starts runs on the cores of what is measured.
    pub fn start_served<T>(&self, start: impl FnOnce() -> T) -> Fallible<T> {
        let before = sched_getaffinity(None)?;
        pin(&self.served)?;
        let started = start();
        sched_setaffinity(None, &before)?;
        Ok(started)
    }
}

/// Keeps the calling thread on these cores.
pub fn pin(cores: &[usize]) -> Fallible<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}
