//! How soon a revocation is on another server's list, beside kills whose tokens must be looked up
//! among many.

use std::sync::Arc;
use std::time::Duration;

use crate::stage::client::Client;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::claims;
use crate::stage::outcome::percentile;
use crate::stage::server::{Agent, Site, report};
use crate::stage::{eventually, play_alone, scaled};

/// One in so many of a day's tokens belongs to an agent that will be killed.
const KILLED_SHARE: usize = 100;

/// Records a day's tokens as if they had been issued.
async fn fill(site: &Site, agents: &[Agent], tokens: usize) {
    for agent in agents {
        site.must(&["agent", "update", &agent.id, "--ttl", "86400"]);
    }
    // The rows are in the order in which the tokens would have been issued.
    let sql = format!(
        "with agents as (select array_agg(agent_id) as ids from agent where ttl = 86400)
         insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
         select s.at, 'token.issued', 'client',
             case s.n % {KILLED_SHARE} when 0 then a.ids[1 + s.n / {KILLED_SHARE} % cardinality(a.ids)] else 'somebody' end,
             gen_random_uuid(), s.at + 86400, 0, '{{}}'
         from agents a, lateral (
             select n, floor(extract(epoch from now()))::bigint - 86000 + n::bigint * 86000 / {tokens} as at
             from generate_series(1, {tokens}) n
         ) s order by s.n;
         analyze audit_event"
    );
    site.execute(&sql).await;
}

/// How long a revocation by one server takes to reach the other server's list.
async fn reach(agent: &Agent, here: &mut Client, there: &mut Client) -> Duration {
    let token = here.issue(agent).await.token();
    assert_eq!(here.revoke(agent, &token).await.status, 200);
    let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
    eventually("a revocation is on the other server's list", async || {
        there
            .get("/oauth/revoked-tokens")
            .await
            .text()
            .contains(&jti)
    })
    .await
}

#[test]
fn news_reach_another_servers_list_beside_a_row_of_suspensions() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Arc::new(Site::postgres(&cluster).await);
        let agent = site.agent("agent", "unlimited");
        let victims = site.agents(scaled(6, 60));
        let tokens = scaled(20_000, 500_000);
        fill(&site, &victims, tokens).await;
        let (one, two) = (site.start(), site.start());
        let (mut here, mut there) = (one.client(), two.client());
        let mut alone = Vec::new();
        for _ in 0..scaled(3, 30) {
            alone.push(reach(&agent, &mut here, &mut there).await);
        }
        let (mut beside, commands) = (Vec::new(), Arc::clone(&site));
        let suspensions = tokio::task::spawn_blocking(move || {
            for victim in victims.iter() {
                commands.must(&["agent", "suspend", &victim.id]);
            }
        });
        while beside.len() < 3 || !suspensions.is_finished() {
            beside.push(reach(&agent, &mut here, &mut there).await);
        }
        suspensions.await.unwrap();
        let ratio = percentile(&beside, 90) / percentile(&alone, 90);
        report("a revocation's way to another server alone", alone);
        report("the same beside suspensions", beside);
        println!("{tokens} tokens of a day; p90 beside suspensions / alone: {ratio:.2}");
        // The short form has few samples. On a machine with other load they say nothing.
        assert!(
            scaled(true, ratio < 1.8),
            "a revocation takes {ratio:.2} times as long beside kills"
        );
        // Later the tokens of the killed agents are on the lists too.
        let killed = tokens / KILLED_SHARE;
        eventually("the killed tokens are on both lists", async || {
            let lists = [
                here.get("/oauth/revoked-tokens").await,
                there.get("/oauth/revoked-tokens").await,
            ];
            lists
                .iter()
                .all(|list| list.json()["revoked_jtis"].as_array().unwrap().len() >= killed)
        })
        .await;
    });
}
