//! The requests of services about tokens: introspection and the revocation list.

use std::sync::Arc;

use crate::Fallible;
use crate::drive::{Load, Pace, Stream};
use crate::measure::Repetition;
use crate::report::{Figure, Reach, Row, Unit};
use crate::wire;

use super::{World, token_request};

/// The number of tokens that are introspected in turn.
const TOKENS: usize = 500;

/// The number of services that introspect, each with a Bearer token of its own.
const CALLERS: usize = 8;

/// Introspections. The Bearer token of each request is checked too, so an introspection checks two
/// tokens.
pub fn introspection(world: &World<'_>, reach: Option<Reach>) -> Fallible<Row> {
    let agents = &world.seeded.warm;
    let mint = |i: usize, scope: &str| {
        let agent = &agents[i % agents.len().min(crate::seed::REAL)];
        wire::ask_once(world.subject.address(), &token_request(agent, scope))?.text("access_token")
    };
    let callers: Vec<String> = (0..CALLERS)
        .map(|i| mint(i, "tokens:read"))
        .collect::<Fallible<_>>()?;
    let mut requests = Vec::new();
    for i in 0..TOKENS {
        let bearer = format!("authorization: Bearer {}\r\n", callers[i % CALLERS]);
        let form = format!("token={}", mint(i, "agents:read")?);
        requests.push(wire::post("/api/v1/token/introspect", &bearer, &form));
    }
    let probe = wire::ask_once(world.subject.address(), &requests[0])?;
    if probe.status != 200 || !probe.body.starts_with(b"{\"active\":true") {
        return Err(format!("introspection answers {}: {:?}", probe.status, probe.body).into());
    }
    let load = Load {
        requests,
        expect: 200,
        revoking: None,
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: 64,
        pace: Pace::Closed,
    };
    let repetitions = world
        .bench
        .times(|| world.bench.repeat(world.subject, &stream))?;
    let figures = figures("introspections over signatures", &repetitions, reach);
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(repetitions))
}

/// Conditional requests: clients that have the revocation list ask whether it has changed.
pub fn revoked_list(world: &World<'_>) -> Fallible<Row> {
    const PATH: &str = "/api/v1/token/revoked";
    let first = wire::ask_once(world.subject.address(), &wire::get(PATH, ""))?;
    let etag = first
        .header("etag")
        .ok_or("the revocation list has no ETag")?;
    let requests = vec![wire::get(PATH, &format!("if-none-match: {etag}\r\n"))];
    let load = Load {
        requests,
        expect: 304,
        revoking: None,
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: 64,
        pace: Pace::Closed,
    };
    let repetitions = world
        .bench
        .times(|| world.bench.repeat(world.subject, &stream))?;
    let mut figures = figures("answers over signatures", &repetitions, None);
    figures.push(
        Figure::of("answers a CPU second", Unit::PerSecond, &repetitions, |r| {
            1.0 / r.cost()
        })
        .reach(Some(Reach::AtLeast(45_000.0))),
    );
    Ok(Row {
        figures,
        ..Row::default()
    }
    .with(repetitions))
}

fn figures(ratio: &'static str, repetitions: &[Repetition], reach: Option<Reach>) -> Vec<Figure> {
    let of = |name, unit, value: fn(&Repetition) -> f64| Figure::of(name, unit, repetitions, value);
    vec![
        of(ratio, Unit::Ratio, Repetition::share).reach(reach),
        of("answers", Unit::PerSecond, Repetition::per_second),
        of("server CPU", Unit::Micros, Repetition::server_cost),
        of("database CPU", Unit::Micros, Repetition::database_cost),
        of("raw signature", Unit::Micros, |r| 1.0 / r.raw.sign),
        of("raw verification", Unit::Micros, |r| 1.0 / r.raw.verify),
        of("p50", Unit::Millis, |r| r.p50),
        of("p99", Unit::Millis, |r| r.p99),
        of("load generator busy", Unit::Ratio, |r| r.client_busy),
    ]
}
