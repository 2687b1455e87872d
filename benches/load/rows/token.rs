//! Token requests: closed loops measure the tokens of a CPU second, and an open loop measures how
//! long a client waits.

use std::sync::Arc;
use std::time::Duration;

use crate::Fallible;
use crate::drive::{Load, Pace, Stream};
use crate::measure::Repetition;
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::REAL;

use super::{TokenReach, World, token_requests, token_stream, warm_up};

/// The longest time for a warm-up, in which each agent logs in once.
const WARM_UP: Duration = Duration::from_mins(2);

/// The figures of every row of tokens.
pub fn figures(repetitions: &[Repetition]) -> Vec<Figure> {
    let of = |name, unit, value: fn(&Repetition) -> f64| Figure::of(name, unit, repetitions, value);
    vec![
        of("share of the signing limit", Unit::Ratio, Repetition::share),
        of("share, server alone", Unit::Ratio, Repetition::server_share),
        of("p50 in raw signatures", Unit::Ratio, |r| {
            r.in_signatures(r.p50)
        }),
        of("p99 in raw signatures", Unit::Ratio, |r| {
            r.in_signatures(r.p99)
        }),
        of("tokens", Unit::PerSecond, Repetition::per_second),
        of("server CPU", Unit::Micros, Repetition::server_cost),
        of("database CPU", Unit::Micros, Repetition::database_cost),
        of("raw signature", Unit::Micros, |r| 1.0 / r.raw.sign),
        of("raw verification", Unit::Micros, |r| 1.0 / r.raw.verify),
        of("tokens a batch", Unit::Count, |r| {
            r.batch.unwrap_or(f64::NAN)
        }),
        of("p50", Unit::Millis, |r| r.p50),
        of("p99", Unit::Millis, |r| r.p99),
        of("p99.9", Unit::Millis, |r| r.p999),
        of("load generator busy", Unit::Ratio, |r| r.client_busy),
    ]
}

pub fn closed(
    world: &World<'_>,
    connections: usize,
    agents: usize,
    reach: TokenReach,
) -> Fallible<Row> {
    let stream = token_stream(world, connections, agents, Pace::Closed);
    let mut row = Row::default();
    if agents > REAL {
        let agents = &world.seeded.warm[..agents];
        row.notes
            .extend(warm_up(world.bench, world.subject, agents, WARM_UP)?.notes);
    }
    let repetitions = world
        .bench
        .times(|| world.bench.repeat(world.subject, &stream))?;
    for figure in figures(&repetitions) {
        let wanted = match figure.name {
            "share of the signing limit" => reach.share.map(Reach::AtLeast),
            "share, server alone" => reach.server.map(Reach::AtLeast),
            "p50 in raw signatures" => reach.p50.map(Reach::AtMost),
            _ => None,
        };
        row.figures.push(figure.reach(wanted));
    }
    Ok(row.with(repetitions))
}

/// The rate that 64 connections reach, in tokens per second.
pub fn capacity(world: &World<'_>) -> Fallible<f64> {
    let stream = token_stream(world, 64, REAL, Pace::Closed);
    Ok(world.bench.repeat(world.subject, &stream)?.per_second())
}

/// An open loop: requests come at random times, at a share of the capacity.
pub fn open(world: &World<'_>, share: f64) -> Fallible<Row> {
    let mut rates = Vec::new();
    let repetitions = world.bench.times(|| {
        let rate = share * capacity(world)?;
        rates.push(rate);
        let stream = token_stream(world, 64, REAL, Pace::Open(rate));
        world.bench.repeat(world.subject, &stream)
    })?;
    let mut row = Row::default();
    for figure in figures(&repetitions) {
        let wanted = match figure.name {
            "p50 in raw signatures" => Some(Reach::AtMost(8.0)),
            "p99 in raw signatures" => Some(Reach::AtMost(25.0)),
            _ => None,
        };
        row.figures.push(figure.reach(wanted));
    }
    row.figures
        .push(Figure::new("requests came at", Unit::PerSecond, rates));
    Ok(row.with(repetitions))
}

/// A closed loop in which agents revoke one token in a hundred.
pub fn revoking(world: &World<'_>) -> Fallible<Row> {
    let agents = world.seeded.warm[..REAL.min(world.seeded.warm.len())].to_vec();
    let load = Load {
        requests: token_requests(&agents),
        expect: 200,
        revoking: Some(agents),
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: 64,
        pace: Pace::Closed,
    };
    let repetitions = world
        .bench
        .times(|| world.bench.repeat(world.subject, &stream))?;
    let mut row = Row {
        figures: figures(&repetitions),
        ..Row::default()
    };
    row.figures.push(Figure::of(
        "revocations",
        Unit::PerSecond,
        &repetitions,
        |r| r.first.revoked as f64 / r.seconds,
    ));
    Ok(row.with(repetitions))
}
