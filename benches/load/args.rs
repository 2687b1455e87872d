//! The command line of the harness. Must not know how anything is measured.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the built server against the machine's own signing rate (benches/load/README.md).
#[derive(Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(
    name = "load",
    bin_name = "cargo bench --bench load --",
    max_term_width = 100
)]
pub struct Args {
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// Every combination of connections and agents, and the rarer workloads; 5 repetitions
    #[arg(long)]
    pub full: bool,
    /// Compare a store of 1,000,000 agents and 10,000,000 expired revocations with a small one
    #[arg(long)]
    pub growth: bool,
    /// How often rows that put a load on a server repeat it, instead of 3 times, or 5 with --full
    #[arg(long, value_name = "NUMBER")]
    pub repetitions: Option<NonZeroUsize>,
    /// Runs of a third of a second, to try the harness: the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Only rows whose name holds this text, e.g. "sqlite" or "64 connections"; repeatable
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Vec<String>,
    /// Where the figures are written
    #[arg(
        long,
        value_name = "FILE",
        default_value = "benches/load/results/latest.json"
    )]
    pub json: PathBuf,
    /// Let server, database and load generator share all cores instead of keeping them apart
    #[arg(long)]
    pub shared: bool,
    /// Where the databases lie while they are measured; a disk, not memory
    #[arg(long, value_name = "FOLDER", default_value = "/var/tmp")]
    pub data: PathBuf,
    /// Name the rows and end
    #[arg(long)]
    pub list: bool,
}

/// What the program does besides measuring. The harness starts itself in some of these modes.
#[derive(Subcommand)]
pub enum Mode {
    /// Serve tokens the usual way, on the same tables
    #[command(hide = true)]
    ServeBaseline {
        #[arg(long)]
        kind: Baseline,
        #[arg(long)]
        database: String,
        #[arg(long)]
        listen: SocketAddr,
        /// A file with an agent's id and secret in each line
        #[arg(long)]
        agents: PathBuf,
    },
    /// Issue tokens inside this process, over a store in FOLDER
    #[command(hide = true)]
    IssueInProcess {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        rounds: usize,
    },
    /// Measure Keycloak, Spring Authorization Server and oidc-provider beside this server:
    /// benches/peers/run brings them and starts this
    Peers {
        /// The folder in which benches/peers/run has prepared them
        #[arg(long, value_name = "FOLDER")]
        prepared: PathBuf,
    },
    /// Print the signing rate, as the environment lets the library sign
    #[command(hide = true)]
    RawRate {
        #[arg(long)]
        millis: u64,
    },
    /// Count the instructions of one warm token outside the signature
    Instructions {
        /// Write the count down as the new baseline
        #[arg(long)]
        update: bool,
        /// The baseline, a line for each toolchain and target
        #[arg(
            long,
            value_name = "FILE",
            default_value = "tests/instructions.baseline"
        )]
        baseline: PathBuf,
    },
}

/// A usual token server, for comparison.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Baseline {
    /// One transaction for each request, and `jsonwebtoken::encode`
    TxnJsonwebtoken,
    /// One autocommitted UPDATE for each request, and a parsed key
    Update,
}

impl Baseline {
    pub fn word(self) -> &'static str {
        match self {
            Self::TxnJsonwebtoken => "txn-jsonwebtoken",
            Self::Update => "update",
        }
    }
}

/// The length and the number of the measurements, and the sizes of the stores.
#[derive(Clone, Copy)]
pub struct Timing {
    pub warm: Duration,
    pub measured: Duration,
    pub repetitions: usize,
    /// How long each core signs before and after a repetition.
    pub raw: Duration,
    pub starts: usize,
    /// Agents that the server knows when its memory is read.
    pub known: usize,
    /// Agents of a cold start, besides those of the storm.
    pub cold: usize,
    /// The longest time for which a cold start is measured.
    pub cold_cap: Duration,
    pub grown_agents: i64,
    pub grown_revocations: i64,
    /// The events whose logging is measured at once.
    pub logged_events: u32,
    /// The events of a log that is verified and exported.
    pub verified_events: u32,
    /// The tokens that wait for the ledger while others are requested.
    pub waiting_tokens: u32,
}

impl Args {
    pub fn timing(&self) -> Timing {
        let ms = Duration::from_millis;
        let repetitions = |usual| self.repetitions.map_or(usual, NonZeroUsize::get);
        if self.quick {
            return Timing {
                warm: ms(150),
                measured: ms(300),
                repetitions: repetitions(1),
                raw: ms(40),
                starts: 3,
                known: 1_000,
                cold: 64,
                cold_cap: ms(2_000),
                grown_agents: 20_000,
                grown_revocations: 100_000,
                logged_events: 20_000,
                verified_events: 20_000,
                waiting_tokens: 20_000,
            };
        }
        Timing {
            warm: ms(500),
            measured: ms(3_000),
            repetitions: repetitions(if self.full { 5 } else { 3 }),
            raw: ms(250),
            starts: 7,
            known: 100_000,
            cold: if self.full { 10_000 } else { 0 },
            cold_cap: Duration::from_mins(4),
            grown_agents: 1_000_000,
            grown_revocations: 10_000_000,
            logged_events: 200_000,
            verified_events: 1_000_000,
            waiting_tokens: 65_536,
        }
    }

    /// Whether the row of this name is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}
