//! Agents that ask for ever new audiences. Few of them may get a row of terms of their own, in the
//! store and in the memory of the process.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::stage::client::post;
use crate::stage::cluster::Cluster;
use crate::stage::server::{Agent, Site};
use crate::stage::{eventually, play_alone, scaled};

/// How many agents ask.
const AGENTS: usize = 4;

/// How many rows of terms one agent may have.
const MAX_ROWS: i64 = 64;

/// How often a token for the same audience is asked for, so that its terms are seen often enough
/// to get a row.
const OFTEN: usize = 5;

/// How many connections ask at a time.
const CONNECTIONS: usize = 16;

#[test]
fn new_audiences_without_end_leave_the_rows_of_terms_at_their_bound_on_sqlite() {
    play_alone(async { ask_for_new_audiences(&Site::sqlite()).await });
}

#[test]
fn new_audiences_without_end_leave_the_rows_of_terms_at_their_bound_on_postgres() {
    play_alone(async {
        let cluster = Cluster::start().await;
        ask_for_new_audiences(&Site::postgres(&cluster).await).await;
    });
}

async fn ask_for_new_audiences(site: &Site) {
    let agents = site.agents(AGENTS);
    let server = site.start();
    let (distinct, often) = (scaled(2_000, 1_000_000), scaled(4, 250));
    let mut asked: JoinSet<u64> = JoinSet::new();
    for first in 0..CONNECTIONS {
        let (agents, mut client) = (Arc::clone(&agents), server.client());
        asked.spawn(async move {
            let mut tokens = 0;
            for number in (first..distinct).step_by(CONNECTIONS) {
                let times = if number % often == 0 { OFTEN } else { 1 };
                let request = request(&agents[number / CONNECTIONS % AGENTS], number);
                for _ in 0..times {
                    let reply = client.ask(&request).await;
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    tokens += 1;
                }
            }
            tokens
        });
    }
    let tokens: u64 = asked.join_all().await.into_iter().sum();
    let highest = "select max(n) from (
                       select count(*) as n from token_terms where retired_on is null group by agent_id
                   ) as of_agent";
    // Without a row at the bound, this test would show nothing.
    eventually("an agent has as many rows as it may", async || {
        site.number(highest).await == MAX_ROWS
    })
    .await;
    let all = site
        .number("select count(*) from token_terms where retired_on is null")
        .await;
    let bound = MAX_ROWS * i64::try_from(AGENTS).unwrap();
    assert!(all <= bound, "{all} rows of terms, {bound} are allowed");
    let counted = site.number("select count(*) from token_event").await;
    assert_eq!(u64::try_from(counted).unwrap(), tokens);
    println!(
        "{distinct} audiences in {tokens} tokens: {all} rows of terms; resident {} MiB",
        server.resident()
    );
}

fn request(agent: &Agent, number: usize) -> Vec<u8> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&audience=https://a{number}.example",
        agent.id, agent.secret
    );
    post("/api/v1/token", "", &form)
}
