//! The search for an escalation: an agent with `agents:write` and a little more sends random changes
//! of the management API, as itself and as the agents whose secrets it gets. It never holds a secret
//! or a token of an agent that has more than it was given, and nothing but a stop reaches an agent
//! that has more. In some sequences it is an admin of another organization than the first one: then
//! nothing at all reaches what is outside, and nobody gets an admin scope from it.
//!
//! Owns the search: `sample` draws agents and compares them, `requests` draws requests, `world` sends
//! them and looks at what became of the agents. `ESCALATION_SEQUENCES` says how many sequences are
//! run on each store (`tests/escalation`), `ESCALATION_SEED` repeats a run.

mod requests;
mod sample;
mod world;

use std::env;

use sealwright::testing::entropy::{Entropy, SystemEntropy};

use super::on_both;
use crate::harness::app::TestApp;
use sample::Dice;
use world::World;

on_both! {
    no_sequence_of_requests_gives_a_caller_what_it_lacks,
}

/// How many sequences a usual run of the tests has on each store.
const SEQUENCES: u64 = 100;
const MAX_REQUESTS: usize = 20;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

async fn no_sequence_of_requests_gives_a_caller_what_it_lacks(app: &TestApp<'_>) {
    let seed = number("ESCALATION_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemEntropy::default().fill(&mut bytes).unwrap();
        u64::from_be_bytes(bytes)
    });
    let sequences = number("ESCALATION_SEQUENCES").unwrap_or(SEQUENCES);
    let mut world = World::build(app, Dice(seed)).await;
    for sequence in 0..sequences {
        world
            .begin(format!("seed {seed}, sequence {sequence}"))
            .await;
        for _ in 0..MAX_REQUESTS {
            world.step().await;
        }
        world.check_bystanders().await;
    }
    let counts = &world.counts;
    println!("{sequences} sequences from seed {seed}: {counts:?}");
    // The search finds nothing if all is refused.
    let least = sequences / 2;
    assert!(
        counts.accepted > least && counts.tokens > least,
        "{counts:?}"
    );
}
