//! What the ledger costs: the CPU time of logging and adding up one event, compared with that of
//! issuing a token.

use std::sync::Arc;
use std::time::Duration;

use sealwright::testing::app;
use sealwright::testing::service::readiness::Draining;

use crate::drive::Pace;
use crate::measure::Subject;
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::{self, REAL, Wanted};
use crate::server::Place;
use crate::{Fallible, events, process};

use super::{World, token_stream};

/// The most of a token's CPU time that the ledger may use for its event.
const MAX_SHARE: f64 = 0.02;

/// Lets a ledger in this process work off events of tokens, in a database of its own.
pub fn cost(world: &World<'_>) -> Fallible<Row> {
    let place = world.place_beside("ledger")?;
    let wanted = Wanted {
        warm: REAL,
        real: 0,
        cold: 0,
    };
    seed::seed(&place, wanted)?;
    events::add_terms(world.kind, &place.database)?;
    let count = world.bench.timing.logged_events;
    let stream = token_stream(world, 64, REAL, Pace::Closed);
    let (mut own, mut database, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut repetitions = Vec::new();
    for _ in 0..world.bench.timing.repetitions {
        events::add(world.kind, &place.database, count, events::now())?;
        // The ledger of the last repetition does not give its lease back.
        events::hold_ledger(world.kind, &place.database, false)?;
        let (server, store) = work_off(&place, world.subject)?;
        let each = |cpu: Duration| cpu.as_secs_f64() / f64::from(count);
        own.push(each(server));
        database.push(each(store));
        let done = world.bench.repeat(world.subject, &stream)?;
        tokens.push(done.cost());
        repetitions.push(done);
    }
    let both = || own.iter().zip(&database).map(|(own, store)| own + store);
    let share = both().zip(&tokens).map(|(event, token)| event / token);
    let share = Figure::new("of a token's CPU", Unit::Ratio, share.collect());
    let figures = vec![
        share.reach(Some(Reach::AtMost(MAX_SHARE))),
        Figure::new("CPU an event", Unit::Micros, both().collect()),
        Figure::new("of it the ledger's own", Unit::Micros, own.clone()),
        Figure::new("of it the database's", Unit::Micros, database.clone()),
        Figure::new("CPU a token", Unit::Micros, tokens),
        Figure::new("events", Unit::Count, vec![f64::from(count)]),
    ];
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(repetitions))
}

/// Runs the ledger until nothing is left. Returns the CPU time of this process, and that of the
/// database.
pub fn work_off(place: &Place, subject: Subject<'_>) -> Fallible<(Duration, Duration)> {
    let config = seed::config(place)?;
    crate::block_on(async {
        let opened = app::open(&config).await?;
        opened.keys.ensure_signing_key().await?;
        let state = app::compose(&config, &opened, Arc::new(Draining::default()))?;
        let mut ledger = opened.ledger(&config, state.mint.plans())?;
        let newest = opened.records.newest_event().await?;
        let database = || {
            let postgres = subject.postgres.map(|p| process::family_cpu(p.process()));
            postgres.unwrap_or(Ok(Duration::ZERO))
        };
        let before = (process::own_cpu(), database()?);
        ledger.step().await?;
        let after = (process::own_cpu(), database()?);
        let place = opened.records.place("ledger").await?;
        if place < Some(newest) {
            return Err(format!("the ledger came to {place:?}, not to {newest}").into());
        }
        Ok((
            after.0.saturating_sub(before.0),
            after.1.saturating_sub(before.1),
        ))
    })
}
