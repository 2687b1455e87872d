//! Token requests over kept connections behind TLS.

use std::time::Duration;

use crate::Fallible;
use crate::drive::Pace;
use crate::measure::Subject;
use crate::report::{Reach, Row};
use crate::seed::{self, REAL, Wanted};
use crate::server::Server;

use super::{World, token, token_stream, warm_up};

/// The least share of the signing limit.
const MIN_SHARE: f64 = 0.78;

/// The longest time for a warm-up, in which each agent logs in once.
const WARM_UP: Duration = Duration::from_mins(2);

/// A closed loop against a server of its own, on a store of its own.
pub fn closed(world: &World<'_>) -> Fallible<Row> {
    let place = world.place_beside("tls")?;
    let wanted = Wanted {
        warm: REAL,
        real: REAL,
        cold: 0,
    };
    let seeded = seed::seed(&place, wanted)?;
    let server = Server::start_with_tls(&place, &world.bench.cores)?;
    let subject = Subject {
        server: &server,
        ..world.subject
    };
    let warmed = warm_up(world.bench, subject, &seeded.warm, WARM_UP)?;
    let world = World {
        subject,
        seeded: &seeded,
        ..*world
    };
    let stream = token_stream(&world, 64, REAL, Pace::Closed);
    let repetitions = world.bench.times(|| world.bench.repeat(subject, &stream))?;
    let figures = token::figures(&repetitions).into_iter().map(|figure| {
        let wanted =
            (figure.name == "share of the signing limit").then_some(Reach::AtLeast(MIN_SHARE));
        figure.reach(wanted)
    });
    let row = Row {
        figures: figures.collect(),
        notes: warmed.notes,
        ..Row::default()
    };
    Ok(row.with(repetitions))
}
