//! The program as a process: where it keeps its state, and how it is started, queried and killed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::cluster::Cluster;
use super::{GENEROUS, free_port, pause};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealwright");

/// A key for the tests: any 32 bytes.
const MASTER_KEY: &str = "c2VhbHdyaWdodC1mYXVsdC10ZXN0LW1hc3Rlci1rZXk=";

/// This release's program.
pub fn this_program() -> PathBuf {
    PROGRAM.into()
}

/// An agent that requests tokens.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    pub secret: String,
}

/// A store and its configuration, which the servers and commands of one test use.
pub struct Site {
    folder: TempDir,
    /// The URL of the store itself, without a proxy.
    pub database: String,
    settings: Vec<(String, String)>,
    /// The program that is started from now on: this release's, or another one's.
    pub program: PathBuf,
}

impl Site {
    /// A SQLite file in a new folder.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("sealwright.db").display());
        Self {
            folder,
            database,
            settings: vec![],
            program: PROGRAM.into(),
        }
    }

    /// A new database on `cluster`, migrated.
    pub async fn postgres(cluster: &Cluster) -> Self {
        Self::migrated(cluster.create_database().await, PROGRAM.as_ref())
    }

    /// As [`Self::postgres`], migrated and used by this program.
    pub async fn postgres_of(cluster: &Cluster, program: &Path) -> Self {
        Self::migrated(cluster.create_database().await, program)
    }

    /// As [`Self::postgres`], with its tables in this folder.
    pub async fn postgres_in(cluster: &Cluster, folder: &Path) -> Self {
        Self::migrated(cluster.create_database_in(folder).await, PROGRAM.as_ref())
    }

    /// A new store in this database.
    pub fn in_database(database: String) -> Self {
        Self::migrated(database, PROGRAM.as_ref())
    }

    fn migrated(database: String, program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = vec![(
            "SEALWRIGHT_KEYS__MASTER_KEY".to_owned(),
            MASTER_KEY.to_owned(),
        )];
        let site = Self {
            folder,
            database,
            settings,
            program: program.to_owned(),
        };
        site.must(&["migrate"]);
        site
    }

    pub fn is_sqlite(&self) -> bool {
        self.database.starts_with("sqlite:")
    }

    /// The SQLite file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("sealwright.db")
    }

    /// The folder that holds all files of this site.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in its folder. Returns its path.
    pub fn write(&self, name: &str, content: &Value) -> String {
        let path = self.folder().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Sets an environment variable for all processes that are started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.dress(&mut command);
        command
    }

    /// Gives a command this site's configuration, and nothing else of the environment except
    /// `PATH`.
    fn dress(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("SEALWRIGHT_DATABASE__URL", &self.database);
        for key in ["LISTEN", "OPS_LISTEN"] {
            command.env(
                format!("SEALWRIGHT_SERVER__{key}"),
                format!("127.0.0.1:{}", free_port()),
            );
        }
        command.env("SEALWRIGHT_LOG__REQUESTS", "false");
        command.env("SEALWRIGHT_LOG__FORMAT", "json");
        command.envs(self.settings.iter().map(|(k, v)| (k, v)));
    }

    /// Runs one command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs one command that must succeed, and returns what it printed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {}: {said}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs one command that must succeed, and returns the JSON that it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.must(&[&["--json"], arguments].concat())).unwrap()
    }

    /// Gives an agent a new secret. The old secret stays valid for `overlap` seconds.
    pub fn rotate(&self, agent: &Agent, overlap: u64) -> Agent {
        let made = self.json(&[
            "agent",
            "rotate-secret",
            &agent.id,
            "--overlap",
            &overlap.to_string(),
        ]);
        Agent {
            id: agent.id.clone(),
            secret: made["clientSecret"].as_str().unwrap().to_owned(),
        }
    }

    /// Makes an agent with all scopes that these tests use.
    pub fn agent(&self, name: &str, plan: &str) -> Agent {
        let scopes = "tokens:read agents:read";
        let made = self.json(&[
            "agent", "create", "--name", name, "--plan", plan, "--scope", scopes,
        ]);
        let word = |key: &str| made[key].as_str().unwrap().to_owned();
        Agent {
            id: word("agentId"),
            secret: word("clientSecret"),
        }
    }

    /// Imports agents with these ids and hashes.
    pub fn import(&self, hashes: &[(&str, &str)]) {
        let line = |(id, hash): &(&str, &str)| {
            let line =
                serde_json::json!({ "clientId": id, "secretHash": hash, "scopes": "tokens:read" });
            format!("{line}\n")
        };
        let file = self.folder.path().join("import.jsonl");
        std::fs::write(&file, hashes.iter().map(line).collect::<String>()).unwrap();
        self.must(&["agent", "import", file.to_str().unwrap()]);
    }

    pub fn agents(&self, count: usize) -> Arc<Vec<Agent>> {
        // Two commands run at a time: most of a command's time is its start.
        let numbers: Vec<usize> = (0..count).collect();
        let create = |number: &usize| self.agent(&format!("load-{number}"), "unlimited");
        Arc::new(std::thread::scope(|scope| {
            let made: Vec<_> = numbers
                .chunks(count.div_ceil(2))
                .map(|part| scope.spawn(move || part.iter().map(create).collect::<Vec<_>>()))
                .collect();
            made.into_iter()
                .flat_map(|one| one.join().unwrap())
                .collect()
        }))
    }

    /// Starts a server and waits until it listens.
    pub fn start(&self) -> Server {
        try_start(self.command()).unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server with another database URL, that of a proxy.
    pub fn start_at(&self, database: &str) -> Server {
        let mut command = self.command();
        command.env("SEALWRIGHT_DATABASE__URL", database);
        try_start(command).unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server that ignores SIGXFSZ: when a file may not grow, the write fails and no
    /// signal ends the process.
    pub fn start_without_file_size_signal(&self) -> Server {
        let mut command = Command::new("sh");
        self.dress(&mut command);
        command
            .arg("-c")
            .arg("trap '' XFSZ; exec \"$0\"")
            .arg(PROGRAM);
        try_start(command).unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server that may have at most this many file descriptors.
    pub fn start_with_descriptors(&self, most: usize) -> Server {
        let mut command = Command::new("sh");
        self.dress(&mut command);
        command
            .arg("-c")
            .arg(format!("ulimit -n {most}; exec \"$0\""))
            .arg(PROGRAM);
        try_start(command).unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server whose whole log is kept in this file.
    pub fn start_keeping_log(&self, file: &Path) -> Server {
        let file = std::fs::File::create(file).unwrap();
        let log = Log {
            file: Some(Arc::new(file)),
            ..Log::default()
        };
        try_start_with(self.command(), log, |_| ())
            .unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server that waits at start-up. Once its log contains `saying`, `give` provides what
    /// it waits for.
    pub fn start_waiting(&self, saying: &str, give: impl FnOnce()) -> Server {
        let waits = |log: &Log| {
            let began = Instant::now();
            while !log.text().contains(saying) {
                assert!(
                    began.elapsed() < GENEROUS,
                    "the server does not wait: {}",
                    log.text()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
            give();
        };
        try_start_with(self.command(), Log::default(), waits)
            .unwrap_or_else(|(status, said)| panic!("{status}: {said}"))
    }

    /// Starts a server. If it does not start, returns its exit status and its log.
    pub fn start_or_refusal(&self) -> Result<Server, (ExitStatus, String)> {
        try_start(self.command())
    }
}

/// Starts a server and waits until it listens or has ended.
fn try_start(command: Command) -> Result<Server, (ExitStatus, String)> {
    try_start_with(command, Log::default(), |_| ())
}

/// As [`try_start`], and calls `meanwhile` before it waits.
fn try_start_with(
    mut command: Command,
    log: Log,
    meanwhile: impl FnOnce(&Log),
) -> Result<Server, (ExitStatus, String)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (found, addresses) = mpsc::channel();
    let out = log.follow(child.stdout.take().unwrap(), Some(found));
    let err = log.follow(child.stderr.take().unwrap(), None);
    meanwhile(&log);
    if let Ok((address, ops)) = addresses.recv_timeout(GENEROUS) {
        return Ok(Server {
            child,
            address,
            ops,
            log,
            followers: vec![out, err],
        });
    }
    let _ = child.kill();
    let status = child.wait().unwrap();
    let _ = (out.join(), err.join());
    Err((status, log.text()))
}

/// How many of the last lines of a log are kept.
const MAX_LINES: usize = 1_000;

/// How many of them are shown when a test fails.
const SHOWN_LINES: usize = 60;

/// The last lines that a server wrote.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// A file that has all of them.
    file: Option<Arc<std::fs::File>>,
}

impl Log {
    fn follow(
        &self,
        source: impl Read + Send + 'static,
        found: Option<mpsc::Sender<(SocketAddr, SocketAddr)>>,
    ) -> std::thread::JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            // The sender is dropped after the announcement, or when the server ends without one.
            let mut found = found;
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                if let Some(addresses) = announced(&line)
                    && let Some(found) = found.take()
                {
                    let _ = found.send(addresses);
                }
                if let Some(file) = &log.file {
                    writeln!(&mut &**file, "{line}").unwrap();
                }
                let mut lines = log.lines.lock().unwrap();
                lines.push_back(line);
                if lines.len() > MAX_LINES {
                    lines.pop_front();
                }
            }
        })
    }

    fn text(&self) -> String {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }
}

/// The two addresses in the log line that announces that the server serves.
fn announced(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| line[key].as_str()?.parse().ok();
    Some((address("listen")?, address("ops_listen")?))
}

/// A running server. Dropping it kills the process.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub ops: SocketAddr,
    log: Log,
    /// The threads that read what it writes.
    followers: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn ops_client(&self) -> Client {
        Client::new(self.ops)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(Signal::TERM, self.pid());
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < GENEROUS, "the server does not end");
            pause(2).await;
        }
    }

    /// Waits until the rest of its log was read. The server must have ended.
    pub fn read_log_to_its_end(&mut self) {
        for follower in self.followers.drain(..) {
            follower.join().unwrap();
        }
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in MiB.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:") / 1_024
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many of the last log lines contain this text.
    pub fn said(&self, text: &str) -> usize {
        self.log
            .text()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    /// The value of one metric, or 0 if the metric is absent.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.ops_client().get("/metrics").await.text();
        let line = text.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.log.text();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            println!("the server's last log lines:\n{}", last.join("\n"));
        }
    }
}

/// Raises this process's limit of file descriptors to the maximum that it may have.
pub fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Sends a signal.
pub fn signal(signal: Signal, pid: u32) {
    kill_process(process_id(pid), signal)
        .unwrap_or_else(|fault| panic!("{signal:?} to {pid}: {fault}"));
}

/// Sends a signal to these processes. The first one runs; each other may have ended by itself
/// meanwhile, as the children of a server do.
pub fn signal_all(kind: Signal, pids: &[u32]) {
    let (first, others) = pids.split_first().expect("a process");
    signal(kind, *first);
    for other in others {
        match kill_process(process_id(*other), kind) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(fault) => panic!("{kind:?} to {other}: {fault}"),
        }
    }
}

/// A process id in the form that the system's calls take.
pub fn process_id(pid: u32) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .unwrap_or_else(|| panic!("{pid} is no process"))
}

/// Prints the distribution of measured times.
pub fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    println!(
        "{what}: {} measured, p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        times.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}
