//! Authorization codes whose exchange loses the database's response.

use std::collections::HashMap;

use crate::stage::client::{CALLBACK, Client, Reply, exchange_request};
use crate::stage::cluster::Cluster;
use crate::stage::play;
use crate::stage::proxy::{Kind, Mode, Proxy};
use crate::stage::server::{Agent, Site};

/// Fetches codes and exchanges each twice at once. Returns how often each status came.
async fn exchange_codes(
    client: impl Fn() -> Client,
    agent: &Agent,
    rounds: usize,
) -> HashMap<u16, usize> {
    let (mut first, mut second) = (client(), client());
    let mut statuses = HashMap::new();
    for _ in 0..rounds {
        let request = exchange_request(agent, &first.code(agent).await);
        let (one, other) =
            tokio::join!(answer(&mut first, &request), answer(&mut second, &request));
        let mut pair = [one.status, other.status];
        pair.sort_unstable();
        assert_eq!(pair, [200, 400], "{} {}", one.text(), other.text());
        for status in pair {
            *statuses.entry(status).or_insert(0) += 1;
        }
    }
    statuses
}

/// Asks until the answer is not 503. A cut transaction may hold its locks for a while on a slow
/// disk.
async fn answer(client: &mut Client, request: &[u8]) -> Reply {
    loop {
        let reply = client.ask(request).await;
        if reply.status != 503 {
            return reply;
        }
        assert!(reply.header("retry-after").is_some(), "{}", reply.head);
    }
}

#[test]
fn an_exchange_whose_answer_is_lost_gives_its_one_token_all_the_same() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agent = site.agent("codes", "unlimited");
        site.must(&["agent", "update", &agent.id, "--redirect-uri", CALLBACK]);
        let proxy = Proxy::start(cluster.port(), Kind::Commits).await;
        let server = site.start_at(&proxy.url(&site.database));
        let mut delivered = 0;
        for mode in [Mode::LoseAnswer(3), Mode::CutAtOnce(3)] {
            let before = proxy.cuts();
            proxy.set(mode);
            let workers = (0..6).map(|_| exchange_codes(|| server.client(), &agent, 25));
            let statuses = futures_util::future::join_all(workers).await;
            proxy.set(Mode::Forward);
            let cuts = proxy.cuts() - before;
            println!("{mode:?}: {cuts} cuts");
            assert!(cuts > 5, "{cuts}");
            delivered += statuses.iter().map(|s| s[&200]).sum::<usize>();
        }
        let delivered = i64::try_from(delivered).unwrap();
        assert_eq!(delivered, 300);
        // Exactly once: the counter, the events and the spent codes are equal in number.
        assert_eq!(site.used(&agent.id).await, delivered);
        let events =
            "select count(distinct e.jti) from token_event e join spent_code s on s.jti = e.jti";
        assert_eq!(site.number(events).await, delivered);
        assert_eq!(
            site.number("select count(*) from spent_code").await,
            delivered
        );
        assert_eq!(
            site.number("select count(*) from token_event").await,
            delivered
        );
    });
}
