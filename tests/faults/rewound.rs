//! Rows are wound back under running processes, by a restore or by a failover that lost the last
//! commits, and are then changed again. The processes notice it and serve nothing until an operator
//! acknowledges it. Lost secrets and scopes are not accepted, and killed tokens stay dead.

use crate::stage::client::Client;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::claims;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, play};

/// The tables in an order in which they can be written again. They are deleted in the reverse
/// order.
const TABLES: [&str; 4] = ["agent", "credential", "revision", "revoked_token"];

/// The columns of a credential, except its position, which the store assigns.
const CREDENTIAL: &str =
    "credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic";

/// A store and its servers: two on PostgreSQL, one on a SQLite file.
struct Stage {
    site: Site,
    servers: Vec<Server>,
    asker: Agent,
}

impl Stage {
    fn new(site: Site) -> Self {
        let asker = site.agent("asker", "unlimited");
        let count = if site.is_sqlite() { 1 } else { 2 };
        let servers = (0..count).map(|_| site.start()).collect();
        Self {
            site,
            servers,
            asker,
        }
    }

    fn clients(&self) -> impl Iterator<Item = Client> {
        self.servers.iter().map(Server::client)
    }

    async fn back_up(&self) {
        for table in TABLES {
            let sql = format!(
                "drop table if exists kept_{table}; create table kept_{table} as select * from {table}"
            );
            self.site.execute(&sql).await;
        }
    }

    /// Restores the rows of the backup. The processes keep running.
    async fn wind_back(&self) {
        let delete = TABLES
            .iter()
            .rev()
            .map(|table| format!("delete from {table};"));
        let insert = TABLES.map(|table| match table {
            "credential" => {
                format!("insert into credential ({CREDENTIAL}) select {CREDENTIAL} from kept_credential;")
            }
            _ => format!("insert into {table} select * from kept_{table};"),
        });
        let sql: String = delete.chain(insert).collect();
        self.site.execute(&format!("begin; {sql} commit")).await;
    }

    /// Waits for the next second of the store's clock. The store derives its numbers from its
    /// clock, on SQLite by the second.
    async fn next_second(&self) {
        let second = self.site.now().await;
        eventually("a second passes", async || self.site.now().await > second).await;
    }

    /// The version of the revocation list in the store.
    async fn version(&self) -> i64 {
        let sql = "select version from revision where name = 'revocation'";
        self.site.number(sql).await
    }

    /// Waits until every server serves a list with more than this version has.
    async fn learns_more_than(&self, version: i64) {
        for mut client in self.clients() {
            eventually("the list has the news", async || {
                version_at(&mut client).await > version
            })
            .await;
        }
    }

    /// Demands that each server answers the agent's credentials with `status`, the second time too.
    async fn answer(&self, agent: &Agent, status: u16) {
        for mut client in self.clients() {
            for _ in 0..2 {
                let reply = client.issue(agent).await;
                assert_eq!(reply.status, status, "{}", reply.text());
            }
        }
    }

    /// Waits until every server serves nothing from the store, and demands that it still serves what
    /// it has in memory.
    async fn closes(&self) {
        for mut client in self.clients() {
            eventually(
                "the server notices that the store was wound back",
                async || client.issue(&self.asker).await.status == 503,
            )
            .await;
            let ready = client.get("/readyz").await;
            assert!(ready.text().contains("restore"), "{}", ready.text());
            assert_eq!(client.get("/.well-known/jwks.json").await.status, 200);
        }
        eventually("a server that starts says what to run", async || {
            let Err((_, said)) = self.site.start_or_refusal() else {
                panic!("a server starts on a restored store");
            };
            // Another server has the lock of a SQLite file. A slow machine may not reach a database
            // in time.
            self.site.is_sqlite() || said.contains("sealwright restore --acknowledge")
        })
        .await;
    }

    /// Acknowledges, and waits until every server serves again.
    async fn acknowledge(&self) {
        self.site.must(&["restore", "--acknowledge"]);
        for mut client in self.clients() {
            eventually("the server serves again", async || {
                client.get("/readyz").await.status == 200
            })
            .await;
        }
    }

    async fn is_dead(&self, token: &str) {
        for mut client in self.clients() {
            assert!(
                !client.introspect(&self.asker, token).await.active(),
                "revived: {}",
                claims(token)
            );
        }
    }

    /// Demands that the lists of all servers hold `tokens`.
    async fn list(&self, tokens: &[&String]) {
        for mut client in self.clients() {
            let list = client.get("/oauth/revoked-tokens").await.json();
            let jtis = list["revoked_jtis"].as_array().unwrap();
            for token in tokens {
                assert!(jtis.contains(&claims(token)["jti"]), "{jtis:?}");
            }
        }
    }
}

async fn version_at(client: &mut Client) -> i64 {
    let list = client.get("/oauth/revoked-tokens").await.json();
    list["version"].as_i64().unwrap()
}

async fn play_all(stage: &Stage) {
    a_secret_that_was_lost_opens_nothing(stage).await;
    a_token_that_was_killed_stays_dead_when_it_is_killed_again(stage).await;
    an_agent_that_is_made_again_revives_no_token(stage).await;
    a_list_that_knows_more_than_the_rows_stays(stage).await;
}

#[test]
fn rows_that_are_wound_back_under_a_running_server_revive_nothing_on_sqlite() {
    play(async { play_all(&Stage::new(Site::sqlite())).await });
}

#[test]
fn rows_that_are_wound_back_under_running_servers_revive_nothing_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        play_all(&Stage::new(Site::postgres(&cluster).await)).await;
    });
}

async fn a_secret_that_was_lost_opens_nothing(stage: &Stage) {
    // The loss comes right after the rotation, or a second later.
    for waits in [false, true] {
        let first = stage.site.agent("agent", "unlimited");
        stage.answer(&first, 200).await;
        stage.back_up().await;
        let lost = stage.site.rotate(&first, 0);
        stage.answer(&lost, 200).await;
        stage.answer(&first, 401).await;
        if waits {
            stage.next_second().await;
        }
        stage.wind_back().await;
        let now = stage.site.rotate(&first, 0);
        // A version that is lower than a server has seen closes the store to it; after the rotation
        // it may be higher.
        for mut client in stage.clients() {
            for agent in [&lost, &first] {
                let status = client.issue(agent).await.status;
                assert!([401, 503].contains(&status), "{status}");
            }
        }
        stage.site.must(&["restore", "--acknowledge", "--force"]);
        for mut client in stage.clients() {
            eventually("the server serves again", async || {
                client.issue(&now).await.status == 200
            })
            .await;
        }
        stage.answer(&lost, 401).await;
        stage.answer(&first, 401).await;
        stage.answer(&now, 200).await;
    }
}

async fn a_token_that_was_killed_stays_dead_when_it_is_killed_again(stage: &Stage) {
    let agent = stage.site.agent("agent", "unlimited");
    let kill = || stage.site.must(&["agent", "revoke-tokens", &agent.id]);
    stage.back_up().await;
    kill();
    let mut tokens = Vec::new();
    for mut client in stage.clients() {
        tokens.push(client.issue(&agent).await.token());
    }
    let before = stage.version().await;
    kill();
    stage.learns_more_than(before).await;
    stage.next_second().await;
    stage.next_second().await;
    stage.wind_back().await;
    stage.closes().await;
    stage.acknowledge().await;
    for _ in 0..4 {
        for token in &tokens {
            stage.is_dead(token).await;
        }
        kill();
    }
    // The agent itself still gets tokens.
    stage.answer(&agent, 200).await;
}

async fn an_agent_that_is_made_again_revives_no_token(stage: &Stage) {
    let create = || {
        let create = [
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            "agt_1",
            "--plan",
            "unlimited",
        ];
        let made = stage
            .site
            .json(&[&create[..], &["--scope", "agents:read"]].concat());
        Agent {
            id: "agt_1".to_owned(),
            secret: made["clientSecret"].as_str().unwrap().to_owned(),
        }
    };
    stage.back_up().await;
    let first = create();
    let mut tokens = Vec::new();
    for mut client in stage.clients() {
        tokens.push(client.issue(&first).await.token());
    }
    let before = stage.version().await;
    stage.site.must(&["agent", "suspend", &first.id]);
    stage.learns_more_than(before).await;
    stage.next_second().await;
    stage.next_second().await;
    stage.wind_back().await;
    stage.closes().await;
    let again = create();
    stage.acknowledge().await;
    for token in &tokens {
        stage.is_dead(token).await;
    }
    stage.answer(&first, 401).await;
    stage.answer(&again, 200).await;
}

async fn a_list_that_knows_more_than_the_rows_stays(stage: &Stage) {
    let agent = stage.site.agent("agent", "unlimited");
    let mut client = stage.servers[0].client();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(client.issue(&agent).await.token());
    }
    let [kept, lost, next] = [&tokens[0], &tokens[1], &tokens[2]];
    assert_eq!(client.revoke(&agent, kept).await.status, 200);
    stage.next_second().await;
    stage.back_up().await;
    let before = stage.version().await;
    assert_eq!(client.revoke(&agent, lost).await.status, 200);
    stage.learns_more_than(before).await;
    stage.next_second().await;
    stage.next_second().await;
    stage.list(&[kept, lost]).await;
    stage.wind_back().await;
    stage.closes().await;
    stage.list(&[kept, lost]).await;
    stage.acknowledge().await;
    for token in &tokens {
        stage.is_dead(token).await;
    }
    let mut other = stage.clients().last().unwrap();
    assert_eq!(other.revoke(&agent, next).await.status, 200);
    stage.list(&[kept]).await;
}
