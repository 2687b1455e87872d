//! The load generator: persistent connections on cores of their own. Each connection sends its next
//! request when the last one was answered (closed loop), or when the request is due (open loop).
//!
//! In the open loop, the time of a request counts from the moment when it was due, even if no
//! connection was free then. So a stall of the server counts for all requests that were due
//! meanwhile.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::Fallible;
use crate::cores::{Cores, pin};
use crate::histogram::Histogram;
use crate::process::thread_cpu;
use crate::seed::Agent;
use crate::wire::{self, Target, Wire};

/// How long a connection waits before it repeats a request that was answered with 503.
const COME_AGAIN: Duration = Duration::from_millis(250);

/// The requests to send.
pub struct Load {
    /// The requests. All connections together send them in turn.
    pub requests: Vec<Vec<u8>>,
    /// The status of a success.
    pub expect: u16,
    /// Revokes one token in a hundred, in the name of the agent to which it was issued.
    pub revoking: Option<Vec<Agent>>,
}

/// When the requests are sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends a request as soon as its last one was answered.
    Closed,
    /// This number of requests a second, at random times (a Poisson process).
    Open(f64),
    /// Each request once. A request that is answered with 503 is repeated.
    Once,
}

/// One kind of traffic.
#[derive(Clone)]
pub struct Stream {
    pub load: Arc<Load>,
    pub connections: usize,
    pub pace: Pace,
}

#[derive(Default)]
struct Counts {
    next: AtomicUsize,
    succeeded: AtomicU64,
    failed: AtomicU64,
    revoked: AtomicU64,
    told_to_wait: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Counts {
    fn fail(&self, why: impl FnOnce() -> String) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            *self
                .first_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(why());
        }
    }
}

#[derive(Default)]
struct Phase {
    measuring: AtomicBool,
    stopped: AtomicBool,
}

/// The counters of a stream since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    pub succeeded: u64,
    pub failed: u64,
    pub revoked: u64,
    pub told_to_wait: u64,
}

/// The result of a stream.
pub struct Driven {
    /// The times of the successes while the stream was measured.
    pub times: Histogram,
    /// The successes since its start, up to its last request.
    pub succeeded: u64,
    pub first_failure: Option<String>,
}

/// The result of a thread of the generator: the times of each stream, and how busy the thread was.
type Share = (Vec<Histogram>, f64);

/// A running load.
pub struct Drive {
    phase: Arc<Phase>,
    counts: Vec<Arc<Counts>>,
    threads: Vec<JoinHandle<Fallible<Share>>>,
}

impl Drive {
    pub fn start(cores: &Cores, target: &Target, streams: &[Stream]) -> Fallible<Self> {
        let phase = Arc::new(Phase::default());
        let counts: Vec<Arc<Counts>> = streams.iter().map(|_| Arc::default()).collect();
        let all: usize = streams.iter().map(|s| s.connections).sum();
        // One thread for each core, but no more threads than connections.
        let count = cores.client.len().clamp(1, all);
        let mut threads = Vec::new();
        for place in 0..count {
            let (phase, counts, streams) = (Arc::clone(&phase), counts.clone(), streams.to_vec());
            let target = target.clone();
            let core = cores.client[place % cores.client.len()];
            let work = move || {
                pin(&[core])?;
                let (begun, cpu) = (Instant::now(), thread_cpu());
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let histograms = LocalSet::new().block_on(
                    &runtime,
                    run_thread(&target, &streams, &counts, &phase, (place, count)),
                );
                Ok((
                    histograms,
                    thread_cpu().saturating_sub(cpu).as_secs_f64() / begun.elapsed().as_secs_f64(),
                ))
            };
            threads.push(
                std::thread::Builder::new()
                    .name(format!("load-{place}"))
                    .spawn(work)?,
            );
        }
        Ok(Self {
            phase,
            counts,
            threads,
        })
    }

    /// Records times from now on.
    pub fn measure(&self) {
        self.phase.measuring.store(true, Ordering::Relaxed);
    }

    pub fn progress(&self) -> Vec<Progress> {
        let of = |c: &Arc<Counts>| Progress {
            succeeded: c.succeeded.load(Ordering::Relaxed),
            failed: c.failed.load(Ordering::Relaxed),
            revoked: c.revoked.load(Ordering::Relaxed),
            told_to_wait: c.told_to_wait.load(Ordering::Relaxed),
        };
        self.counts.iter().map(of).collect()
    }

    /// Whether every request of [`Pace::Once`] was answered.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends the load. Also returns the share of its cores that the generator used.
    pub fn stop(self) -> Fallible<(Vec<Driven>, f64)> {
        self.phase.measuring.store(false, Ordering::Relaxed);
        self.phase.stopped.store(true, Ordering::Relaxed);
        let mut times: Vec<Histogram> = self.counts.iter().map(|_| Histogram::default()).collect();
        let (mut busy, threads) = (0.0, self.threads.len() as f64);
        for thread in self.threads {
            let (histograms, used) = thread
                .join()
                .map_err(|_| "a thread of the load generator died")??;
            for (sum, part) in times.iter_mut().zip(&histograms) {
                sum.add(part);
            }
            busy += used / threads;
        }
        let taken = |c: &Counts| {
            c.first_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        };
        let driven = times.into_iter().zip(&self.counts);
        Ok((
            driven
                .map(|(times, c)| Driven {
                    times,
                    succeeded: c.succeeded.load(Ordering::Relaxed),
                    first_failure: taken(c),
                })
                .collect(),
            busy,
        ))
    }
}

/// Runs this thread's share of the connections of every stream.
async fn run_thread(
    target: &Target,
    streams: &[Stream],
    counts: &[Arc<Counts>],
    phase: &Arc<Phase>,
    (place, threads): (usize, usize),
) -> Vec<Histogram> {
    let mut tasks = Vec::new();
    let mut all_times = Vec::new();
    for (stream, counts) in streams.iter().zip(counts) {
        let times = Rc::new(RefCell::new(Histogram::default()));
        let schedule = match stream.pace {
            Pace::Open(rate) => Some(Rc::new(Schedule::new(rate / threads as f64, place))),
            Pace::Closed | Pace::Once => None,
        };
        for _ in (place..stream.connections).step_by(threads) {
            let connection = Connection {
                load: Arc::clone(&stream.load),
                once: stream.pace == Pace::Once,
                schedule: schedule.clone(),
                counts: Arc::clone(counts),
                phase: Arc::clone(phase),
                times: Rc::clone(&times),
            };
            tasks.push(tokio::task::spawn_local(connection.run(target.clone())));
        }
        all_times.push(times);
    }
    for task in tasks {
        let _ = task.await;
    }
    all_times.into_iter().map(|times| times.take()).collect()
}

/// Tells when the next request of an open loop is due.
struct Schedule {
    gap: f64,
    due: Cell<Instant>,
    random: Cell<u64>,
}

impl Schedule {
    fn new(rate: f64, place: usize) -> Self {
        let random = Cell::new(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(place as u64 + 1));
        Self {
            gap: 1.0 / rate,
            due: Cell::new(Instant::now()),
            random,
        }
    }

    fn next(&self) -> Instant {
        let due = self.due.get();
        // Xorshift, then the exponential distribution by inverting its distribution function.
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        let even = ((x >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        self.due
            .set(due + Duration::from_secs_f64(-even.ln() * self.gap));
        due
    }
}

/// Waits until `due`. The runtime's timers have a resolution of only one millisecond, so the last
/// part of the wait is busy.
async fn wait_until(due: Instant, phase: &Phase) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || phase.stopped.load(Ordering::Relaxed) {
            return;
        }
        if left > Duration::from_millis(20) {
            tokio::time::sleep(
                left.saturating_sub(Duration::from_millis(5))
                    .min(Duration::from_millis(50)),
            )
            .await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

struct Connection {
    load: Arc<Load>,
    once: bool,
    schedule: Option<Rc<Schedule>>,
    counts: Arc<Counts>,
    phase: Arc<Phase>,
    times: Rc<RefCell<Histogram>>,
}

impl Connection {
    async fn run(self, target: Target) {
        let mut wire = None;
        while !self.stopped() {
            let due = match &self.schedule {
                None => Instant::now(),
                Some(schedule) => {
                    let due = schedule.next();
                    wait_until(due, &self.phase).await;
                    if self.stopped() {
                        return;
                    }
                    due
                }
            };
            let turn = self.counts.next.fetch_add(1, Ordering::Relaxed);
            if self.once && turn >= self.load.requests.len() {
                return;
            }
            if wire.is_none() {
                match Wire::connect(&target).await {
                    Ok(connected) => wire = Some(connected),
                    Err(error) => {
                        self.counts.fail(|| format!("no connection: {error}"));
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                }
            }
            if let Some(open) = &mut wire
                && self.send(open, turn, due).await.is_err()
            {
                wire = None;
            }
        }
    }

    fn stopped(&self) -> bool {
        self.phase.stopped.load(Ordering::Relaxed)
    }

    async fn send(&self, wire: &mut Wire, turn: usize, due: Instant) -> std::io::Result<()> {
        let place = turn % self.load.requests.len();
        let request = &self.load.requests[place];
        loop {
            match wire.exchange(request).await {
                Ok(status) if status == self.load.expect => {
                    self.counts.succeeded.fetch_add(1, Ordering::Relaxed);
                    if self.phase.measuring.load(Ordering::Relaxed) {
                        self.times.borrow_mut().record(due.elapsed());
                    }
                    return self.take_back(wire, turn, place).await;
                }
                Ok(503) if self.once && !self.stopped() => {
                    self.counts.told_to_wait.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(COME_AGAIN).await;
                }
                Ok(status) => {
                    let body = || String::from_utf8_lossy(wire.body()).into_owned();
                    self.counts.fail(|| format!("status {status}: {}", body()));
                    return Ok(());
                }
                Err(error) => {
                    self.counts.fail(|| format!("no reply: {error}"));
                    return Err(error);
                }
            }
        }
    }

    async fn take_back(&self, wire: &mut Wire, turn: usize, place: usize) -> std::io::Result<()> {
        let Some(agents) = self.load.revoking.as_ref().filter(|_| turn % 100 == 99) else {
            return Ok(());
        };
        let reply: serde_json::Value = serde_json::from_slice(wire.body())?;
        let token = reply
            .get("access_token")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let agent = &agents[place % agents.len()];
        let form = format!(
            "client_id={}&client_secret={}&token={token}",
            agent.id, agent.secret
        );
        match wire
            .exchange(&wire::post("/api/v1/token/revoke", "", &form))
            .await?
        {
            200 => self.counts.revoked.fetch_add(1, Ordering::Relaxed),
            status => {
                self.counts
                    .fail(|| format!("status {status} to a revocation"));
                0
            }
        };
        Ok(())
    }
}
