//! Backups of a Postgres store are restored by its own tools, with servers that keep running and with
//! servers that were stopped. Nothing is served before the acknowledgement where the restore can be
//! known, and nothing that was killed after the backup is active after it.

use std::time::Duration;

use crate::stage::client::Client;
use crate::stage::cluster::{Backup, Cluster};
use crate::stage::ledger::claims;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, play, scaled};

/// How a backup is made and restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `pg_dump`, and `pg_restore` into a new database of the old name.
    Dump,
    /// A copy of the cluster's files.
    BaseBackup,
    /// A copy of the cluster's files, and the archived changes up to a time.
    PointInTime,
}

impl Way {
    /// Whether a store that was restored with all servers stopped can be told from the one that it
    /// was.
    fn leaves_a_sign(self) -> bool {
        self == Self::Dump
    }
}

/// A store, its servers, and the tokens that were killed after the backup.
struct Stage {
    cluster: Cluster,
    site: Site,
    asker: Agent,
    agent: Agent,
    servers: Vec<Server>,
    killed: Vec<String>,
}

impl Stage {
    async fn new(way: Way) -> Self {
        let cluster = Cluster::start().await;
        if way == Way::PointInTime {
            cluster.archive();
        }
        let site = Site::postgres(&cluster).await;
        let (asker, agent) = (
            site.agent("asker", "unlimited"),
            site.agent("agent", "unlimited"),
        );
        let servers = (0..2).map(|_| site.start()).collect();
        Self {
            cluster,
            site,
            asker,
            agent,
            servers,
            killed: vec![],
        }
    }

    fn clients(&self) -> impl Iterator<Item = Client> {
        self.servers.iter().map(Server::client)
    }

    /// Kills tokens in each way: one by one, and all of an agent.
    async fn kill(&mut self, before: &[String]) {
        let mut client = self.servers[0].client();
        let later = client.issue(&self.agent).await.token();
        for token in before.iter().take(1).chain([&later]) {
            assert_eq!(client.revoke(&self.agent, token).await.status, 200);
        }
        self.site.must(&["agent", "suspend", &self.agent.id]);
        self.killed.extend(before.iter().cloned());
        self.killed.push(later);
        // Every server has seen the kills.
        let version = self.version().await;
        for mut client in self.clients() {
            eventually("the list has the kills", async || {
                let list = client.get("/oauth/revoked-tokens").await.json();
                list["version"].as_i64() >= Some(version)
            })
            .await;
        }
    }

    async fn version(&self) -> i64 {
        let mut client = self.servers[0].client();
        let list = client.get("/oauth/revoked-tokens").await.json();
        list["version"].as_i64().unwrap()
    }

    async fn stop_servers(&mut self) {
        for mut server in self.servers.drain(..) {
            server.terminate();
            server.ended().await;
        }
    }

    /// Waits until no server serves from the store, and until the store is marked.
    async fn closes(&self, way: Way) {
        for mut client in self.clients() {
            let took = eventually("the server notices the restore", async || {
                client.get("/readyz").await.text().contains("restore")
            })
            .await;
            println!("{way:?}: noticed after {} ms", took.as_millis());
            assert_eq!(client.issue(&self.asker).await.status, 503);
            assert_eq!(client.get("/.well-known/jwks.json").await.status, 200);
        }
    }

    async fn is_all_dead(&self) {
        for mut client in self.clients() {
            eventually("the server serves again", async || {
                client.get("/readyz").await.status == 200
            })
            .await;
            for token in &self.killed {
                let found = client.introspect(&self.asker, token).await;
                assert!(!found.active(), "revived: {}", claims(token));
            }
            // The backup knows the agent as an active one.
            let new = client.issue(&self.agent).await.token();
            assert!(client.introspect(&self.asker, &new).await.active());
        }
    }
}

async fn play_one(way: Way, keeps_running: bool) {
    let mut stage = Stage::new(way).await;
    let mut client = stage.servers[0].client();
    let before = [
        client.issue(&stage.agent).await.token(),
        client.issue(&stage.agent).await.token(),
    ];
    drop(client);
    let backup = match way {
        Way::Dump => stage.cluster.dump_file(&stage.site.database),
        Way::BaseBackup | Way::PointInTime => stage.cluster.base_backup(),
    };
    let target = match way {
        Way::PointInTime => Some(stage.cluster.now(&stage.site.database).await),
        Way::Dump | Way::BaseBackup => None,
    };
    stage.kill(&before).await;
    if !keeps_running {
        stage.stop_servers().await;
    }
    // One backup makes two lives, which share nothing.
    for _ in 0..scaled(1, 2) {
        restore(&stage, &backup, target.as_deref()).await;
        if keeps_running {
            stage.closes(way).await;
        } else if way.leaves_a_sign() {
            let Err((_, said)) = stage.site.start_or_refusal() else {
                panic!("{way:?}: a server serves a restored store");
            };
            assert!(said.contains("sealwright restore --acknowledge"), "{said}");
        }
        if keeps_running || way.leaves_a_sign() {
            stage.site.must(&["restore", "--acknowledge"]);
        } else {
            let refused = stage.site.run(&["restore", "--acknowledge"]);
            assert_eq!(refused.status.code(), Some(1));
            stage.site.must(&["restore", "--acknowledge", "--force"]);
        }
        if !keeps_running {
            stage.servers = (0..2).map(|_| stage.site.start()).collect();
        }
        stage.is_all_dead().await;
        let mut client = stage.servers[0].client();
        let last = client.issue(&stage.agent).await.token();
        stage.killed.push(last);
        drop(client);
        stage
            .site
            .must(&["agent", "revoke-tokens", &stage.agent.id]);
        if !keeps_running {
            stage.stop_servers().await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    stage.site.must(&["audit", "verify"]);
}

async fn restore(stage: &Stage, backup: &Backup, target: Option<&str>) {
    match backup {
        Backup::Dump(file) => stage.cluster.restore_dump(&stage.site.database, file).await,
        Backup::Files(folder) => stage.cluster.restore_files(folder, target).await,
    }
}

#[test]
fn what_was_killed_stays_dead_when_a_dump_is_restored_under_running_servers() {
    play(play_one(Way::Dump, true));
}

#[test]
fn what_was_killed_stays_dead_when_a_dump_is_restored_with_servers_stopped() {
    play(play_one(Way::Dump, false));
}

#[test]
fn what_was_killed_stays_dead_when_a_base_backup_is_restored_under_running_servers() {
    play(play_one(Way::BaseBackup, true));
}

#[test]
fn what_was_killed_stays_dead_when_a_base_backup_is_restored_with_servers_stopped() {
    play(play_one(Way::BaseBackup, false));
}

#[test]
fn what_was_killed_stays_dead_after_a_recovery_to_a_point_in_time_under_running_servers() {
    play(play_one(Way::PointInTime, true));
}

#[test]
fn what_was_killed_stays_dead_after_a_recovery_to_a_point_in_time_with_servers_stopped() {
    play(play_one(Way::PointInTime, false));
}
