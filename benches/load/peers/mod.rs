//! Measures other token servers beside this one: Keycloak, Spring Authorization Server and
//! node-oidc-provider.
//!
//! `benches/peers/README.md` explains the method; `benches/peers/run` brings the programs and starts
//! this. Reading order: [`table`] (what runs), [`running`], [`check`], [`series`], [`markdown`].

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::Args;
use crate::cores::Cores;
use crate::machine::Machine;
use crate::measure::Bench;
use crate::raw::Signer;
use crate::report::{self, Found};
use crate::{Fallible, interrupt};

use running::{Places, Running};
use series::Turn;
use table::{CLIENTS, Endpoint, Instructions, PROGRAMS, Program, WITHOUT_IFMA};

mod check;
mod markdown;
mod running;
mod series;
mod table;

/// How long the load runs before the series, so that a JIT compiler has seen enough.
const WARM_UP: Duration = Duration::from_secs(3);
const WARM_UP_OF_A_JIT: Duration = Duration::from_secs(20);

/// The number of repetitions in the series.
const REPETITIONS: usize = 5;

/// Both for `--quick`.
const QUICK_CLIENTS: usize = 8;
const QUICK_WARM_UP: Duration = Duration::from_secs(1);

/// Runs the series and prints its table.
pub fn compare(args: &Args, prepared: &Path) -> Fallible<()> {
    if args.list {
        rows(args, true).for_each(|(program, endpoint)| println!("{}", program.name_of(endpoint)));
        return Ok(());
    }
    if std::env::var_os(WITHOUT_IFMA.0).is_some() {
        return Err(format!(
            "unset {}: it would slow down the raw signature",
            WITHOUT_IFMA.0
        )
        .into());
    }
    interrupt::watch()?;
    let begun = Instant::now();
    let cores = Cores::deal(args.shared)?;
    let machine = Machine::read(&cores, &args.data)?;
    machine.introduce();
    let mut timing = args.timing();
    if !args.quick {
        timing.warm = Duration::from_secs(1);
        timing.repetitions = args.repetitions.map_or(REPETITIONS, NonZeroUsize::get);
    }
    let bench = Bench::new(cores, timing, Signer::generate()?);
    let places = Places {
        prepared,
        data: &args.data,
    };
    let clients = if args.quick { QUICK_CLIENTS } else { CLIENTS };
    let mut programs: Vec<Running> = Vec::new();
    for (program, _) in rows(args, machine.avx512ifma) {
        if programs
            .last()
            .is_some_and(|last| std::ptr::eq(last.program, program))
        {
            continue;
        }
        let running = Running::start(program, &places, &bench.cores, clients)?;
        for endpoint in wanted_endpoints(program, args) {
            let turn = Turn::new(&running, endpoint);
            println!(
                "{}: ready after {:.1} s, warms up",
                turn.name(),
                running.server.started_in.as_secs_f64()
            );
            turn.warm_up(&bench, warm_up_time(program, args))?;
        }
        running.server.pause();
        programs.push(running);
    }
    let mut turns: Vec<Turn<'_>> = programs
        .iter()
        .flat_map(|running| {
            wanted_endpoints(running.program, args).map(|endpoint| Turn::new(running, endpoint))
        })
        .collect();
    for number in 1..=bench.timing.repetitions {
        println!("repetition {number} of {}", bench.timing.repetitions);
        for turn in &mut turns {
            turn.measure(&bench)?;
        }
    }
    for turn in &turns {
        turn.running.server.resume();
        turn.check()?;
    }
    println!("\nmeasured in {:.0} s", begun.elapsed().as_secs_f64());
    let mut found = Found {
        settings: programs
            .iter()
            .find_map(|running| running.subject().postgres)
            .map_or(Ok(vec![]), crate::postgres::Postgres::settings)?,
        ..Found::default()
    };
    let versions = markdown::versions(&programs, prepared, &machine);
    report::begin();
    for turn in turns {
        let row = markdown::row(turn);
        report::show(&row);
        found.rows.push(row);
    }
    markdown::print(&found.rows, &machine, &versions);
    let facts = json!({ "quick": args.quick, "shared_cores": args.shared, "versions": versions });
    report::write(&args.json, &machine, &facts, &found)
}

/// The wanted rows that this processor can run: one without AVX512-IFMA needs a processor with it.
fn rows(
    args: &Args,
    has_ifma: bool,
) -> impl Iterator<Item = (&'static Program, &'static Endpoint)> {
    PROGRAMS
        .iter()
        .filter(move |program| has_ifma || program.instructions == Instructions::All)
        .flat_map(|program| {
            wanted_endpoints(program, args).map(move |endpoint| (program, endpoint))
        })
}

fn wanted_endpoints(
    program: &'static Program,
    args: &Args,
) -> impl Iterator<Item = &'static Endpoint> {
    let wanted = |endpoint: &&Endpoint| args.wants(&program.name_of(endpoint));
    program.endpoints.iter().filter(wanted)
}

fn warm_up_time(program: &Program, args: &Args) -> Duration {
    if args.quick {
        QUICK_WARM_UP
    } else if program.product.is_compiled_while_it_runs() {
        WARM_UP_OF_A_JIT
    } else {
        WARM_UP
    }
}
