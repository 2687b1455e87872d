//! A database that allows few connections: every request is served or shed, no client starves, and
//! an operator's command gets a connection, also beside servers that have nothing to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;

use crate::stage::client::{Reply, revoke_request, token_request};
use crate::stage::cluster::Cluster;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, play, scaled};

/// A site whose servers and commands use a separate role, whose connections a test can limit.
async fn limited(cluster: &Cluster) -> Site {
    let mut site = Site::postgres(cluster).await;
    let sql = "create role limited login;
               grant select, insert, update, delete on all tables in schema public to limited";
    run(&site, sql).await;
    let url = site.database.replace("//sealwright@", "//limited@");
    site.set("SEALWRIGHT_DATABASE__URL", &url);
    site
}

async fn run(site: &Site, sql: &str) {
    let mut conn = PgConnection::connect(&site.database).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

/// All agents ask at once, each on its own connection. Each request must be answered or shed.
/// Returns how many were answered.
async fn burst(servers: &[&Server], agents: &Arc<Vec<Agent>>, rounds: usize) -> usize {
    let mut asked = JoinSet::new();
    for (number, agent) in agents
        .iter()
        .cycle()
        .take(agents.len() * rounds)
        .enumerate()
    {
        let (mut client, agent) = (servers[number % servers.len()].client(), agent.clone());
        asked.spawn(async move { client.ask(&token_request(&agent)).await });
    }
    let replies: Vec<Reply> = asked.join_all().await;
    for reply in &replies {
        assert!(
            [200, 503].contains(&reply.status),
            "{}: {}",
            reply.status,
            reply.text()
        );
        assert!(
            reply.status == 200 || reply.header("retry-after").is_some(),
            "{}",
            reply.head
        );
    }
    replies.iter().filter(|reply| reply.status == 200).count()
}

/// Waits until every agent gets its token and the server is ready. Returns how long that took.
async fn all_is_well(server: &Server, agents: &Arc<Vec<Agent>>) -> Duration {
    let mut client = server.client();
    eventually("all is well after the burst", async || {
        for agent in agents.iter() {
            if client.issue(agent).await.status != 200 {
                return false;
            }
        }
        client.get("/readyz").await.status == 200
    })
    .await
}

/// Demands that all is well five seconds after the burst, fifteen in the short form. `quiet` is the
/// time of the same round before the burst. If the machine is slower than expected, the bound grows by the same factor.
async fn all_is_well_in_time(server: &Server, agents: &Arc<Vec<Agent>>, quiet: Duration) {
    const QUIET_ROUND: Duration = Duration::from_millis(500);
    let took = all_is_well(server, agents).await;
    let again = all_is_well(server, agents).await;
    let slowness = quiet.max(again).as_secs_f64() / QUIET_ROUND.as_secs_f64();
    let in_time = Duration::from_secs(scaled(15, 5));
    let bound = in_time.mul_f64(slowness.max(1.0));
    println!(
        "all is well {} ms after the burst; a round takes {} ms before it and {} ms after; the bound is {} ms",
        took.as_millis(),
        quiet.as_millis(),
        again.as_millis(),
        bound.as_millis()
    );
    assert!(took <= bound, "{took:?} after the burst, {bound:?} at most");
}

#[test]
fn a_burst_is_answered_or_shed_however_few_connections_a_role_may_have() {
    play(async {
        let cluster = Cluster::start().await;
        let site = limited(&cluster).await;
        let (agents, victim) = (site.agents(40), site.agent("victim", "unlimited"));
        for limit in [4, 8, 16] {
            run(
                &site,
                &format!("alter role limited connection limit {limit}"),
            )
            .await;
            let server = site.start();
            all_is_well(&server, &agents).await;
            let quiet = all_is_well(&server, &agents).await;
            for _ in 0..scaled(2, 20) {
                let answered = burst(&[&server], &agents, 2).await;
                println!("limit {limit}: {answered} of {} answered", agents.len() * 2);
                all_is_well_in_time(&server, &agents, quiet).await;
            }
            // Kills get a connection while others ask: a revocation by HTTP, and a suspension by a
            // command.
            let held = server.client().issue(&agents[0]).await.token();
            let one = [&server];
            let (answered, killed) = tokio::join!(burst(&one, &agents, 2), async {
                let reply = server
                    .client()
                    .ask(&revoke_request(&agents[0], &held))
                    .await;
                tokio::task::block_in_place(|| site.must(&["agent", "suspend", &victim.id]));
                reply
            });
            println!("limit {limit}: {answered} answered beside the kills");
            assert_eq!(killed.status, 200, "{}", killed.text());
            assert!(!server.client().introspect(&agents[0], &held).await.active());
            assert_eq!(server.client().issue(&victim).await.status, 403);
            site.must(&["agent", "reactivate", &victim.id]);
            all_is_well_in_time(&server, &agents, quiet).await;
        }
    });
}

#[test]
fn replicas_that_share_too_few_connections_leave_some_to_the_commands() {
    play(async {
        let cluster = Cluster::start().await;
        let site = limited(&cluster).await;
        let agents = site.agents(scaled(6, 40));
        run(&site, "alter role limited connection limit 25").await;
        let servers = [site.start(), site.start(), site.start()];
        let all: Vec<&Server> = servers.iter().collect();
        for _ in 0..scaled(2, 20) {
            burst(&all, &agents, 10).await;
            site.must(&["agent", "revoke-tokens", &agents[0].id]);
        }
        for server in &servers {
            all_is_well(server, &agents).await;
        }
        // An unused pool shrinks to one connection for each lane. On a slow machine the background
        // loops overlap, and the general lane keeps a second one.
        let open = "select count(*) from pg_stat_activity where usename = 'limited'";
        eventually("idle connections are given back", async || {
            site.number(open).await <= 3 * 6
        })
        .await;
        // With fewer connections than lanes, the lanes share the connections.
        run(&site, "alter role limited connection limit 8").await;
        run(
            &site,
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'limited'",
        )
        .await;
        burst(&all, &agents, 2).await;
        for server in &servers {
            all_is_well(server, &agents).await;
        }
    });
}

/// How many connections the servers and commands have.
const OPEN: &str = "select count(*) from pg_stat_activity where usename = 'limited'";

/// Runs commands beside the servers. Each must succeed. Returns the longest time of one.
fn commands(site: &Site, victim: &Agent, count: usize) -> Duration {
    (0..count)
        .map(|number| {
            let began = Instant::now();
            let act = ["suspend", "reactivate"][number % 2];
            tokio::task::block_in_place(|| site.must(&["agent", act, &victim.id]));
            began.elapsed()
        })
        .max()
        .unwrap_or_default()
}

#[test]
fn idle_servers_that_have_all_connections_leave_one_to_each_command() {
    play(async {
        let cluster = Cluster::start().await;
        let site = limited(&cluster).await;
        let name = site.database.rsplit('/').next().unwrap().to_owned();
        let (agents, victim) = (site.agents(6), site.agent("victim", "unlimited"));
        let undisturbed = commands(&site, &victim, 4);
        let unlimited = format!(
            "alter role limited connection limit -1; alter database {name} connection limit -1"
        );
        for (limited, limit, count) in [
            ("role limited", 4, 1),
            ("role limited", 8, 2),
            ("role limited", 10, 2),
            ("database", 10, 2),
        ] {
            let limited = limited.replace("database", &format!("database {name}"));
            let sql = format!("alter {limited} connection limit {limit}");
            for is_lowered in [false, true] {
                // The limit is there from the start, or it is lowered below what is open.
                run(&site, if is_lowered { &unlimited } else { &sql }).await;
                let servers: Vec<Server> = (0..count).map(|_| site.start()).collect();
                let all: Vec<&Server> = servers.iter().collect();
                for server in &all {
                    all_is_well(server, &agents).await;
                }
                let quiet = all_is_well(all[0], &agents).await;
                run(&site, &sql).await;
                let freed = eventually("a connection is given back", async || {
                    site.number(OPEN).await < limit
                })
                .await;
                let longest = commands(&site, &victim, scaled(10, 20));
                println!(
                    "{sql}, {count} idle: one given back after {} ms; the longest command took {} ms, {} ms without \
                     a limit",
                    freed.as_millis(),
                    longest.as_millis(),
                    undisturbed.as_millis()
                );
                assert!(
                    longest < undisturbed * 3 + Duration::from_secs(scaled(10, 2)),
                    "{longest:?}, {undisturbed:?} without a limit"
                );
                burst(&all, &agents, 4).await;
                all_is_well_in_time(all[0], &agents, quiet).await;
            }
            run(&site, &unlimited).await;
        }
    });
}

#[test]
fn a_migration_waits_for_a_connection_like_every_command() {
    play(async {
        let cluster = Cluster::start().await;
        let site = limited(&cluster).await;
        let sql = "grant create on schema public to limited; alter role limited connection limit 1";
        run(&site, sql).await;
        let url = site.database.replace("//sealwright@", "//limited@");
        let held = PgConnection::connect(&url).await.unwrap();
        let release = async {
            // The migration meets the limit at once, and once more a second later.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            held.close().await.unwrap();
        };
        let migrated = tokio::task::spawn_blocking(move || site.must(&["migrate"]));
        let (migrated, ()) = tokio::join!(migrated, release);
        migrated.unwrap();
    });
}
