//! Threads of their own for hashing, with a bounded queue: argon2 never runs where requests are served.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::telemetry::metrics;

use super::kdf::Workspace;

/// The longest a job waits for a thread; past it the caller is told to come again.
const PATIENCE: Duration = Duration::from_secs(1);

/// An idle thread gives its memory back after this time.
const IDLE: Duration = Duration::from_secs(10);

/// The queue is full or the wait was too long. Never a verdict about a secret.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many secrets are being hashed")]
pub struct Shed;

type Job = (Instant, Box<dyn FnOnce(Option<&mut Workspace>) + Send>);

/// The pool. Its threads end when it is dropped.
pub struct HashPool {
    queue: SyncSender<Job>,
}

impl HashPool {
    /// Starts `threads` threads behind a queue of `depth` jobs.
    pub fn start(threads: usize, depth: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(depth.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for i in 0..threads.max(1) {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new().name(format!("hash-{i}")).spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on a thread of the pool.
    pub async fn run<T, F>(&self, job: F) -> Result<T, Shed>
    where
        T: Send + 'static,
        F: FnOnce(&mut Workspace) -> T + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let boxed = Box::new(move |workspace: Option<&mut Workspace>| {
            // A caller that has gone needs no hash.
            if let Some(workspace) = workspace.filter(|_| !answer.is_closed()) {
                let _ = answer.send(job(workspace));
            }
        });
        match self.queue.try_send((Instant::now() + PATIENCE, boxed)) {
            Ok(()) => metrics::hash(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                metrics::hash_shed();
                return Err(Shed);
            }
        }
        result.await.map_err(|_| {
            metrics::hash_shed();
            Shed
        })
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut workspace = Workspace::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(IDLE);
        match next {
            Ok((deadline, job)) => {
                let in_time = Instant::now() <= deadline;
                job(in_time.then_some(&mut workspace));
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => workspace = Workspace::default(),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_sheds_at_once_and_the_pool_goes_on() {
        let pool = Arc::new(HashPool::start(1, 1).unwrap());
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move |_| {
                    let _ = started.send(());
                    let _ = gate.recv();
                    1
                })
                .await
            }
        });
        running.await.unwrap();
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|_| 2).await }
        });
        tokio::task::yield_now().await;
        assert!(pool.run(|_| 3).await.is_err(), "a third job found room");
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert_eq!(pool.run(|_| 4).await.unwrap(), 4);
    }
}
