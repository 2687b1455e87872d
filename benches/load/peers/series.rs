//! The series: all programs run at the same time, each on the same cores, and are measured in turn,
//! so that drift of the machine reaches all of them. A program whose turn it is not is stopped
//! where it is (SIGSTOP).

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Drive, Load, Pace, Stream};
use crate::measure::{Bench, Repetition};
use crate::raw::Raw;
use crate::{Fallible, interrupt, process};

use super::check::{check_tokens, token_request};
use super::running::Running;
use super::table::{Endpoint, Instructions, WITHOUT_IFMA};

/// The number of connections, each of which sends its next request when the last was answered.
const CONNECTIONS: usize = 64;

/// The longest time for the first token of each client.
const FIRST_TOKENS_TIMEOUT: Duration = Duration::from_mins(1);

/// A row while the series runs.
pub struct Turn<'a> {
    pub running: &'a Running,
    pub endpoint: &'static Endpoint,
    pub repetitions: Vec<Repetition>,
    /// Rows and bytes of write-ahead log a token, for each repetition.
    pub rows: Vec<f64>,
    pub log: Vec<f64>,
    /// The program's resident memory in bytes, for each repetition.
    pub resident: Vec<f64>,
}

impl<'a> Turn<'a> {
    pub fn new(running: &'a Running, endpoint: &'static Endpoint) -> Self {
        Self {
            running,
            endpoint,
            repetitions: Vec::new(),
            rows: Vec::new(),
            log: Vec::new(),
            resident: Vec::new(),
        }
    }

    pub fn name(&self) -> String {
        self.running.program.name_of(self.endpoint)
    }

    fn stream(&self, pace: Pace) -> Stream {
        let clients = self.running.clients.iter();
        let load = Load {
            requests: clients
                .map(|client| token_request(self.endpoint, client))
                .collect(),
            expect: 200,
            revoking: None,
        };
        Stream {
            load: Arc::new(load),
            connections: CONNECTIONS,
            pace,
        }
    }

    /// Lets each client log in, checks the endpoint's tokens, and warms the program up.
    pub fn warm_up(&self, bench: &Bench, time: Duration) -> Fallible<()> {
        let subject = self.running.subject();
        let done = bench.run_once(subject, &self.stream(Pace::Once), FIRST_TOKENS_TIMEOUT)?;
        if done.succeeded < self.running.clients.len() as u64 {
            let why = done.complaint.unwrap_or_default();
            return Err(format!("{}: not every client got a token: {why}", self.name()).into());
        }
        self.check()?;
        let drive = Drive::start(
            &bench.cores,
            &subject.server.target(),
            &[self.stream(Pace::Closed)],
        )?;
        interrupt::pause(time)?;
        drive.stop()?;
        Ok(())
    }

    pub fn check(&self) -> Fallible<()> {
        let issuer = self.running.issuer_of(self.endpoint);
        let address = self.running.server.address;
        check_tokens(address, self.endpoint, &issuer, &self.running.clients)
            .map_err(|problem| format!("{}: {problem}", self.name()).into())
    }

    /// Measures once.
    pub fn measure(&mut self, bench: &Bench) -> Fallible<()> {
        let running = self.running;
        running.server.resume();
        let raw_before = self.raw_of_its_own(bench)?;
        let before = running.records(self.endpoint)?;
        let mut repetition = bench.repeat(running.subject(), &self.stream(Pace::Closed))?;
        let after = running.records(self.endpoint)?;
        if let Some((before, after)) = raw_before.zip(self.raw_of_its_own(bench)?) {
            repetition.raw = before.mean(after);
        }
        if let Some((before, after)) = before.zip(after) {
            let each = |bytes: i64| bytes as f64 / repetition.succeeded_in_all as f64;
            self.rows.push(each(after.rows - before.rows));
            if let Some((before, after)) = before.log.zip(after.log) {
                self.log.push(each(after - before));
            }
        }
        self.resident
            .push(process::tree_resident(running.server.process())?);
        self.repetitions.push(repetition);
        running.server.pause();
        Ok(())
    }

    /// The signing rate without the instructions that the program does without. The library asks
    /// the processor once, so a process of its own measures that.
    fn raw_of_its_own(&self, bench: &Bench) -> Fallible<Option<Raw>> {
        if self.running.program.instructions == Instructions::All {
            return Ok(None);
        }
        let millis = bench.timing.raw.as_millis().to_string();
        let output = Command::new(std::env::current_exe()?)
            .args(["raw-rate", "--millis", &millis])
            .env(WITHOUT_IFMA.0, WITHOUT_IFMA.1)
            .output()?;
        Ok(Some(serde_json::from_slice(&output.stdout)?))
    }
}
