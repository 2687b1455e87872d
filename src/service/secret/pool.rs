//! Threads of their own for hashing, with a bounded queue: argon2 never runs where requests are served.

use std::collections::VecDeque;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::telemetry::metrics;

use super::kdf::Workspace;

/// The longest a job waits for a thread; past it the caller is told to come again.
const PATIENCE: Duration = Duration::from_secs(1);

/// An idle thread gives its memory back after this time, and the allocator gives it to the system after
/// as much again ([`purge`]). Taking it anew costs the next hash a few milliseconds.
const IDLE: Duration = Duration::from_secs(2);

/// In bytes. Never touched, so it costs no memory.
const LARGE_PIECE: usize = 4 * 1024 * 1024;

/// The queue is full or the wait was too long. Never a verdict about a secret.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many secrets are being hashed")]
pub struct Shed;

type Job = (Instant, Box<dyn FnOnce(Option<&mut Workspace>) + Send>);

/// What waits for a thread. Every idle thread waits by itself, so that each gives its memory back.
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    depth: usize,
}

struct Waiting {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

/// What a thread does next.
enum Next {
    Work(Job),
    Rest,
    End,
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), Shed> {
        let mut waiting = self.lock();
        if waiting.jobs.len() >= self.depth {
            return Err(Shed);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    fn next(&self, idle: Duration) -> Next {
        let nothing = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.is_closed;
        let woken = self.changed.wait_timeout_while(self.lock(), idle, nothing);
        let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        match waiting.jobs.pop_front() {
            Some(job) => Next::Work(job),
            None if waiting.is_closed => Next::End,
            None => Next::Rest,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool. Its threads end when it is dropped.
pub struct HashPool {
    queue: Arc<Queue>,
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl HashPool {
    /// Starts `threads` threads behind a queue of `depth` jobs.
    pub fn start(threads: usize, depth: usize) -> std::io::Result<Self> {
        Self::start_with(threads, depth, IDLE)
    }

    fn start_with(threads: usize, depth: usize, idle: Duration) -> std::io::Result<Self> {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), is_closed: false });
        let queue = Arc::new(Queue { waiting, changed: Condvar::new(), depth: depth.max(1) });
        // Made first, so that the threads which did start end when one does not.
        let pool = Self { queue };
        for i in 0..threads.max(1) {
            let queue = Arc::clone(&pool.queue);
            std::thread::Builder::new().name(format!("hash-{i}")).spawn(move || work(&queue, idle))?;
        }
        Ok(pool)
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
        if let Err(shed) = self.queue.push((Instant::now() + PATIENCE, boxed)) {
            metrics::hash_shed();
            return Err(shed);
        }
        metrics::hash();
        result.await.map_err(|_| {
            metrics::hash_shed();
            Shed
        })
    }
}

fn work(queue: &Queue, idle: Duration) {
    let mut workspace = Workspace::default();
    loop {
        match queue.next(idle) {
            Next::Work((deadline, job)) => {
                let in_time = Instant::now() <= deadline;
                // A job that dies takes its answer with it and must not take the thread: no other
                // would ever stand in for it.
                let done = catch_unwind(AssertUnwindSafe(|| job(in_time.then_some(&mut workspace))));
                if done.is_err() {
                    tracing::error!("a job that hashes a secret panicked");
                    workspace = Workspace::default();
                }
            }
            Next::Rest if workspace.is_empty() => purge(),
            Next::Rest => workspace = Workspace::default(),
            Next::End => return,
        }
    }
}

/// Has the allocator (mimalloc, set in `main.rs`) hand what was freed back to the system. It does so a
/// second later at the earliest, and only when another large piece is freed, which a server at rest does
/// nowhere else. Under another allocator this costs nothing and does nothing.
fn purge() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE_PIECE)));
}

#[cfg(test)]
mod tests {
    use super::super::{Secret, kdf};
    use super::*;
    use crate::entropy::SeededEntropy;

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
    #[tokio::test]
    async fn a_job_that_panics_costs_the_pool_no_thread() {
        let pool = HashPool::start(1, 8).unwrap();
        for _ in 0..3 {
            assert!(pool.run(|_| panic!("as a test wants it")).await.is_err());
        }
        assert_eq!(pool.run(|_| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn every_idle_thread_gives_its_memory_back() {
        let pool = HashPool::start_with(2, 8, Duration::from_millis(20)).unwrap();
        let both = Arc::new(std::sync::Barrier::new(2));
        let job = || {
            let both = Arc::clone(&both);
            pool.run(move |workspace: &mut Workspace| {
                // Each thread has one of the two jobs.
                both.wait();
                let was_empty = workspace.is_empty();
                let secret = Secret::parse("secret").unwrap();
                kdf::hash(&secret, &SeededEntropy::new(1), workspace).unwrap();
                was_empty && !workspace.is_empty()
            })
        };
        for _ in 0..2 {
            let (one, other) = tokio::join!(job(), job());
            assert!(one.unwrap() && other.unwrap(), "a thread kept its memory");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}
