//! One repetition: puts a load on a server, and measures its CPU time and the machine's signing
//! rate immediately before and after.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Fallible;
use crate::args::Timing;
use crate::cores::Cores;
use crate::drive::{Drive, Driven, Pace, Progress, Stream};
use crate::interrupt::pause;
use crate::postgres::Postgres;
use crate::process;
use crate::raw::{Raw, Signer};
use crate::server::Server;

/// A signing rate older than this is measured anew.
const FRESH: Duration = Duration::from_millis(300);

/// The tools that every row uses.
pub struct Bench {
    pub cores: Cores,
    pub timing: Timing,
    pub signer: Signer,
    last_raw: Cell<Option<(Instant, Raw)>>,
}

/// What is measured: a server, and its Postgres.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub server: &'a Server,
    pub postgres: Option<&'a Postgres>,
}

impl Subject<'_> {
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
}

/// The result of one repetition. With several streams, the figures are those of the first one.
#[derive(Debug, Clone, Serialize)]
pub struct Repetition {
    pub seconds: f64,
    pub succeeded: u64,
    pub failed: u64,
    /// CPU time of the server, in seconds; `database_cpu` is the same for the database.
    pub server_cpu: f64,
    pub database_cpu: f64,
    /// Quantiles of the response time, in seconds.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The mean number of tokens that one statement counted.
    pub batch: Option<f64>,
    /// The share of its cores that the load generator used.
    pub client_busy: f64,
    pub raw: Raw,
    /// All successes over the connections of the repetition, those of the warm-up included.
    #[serde(skip)]
    pub succeeded_in_all: u64,
    #[serde(skip)]
    pub others: Vec<Progress>,
    #[serde(skip)]
    pub first: Progress,
    #[serde(skip)]
    pub complaint: Option<String>,
}

impl Repetition {
    fn each(&self, cpu: f64) -> f64 {
        cpu / self.succeeded as f64
    }

    /// CPU seconds of one success, of the server and the database together.
    pub fn cost(&self) -> f64 {
        self.each(self.server_cpu + self.database_cpu)
    }

    pub fn server_cost(&self) -> f64 {
        self.each(self.server_cpu)
    }

    pub fn database_cost(&self) -> f64 {
        self.each(self.database_cpu)
    }

    /// Successes per CPU second, divided by raw signatures per CPU second.
    pub fn share(&self) -> f64 {
        1.0 / self.cost() / self.raw.sign
    }

    pub fn server_share(&self) -> f64 {
        1.0 / self.server_cost() / self.raw.sign
    }

    /// A time in units of one raw signature.
    pub fn in_signatures(&self, seconds: f64) -> f64 {
        seconds * self.raw.sign
    }

    pub fn per_second(&self) -> f64 {
        self.succeeded as f64 / self.seconds
    }
}

/// The counters at one moment.
struct Reading {
    at: Instant,
    server: Duration,
    database: Duration,
    batches: Option<(f64, f64)>,
    progress: Vec<Progress>,
}

impl Bench {
    pub fn new(cores: Cores, timing: Timing, signer: Signer) -> Self {
        Self {
            cores,
            timing,
            signer,
            last_raw: Cell::new(None),
        }
    }

    /// The current signing rate.
    pub fn raw(&self) -> Fallible<Raw> {
        if let Some((at, raw)) = self.last_raw.get()
            && at.elapsed() < FRESH
        {
            return Ok(raw);
        }
        let raw = self.signer.measure(&self.cores, self.timing.raw)?;
        self.last_raw.set(Some((Instant::now(), raw)));
        Ok(raw)
    }

    /// Starts a stream, lets it warm up, and measures it.
    pub fn repeat(&self, subject: Subject<'_>, stream: &Stream) -> Fallible<Repetition> {
        self.repeat_beside(subject, std::slice::from_ref(stream))
    }

    /// Runs several streams at the same time. The figures are those of the first one.
    pub fn repeat_beside(&self, subject: Subject<'_>, streams: &[Stream]) -> Fallible<Repetition> {
        let before = self.raw()?;
        let drive = Drive::start(&self.cores, &subject.server.target(), streams)?;
        pause(self.timing.warm)?;
        let begun = Reading::before(subject, &drive)?;
        drive.measure();
        pause(self.timing.measured.saturating_sub(begun.at.elapsed()))?;
        let ended = Reading::after(subject, &drive)?;
        let (driven, busy) = drive.stop()?;
        self.last_raw.set(None);
        Ok(sum_up(
            &begun,
            &ended,
            driven,
            busy,
            before.mean(self.raw()?),
        ))
    }

    /// Runs a stream with [`Pace::Once`] until every request was answered, but at most for `cap`.
    pub fn run_once(
        &self,
        subject: Subject<'_>,
        stream: &Stream,
        cap: Duration,
    ) -> Fallible<Repetition> {
        debug_assert!(stream.pace == Pace::Once);
        let before = self.raw()?;
        let drive = Drive::start(
            &self.cores,
            &subject.server.target(),
            std::slice::from_ref(stream),
        )?;
        let begun = Reading::before(subject, &drive)?;
        drive.measure();
        while !drive.is_finished() && begun.at.elapsed() < cap {
            pause(Duration::from_millis(5))?;
        }
        let ended = Reading::after(subject, &drive)?;
        let (driven, busy) = drive.stop()?;
        self.last_raw.set(None);
        // Requests that were answered between the start and the first reading count too.
        let whole = Reading {
            progress: vec![Progress::default()],
            ..begun
        };
        Ok(sum_up(
            &whole,
            &ended,
            driven,
            busy,
            before.mean(self.raw()?),
        ))
    }

    /// Calls `each` once for each repetition and collects the values.
    pub fn times<T>(&self, mut each: impl FnMut() -> Fallible<T>) -> Fallible<Vec<T>> {
        (0..self.timing.repetitions).map(|_| each()).collect()
    }
}

impl Reading {
    /// The reading before the measurement. Reads the batches first: reading them costs the server
    /// some CPU time, which must not count.
    fn before(subject: Subject<'_>, drive: &Drive) -> Fallible<Self> {
        let batches = subject.server.batches()?;
        Ok(Self {
            batches,
            ..Self::without_batches(subject, drive)?
        })
    }

    /// The reading after the measurement. Reads the batches last, for the same reason.
    fn after(subject: Subject<'_>, drive: &Drive) -> Fallible<Self> {
        let reading = Self::without_batches(subject, drive)?;
        Ok(Self {
            batches: subject.server.batches()?,
            ..reading
        })
    }

    fn without_batches(subject: Subject<'_>, drive: &Drive) -> Fallible<Self> {
        let database = subject
            .postgres
            .map_or(Ok(Duration::ZERO), |p| process::family_cpu(p.process()))?;
        let server = process::tree_cpu(subject.server.process())?;
        Ok(Self {
            at: Instant::now(),
            server,
            database,
            batches: None,
            progress: drive.progress(),
        })
    }
}

fn sum_up(
    begun: &Reading,
    ended: &Reading,
    driven: Vec<Driven>,
    busy: f64,
    raw: Raw,
) -> Repetition {
    let between = |(now, then): (&Progress, &Progress)| Progress {
        succeeded: now.succeeded - then.succeeded,
        failed: now.failed - then.failed,
        revoked: now.revoked - then.revoked,
        told_to_wait: now.told_to_wait - then.told_to_wait,
    };
    let mut progress = ended.progress.iter().zip(&begun.progress).map(between);
    let first = progress.next().unwrap_or_default();
    let batch =
        ended
            .batches
            .zip(begun.batches)
            .and_then(|((count, sum), (count_then, sum_then))| {
                (count > count_then).then(|| (sum - sum_then) / (count - count_then))
            });
    let mut driven = driven.into_iter();
    let (times, succeeded_in_all, mut complaint) = driven
        .next()
        .map(|d| (d.times, d.succeeded, d.first_failure))
        .unwrap_or_default();
    for other in driven {
        complaint = complaint.or(other.first_failure);
    }
    Repetition {
        seconds: (ended.at - begun.at).as_secs_f64(),
        succeeded: first.succeeded,
        failed: first.failed,
        server_cpu: ended.server.saturating_sub(begun.server).as_secs_f64(),
        database_cpu: ended.database.saturating_sub(begun.database).as_secs_f64(),
        p50: times.quantile(0.5),
        p99: times.quantile(0.99),
        p999: times.quantile(0.999),
        batch,
        client_busy: busy,
        raw,
        succeeded_in_all,
        others: progress.collect(),
        first,
        complaint,
    }
}
