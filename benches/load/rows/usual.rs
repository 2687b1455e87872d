//! Compares the real server with a usual one on the same database, in turn.

use std::process::Command;

use crate::Fallible;
use crate::args::Baseline;
use crate::drive::Pace;
use crate::measure::{Repetition, Subject};
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::{self, REAL};
use crate::server::{Server, free_address};

use super::{World, token_stream};

type Pair = (Repetition, Repetition);

/// Measures both servers in turn, with 64 connections each.
pub fn compare(world: &World<'_>, kind: Baseline, agents: usize) -> Fallible<Row> {
    let server = start(world, kind)?;
    let usual = Subject {
        server: &server,
        postgres: world.subject.postgres,
    };
    let stream = token_stream(world, 64, agents, Pace::Closed);
    let pairs: Vec<Pair> = world.bench.times(|| {
        let ours = world.bench.repeat(world.subject, &stream)?;
        Ok((ours, world.bench.repeat(usual, &stream)?))
    })?;
    let of = |name, unit, value: fn(&Pair) -> f64| {
        Figure::new(name, unit, pairs.iter().map(value).collect::<Vec<f64>>())
    };
    // Each cost is in raw signatures measured at the same time, so that drift between the two
    // cancels out.
    let cost = of(
        "CPU a token, ours over theirs",
        Unit::Ratio,
        |(ours, theirs)| theirs.share() / ours.share(),
    );
    let database = of(
        "Postgres CPU a token, ours over theirs",
        Unit::Ratio,
        |(ours, theirs)| {
            (ours.database_cost() * ours.raw.sign) / (theirs.database_cost() * theirs.raw.sign)
        },
    );
    let (cost_reach, database_reach) = match (kind, agents) {
        (Baseline::TxnJsonwebtoken, _) => (Some(Reach::AtMost(1.0 / 3.5)), None),
        (Baseline::Update, 1) => (None, Some(Reach::AtMost(1.0 / 8.0))),
        (Baseline::Update, _) => (None, Some(Reach::AtMost(1.0 / 4.5))),
    };
    let figures = vec![
        cost.reach(cost_reach),
        database.reach(database_reach),
        of(
            "our share of the signing limit",
            Unit::Ratio,
            |(ours, _)| ours.share(),
        ),
        of("their share", Unit::Ratio, |(_, theirs)| theirs.share()),
        of("our database CPU", Unit::Micros, |(ours, _)| {
            ours.database_cost()
        }),
        of("their database CPU", Unit::Micros, |(_, theirs)| {
            theirs.database_cost()
        }),
        of("our server CPU", Unit::Micros, |(ours, _)| {
            ours.server_cost()
        }),
        of("their server CPU", Unit::Micros, |(_, theirs)| {
            theirs.server_cost()
        }),
        of("our tokens", Unit::PerSecond, |(ours, _)| ours.per_second()),
        of("their tokens", Unit::PerSecond, |(_, theirs)| {
            theirs.per_second()
        }),
    ];
    let row = Row {
        figures,
        ..Row::default()
    };
    Ok(row.with(
        pairs
            .into_iter()
            .flat_map(|(ours, theirs)| [ours, theirs])
            .collect(),
    ))
}

/// Starts the usual server, which is this program in another mode.
fn start(world: &World<'_>, kind: Baseline) -> Fallible<Server> {
    let file = world.folder.join("agents");
    seed::write_agents(&file, &world.seeded.warm[..REAL])?;
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env_clear()
        .args([
            "serve-baseline",
            "--kind",
            kind.word(),
            "--database",
            &world.place.database,
        ])
        .args(["--listen", &address.to_string(), "--agents"])
        .arg(&file);
    Server::spawn(command, address, None, "/livez", &world.bench.cores)
}
