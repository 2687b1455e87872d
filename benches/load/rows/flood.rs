//! A flood of requests with wrong secrets, at the rate at which the server could issue tokens,
//! beside agents with right secrets.

use std::sync::Arc;

use crate::Fallible;
use crate::drive::{Load, Pace, Stream};
use crate::measure::Repetition;
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::Agent;

use super::token::capacity;
use super::{World, token_requests, token_stream};

/// The number of agents with right secrets.
const GOOD: usize = 200;

/// The rate of requests with right secrets (`CALM`) and with wrong ones (`FLOOD`), each as a share
/// of the capacity.
const CALM: f64 = 0.2;
const FLOOD: f64 = 1.0;

/// Measures in turn without and with the flood, so that drift cancels out.
pub fn flood(world: &World<'_>) -> Fallible<Row> {
    let good = GOOD.min(world.seeded.warm.len());
    let wrong: Vec<Agent> = world.seeded.warm[..good].iter().map(forge).collect();
    let load = Arc::new(Load {
        requests: token_requests(&wrong),
        expect: 401,
        revoking: None,
    });
    let pairs = world.bench.times(|| {
        let capacity = capacity(world)?;
        let calm = token_stream(world, 64, good, Pace::Open(CALM * capacity));
        let without = world.bench.repeat(world.subject, &calm)?;
        let flood = Stream {
            load: Arc::clone(&load),
            connections: 64,
            pace: Pace::Open(FLOOD * capacity),
        };
        Ok((
            without,
            world.bench.repeat_beside(world.subject, &[calm, flood])?,
        ))
    })?;
    let of = |name, unit, value: fn(&(Repetition, Repetition)) -> f64| {
        Figure::new(name, unit, pairs.iter().map(value).collect())
    };
    let figures = vec![
        of("good agents served", Unit::Ratio, |(_, with)| {
            with.succeeded as f64 / (with.succeeded + with.failed) as f64
        })
        .reach(Some(Reach::AtLeast(1.0))),
        of(
            "their p99 against without a flood",
            Unit::Ratio,
            |(without, with)| with.p99 / without.p99,
        )
        .reach(Some(Reach::AtMost(2.0))),
        of(
            "their p50 against without a flood",
            Unit::Ratio,
            |(without, with)| with.p50 / without.p50,
        ),
        of("p99 in raw signatures", Unit::Ratio, |(_, with)| {
            with.in_signatures(with.p99)
        }),
        of("good agents", Unit::PerSecond, |(_, with)| {
            with.per_second()
        }),
        of("wrong secrets refused", Unit::PerSecond, |(_, with)| {
            with.others.first().map_or(0.0, |p| p.succeeded as f64) / with.seconds
        }),
        of("p99 without", Unit::Millis, |(without, _)| without.p99),
        of("p99 with", Unit::Millis, |(_, with)| with.p99),
    ];
    let mut row = Row {
        figures,
        ..Row::default()
    };
    let other: u64 = pairs
        .iter()
        .filter_map(|(_, with)| with.others.first())
        .map(|p| p.failed)
        .sum();
    if other > 0 {
        row.notes
            .push(format!("{other} wrong secrets were not answered with 401"));
    }
    Ok(row.with(
        pairs
            .into_iter()
            .flat_map(|(without, with)| [without, with])
            .collect(),
    ))
}

/// A generated secret with one character changed: it has the right form, but a wrong tag.
fn forge(agent: &Agent) -> Agent {
    let mut secret = agent.secret.clone().into_bytes();
    secret[20] = if secret[20] == b'x' { b'y' } else { b'x' };
    Agent {
        id: agent.id.clone(),
        secret: String::from_utf8_lossy(&secret).into_owned(),
    }
}
