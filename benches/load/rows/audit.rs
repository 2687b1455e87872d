//! The commands of an auditor on a large record: verifying its log, and exporting its events.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cores::Cores;
use crate::interrupt::pause;
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::{self, REAL, Wanted};
use crate::server::{PROGRAM, Place};
use crate::{Fallible, events, process};

use super::World;
use super::ledger::work_off;

/// The least number of events that are verified in a second of CPU time.
const MIN_VERIFIED: f64 = 100_000.0;

/// The most memory of an export, in bytes.
const MAX_EXPORT_MEMORY: f64 = 60e6;

/// How often the memory of a command is read.
const READ_INTERVAL: Duration = Duration::from_millis(20);

/// What a command did.
struct Ran {
    took: Duration,
    cpu: Duration,
    peak: f64,
    lines: usize,
}

/// Lets the program verify and export a log of events of tokens.
pub fn commands(world: &World<'_>) -> Fallible<Row> {
    let place = world.place_beside("audit")?;
    let wanted = Wanted {
        warm: REAL,
        real: 0,
        cold: 0,
    };
    seed::seed(&place, wanted)?;
    events::add_terms(world.kind, &place.database)?;
    let count = world.bench.timing.verified_events;
    events::add(world.kind, &place.database, count, events::now())?;
    work_off(&place, world.subject)?;
    let cores = &world.bench.cores;
    let verified = run(&["audit", "verify"], &place, cores)?;
    let exported = run(&["audit", "export"], &place, cores)?;
    if exported.lines <= count as usize {
        return Err(format!("the export has {} lines", exported.lines).into());
    }
    let rate = |time: Duration| vec![f64::from(count) / time.as_secs_f64()];
    let figures = vec![
        Figure::new(
            "verified in a CPU second",
            Unit::PerSecond,
            rate(verified.cpu),
        )
        .reach(Some(Reach::AtLeast(MIN_VERIFIED))),
        Figure::new(
            "verified in a second, one core",
            Unit::PerSecond,
            rate(verified.took),
        ),
        Figure::new("memory of verifying", Unit::Megabytes, vec![verified.peak]),
        Figure::new("memory of exporting", Unit::Megabytes, vec![exported.peak])
            .reach(Some(Reach::AtMost(MAX_EXPORT_MEMORY))),
        Figure::new(
            "exported in a CPU second",
            Unit::PerSecond,
            rate(exported.cpu),
        ),
        Figure::new("events", Unit::Count, vec![f64::from(count)]),
    ];
    Ok(Row {
        figures,
        ..Row::default()
    })
}

/// Runs the program on one core of those that serve, and reads what it prints.
fn run(words: &[&str], place: &Place, cores: &Cores) -> Fallible<Ran> {
    let mut command = Command::new(PROGRAM);
    command
        .args(words)
        .env_clear()
        .env("SEALWRIGHT_DATABASE__URL", &place.database)
        .env("SEALWRIGHT_KEYS__MASTER_KEY", &place.master_key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let one = Cores {
        served: cores.served.iter().copied().take(1).collect(),
        client: cores.client.clone(),
    };
    let (begun, before) = (Instant::now(), process::reaped_cpu()?);
    let mut child = one.start_served(|| command.spawn())??;
    let mut printed = child.stdout.take().ok_or("the program has no stdout")?;
    let lines = std::thread::spawn(move || {
        let (mut lines, mut buffer) = (0, vec![0; 64 * 1_024]);
        while let Ok(length @ 1..) = printed.read(&mut buffer) {
            let ends = buffer.iter().take(length).filter(|byte| **byte == b'\n');
            lines += ends.count();
        }
        lines
    });
    let mut peak: f64 = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Ok(memory) = process::memory(child.id()) {
            peak = peak.max(memory.peak);
        }
        pause(READ_INTERVAL)?;
    };
    let took = begun.elapsed();
    if !status.success() {
        return Err(format!("{} failed: {status}", words.join(" ")).into());
    }
    Ok(Ran {
        took,
        cpu: process::reaped_cpu()?.saturating_sub(before),
        peak,
        lines: lines.join().map_err(|_| "nobody read the output")?,
    })
}
