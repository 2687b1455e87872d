//! Equal requests with one `Idempotency-Key`, sent at once, while a server that answers them is
//! killed: one agent is made, with one secret, and everybody who gets it gets the same reply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::client::{Client, Reply, get};
use crate::stage::cluster::Cluster;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{Dice, GENEROUS, eventually, pause, play, scaled};

/// How many equal requests are sent at once.
const BURST: usize = 100;

/// A token that may make agents.
async fn manager(site: &Site) -> String {
    let scopes = "agents:read agents:write admin:orgs";
    let made = site.json(&[
        "agent",
        "create",
        "--name",
        "manager",
        "--plan",
        "unlimited",
        "--scope",
        scopes,
    ]);
    let word = |key: &str| made[key].as_str().unwrap().to_owned();
    let agent = Agent {
        id: word("agentId"),
        secret: word("clientSecret"),
    };
    let server = site.start();
    server.client().issue(&agent).await.token()
}

fn creation(token: &str, key: &str, name: &str) -> Vec<u8> {
    let body = json!({ "name": name, "scopes": ["tokens:read"] }).to_string();
    post_json(
        "/api/v1/agents",
        token,
        &format!("idempotency-key: {key}\r\n"),
        &body,
    )
}

fn post_json(path: &str, token: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: sealwright\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends the request to each of these in turn, all at once. A killed server answers nothing.
fn burst(
    servers: &[SocketAddr],
    request: &Arc<Vec<u8>>,
) -> Vec<tokio::task::JoinHandle<Option<Reply>>> {
    let send = |address: SocketAddr| {
        let request = Arc::clone(request);
        tokio::spawn(async move { Client::new(address).send(&request).await.ok() })
    };
    let addresses = servers.iter().copied().cycle().take(BURST);
    addresses.map(send).collect()
}

/// The reply to the request when it is sent again until it is answered with 201.
async fn sent_again(server: &Server, request: &[u8]) -> Reply {
    let mut done = None;
    eventually(
        "the request is answered when it is sent again",
        async || {
            let reply = server.client().ask(request).await;
            assert!([201, 409, 503].contains(&reply.status), "{}", reply.text());
            if reply.status != 201 {
                assert!(reply.header("retry-after").is_some());
                return false;
            }
            done = Some(reply);
            true
        },
    )
    .await;
    done.unwrap()
}

/// One burst, in which the victim is killed, and what it left. `survivor` is `None` if the victim
/// was the only server: then another is started.
async fn round(site: &Site, survivor: Option<&Server>, token: &str, number: usize, after: u64) {
    let name = format!("round-{number}-{after}");
    let request = Arc::new(creation(token, &name, &name));
    let victim = site.start();
    let mut servers = vec![victim.address];
    servers.extend(survivor.map(|server| server.address));
    let sent = burst(&servers, &request);
    pause(after).await;
    victim.kill();
    let mut replies = Vec::new();
    for one in sent {
        replies.extend(one.await.unwrap());
    }
    let started = survivor.is_none().then(|| site.start());
    let server = survivor.or(started.as_ref()).unwrap();
    let last = sent_again(server, &request).await;
    let mut made = 0;
    for reply in &replies {
        match reply.status {
            201 => {
                made += 1;
                assert_eq!(reply.body, last.body);
                assert_eq!(reply.header("location"), last.header("location"));
            }
            409 | 503 => assert!(reply.header("retry-after").is_some(), "{}", reply.head),
            _ => panic!("{}", reply.text()),
        }
    }
    let path = format!("/api/v1/agents?namePrefix={name}");
    let bearer = format!("authorization: Bearer {token}\r\n");
    let listed = server.client().ask(&get(&path, &bearer)).await.json();
    let listed: &Vec<Value> = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    // The one secret is good.
    let body = last.json();
    let agent = Agent {
        id: body["agentId"].as_str().unwrap().to_owned(),
        secret: body["clientSecret"].as_str().unwrap().to_owned(),
    };
    assert_eq!(listed[0]["agentId"], body["agentId"]);
    server.client().issue(&agent).await.token();
    println!(
        "{BURST} equal requests, killed after {after} ms: {made} answered 201, {} others answered, one agent",
        replies.len() - made
    );
}

#[test]
fn equal_requests_make_one_agent_if_one_of_two_replicas_is_killed() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let token = manager(&site).await;
        let survivor = site.start();
        let mut dice = Dice::new();
        for number in 0..scaled(4, 40) {
            round(&site, Some(&survivor), &token, number, dice.below(400)).await;
        }
    });
}

#[test]
fn equal_requests_make_one_agent_if_the_only_server_is_killed() {
    play(async {
        let site = Site::sqlite();
        let token = manager(&site).await;
        let mut dice = Dice::new();
        for number in 0..scaled(4, 40) {
            round(&site, None, &token, number, dice.below(400)).await;
        }
    });
}

/// Suspends an agent while equal requests wait for the first of them, on the same server.
async fn stop_beside_bursts(site: &Site) {
    let token = manager(site).await;
    let target = site.agent("target", "free");
    let server = site.start();
    let mut client = server.client();
    // The connection is open, and the caller's token verified, before anything is measured.
    let path = format!("/api/v1/agents/{}", target.id);
    let shown = get(&path, &format!("authorization: Bearer {token}\r\n"));
    assert_eq!(client.ask(&shown).await.status, 200);
    let mut times = Vec::new();
    for number in 0..scaled(3, 30) {
        let name = format!("beside-{number}");
        let request = Arc::new(creation(&token, &name, &name));
        let sent = burst(&[server.address], &request);
        for action in ["suspend", "reactivate"] {
            let stop = post_json(&format!("{path}/{action}"), &token, "", "{}");
            let reply = client.ask(&stop).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            times.push(reply.took);
        }
        for one in sent {
            one.await.unwrap();
        }
    }
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "an agent is stopped beside {BURST} equal requests: median {median:?}, slowest {slowest:?}"
    );
    assert!(
        median < scaled(GENEROUS, Duration::from_millis(50)),
        "{median:?}"
    );
}

#[test]
fn an_agent_is_stopped_while_equal_requests_wait_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        stop_beside_bursts(&Site::postgres(&cluster).await).await;
    });
}

#[test]
fn an_agent_is_stopped_while_equal_requests_wait_on_sqlite() {
    play(async { stop_beside_bursts(&Site::sqlite()).await });
}
