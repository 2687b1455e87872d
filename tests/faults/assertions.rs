//! `kill -9` of the server between the commit that spends an assertion and its answer: the assertion
//! stays spent, and its token is counted once.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::stage::client::Client;
use crate::stage::cluster::Cluster;
use crate::stage::server::{Server, Site};
use crate::stage::signer::{ISSUER, Signer};
use crate::stage::{pause, play, scaled};

/// How many assertions are presented at once.
const BURST: usize = 24;

/// How many servers are killed at least, and at most until one kill came between.
const KILLS: (usize, usize) = (3, 20);

/// How often a request is sent again while the store recovers.
const MAX_TRIES: usize = 500;

/// The status of a request that is sent again while the store recovers.
async fn status(server: &Server, request: &[u8]) -> u16 {
    let mut client = server.client();
    for _ in 0..MAX_TRIES {
        let reply = client.ask(request).await;
        if reply.status != 503 {
            return reply.status;
        }
        pause(20).await;
    }
    503
}

/// Presents assertions at once, kills the server at the first answer, and presents them again to
/// another one. Returns how many tokens were delivered, and how many were counted without an answer.
async fn round(site: &Site, signer: &Signer, number: usize) -> (i64, i64) {
    let now = site.now().await;
    let requests = (0..BURST).map(|n| signer.request(&format!("{number}-{n}"), now));
    let requests: Vec<Vec<u8>> = requests.collect();
    let server = site.start();
    let address = server.address;
    let present = |(n, request): (usize, &Vec<u8>)| {
        let request = request.clone();
        async move { (n, Client::new(address).send(&request).await) }
    };
    let presented = requests.iter().enumerate().map(present);
    let mut waiting: FuturesUnordered<_> = presented.collect();
    let mut answered = [false; BURST];
    let mut alive = Some(server);
    while let Some((n, reply)) = waiting.next().await {
        if let Ok(reply) = reply {
            assert_eq!(reply.status, 200, "{}", reply.text());
            answered[n] = true;
        }
        if let Some(server) = alive.take() {
            server.kill();
        }
    }
    let (mut delivered, mut lost) = (0, 0);
    let server = site.start();
    for (n, request) in requests.iter().enumerate() {
        match (answered[n], status(&server, request).await) {
            (true, 401) | (false, 200) => delivered += 1,
            (false, 401) => lost += 1,
            other => panic!("{other:?}"),
        }
        // Whatever it was, it is spent now.
        assert_eq!(status(&server, request).await, 401);
    }
    let fresh = signer.request(&format!("{number}-fresh"), now);
    assert_eq!(status(&server, &fresh).await, 200);
    (delivered + 1, lost)
}

async fn kill_between(mut site: Site) {
    // All failures of a test come from one address.
    site.set("SEALWRIGHT_LIMITS__FAILURES_PER_MINUTE", "0");
    site.set("SEALWRIGHT_TOKEN__ISSUER", ISSUER);
    let signer = Signer::new(&site);
    let (mut delivered, mut lost, mut kills) = (0, 0, 0);
    let most = scaled(KILLS.0, KILLS.1);
    while kills < KILLS.0 || (lost == 0 && kills < most) {
        let (more_delivered, more_lost) = round(&site, &signer, kills).await;
        delivered += more_delivered;
        lost += more_lost;
        kills += 1;
    }
    println!("{kills} kills: {delivered} tokens delivered, {lost} counted without an answer");
    // A few kills may all come too early or too late.
    assert!(
        scaled(true, lost > 0),
        "no kill came between a commit and its answer"
    );
    assert_eq!(site.used(&signer.agent.id).await, delivered + lost);
    let spent = site.number("select count(*) from spent_assertion").await;
    assert_eq!(spent, delivered + lost);
}

#[test]
fn an_assertion_stays_spent_if_its_answer_is_lost_with_the_server_on_sqlite() {
    play(async { kill_between(Site::sqlite()).await });
}

#[test]
fn an_assertion_stays_spent_if_its_answer_is_lost_with_the_server_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        kill_between(Site::postgres(&cluster).await).await;
    });
}
