//! The real program, started as an operator would start it, but on free ports.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio_rustls::TlsConnector;

use crate::cores::{Cores, pin};
use crate::wire::Target;
use crate::{Fallible, interrupt, tls, wire};

/// The measured program: the binary that cargo built together with this one, with the same profile.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sealwright");

/// How long a server may take to start. Some fill their database first.
const START_TIMEOUT: Duration = Duration::from_mins(4);

/// A running process that answers HTTP.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
    /// What makes the handshakes of its clients. `None` means that it speaks plain HTTP.
    pub tls: Option<TlsConnector>,
    /// The address of its metrics. A baseline has no metrics.
    pub ops: Option<SocketAddr>,
    /// The time from its start to its first response with 200.
    pub started_in: Duration,
}

/// Where a server keeps its state.
#[derive(Clone)]
pub struct Place {
    pub database: String,
    pub master_key: String,
}

impl Server {
    /// Starts `sealwright serve` and waits until it can issue tokens.
    pub fn start(place: &Place, cores: &Cores) -> Fallible<Self> {
        Self::start_with(place, cores, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(
        place: &Place,
        cores: &Cores,
        environment: &[(&str, &str)],
    ) -> Fallible<Self> {
        let (address, ops) = (free_address()?, free_address()?);
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("SEALWRIGHT_SERVER__LISTEN", address.to_string())
            .env("SEALWRIGHT_SERVER__OPS_LISTEN", ops.to_string())
            .env("SEALWRIGHT_DATABASE__URL", &place.database)
            .env("SEALWRIGHT_KEYS__MASTER_KEY", &place.master_key)
            .env("SEALWRIGHT_LOG__FORMAT", "json")
            .envs(environment.iter().copied());
        Self::spawn(command, address, Some(ops), "/readyz", cores)
    }

    /// The same behind TLS, with an ECDSA certificate.
    pub fn start_with_tls(place: &Place, cores: &Cores) -> Fallible<Self> {
        let tls = [
            ("SEALWRIGHT_SERVER__TLS_CERT", tls::CERTIFICATE),
            ("SEALWRIGHT_SERVER__TLS_KEY", tls::KEY),
        ];
        let mut server = Self::start_with(place, cores, &tls)?;
        server.tls = Some(tls::connector()?);
        Ok(server)
    }

    /// Where its clients send their requests.
    pub fn target(&self) -> Target {
        Target {
            address: self.address,
            tls: self.tls.clone(),
        }
    }

    /// Starts any server that answers 200 at `ready`, on the address of its metrics if it has one.
    pub fn spawn(
        mut command: Command,
        address: SocketAddr,
        ops: Option<SocketAddr>,
        ready: &str,
        cores: &Cores,
    ) -> Fallible<Self> {
        // A group of its own, so that a signal reaches what a script has started, too.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        let begun = Instant::now();
        let process = cores.start_served(|| command.spawn())??;
        let mut server = Self {
            process,
            address,
            tls: None,
            ops,
            started_in: Duration::ZERO,
        };
        server.read_log(cores.client.clone())?;
        let request = wire::get(ready, "");
        loop {
            if wire::ask_once(ops.unwrap_or(address), &request)
                .is_ok_and(|reply| reply.status == 200)
            {
                server.started_in = begun.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("the server ended at its start: {status}").into());
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err("the server is not ready after four minutes".into());
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Reads the server's log in a thread, like a journal would, so that the cost of writing log
    /// lines counts.
    fn read_log(&mut self, cores: Vec<usize>) -> Fallible<()> {
        let mut log = self
            .process
            .stdout
            .take()
            .ok_or("the server has no stdout")?;
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let _ = pin(&cores);
                let mut buffer = vec![0; 64 * 1_024];
                while log.read(&mut buffer).is_ok_and(|length| length > 0) {}
            })?;
        Ok(())
    }

    /// Stops the server where it is, until [`Self::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        if let Some(process) = process {
            let _ = kill_process_group(process, signal);
        }
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// The number of batches since the start, and the number of tokens in them.
    pub fn batches(&self) -> Fallible<Option<(f64, f64)>> {
        let Some(ops) = self.ops else { return Ok(None) };
        let reply = wire::ask_once(ops, &wire::get("/metrics", ""))?;
        let text = String::from_utf8(reply.body)?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        Ok(Some((
            value("sealwright_token_batch_size_count "),
            value("sealwright_token_batch_size_sum "),
        )))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        self.resume();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// A loopback port that was free a moment ago.
pub fn free_address() -> Fallible<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The size of the program without its symbols, in bytes. `None` if `strip` is not installed.
pub fn stripped_size(folder: &Path) -> Option<f64> {
    let copy = folder.join("stripped");
    let done = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(PROGRAM)
        .status();
    done.is_ok_and(|status| status.success()).then_some(())?;
    Some(std::fs::metadata(copy).ok()?.len() as f64)
}
