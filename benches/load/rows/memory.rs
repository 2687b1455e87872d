//! The memory of the server.

use std::sync::Arc;
use std::time::Duration;

use crate::Fallible;
use crate::drive::{Load, Pace, Stream};
use crate::process;
use crate::report::{Figure, Reach, Row, Unit};

use super::{World, token_requests, token_stream, warm_up};

/// The number of concurrent logins whose secrets all have to be hashed.
pub const STORM: usize = 256;

/// The longest time for making agents known to the server.
const KNOWN_CAP: Duration = Duration::from_mins(3);

pub fn idle(world: &World<'_>) -> Row {
    let figure = Figure::new("resident", Unit::Megabytes, vec![world.idle.resident]);
    Row {
        figures: vec![figure.reach(Some(Reach::AtMost(25e6)))],
        ..Row::default()
    }
}

/// The memory while many agents with imported secrets log in at once for the first time.
pub fn storm(world: &World<'_>) -> Fallible<Row> {
    let agents = &world.seeded.cold[..STORM.min(world.seeded.cold.len())];
    let load = Load {
        requests: token_requests(agents),
        expect: 200,
        revoking: None,
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: 256,
        pace: Pace::Once,
    };
    process::reset_peak(world.subject.server.process())?;
    let done = world
        .bench
        .run_once(world.subject, &stream, Duration::from_mins(1))?;
    let memory = process::memory(world.subject.server.process())?;
    let figures = vec![
        Figure::new("peak", Unit::Megabytes, vec![memory.peak]).reach(Some(Reach::AtMost(100e6))),
        Figure::new(
            "resident afterwards",
            Unit::Megabytes,
            vec![memory.resident],
        ),
        Figure::new("logins", Unit::Count, vec![done.succeeded as f64]),
        Figure::new(
            "told to come again",
            Unit::Count,
            vec![done.first.told_to_wait as f64],
        ),
    ];
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(vec![done]))
}

/// The memory after every agent of the store was served once, and 256 connections then requested
/// tokens for all of them in turn.
pub fn known(world: &World<'_>) -> Fallible<Row> {
    let agents = &world.seeded.warm[..world.bench.timing.known.min(world.seeded.warm.len())];
    let notes = warm_up(world.bench, world.subject, agents, KNOWN_CAP)?.notes;
    let stream = token_stream(world, 256, agents.len(), Pace::Closed);
    let done = world.bench.repeat(world.subject, &stream)?;
    let memory = process::memory(world.subject.server.process())?;
    let figures = vec![
        Figure::new("resident", Unit::Megabytes, vec![memory.resident])
            .reach(Some(Reach::AtMost(80e6))),
        Figure::new("peak", Unit::Megabytes, vec![memory.peak]),
        Figure::new("agents", Unit::Count, vec![agents.len() as f64]),
        Figure::new(
            "share of the signing limit",
            Unit::Ratio,
            vec![done.share()],
        ),
    ];
    Ok(Row {
        figures,
        notes,
        ..Row::default()
    }
    .with(vec![done]))
}
