//! The first logins of many agents that the server does not know yet.

use std::sync::Arc;

use crate::Fallible;
use crate::drive::{Load, Pace, Stream};
use crate::report::{Figure, Row, Unit};

use super::{STORM, World, token_requests};

/// Fewer connections than logins may wait for a hash, so that the server needs to refuse no login.
const CONNECTIONS: usize = 32;

/// Every login costs one argon2id.
pub fn cold_start(world: &World<'_>) -> Fallible<Row> {
    // The server knows the first agents already, from the storm.
    let agents = &world.seeded.cold[STORM.min(world.seeded.cold.len())..];
    let load = Load {
        requests: token_requests(agents),
        expect: 200,
        revoking: None,
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: CONNECTIONS,
        pace: Pace::Once,
    };
    let done = world
        .bench
        .run_once(world.subject, &stream, world.bench.timing.cold_cap)?;
    let figures = vec![
        Figure::new(
            "logins over argon2id verifications",
            Unit::Ratio,
            vec![1.0 / done.cost() / world.argon2],
        ),
        Figure::new("logins", Unit::PerSecond, vec![done.per_second()]),
        Figure::new("CPU a login", Unit::Millis, vec![done.cost()]),
        Figure::new("p50", Unit::Millis, vec![done.p50]),
        Figure::new("p99", Unit::Millis, vec![done.p99]),
        Figure::new(
            "told to come again",
            Unit::Count,
            vec![done.first.told_to_wait as f64],
        ),
    ];
    let reached = format!(
        "{} of {} agents in {:.1} s",
        done.succeeded,
        agents.len(),
        done.seconds
    );
    Ok(Row {
        figures,
        notes: vec![reached],
        ..Row::default()
    }
    .with(vec![done]))
}
