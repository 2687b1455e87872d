//! The load harness: it measures the cost of a token, compared with the machine's signing rate.
//!
//! `README.md` beside this file explains the method. Reading order: [`rows`] (the table of what is
//! measured), [`measure`] (one repetition), [`drive`] (the load generator), [`raw`] (the signing
//! rate), [`report`]. [`peers`] measures other servers. The other modules start, fill and read what these need.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics: counts become ratios, and no count comes near 2^53"
)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use mimalloc::MiMalloc;
use sealwright::testing::entropy::SystemEntropy;
use sealwright::testing::keys::seal::MasterKey;
use serde_json::json;

use args::{Args, Mode};
use cores::Cores;
use machine::Machine;
use measure::Bench;
use raw::Signer;
use report::Found;
use rows::Kind;

mod args;
mod baseline;
mod cores;
mod drive;
mod events;
mod fill;
mod histogram;
mod instructions;
mod interrupt;
mod machine;
mod measure;
mod own_keys;
mod peers;
mod postgres;
mod process;
mod raw;
mod report;
mod rows;
mod seed;
mod server;
mod session;
mod tls;
mod wire;

/// The same allocator as the program's, so that the baselines and the counted tokens use it too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Problem = Box<dyn Error + Send + Sync>;
type Fallible<T> = Result<T, Problem>;

fn main() -> ExitCode {
    // Drop the argument that cargo adds.
    let args = Args::parse_from(std::env::args_os().filter(|word| word != "--bench"));
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Fallible<()> {
    match &args.mode {
        None => measure_all(args),
        Some(Mode::ServeBaseline {
            kind,
            database,
            listen,
            agents,
        }) => baseline::serve(*kind, database, *listen, agents),
        Some(Mode::IssueInProcess { folder, rounds }) => {
            instructions::issue_in_process(folder, *rounds)
        }
        Some(Mode::Peers { prepared }) => peers::compare(args, prepared),
        Some(Mode::RawRate { millis }) => print_raw_rate(args, Duration::from_millis(*millis)),
        Some(Mode::Instructions { update, baseline }) => instructions::check(baseline, *update),
    }
}

/// Runs the harness's own database access.
fn block_on<T>(work: impl Future<Output = Fallible<T>>) -> Fallible<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn master_key() -> Fallible<String> {
    Ok(MasterKey::generate(&SystemEntropy::default())?
        .to_text()
        .to_string())
}

fn print_raw_rate(args: &Args, time: Duration) -> Fallible<()> {
    let raw = Signer::generate()?.measure(&Cores::deal(args.shared)?, time)?;
    println!("{}", serde_json::to_string(&raw)?);
    Ok(())
}

fn measure_all(args: &Args) -> Fallible<()> {
    let kinds = [Kind::Postgres, Kind::Sqlite];
    if args.list {
        for kind in kinds {
            println!("{}", rows::start_name(kind));
            for row in rows::plan(kind, args) {
                println!("{}", row.name);
            }
        }
        return Ok(());
    }
    interrupt::watch()?;
    let cores = Cores::deal(args.shared)?;
    let machine = Machine::read(&cores, &args.data)?;
    machine.introduce();
    let timing = args.timing();
    let argon2 = seed::argon2_rate(&cores, timing.measured)?;
    println!("argon2id: {argon2:.1} verifications a CPU second");
    let bench = Bench::new(cores, timing, Signer::generate()?);
    let mut found = Found::default();
    for kind in kinds {
        session::measure_store(kind, args, &bench, argon2, &mut found)?;
    }
    let instructions = instructions::count();
    match &instructions {
        Ok(count) => {
            println!(
                "\n{} instructions for a warm token outside its signature",
                count.instructions_per_token
            );
        }
        Err(problem) => println!("\ninstructions were not counted: {problem}"),
    }
    report::conclude(&found.rows);
    let facts = json!({
        "quick": args.quick, "full": args.full, "shared_cores": args.shared,
        "argon2_per_cpu_second": argon2, "instructions": instructions.ok(),
    });
    report::write(&args.json, &machine, &facts, &found)
}
