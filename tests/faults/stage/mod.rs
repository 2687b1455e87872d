//! What the fault tests need around the program: processes, a database, a client, a ledger,
//! proxies.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub mod audit;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod ledger;
pub mod outcome;
pub mod patroni;
pub mod proxy;
pub mod reverse_proxy;
pub mod server;
pub mod signer;

/// The longest that a response may take while the database is away. The server's own deadline comes
/// after at most 2.8 seconds. The short form runs beside other tests, on machines that stand still for
/// seconds, so there the bound only tells a server that has a deadline from one that has none.
pub fn answer_within() -> Duration {
    scaled(Duration::from_secs(15), Duration::from_secs(3))
}

/// How long a test waits for an event that has no deadline of its own. The limit is far above the
/// time on the slowest machine, so that a test fails only if the event never comes.
pub const GENEROUS: Duration = Duration::from_mins(1);

/// Shared by the tests that run beside others, and held alone by those that run alone.
static TURN: RwLock<()> = RwLock::new(());

/// How much a test does: `short` in `tests/run`, `long` in `tests/faults/run --long`.
pub fn scaled<T>(short: T, long: T) -> T {
    if std::env::var_os("FAULTS_LONG").is_some() {
        long
    } else {
        short
    }
}

/// Prints that this machine cannot run a test, and why.
pub fn cannot_run(what: &str, why: &str) {
    // Do not use `eprintln!`: its output is hidden when the test passes.
    let line = format!("tests/faults: {what} cannot run here: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Runs a test beside others of its kind. Its servers, database and ports are its own, so that a fault
/// that one test causes does not fail another. The long forms measure, so each runs alone.
pub fn play(scene: impl Future<Output = ()>) {
    if scaled(false, true) {
        return play_alone(scene);
    }
    let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    act(scene);
}

/// Runs one test while no other runs: one that measures or fills the machine.
pub fn play_alone(scene: impl Future<Output = ()>) {
    // A poisoned lock means that another test failed. That test has reported it.
    let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    act(scene);
}

fn act(scene: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(scene);
    runtime.shutdown_background();
}

pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Asks again until `question` returns true. Returns how long that took.
pub async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !question().await {
        assert!(
            began.elapsed() < GENEROUS,
            "{what}: not within {} s",
            GENEROUS.as_secs()
        );
        pause(20).await;
    }
    began.elapsed()
}

/// A free port below the range from which the system takes the ports of clients. With a port of
/// that range, a client that tries to reach a dead server many times could be connected to itself.
/// No port is given twice before all ports were given, so that a server can be restarted at its own.
pub fn free_port() -> u16 {
    const FIRST: u16 = 11_000;
    const COUNT: u32 = 20_000;
    // Another process that runs these tests begins elsewhere.
    static BEGIN: LazyLock<u32> =
        LazyLock::new(|| u32::try_from(Dice::new().below(COUNT.into())).unwrap());
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = BEGIN.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A small random generator for a test's choices, with a different sequence in each run.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
