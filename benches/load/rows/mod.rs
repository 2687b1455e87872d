//! The rows: one table of what is measured on a store, with the targets.
//!
//! To add a row, add one line in [`plan`] and one function in a file beside this one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::Fallible;
use crate::args::{Args, Baseline};
use crate::drive::{Load, Pace, Stream};
use crate::measure::{Bench, Subject};
use crate::own_keys::Algorithm;
use crate::process::Memory;
use crate::report::{Reach, Row};
use crate::seed::{Agent, Seeded};
use crate::server::Place;
use crate::wire;

mod assertion;
mod audit;
mod flood;
mod growth;
mod ledger;
mod memory;
mod other;
mod reads;
mod room;
mod start;
mod tls;
mod token;
mod usual;
mod waiting;

pub use memory::STORM;
pub use start::measure_starts;

/// The two stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// What a row needs for its measurement: a store with its agents, and the only server on that
/// store.
pub struct World<'a> {
    pub kind: Kind,
    pub bench: &'a Bench,
    pub subject: Subject<'a>,
    pub place: &'a Place,
    pub seeded: &'a Seeded,
    /// The server's memory just after its start.
    pub idle: Memory,
    /// The folder for files of the run.
    pub folder: &'a Path,
    /// argon2id verifications in a second of CPU time.
    pub argon2: f64,
}

impl World<'_> {
    /// An empty database beside that of the server.
    fn place_beside(&self, name: &str) -> Fallible<Place> {
        let database = match (self.kind, self.subject.postgres) {
            (Kind::Postgres, Some(postgres)) => postgres.create_database(name)?,
            _ => format!(
                "sqlite://{}",
                self.folder.join(name).join("sealwright.db").display()
            ),
        };
        let master_key = self.place.master_key.clone();
        Ok(Place {
            database,
            master_key,
        })
    }
}

type Measure = Box<dyn Fn(&World<'_>) -> Fallible<Row>>;

/// A row that will be measured.
pub struct Planned {
    pub name: String,
    pub measure: Measure,
}

/// The targets of a token row. `None` for a figure without a target.
#[derive(Clone, Copy, Default)]
struct TokenReach {
    share: Option<f64>,
    server: Option<f64>,
    p50: Option<f64>,
}

/// The name of the row of starts. It comes first, while no server runs on the store: see [`start`].
pub fn start_name(kind: Kind) -> String {
    format!("{}: start and size", kind.word())
}

/// All rows of a store, in order. The rows of memory come first (idle, then with a storm) and last
/// (with all agents known).
pub fn plan(kind: Kind, args: &Args) -> Vec<Planned> {
    let mut rows: Vec<Planned> = Vec::new();
    let mut add = |name: &str, measure: Measure| {
        rows.push(Planned {
            name: format!("{}: {name}", kind.word()),
            measure,
        });
    };
    add("memory, idle", Box::new(|world| Ok(memory::idle(world))));
    add("memory, argon2 storm", Box::new(memory::storm));
    for (connections, agents, reach) in token_rows(kind, args.full) {
        let name = format!(
            "token, {}, {}",
            count(connections, "connection"),
            count(agents, "agent")
        );
        add(
            &name,
            Box::new(move |world| token::closed(world, connections, agents, reach)),
        );
    }
    add(
        "token, TLS, 64 connections, 256 agents",
        Box::new(tls::closed),
    );
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let name = format!("token by assertion, {}, 64 connections", algorithm.word());
        add(
            &name,
            Box::new(move |world| assertion::compare(world, algorithm)),
        );
    }
    add(
        "token, open loop at 30 %",
        Box::new(|world| token::open(world, 0.3)),
    );
    let introspection = (kind == Kind::Postgres).then_some(Reach::AtLeast(4.0));
    add("introspection, 64 connections, 500 tokens", {
        Box::new(move |world| reads::introspection(world, introspection))
    });
    add("revoked list, 304", Box::new(reads::revoked_list));
    add("flood of wrong secrets", Box::new(flood::flood));
    if args.full {
        add(
            "token, 1 % revoked, 64 connections",
            Box::new(token::revoking),
        );
        add("cold start", Box::new(other::cold_start));
    }
    if kind == Kind::Postgres {
        add(
            "against a transaction a request and jsonwebtoken::encode",
            Box::new(|world| usual::compare(world, Baseline::TxnJsonwebtoken, 256)),
        );
        add("against one UPDATE a request, 256 agents", {
            Box::new(|world| usual::compare(world, Baseline::Update, 256))
        });
        add("against one UPDATE a request, one hot agent", {
            Box::new(|world| usual::compare(world, Baseline::Update, 1))
        });
    }
    add("bytes a token, 32 agents", Box::new(room::measure));
    add("ledger", Box::new(ledger::cost));
    add("token, many waiting for the ledger", {
        Box::new(waiting::compare)
    });
    add("audit verify and export", Box::new(audit::commands));
    add("memory, all agents known", Box::new(memory::known));
    if args.growth {
        add("growth", Box::new(growth::compare));
    }
    rows
}

/// A number with a noun: `1 agent`, `256 agents`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn token_rows(kind: Kind, full: bool) -> Vec<(usize, usize, TokenReach)> {
    let reach = |connections, agents| match (kind, connections, agents) {
        (Kind::Postgres, 64, 256) => TokenReach {
            share: Some(0.80),
            server: Some(0.82),
            p50: None,
        },
        (Kind::Postgres, 64, 1) => TokenReach {
            share: Some(0.75),
            ..TokenReach::default()
        },
        (Kind::Postgres, 16, 256) => TokenReach {
            share: Some(0.74),
            ..TokenReach::default()
        },
        (Kind::Postgres, 1, 256) => TokenReach {
            share: Some(0.42),
            server: None,
            p50: Some(4.0),
        },
        (Kind::Sqlite, 64, 256) => TokenReach {
            share: Some(0.80),
            ..TokenReach::default()
        },
        _ => TokenReach::default(),
    };
    let combinations: Vec<(usize, usize)> = if full {
        let agents = |connections| [1, 256, 10_000].map(|agents| (connections, agents));
        [1, 16, 64, 256].into_iter().flat_map(agents).collect()
    } else {
        vec![(64, 256), (64, 1), (16, 256), (1, 256)]
    };
    combinations
        .into_iter()
        .map(|(c, a)| (c, a, reach(c, a)))
        .collect()
}

/// A token request as most clients send it.
fn token_request(agent: &Agent, scope: &str) -> Vec<u8> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}",
        agent.id, agent.secret
    );
    wire::post("/api/v1/token", "", &form)
}

fn token_requests(agents: &[Agent]) -> Vec<Vec<u8>> {
    agents
        .iter()
        .map(|agent| token_request(agent, "agents:read"))
        .collect()
}

/// Token requests of the first `agents` of the store, in turn.
fn token_stream(world: &World<'_>, connections: usize, agents: usize, pace: Pace) -> Stream {
    let agents = &world.seeded.warm[..agents.min(world.seeded.warm.len())];
    let load = Load {
        requests: token_requests(agents),
        expect: 200,
        revoking: None,
    };
    Stream {
        load: Arc::new(load),
        connections,
        pace,
    }
}

/// Lets each of these agents log in once, so that the server knows the agent and its secret.
pub fn warm_up(
    bench: &Bench,
    subject: Subject<'_>,
    agents: &[Agent],
    cap: Duration,
) -> Fallible<Row> {
    let load = Load {
        requests: token_requests(agents),
        expect: 200,
        revoking: None,
    };
    let stream = Stream {
        load: Arc::new(load),
        connections: 16,
        pace: Pace::Once,
    };
    let done = bench.run_once(subject, &stream, cap)?;
    let mut row = Row::default();
    if done.succeeded < agents.len() as u64 {
        row.notes.push(format!(
            "only {} of {} agents were warmed up",
            done.succeeded,
            agents.len()
        ));
    }
    Ok(row.with(vec![done]))
}
