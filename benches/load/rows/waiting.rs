//! Whether tokens are issued as fast while the ledger works off many earlier ones.

use std::thread;
use std::time::Duration;

use crate::drive::Pace;
use crate::measure::Repetition;
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::REAL;
use crate::{Fallible, events};

use super::World;
use super::token::capacity;
use super::token_stream;

/// The share of the capacity at which requests come.
const LOAD: f64 = 0.3;

/// How far the p99 may rise.
const MAX_RISE: f64 = 1.2;

/// How long after the warm-up the ledger may begin. It looks once a second.
const RELEASED_AFTER: Duration = Duration::from_millis(100);

/// An open loop without tokens that wait for the ledger, and one during which the ledger works them
/// off, in turn. Until then, the ledger is kept away by taking its lease.
pub fn compare(world: &World<'_>) -> Fallible<Row> {
    let (kind, url) = (world.kind, world.place.database.clone());
    let timing = &world.bench.timing;
    events::add_terms(kind, &url)?;
    let mut pairs: Vec<(Repetition, Repetition)> = Vec::new();
    for _ in 0..timing.repetitions {
        let stream = token_stream(world, 64, REAL, Pace::Open(LOAD * capacity(world)?));
        let quiet = world.bench.repeat(world.subject, &stream)?;
        events::hold_ledger(kind, &url, true)?;
        events::add(kind, &url, timing.waiting_tokens, events::now())?;
        let (released, after) = (url.clone(), timing.raw + timing.warm + RELEASED_AFTER);
        let release = thread::spawn(move || {
            thread::sleep(after);
            events::hold_ledger(kind, &released, false)
        });
        let loaded = world.bench.repeat(world.subject, &stream)?;
        release
            .join()
            .map_err(|_| "the ledger was not released")??;
        pairs.push((quiet, loaded));
    }
    let of = |name, unit, value: fn(&(Repetition, Repetition)) -> f64| {
        Figure::new(name, unit, pairs.iter().map(value).collect::<Vec<f64>>())
    };
    let figures = vec![
        of(
            "p99, many waiting over none",
            Unit::Ratio,
            |(quiet, loaded)| loaded.p99 / quiet.p99,
        )
        .reach(Some(Reach::AtMost(MAX_RISE))),
        of("p99, none waiting", Unit::Millis, |(quiet, _)| quiet.p99),
        of("p99, many waiting", Unit::Millis, |(_, loaded)| loaded.p99),
        of("p99.9, none waiting", Unit::Millis, |(quiet, _)| quiet.p999),
        of("p99.9, many waiting", Unit::Millis, |(_, loaded)| {
            loaded.p999
        }),
        Figure::new(
            "waiting",
            Unit::Count,
            vec![f64::from(timing.waiting_tokens)],
        ),
    ];
    let all = pairs
        .into_iter()
        .flat_map(|(quiet, loaded)| [quiet, loaded]);
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(all.collect()))
}
