//! Clients that send a request and close the connection without reading.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stage::client::{Client, post, revoke_request, token_request};
use crate::stage::cluster::Cluster;
use crate::stage::proxy::{Kind, Mode, Proxy};
use crate::stage::server::Site;
use crate::stage::{Dice, eventually, play};

#[test]
fn clients_that_go_away_leave_no_open_transaction_and_no_wrong_count() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(3);
        let proxy = Proxy::start(cluster.port(), Kind::Batches).await;
        let mut server = site.start_at(&proxy.url(&site.database));
        let mut client = server.client();
        let token = client.issue(&agents[0]).await.token();
        // The delay is long enough that clients leave in every phase of a request.
        proxy.set(Mode::Delay(Duration::from_millis(25)));
        let mut storm = JoinSet::new();
        for worker in 0..48 {
            let agents = Arc::clone(&agents);
            let (address, token) = (server.address, token.clone());
            let mut dice = Dice::new();
            storm.spawn(async move {
                let began = Instant::now();
                let mut sent = 0u64;
                while began.elapsed() < Duration::from_secs(4) {
                    let agent = &agents[worker % agents.len()];
                    let request = match dice.below(6) {
                        0 => revoke_request(agent, &token[..token.len() - 1]),
                        1 => post(
                            "/api/v1/token/introspect",
                            "",
                            &format!(
                                "client_id={}&client_secret={}&token={token}",
                                agent.id, agent.secret
                            ),
                        ),
                        _ => token_request(agent),
                    };
                    let after = Duration::from_millis(dice.below(21));
                    if Client::new(address).abandon(&request, after).await.is_ok() {
                        sent += 1;
                    }
                }
                sent
            });
        }
        let sent: u64 = storm.join_all().await.into_iter().sum();
        proxy.set(Mode::Forward);
        let open = "select count(*) from pg_stat_activity
                    where application_name = 'sealwright' and state like 'idle in transaction%'";
        eventually("no session is left in a transaction", async || {
            site.number(open).await == 0
        })
        .await;
        eventually("the server is well", async || {
            server.client().issue(&agents[1]).await.status == 200
        })
        .await;
        assert!(server.is_alive());
        assert!(client.introspect(&agents[0], &token).await.active());
        assert_eq!(client.revoke(&agents[0], &token).await.status, 200);
        assert!(!client.introspect(&agents[0], &token).await.active());
        let faults = server
            .metric("sealwright_store_errors_total{kind=\"fault\"}")
            .await;
        assert!(faults < 0.5, "{faults} faults");
        server.terminate();
        assert!(server.ended().await.success());
        let used = site.number("select sum(used) from quota").await;
        let events = site.number("select count(*) from token_event").await;
        let distinct = site
            .number("select count(distinct jti) from token_event")
            .await;
        println!("{sent} requests abandoned, {used} counted");
        assert!(sent > 500, "too few clients went away");
        assert!(used > 20, "too few tokens were counted");
        assert_eq!((used, used), (events, distinct));
    });
}
