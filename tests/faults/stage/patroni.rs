//! Three PostgreSQL nodes under Patroni with etcd, from the files of `deploy/patroni`.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cluster::{Frozen, give_to_user, processes, programs, user};
use super::reverse_proxy::find;
use super::server::process_id;
use super::{eventually, free_port, pause};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/patroni/patroni.yml");
const NAMES: [&str; 3] = ["one", "two", "three"];
/// The longest time until all nodes follow the leader.
const SETTLING_TIMEOUT: Duration = Duration::from_mins(5);

const PASSWORD: &str = "a-password-of-these-tests";

struct Node {
    name: &'static str,
    port: u16,
    rest: u16,
    client: u16,
    peer: u16,
    etcd: Option<Child>,
    patroni: Option<Child>,
}

/// The nodes. They end with this value.
pub struct Nodes {
    folder: TempDir,
    all: Vec<Node>,
    etcd: PathBuf,
    patroni: PathBuf,
}

impl Nodes {
    /// Starts the nodes and makes a role and a database, or says why this machine cannot.
    pub async fn start() -> Result<Self, String> {
        let program = |name| find(name).ok_or_else(|| format!("needs the program `{name}`"));
        let (etcd, patroni) = (program("etcd")?, program("patroni")?);
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(FILE, folder.path().join("patroni.yml")).unwrap();
        give_to_user(folder.path());
        let node = |name| Node {
            name,
            port: free_port(),
            rest: free_port(),
            client: free_port(),
            peer: free_port(),
            etcd: None,
            patroni: None,
        };
        let mut nodes = Self {
            folder,
            all: NAMES.map(node).into_iter().collect(),
            etcd,
            patroni,
        };
        nodes.start_etcd();
        for place in 0..NAMES.len() {
            nodes.start_node(place);
        }
        eventually("a node becomes the leader", async || {
            nodes.leader().await.is_some()
        })
        .await;
        nodes.settled().await;
        let leader = nodes.leader().await.unwrap();
        let mut conn = PgConnection::connect(&nodes.url_as_superuser(leader))
            .await
            .unwrap();
        for sql in [
            "create role sealwright login password 'sealwright'",
            "create database sealwright owner sealwright",
        ] {
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        }
        Ok(nodes)
    }

    fn join(&self, part: impl Fn(&Node) -> String) -> String {
        let parts: Vec<String> = self.all.iter().map(part).collect();
        parts.join(",")
    }

    /// A program as the user that runs PostgreSQL, which refuses to run as root.
    fn command(&self, program: &Path, log: &str) -> Command {
        let mut command = Command::new(program);
        let out = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(log))
            .unwrap();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        if geteuid().is_root() {
            let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
            let name = format!("{}:", user());
            let line = accounts
                .lines()
                .find(|line| line.starts_with(&name))
                .unwrap();
            let number = |place| line.split(':').nth(place).unwrap().parse().unwrap();
            command.uid(number(2)).gid(number(3));
        }
        command
    }

    /// Starts etcd on every node, for the first time or after its loss.
    pub fn start_etcd(&mut self) {
        let members = self.join(|node| format!("{}=http://127.0.0.1:{}", node.name, node.peer));
        for place in 0..self.all.len() {
            let node = &self.all[place];
            let (client, peer) = (
                format!("http://127.0.0.1:{}", node.client),
                format!("http://127.0.0.1:{}", node.peer),
            );
            let mut command = self.command(&self.etcd, &format!("etcd-{}.log", node.name));
            command.args([
                "--name",
                node.name,
                "--data-dir",
                &format!("etcd-{}", node.name),
            ]);
            command.args([
                "--initial-cluster",
                &members,
                "--initial-cluster-token",
                "sealwright",
            ]);
            command.args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ]);
            command.args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ]);
            self.all[place].etcd = Some(command.spawn().unwrap());
        }
    }

    /// SIGKILL to etcd on every node.
    pub fn kill_etcd(&mut self) {
        for node in &mut self.all {
            end(&mut node.etcd);
        }
    }

    /// Starts Patroni on a node, for the first time or after its loss.
    pub fn start_node(&mut self, place: usize) {
        let node = &self.all[place];
        let mut command = self.command(&self.patroni, &format!("patroni-{}.log", node.name));
        let (postgres, rest) = (
            format!("127.0.0.1:{}", node.port),
            format!("127.0.0.1:{}", node.rest),
        );
        command
            .arg("patroni.yml")
            .env("PATRONI_NAME", node.name)
            .env(
                "PATRONI_ETCD3_HOSTS",
                self.join(|node| format!("127.0.0.1:{}", node.client)),
            )
            .env("PATRONI_POSTGRESQL_BIN_DIR", programs())
            .env("PATRONI_POSTGRESQL_DATA_DIR", self.data(place))
            .env("PATRONI_POSTGRESQL_LISTEN", &postgres)
            .env("PATRONI_POSTGRESQL_CONNECT_ADDRESS", &postgres)
            .env("PATRONI_RESTAPI_LISTEN", &rest)
            .env("PATRONI_RESTAPI_CONNECT_ADDRESS", &rest)
            .env("PATRONI_SUPERUSER_USERNAME", "postgres")
            .env("PATRONI_SUPERUSER_PASSWORD", PASSWORD)
            .env("PATRONI_REPLICATION_USERNAME", "replicator")
            .env("PATRONI_REPLICATION_PASSWORD", PASSWORD);
        self.all[place].patroni = Some(command.spawn().unwrap());
    }

    fn data(&self, place: usize) -> PathBuf {
        self.folder
            .path()
            .join(format!("data-{}", self.all[place].name))
    }

    /// The node that is the leader, as it says itself.
    pub async fn leader(&self) -> Option<usize> {
        for (place, node) in self.all.iter().enumerate() {
            if is_200(node.rest, "/leader").await {
                return Some(place);
            }
        }
        None
    }

    /// Waits until each node is a leader or a standby, and one of these is synchronous. A node that
    /// comes back may have to copy the data anew.
    pub async fn settled(&self) {
        let began = Instant::now();
        while !self.is_settled().await {
            assert!(
                began.elapsed() < SETTLING_TIMEOUT,
                "the nodes do not settle: {}",
                self.last_words()
            );
            pause(200).await;
        }
    }

    /// The end of what Patroni wrote on each node.
    fn last_words(&self) -> String {
        let end = |node: &Node| {
            let file = self
                .folder
                .path()
                .join(format!("patroni-{}.log", node.name));
            let log = std::fs::read_to_string(file).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!(
                "{}:\n{}",
                node.name,
                lines[lines.len().saturating_sub(12)..].join("\n")
            )
        };
        self.all.iter().map(end).collect::<Vec<_>>().join("\n")
    }

    async fn is_settled(&self) -> bool {
        let (mut whole, mut synchronous) = (0, 0);
        for node in &self.all {
            let leads = is_200(node.rest, "/leader").await;
            whole += usize::from(leads || is_200(node.rest, "/replica").await);
            synchronous += usize::from(is_200(node.rest, "/sync").await);
        }
        whole == self.all.len() && synchronous == 1
    }

    /// SIGKILL to Patroni and PostgreSQL of a node, as when its machine is lost.
    pub fn kill(&mut self, place: usize) {
        let data = self.data(place);
        end(&mut self.all[place].patroni);
        if !data.join("postmaster.pid").exists() {
            return;
        }
        for pid in processes(&data) {
            // The first of them ends the others.
            let _ = kill_process(process_id(pid), Signal::KILL);
        }
    }

    /// Stops Patroni and PostgreSQL of a node without ending them, until the value is dropped.
    pub fn freeze(&self, place: usize) -> Frozen {
        let patroni = self.all[place].patroni.as_ref().map(Child::id);
        Frozen::all(
            patroni
                .into_iter()
                .chain(processes(&self.data(place)))
                .collect(),
        )
    }

    /// The URL of the store on all nodes.
    pub fn url(&self) -> String {
        let hosts = self.join(|node| format!("127.0.0.1:{}", node.port));
        format!("postgres://sealwright:sealwright@{hosts}/sealwright")
    }

    /// The URL of the store on one node.
    pub fn url_at(&self, place: usize) -> String {
        format!(
            "postgres://sealwright:sealwright@127.0.0.1:{}/sealwright",
            self.all[place].port
        )
    }

    fn url_as_superuser(&self, place: usize) -> String {
        format!(
            "postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres",
            self.all[place].port
        )
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for place in 0..self.all.len() {
            self.kill(place);
        }
        self.kill_etcd();
    }
}

/// SIGKILL to a process that this one started.
fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Whether a GET of Patroni's REST API is answered with 200.
async fn is_200(port: u16, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .await?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await?;
        std::io::Result::Ok(read)
    };
    let read = timeout(Duration::from_secs(2), asked).await;
    read.is_ok_and(|read| read.is_ok_and(|read| read.starts_with(b"HTTP/1.0 200")))
}
