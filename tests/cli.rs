//! Tests of the command line: each test runs the real program on a store of its own.
//!
//! - `agent`, `credential`, `import`, `risk`, `scope_key_token`, `configuration`, `usage`: one family of commands
//!   each
//! - `about`: what operators say about agents
//! - `audit`: the tamper-evident log
//! - `backup`: copies of a SQLite store, and their restore
//! - `reasons`: who runs a command, and why
//! - `narrowing`, `secrets`: which tokens and secrets stay valid after a change
//! - `printed`: secrets that are shown only once
//! - `failures`: the message when a file, an address or a port is not available
//! - `files`: the files beside a SQLite database
//! - `lost_files`: these files, removed, replaced or damaged while a server uses them
//! - `owners`: the owners of these files
//! - `postgres`: commands on PostgreSQL (`tests/run` starts one)
//! - `server`: commands beside a running server
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot start the program must stop"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[path = "cli/about.rs"]
mod about;
#[path = "cli/agent.rs"]
mod agent;
#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/audit_events.rs"]
mod audit_events;
#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/bulk.rs"]
mod bulk;
#[path = "cli/configuration.rs"]
mod configuration;
#[path = "cli/credential.rs"]
mod credential;
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "shared with tests/it, which uses more of it"
)]
#[path = "it/harness/database.rs"]
mod database;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/failures.rs"]
mod failures;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/lost_files.rs"]
mod lost_files;
#[path = "cli/narrowing.rs"]
mod narrowing;
#[path = "cli/org.rs"]
mod org;
#[path = "cli/owners.rs"]
mod owners;
#[path = "cli/partner.rs"]
mod partner;
#[path = "cli/postgres.rs"]
mod postgres;
#[path = "cli/printed.rs"]
mod printed;
#[path = "cli/reasons.rs"]
mod reasons;
#[path = "cli/revocation.rs"]
mod revocation;
#[path = "cli/risk.rs"]
mod risk;
#[path = "cli/scope_key_token.rs"]
mod scope_key_token;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/server.rs"]
mod server;
#[expect(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "shared with tests/it, which uses more of it"
)]
#[path = "it/harness/time.rs"]
mod time;
#[path = "cli/usage.rs"]
mod usage;

/// A folder in which the program runs, and the environment variables that it gets. It gets no
/// others.
struct Home {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// The result of a command.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Home {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment: vec![],
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes an empty store with its keys.
    fn make_store(&self) {
        for command in [&["migrate"][..], &["scope", "list"]] {
            let ran = self.run(command);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealwright"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command with `input` on its stdin.
    fn feed(&self, input: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its stdin may have closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command with an empty stdin.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.feed("", arguments)
    }

    /// Runs a command with `--json` that must succeed, and parses its JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Whether any file of the store holds `text`.
    fn stores(&self, text: &str) -> bool {
        let holds = |path: &Path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(text.len()).any(|run| run == text.as_bytes())
        };
        let entries = std::fs::read_dir(self.path("sealwright-data")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .any(|path| holds(&path))
    }
}

impl Ran {
    /// Demands that the command failed with this exit code, printed `why` on stderr, and printed no
    /// data.
    fn refused(&self, code: i32, why: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(why), "{why:?} is not in {self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
