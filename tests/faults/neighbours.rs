//! Reverse proxies share their connections among clients: a refused request of one client must not
//! affect other clients.
//!
//! If a proxy is not on the machine, the test prints that and passes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::client::{read_reply, token_form};
use crate::stage::ledger::Load;
use crate::stage::reverse_proxy::{CADDY, ENVOY, GO, HAPROXY, Kind, NGINX, TRAEFIK};
use crate::stage::server::{Agent, Site};
use crate::stage::{cannot_run, eventually, pause, play_alone, scaled};

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_caddy() {
    play_alone(beside_refused_neighbours(&CADDY));
}

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_traefik() {
    play_alone(beside_refused_neighbours(&TRAEFIK));
}

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_haproxy() {
    play_alone(beside_refused_neighbours(&HAPROXY));
}

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_envoy() {
    play_alone(beside_refused_neighbours(&ENVOY));
}

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_nginx() {
    play_alone(beside_refused_neighbours(&NGINX));
}

#[test]
fn no_refused_neighbour_costs_a_good_agent_its_answer_behind_a_go_reverse_proxy() {
    play_alone(beside_refused_neighbours(&GO));
}

/// What a neighbour (another client of the proxy) sends after its head.
#[derive(Clone, Copy)]
enum Sent {
    /// This body, as a whole.
    Body(&'static str),
    /// The form of a token request by a suspended agent.
    Suspended,
    /// A body that is larger than the server reads.
    Large,
    /// A part of the body. Then the neighbour waits for the response (`Stalls`), or goes away
    /// (`Leaves`).
    Stalls,
    Leaves,
}

use Sent::{Body, Large, Leaves, Stalls, Suspended};

const SHORT: Sent = Body("whatnot");
const CHUNKED: Sent = Body("7\r\nwhatnot\r\n0\r\n\r\n");
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A request line with its header fields, and what is sent after the head. `FORM` is the content
/// type of a form, `LENGTH` the length of the body, and `LONG` a text that is too long.
#[rustfmt::skip]
const REFUSED: &[(&str, Sent)] = &[
    // Refused for the method, the path, the content type or the coding.
    ("PUT /api/v1/token\r\ncontent-length: 7", SHORT),
    ("POST /nothing\r\ncontent-length: 7", SHORT),
    ("POST /.well-known/jwks.json\r\ncontent-length: 7", SHORT),
    ("POST /forward-auth\r\ncontent-length: 7", SHORT),
    ("DELETE /api/v1/agents\r\ntransfer-encoding: chunked", CHUNKED),
    ("GET /api/v1/agents\r\ncontent-length: 7", SHORT),
    ("POST /api/v1/token\r\ncontent-length: 7", SHORT),
    ("POST /api/v1/token\r\ncontent-type: application/json\r\ncontent-length: 7", Body("{\"a\":1}")),
    ("POST /oauth/token\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked", CHUNKED),
    ("POST /api/v1/token\r\nFORMcontent-encoding: gzip\r\ncontent-length: 7", SHORT),
    ("POST /api/v1/token\r\nFORMtransfer-encoding: gzip, chunked", CHUNKED),
    // Refused for the form or the size of the body.
    ("POST /api/v1/token\r\nFORMtransfer-encoding: chunked", Body("zz\r\n")),
    ("POST /api/v1/token\r\nFORMcontent-length: 70000", Large),
    ("POST /api/v1/token\r\nFORMcontent-length: 9000000000", Large),
    ("POST /api/v1/token\r\nFORMexpect: 100-continue\r\ncontent-length: 70000", Leaves),
    ("PUT /oauth/token\r\nexpect: 100-continue\r\ncontent-length: 7", SHORT),
    ("POST /api/v1/token\r\nFORMcontent-length: 7", Leaves),
    ("POST /nothing\r\ntransfer-encoding: chunked", Leaves),
    ("POST /api/v1/token\r\ncontent-type: application/json\r\ncontent-length: 70000", Leaves),
    // Refused for what the request says, or for who sends it.
    ("POST /api/v1/token\r\nFORMcontent-length: 7", SHORT),
    ("POST /oauth/token\r\nFORMcontent-length: 60",
        Body("grant_type=client_credentials&client_id=aaaa&client_secret=a")),
    ("POST /api/v1/token/introspect\r\nFORMcontent-length: 7", Body("token=a")),
    ("POST /api/v1/token/revoke\r\nFORMauthorization: Basic bm9ib2R5Om5vdGhpbmc=\r\ncontent-length: 7", Body("token=a")),
    ("POST /api/v1/token\r\nFORMcontent-length: LENGTH", Suspended),
    ("POST /oauth/token\r\nFORMcontent-length: LENGTH", Suspended),
    ("GET /forward-auth\r\nauthorization: Bearer nothing", Body("")),
    ("GET /api/v1/agents\r\nauthorization: Bearer nothing", Body("")),
    ("GET /nothing?LONG", Body("")),
    ("GET /livez\r\nx-long: LONG", Body("")),
];

/// More such requests, for the long form only: the server waits for each body until its timeout.
const STALLED: &[(&str, Sent)] = &[
    ("POST /api/v1/token\r\nFORMcontent-length: 7", Stalls),
    ("POST /nothing\r\ncontent-length: 7", Stalls),
    ("DELETE /oauth/token\r\ntransfer-encoding: chunked", Stalls),
];

/// The neighbours of the good agents. Each counts the responses that it gets by their status.
struct Neighbours {
    stop: Arc<AtomicBool>,
    /// How many neighbours have sent all of their requests.
    complete: Arc<AtomicUsize>,
    tasks: JoinSet<BTreeMap<u16, u64>>,
}

impl Neighbours {
    fn start(address: SocketAddr, suspended: &Agent, count: usize) -> Self {
        let suspended: Arc<str> = token_form(suspended).into();
        let (stop, complete) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut tasks = JoinSet::new();
        let stalled = scaled(&[][..], STALLED);
        let kinds = (0..count)
            .map(|number| (number, REFUSED))
            .chain(stalled.chunks(1).map(|one| (0, one)));
        for (number, requests) in kinds {
            let (stop, complete, suspended) = (
                Arc::clone(&stop),
                Arc::clone(&complete),
                Arc::clone(&suspended),
            );
            tasks.spawn(async move {
                let mut answers = BTreeMap::new();
                // Each neighbour begins with a different request.
                let turns = (number * requests.len() / count..).map(|turn| turn % requests.len());
                for (sent, turn) in (1..).zip(turns) {
                    let status = offend(address, requests[turn], number, &suspended).await;
                    *answers.entry(status).or_default() += 1;
                    if sent == requests.len() {
                        complete.fetch_add(1, Ordering::Relaxed);
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                answers
            });
        }
        Self {
            stop,
            complete,
            tasks,
        }
    }

    /// Waits until every neighbour has sent each request once.
    async fn have_sent_all(&self) {
        let count = self.tasks.len();
        eventually("all is refused", async || {
            self.complete.load(Ordering::Relaxed) >= count
        })
        .await;
    }

    async fn stop(self) -> BTreeMap<u16, u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = BTreeMap::new();
        for (status, count) in self.tasks.join_all().await.into_iter().flatten() {
            *answers.entry(status).or_default() += count;
        }
        answers
    }
}

/// How long a neighbour waits for its response. If the proxy gives none, that is not a fault of the
/// server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A little longer than the server waits for a body. Go's library does not pass a response on
/// before it has the whole body.
const STALL_TIMEOUT: Duration = Duration::from_secs(12);

/// Sends one request that must be refused. Returns the status of the response, or 0 without one.
async fn offend(
    address: SocketAddr,
    (head, sent): (&str, Sent),
    number: usize,
    suspended: &str,
) -> u16 {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return 0;
    };
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let head = format!(
        "{line} HTTP/1.1\r\nhost: a\r\n{headers}{}",
        if headers.is_empty() { "" } else { "\r\n" }
    );
    let head = head
        .replace("FORM", FORM)
        .replace("LENGTH", &suspended.len().to_string())
        .replace("LONG", &"x".repeat(70_000));
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
    // Some neighbours send the body together with the head. Others send it later, when the response
    // may have come already.
    pause(u64::try_from(number % 5).unwrap() * 10).await;
    let large = "x".repeat(70_000);
    let (body, wait) = match sent {
        Body(body) => (body, ANSWER_TIMEOUT),
        Suspended => (suspended, ANSWER_TIMEOUT),
        Large => (large.as_str(), ANSWER_TIMEOUT),
        Stalls => ("1\r\n", STALL_TIMEOUT),
        Leaves => ("1\r\n", Duration::from_millis(100)),
    };
    let _ = stream.write_all(body.as_bytes()).await;
    let reply = timeout(wait, read_reply(&mut stream)).await;
    let status = |head: &str| head.split(' ').nth(1)?.parse().ok();
    reply
        .ok()
        .and_then(Result::ok)
        .and_then(|(head, _)| status(&head))
        .unwrap_or(0)
}

async fn beside_refused_neighbours(kind: &Kind) {
    let site = Site::sqlite();
    let (agents, suspended) = (site.agents(2), site.agent("suspended", "unlimited"));
    site.must(&["agent", "suspend", &suspended.id]);
    let server = site.start();
    let proxy = match kind.start(&server).await {
        Ok(proxy) => proxy,
        Err(why) => {
            return cannot_run(kind.name, &why);
        }
    };
    let neighbours = Neighbours::start(proxy.address, &suspended, 4);
    let load = Load::on(proxy.address, &agents, 4).start();
    for _ in 0..10 {
        load.delivers(scaled(30, 500)).await;
    }
    neighbours.have_sent_all().await;
    let ledger = load.stop().await;
    let answers = neighbours.stop().await;
    println!(
        "{}: {}; beside answers {answers:?}",
        kind.name,
        ledger.summary()
    );
    let bad = |what: &str| {
        format!(
            "{what}: {}: {}\n{}",
            kind.name,
            ledger.summary(),
            proxy.said()
        )
    };
    assert_eq!(ledger.unanswered, 0, "{}", bad("lost"));
    ledger.demand_served(scaled(3, 0));
    for status in [400, 401, 403, 404, 405, 413] {
        assert!(
            answers.contains_key(&status),
            "{status} is not among {answers:?}"
        );
    }
    site.audit(&ledger).await;
}
