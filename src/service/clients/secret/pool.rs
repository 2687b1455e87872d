//! Separate threads for hashing, with bounded queues: argon2 never runs on the threads that serve
//! requests.
//!
//! There are three lanes, each with its own threads and its own queue. A full lane never delays
//! another lane, even if it is full of the most expensive bcrypt.

use std::collections::VecDeque;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::telemetry::metrics;

use super::kdf::Workspace;

/// The longest that a job waits for a thread. After that, the caller is told to retry.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// An idle thread frees its memory after this time. The allocator returns the memory to the system
/// after the same time again ([`purge`]). Allocating it anew costs the next hash a few
/// milliseconds.
const IDLE: Duration = Duration::from_secs(2);

/// The size of the piece that [`purge`] frees, in bytes. Its memory is never touched, so it costs
/// none.
const LARGE_PIECE: usize = 4 * 1024 * 1024;

/// The queue is full or the wait was too long. This is never a verdict about a secret.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many secrets are being hashed")]
pub struct HashQueueFull;

/// The queue in which a job waits, by what is known before the secret is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashLane {
    /// A secret with this store's own tag, or a new one. Nobody can send many wrong secrets of this
    /// kind.
    Own,
    /// A foreign secret that was proven before, or that comes from a source without failures.
    Foreign,
    /// A foreign secret from a source that failed recently. One thread serves these.
    Suspect,
}

impl HashLane {
    const ALL: [Self; 3] = [Self::Own, Self::Foreign, Self::Suspect];

    /// Its name in metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Foreign => "foreign",
            Self::Suspect => "suspect",
        }
    }
}

type Job = (Instant, Box<dyn FnOnce(Option<&mut Workspace>) + Send>);

/// The jobs that wait for the threads of one lane. Every idle thread waits separately, so that each
/// frees its memory.
struct Queue {
    waiting: Mutex<Jobs>,
    changed: Condvar,
    depth: usize,
}

struct Jobs {
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
    fn push(&self, job: Job) -> Result<(), HashQueueFull> {
        let mut waiting = self.lock();
        if waiting.jobs.len() >= self.depth {
            return Err(HashQueueFull);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    fn next(&self, idle: Duration) -> Next {
        let nothing = |waiting: &mut Jobs| waiting.jobs.is_empty() && !waiting.is_closed;
        let woken = self.changed.wait_timeout_while(self.lock(), idle, nothing);
        let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        match waiting.jobs.pop_front() {
            Some(job) => Next::Work(job),
            None if waiting.is_closed => Next::End,
            None => Next::Rest,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool. Its threads end when it is dropped.
pub struct HashPool {
    own: Arc<Queue>,
    foreign: Arc<Queue>,
    suspect: Arc<Queue>,
}

impl Drop for HashPool {
    fn drop(&mut self) {
        for queue in [&self.own, &self.foreign, &self.suspect] {
            queue.lock().is_closed = true;
            queue.changed.notify_all();
        }
    }
}

impl HashPool {
    /// Starts `threads` threads for each lane, but only one for [`HashLane::Suspect`]. Each lane
    /// has a queue of `depth` jobs.
    pub fn start(threads: usize, depth: usize) -> std::io::Result<Self> {
        Self::start_with(threads, depth, IDLE)
    }

    fn start_with(threads: usize, depth: usize, idle: Duration) -> std::io::Result<Self> {
        let queue = || {
            let waiting = Mutex::new(Jobs {
                jobs: VecDeque::new(),
                is_closed: false,
            });
            Arc::new(Queue {
                waiting,
                changed: Condvar::new(),
                depth: depth.max(1),
            })
        };
        // The pool is made first. If a thread does not start, the pool is dropped and the threads
        // that did start end.
        let pool = Self {
            own: queue(),
            foreign: queue(),
            suspect: queue(),
        };
        let threads = threads.max(1);
        let lanes = [
            ("own", &pool.own, threads),
            ("foreign", &pool.foreign, threads),
            ("suspect", &pool.suspect, 1),
        ];
        for (lane, queue, threads) in lanes {
            for i in 0..threads {
                let queue = Arc::clone(queue);
                let thread = std::thread::Builder::new().name(format!("hash-{lane}-{i}"));
                thread.spawn(move || work(&queue, idle))?;
            }
        }
        Ok(pool)
    }

    fn queue(&self, lane: HashLane) -> &Queue {
        match lane {
            HashLane::Own => &self.own,
            HashLane::Foreign => &self.foreign,
            HashLane::Suspect => &self.suspect,
        }
    }

    /// How many jobs wait in each lane, by the lane's name.
    pub fn waiting(&self) -> [(&'static str, usize); 3] {
        HashLane::ALL.map(|lane| (lane.word(), self.queue(lane).lock().jobs.len()))
    }

    /// Runs `job` on a thread of its lane.
    pub async fn run<T, F>(&self, lane: HashLane, job: F) -> Result<T, HashQueueFull>
    where
        T: Send + 'static,
        F: FnOnce(&mut Workspace) -> T + Send + 'static,
    {
        let asked = Instant::now();
        let (answer, result) = oneshot::channel();
        let boxed = Box::new(move |workspace: Option<&mut Workspace>| {
            // If the caller has gone, no hash is needed.
            if let Some(workspace) = workspace.filter(|_| !answer.is_closed()) {
                let done = job(workspace);
                let _ = answer.send((done, workspace.take_done()));
            }
        });
        if let Err(shed) = self
            .queue(lane)
            .push((Instant::now() + QUEUE_TIMEOUT, boxed))
        {
            metrics::hash_shed();
            return Err(shed);
        }
        metrics::hash();
        let Ok((answer, done)) = result.await else {
            metrics::hash_shed();
            return Err(HashQueueFull);
        };
        metrics::hash_seconds(lane.word(), asked.elapsed());
        metrics::hash_work(done.bcrypt_rounds, done.argon2_kib);
        Ok(answer)
    }
}

fn work(queue: &Queue, idle: Duration) {
    let mut workspace = Workspace::default();
    loop {
        match queue.next(idle) {
            Next::Work((deadline, job)) => {
                let in_time = Instant::now() <= deadline;
                // A job that panics drops the sender of its result. The thread must survive,
                // because nothing would replace it.
                let done =
                    catch_unwind(AssertUnwindSafe(|| job(in_time.then_some(&mut workspace))));
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

/// Makes the allocator (mimalloc, set in `main.rs`) return freed memory to the system. mimalloc
/// does so a second later at the earliest, and only when another large piece is freed, which an
/// idle server does nowhere else. Under another allocator this costs nothing and has no effect.
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
                pool.run(HashLane::Own, move |_| {
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
            async move { pool.run(HashLane::Own, |_| 2).await }
        });
        tokio::task::yield_now().await;
        assert!(
            pool.run(HashLane::Own, |_| 3).await.is_err(),
            "a third job found room"
        );
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert_eq!(pool.run(HashLane::Own, |_| 4).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_lane_that_is_held_and_full_keeps_no_other_waiting() {
        use futures_util::future::join_all;
        let pool = HashPool::start(1, 1).unwrap();
        for held in [HashLane::Own, HashLane::Foreign, HashLane::Suspect] {
            let (release, gate) = std::sync::mpsc::channel::<()>();
            let holding = pool.run(held, move |_| gate.recv().is_err());
            let others = async {
                let full = join_all((0..2).map(|_| pool.run(held, |_| ()))).await;
                full.iter().filter(|one| one.is_err()).count()
            };
            let free = async {
                for lane in [HashLane::Own, HashLane::Foreign, HashLane::Suspect] {
                    if lane != held {
                        pool.run(lane, |_| ()).await.unwrap();
                    }
                }
                drop(release);
            };
            let (ended, shed, ()) = tokio::join!(holding, others, free);
            assert!(ended.unwrap() && shed >= 1, "{held:?}: {shed} shed");
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_costs_the_pool_no_thread() {
        let pool = HashPool::start(1, 8).unwrap();
        for _ in 0..3 {
            assert!(
                pool.run(HashLane::Own, |_| panic!("as a test wants it"))
                    .await
                    .is_err()
            );
        }
        assert_eq!(pool.run(HashLane::Own, |_| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn every_idle_thread_gives_its_memory_back() {
        let pool = HashPool::start_with(2, 8, Duration::from_millis(20)).unwrap();
        let both = Arc::new(std::sync::Barrier::new(2));
        let job = || {
            let both = Arc::clone(&both);
            pool.run(HashLane::Own, move |workspace: &mut Workspace| {
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
