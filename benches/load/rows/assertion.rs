//! Tokens for assertions by an agent's own key (RFC 7523), against tokens for secrets of the same
//! agents.

use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Load, Pace, Stream};
use crate::measure::{Repetition, Subject};
use crate::own_keys::{self, AgentKey, Algorithm};
use crate::report::{Figure, Reach, Row, Unit};
use crate::seed::{self, REAL, Wanted};
use crate::server::Server;
use crate::{Fallible, wire};

use super::{World, token_stream, warm_up};

/// The least tokens a CPU second by assertions, over those by secrets.
const MIN_AGAINST_SECRETS: f64 = 0.6;

/// How many assertions are signed beforehand, over what as many tokens by secrets would need.
const SPARE: f64 = 1.1;

/// The longest time for a warm-up, in which each agent logs in once.
const WARM_UP: Duration = Duration::from_mins(2);

type Pair = (Repetition, Repetition);

/// Measures both in turn, with 64 connections each, on a server and a store of its own.
pub fn compare(world: &World<'_>, algorithm: Algorithm) -> Fallible<Row> {
    let place = world.place_beside(&format!("keys_{}", algorithm.word().to_lowercase()))?;
    let wanted = Wanted {
        warm: REAL,
        real: REAL,
        cold: 0,
    };
    let seeded = seed::seed(&place, wanted)?;
    let key = AgentKey::generate(algorithm)?;
    own_keys::register(&place, &seeded.warm, &key)?;
    let server = Server::start(&place, &world.bench.cores)?;
    let subject = Subject {
        server: &server,
        ..world.subject
    };
    let metadata = wire::get("/.well-known/oauth-authorization-server", "");
    let issuer = wire::ask_once(server.address, &metadata)?.text("issuer")?;
    let warmed = warm_up(world.bench, subject, &seeded.warm, WARM_UP)?;
    let world = World {
        subject,
        seeded: &seeded,
        ..*world
    };
    let secrets = token_stream(&world, 64, REAL, Pace::Closed);
    let timing = &world.bench.timing;
    let pairs: Vec<Pair> = world.bench.times(|| {
        let by_secret = world.bench.repeat(subject, &secrets)?;
        // An assertion costs more than a secret, so these last for the whole repetition.
        let seconds = (timing.warm + timing.measured).as_secs_f64();
        let count = SPARE * by_secret.per_second() * seconds;
        let load = Load {
            requests: key.requests(&seeded.warm, &issuer, count as usize + REAL)?,
            expect: 200,
            revoking: None,
        };
        let assertions = Stream {
            load: Arc::new(load),
            connections: 64,
            pace: Pace::Closed,
        };
        Ok((by_secret, world.bench.repeat(subject, &assertions)?))
    })?;
    let of = |name, unit, value: fn(&Pair) -> f64| {
        Figure::new(name, unit, pairs.iter().map(value).collect())
    };
    let figures = vec![
        // Each cost is in raw signatures measured at the same time, so that drift between the two
        // cancels out.
        of(
            "tokens a CPU second, over those by secrets",
            Unit::Ratio,
            |(secret, assertion)| assertion.share() / secret.share(),
        )
        .reach(Some(Reach::AtLeast(MIN_AGAINST_SECRETS))),
        of("share of the signing limit", Unit::Ratio, |(_, a)| {
            a.share()
        }),
        of("share by secrets", Unit::Ratio, |(s, _)| s.share()),
        of("tokens", Unit::PerSecond, |(_, a)| a.per_second()),
        of("server CPU", Unit::Micros, |(_, a)| a.server_cost()),
        of("server CPU by secrets", Unit::Micros, |(s, _)| {
            s.server_cost()
        }),
        of("database CPU", Unit::Micros, |(_, a)| a.database_cost()),
        of("database CPU by secrets", Unit::Micros, |(s, _)| {
            s.database_cost()
        }),
        of("p99 over that of secrets", Unit::Ratio, |(s, a)| {
            a.p99 / s.p99
        }),
    ];
    let row = Row {
        figures,
        notes: warmed.notes,
        ..Row::default()
    };
    Ok(row.with(pairs.into_iter().flat_map(|(s, a)| [s, a]).collect()))
}
