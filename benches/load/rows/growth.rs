//! Compares a large store with a small one: a token should cost the same on both.

use std::time::Duration;

use crate::Fallible;
use crate::drive::Pace;
use crate::fill;
use crate::measure::{Repetition, Subject};
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::{self, REAL, Wanted};
use crate::server::Server;

use super::{World, token_stream, warm_up};

/// The number of agents in the small store.
const SMALL: usize = 1_000;

/// Measures two servers on two stores in turn. Both get the same load: the first 256 agents.
pub fn compare(world: &World<'_>) -> Fallible<Row> {
    let timing = &world.bench.timing;
    let (small, grown) = (world.place_beside("small")?, world.place_beside("grown")?);
    let small_seeds = seed::seed(
        &small,
        Wanted {
            warm: SMALL,
            real: REAL,
            cold: 0,
        },
    )?;
    let grown_seeds = seed::seed(
        &grown,
        Wanted {
            warm: REAL,
            real: REAL,
            cold: 0,
        },
    )?;
    eprintln!(
        "filling a store with {} agents and {} revocations",
        timing.grown_agents, timing.grown_revocations
    );
    match world.subject.postgres {
        Some(postgres) => fill::postgres(
            postgres,
            "grown",
            timing.grown_agents,
            timing.grown_revocations,
        )?,
        None => fill::sqlite(
            &grown.database,
            timing.grown_agents,
            timing.grown_revocations,
        )?,
    }
    let (small, grown) = (
        Server::start(&small, &world.bench.cores)?,
        Server::start(&grown, &world.bench.cores)?,
    );
    let started = Figure::new(
        "first 200 of the grown store",
        Unit::Millis,
        vec![grown.started_in.as_secs_f64()],
    );
    let on = |server| Subject {
        server,
        postgres: world.subject.postgres,
    };
    let (small, grown) = (on(&small), on(&grown));
    for (subject, seeds) in [(small, &small_seeds), (grown, &grown_seeds)] {
        warm_up(
            world.bench,
            subject,
            &seeds.warm[..REAL],
            Duration::from_mins(2),
        )?;
    }
    let stream = |seeded| token_stream(&World { seeded, ..*world }, 64, REAL, Pace::Closed);
    let (small_stream, grown_stream) = (stream(&small_seeds), stream(&grown_seeds));
    let pairs: Vec<(Repetition, Repetition)> = world.bench.times(|| {
        let small = world.bench.repeat(small, &small_stream)?;
        Ok((small, world.bench.repeat(grown, &grown_stream)?))
    })?;
    let figures = figures(&pairs, started);
    let sizes = format!(
        "{} agents, {} expired revocations",
        timing.grown_agents, timing.grown_revocations
    );
    let row = Row {
        figures,
        notes: vec![sizes],
        ..Row::default()
    };
    Ok(row.with(
        pairs
            .into_iter()
            .flat_map(|(small, grown)| [small, grown])
            .collect(),
    ))
}

fn figures(pairs: &[(Repetition, Repetition)], started: Figure) -> Vec<Figure> {
    let of = |name, unit, value: fn(&(Repetition, Repetition)) -> f64| {
        Figure::new(name, unit, pairs.iter().map(value).collect::<Vec<f64>>())
    };
    vec![
        of(
            "CPU a token, grown over small",
            Unit::Ratio,
            |(small, grown)| small.share() / grown.share(),
        )
        .reach(Some(Reach::AtMost(1.15))),
        of("small store's share", Unit::Ratio, |(small, _)| {
            small.share()
        }),
        of("grown store's share", Unit::Ratio, |(_, grown)| {
            grown.share()
        }),
        of("small store's database CPU", Unit::Micros, |(small, _)| {
            small.database_cost()
        }),
        of("grown store's database CPU", Unit::Micros, |(_, grown)| {
            grown.database_cost()
        }),
        started,
    ]
}
