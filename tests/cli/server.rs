//! Commands and a running server on one SQLite file.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Home, text};

/// A server on a port of its own, killed when the test ends.
pub struct Server {
    pub home: Home,
    child: Child,
    base: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port that this process has not drawn before, below the range from which the system takes
/// the ports of clients.
pub fn free_port() -> u16 {
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    loop {
        let drawn = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed));
        let port = 11_000 + u16::try_from(drawn % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn start() -> Server {
    start_in(Home::new())
}

/// Starts a server on the store of this home.
pub fn start_in(home: Home) -> Server {
    let listen = format!("127.0.0.1:{}", free_port());
    let home = home.with("SEALWRIGHT_SERVER__LISTEN", &listen).with(
        "SEALWRIGHT_SERVER__OPS_LISTEN",
        &format!("127.0.0.1:{}", free_port()),
    );
    assert_eq!(
        home.run(&["healthcheck"]).code,
        1,
        "something else listens on {listen}"
    );
    let child = home
        .command(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server {
        home,
        child,
        base: format!("http://{listen}"),
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.home.run(&["healthcheck"]).code != 0 {
        assert!(
            server.child.try_wait().unwrap().is_none(),
            "the server ended"
        );
        assert!(Instant::now() < deadline, "the server is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

impl Server {
    /// Stops the server in order, and returns what it logged.
    pub fn stop(&mut self) -> String {
        stop(self);
        let mut log = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut log).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{log}");
        log
    }

    /// Waits until the server has ended by itself. Returns its exit code and what it said on stderr.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (code, said)
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The home of a server that has stopped.
    pub fn take_home(&mut self) -> Home {
        std::mem::replace(&mut self.home, Home::new())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let reply = reqwest::Client::new()
            .post(format!("{}{path}", self.base))
            .form(form)
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    pub async fn token(&self, id: &str, secret: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        self.post("/api/v1/token", &form).await
    }
}

#[tokio::test]
async fn what_a_command_changes_holds_on_the_servers_next_request() {
    let server = start();
    let home = &server.home;
    let made = home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "tokens:read",
    ]);
    let secret = text(&made["clientSecret"]);
    let (status, reply) = server.token("a", secret).await;
    assert_eq!(status, 200, "{reply}");
    let token = text(&reply["access_token"]).to_owned();
    assert_eq!(home.json(&["agent", "show", "a"])["usage"]["issued"], 1);

    let found = home.json(&["token", "inspect", &token]);
    assert_eq!(
        (&found["verdict"], &found["claims"]["sub"]),
        (&json!("active"), &json!("a"))
    );
    home.json(&["agent", "suspend", "a"]);
    assert_eq!(server.token("a", secret).await.0, 403);
    assert_eq!(
        home.json(&["token", "inspect", &token])["verdict"],
        "agent_suspended"
    );
    home.json(&["agent", "reactivate", "a"]);
    assert_eq!(
        home.json(&["token", "inspect", &token])["verdict"],
        "killed"
    );
    let (status, reply) = server.token("a", secret).await;
    assert_eq!(status, 200, "{reply}");
    let token = text(&reply["access_token"]).to_owned();

    let jti = home.json(&["token", "inspect", &token])["claims"]["jti"].clone();
    let revoked = home.json(&["token", "revoke", "--jti", text(&jti)]);
    assert_eq!(revoked["agentId"], "a");
    assert_eq!(
        home.json(&["token", "inspect", &token])["verdict"],
        "revoked"
    );
    let form = [
        ("client_id", "a"),
        ("client_secret", secret),
        ("token", &*token),
    ];
    assert_eq!(
        server.post("/api/v1/token/introspect", &form).await,
        (200, json!({"active": false}))
    );

    let rotated = home.json(&["agent", "rotate-secret", "a"]);
    assert_eq!(server.token("a", secret).await.0, 401);
    assert_eq!(
        server.token("a", text(&rotated["clientSecret"])).await.0,
        200
    );
    home.json(&["agent", "decommission", "a"]);
    assert_eq!(
        server.token("a", text(&rotated["clientSecret"])).await.0,
        403
    );
}

#[tokio::test]
async fn imported_agents_use_the_secrets_that_they_had() {
    let server = start();
    // A bcrypt hash of "correct horse" with cost 4, made by another library.
    let hash = bcrypt::hash("correct horse", 4).unwrap();
    let lines = format!(
        "{{\"clientId\":\"hashed\",\"secretHash\":\"{hash}\",\"scopes\":\"agents:read\"}}\n\
         {{\"clientId\":\"clear\",\"secret\":\"battery staple\",\"scopes\":\"agents:read\"}}\n\
         {{\"clientId\":\"stopped\",\"secret\":\"battery staple\",\"scopes\":\"agents:read\",\"status\":\"suspended\"}}\n"
    );
    server.home.write("a.jsonl", lines);
    assert_eq!(
        server.home.json(&["agent", "import", "a.jsonl"])["imported"],
        3
    );
    assert_eq!(server.token("hashed", "correct horse").await.0, 200);
    assert_eq!(server.token("hashed", "wrong horse").await.0, 401);
    assert_eq!(server.token("clear", "battery staple").await.0, 200);
    assert_eq!(server.token("clear", "battery").await.0, 401);
    assert_eq!(server.token("stopped", "battery staple").await.0, 403);
    server.home.json(&["agent", "reactivate", "stopped"]);
    assert_eq!(server.token("stopped", "battery staple").await.0, 200);
}

#[tokio::test]
async fn a_first_start_makes_an_operator_and_prints_no_secret() {
    let mut server = start();
    let file = std::fs::read_to_string(server.home.path("sealwright-data/operator.env")).unwrap();
    let value = |name: &str| {
        file.lines()
            .find_map(|l| l.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    let secret = value("CLIENT_SECRET=");
    assert_eq!(server.token(&value("CLIENT_ID="), &secret).await.0, 200);
    stop(&server);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let (mut stdout, mut stderr) = (String::new(), String::new());
    server
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    server
        .child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let told = stdout.lines().chain(stderr.lines());
    let line = told
        .filter(|line| line.starts_with(". sealwright-data/operator.env && curl -s "))
        .count();
    assert_eq!(line, 1, "{stdout}{stderr}");
    assert!(!stdout.contains(&secret) && !stderr.contains(&secret));
}

#[test]
fn a_second_server_on_one_file_is_refused_and_a_dead_one_leaves_no_lock() {
    let mut server = start();
    let second = server.home.run(&[
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        "server.ops_listen=127.0.0.1:0",
        "serve",
    ]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("another server"), "{second:?}");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    server.child = server
        .home
        .command(&["serve"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.home.run(&["healthcheck"]).code != 0 {
        assert!(Instant::now() < deadline, "the server is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_clean_stop_leaves_the_store_in_one_file() {
    let server = start();
    stop(&server);
    let deadline = Instant::now() + Duration::from_secs(30);
    let log = server.home.path("sealwright-data/sealwright.db-wal");
    while log.exists() {
        assert!(
            Instant::now() < deadline,
            "the write-ahead log is still there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn stop(server: &Server) {
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
}

#[test]
fn systemd_hears_that_a_server_serves_reads_its_configuration_and_stops() {
    let home = Home::new();
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let timeout = Some(Duration::from_secs(30));
    socket.set_read_timeout(timeout).unwrap();
    let heard = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let settings = home
        .with("NOTIFY_SOCKET", path.to_str().unwrap())
        .with("SEALWRIGHT_SERVER__DRAIN_SECONDS", "40");
    let mut server = start_in(settings);
    assert_eq!(heard(), "READY=1\nSTATUS=serving");
    kill_process(Pid::from_child(&server.child), Signal::HUP).unwrap();
    let reloading = heard();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(heard(), "READY=1\nSTATUS=serving");
    server.stop();
    let stopping = heard();
    assert!(
        stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=55000000\n"),
        "{stopping}"
    );
}

#[test]
fn a_server_says_which_store_it_opened_and_that_its_issuer_is_another_address() {
    let mut server = start();
    let log = server.stop();
    let line = |message: &str| {
        let mut lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .rfind(|line| {
                let said = line["message"].as_str();
                said.is_some_and(|said| said.contains(message))
            })
            .unwrap()
    };
    let serving = line("serving");
    assert_eq!(
        text(&serving["database"]),
        "sqlite://sealwright-data/sealwright.db"
    );
    assert_eq!(text(&serving["schema"]), "main");
    assert!(serving["schema_version"].as_i64().unwrap() >= 16);
    assert_eq!(serving["generation"].as_i64(), Some(1));
    assert_eq!(text(&line("token.issuer is")["level"]), "WARN");
}

#[test]
fn a_token_is_got_with_a_secret_from_a_file_or_the_environment() {
    let server = start();
    let made = server.home.json(&[
        "agent",
        "create",
        "--name",
        "a",
        "--client-id",
        "a",
        "--scope",
        "agents:read tokens:read",
    ]);
    let secret = text(&made["clientSecret"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    for content in [
        format!("{secret}\n"),
        format!("CLIENT_ID=a\nCLIENT_SECRET={secret}\n"),
    ] {
        std::fs::write(&file, content).unwrap();
        let got = server
            .home
            .run(&["token", "get", "a", "--secret-file", path]);
        assert_eq!((got.code, got.stderr.as_str()), (0, ""));
        let token = got.stdout.trim_end();
        let inspected = server.home.json(&["token", "inspect", token]);
        assert_eq!(inspected["active"], true);
    }
    let by_url = ["--scope", "tokens:read", "--url", &server.base];
    let get = [&["token", "get", "a", "--secret-file", path][..], &by_url].concat();
    let reply = server.home.json(&get);
    assert_eq!(reply["scope"], "tokens:read");
    server
        .home
        .run(&["token", "get", "b", "--secret-file", path])
        .refused(1, "invalid_client");
    server
        .home
        .run(&["token", "get", "a"])
        .refused(2, "no secret");
    server
        .home
        .run(&["token", "get", "a", "--url", "https://tokens.example"])
        .refused(2, "without TLS");
    let speaks_tls = [
        "--set",
        "server.tls_cert=c.pem",
        "--set",
        "server.tls_key=k.pem",
    ];
    let get = ["token", "get", "a", "--secret-file", path];
    server
        .home
        .run(&[&speaks_tls[..], &get].concat())
        .refused(2, "speaks TLS");
    let home = server.home.command(&["token", "get", "a"]);
    let mut command = home;
    let output = command.env("CLIENT_SECRET", secret).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
