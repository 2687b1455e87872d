//! Many clients that poll: documents that are served from memory cost the database nothing.

use tokio::task::JoinSet;

use crate::stage::client::get;
use crate::stage::cluster::Cluster;
use crate::stage::server::Site;
use crate::stage::{pause, play};

#[test]
fn a_herd_of_pollers_does_not_reach_the_database() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agent = site.agent("agent", "unlimited");
        let server = site.start();
        let token = server.client().issue(&agent).await.token();
        assert_eq!(server.client().revoke(&agent, &token).await.status, 200);
        let list = server.client().get("/oauth/revoked-tokens").await;
        assert!(
            list.text()
                .contains(&crate::stage::ledger::jti_of(&token)[..8]),
            "{}",
            list.text()
        );
        let tag = list.header("etag").unwrap().to_owned();
        let transactions =
            "select xact_commit from pg_stat_database where datname = current_database()";
        let before = site.number(transactions).await;
        let began = std::time::Instant::now();
        let mut herd = JoinSet::new();
        for _ in 0..32 {
            let (mut client, tag) = (server.client(), tag.clone());
            herd.spawn(async move {
                for _ in 0..200 {
                    let poll = get(
                        "/oauth/revoked-tokens",
                        &format!("if-none-match: {tag}\r\n"),
                    );
                    let reply = client.ask(&poll).await;
                    assert_eq!((reply.status, reply.body.len()), (304, 0));
                    assert_eq!(client.get("/.well-known/jwks.json").await.status, 200);
                }
            });
        }
        herd.join_all().await;
        // The database updates its statistics within about a second.
        pause(1_500).await;
        let (cost, seconds) = (
            site.number(transactions).await - before,
            began.elapsed().as_secs(),
        );
        println!("12800 polls in {seconds} s cost the database {cost} transactions");
        // The transactions are those of the loops, about sixteen a second, and of this test's own
        // connections. The database counts what a session did up to ten seconds late.
        let most = 200 + 40 * i64::try_from(seconds).unwrap();
        assert!(cost < most, "{cost} transactions for 12800 polls");
    });
}
