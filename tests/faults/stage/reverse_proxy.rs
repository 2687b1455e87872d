//! Reverse proxies as separate processes in front of a server.
//!
//! The program of a proxy is looked for in `PATH`, and in the folder where `tests/clients/run`
//! keeps what it installs. Its configuration file is in `proxies/`.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, kill_process_group};
use tempfile::TempDir;
use tokio::time::timeout;

use super::client::{Client, get};
use super::server::{Server, process_id};
use super::{GENEROUS, free_port, pause};

/// A kind of reverse proxy.
pub struct Kind {
    pub name: &'static str,
    /// The name of its program.
    program: &'static str,
    /// How a machine gets the program.
    brought_by: &'static str,
    /// The text of its configuration file, with `LISTEN` and `UPSTREAM` for the two ports.
    file: &'static str,
    /// The program's arguments, which may also contain `FILE` and `FOLDER`.
    arguments: &'static [&'static str],
}

pub const CADDY: Kind = Kind {
    name: "Caddy",
    program: "caddy",
    brought_by: "tests/clients/run caddy",
    file: include_str!("../proxies/Caddyfile"),
    arguments: &["run", "--adapter", "caddyfile", "--config", "FILE"],
};

pub const TRAEFIK: Kind = Kind {
    name: "Traefik",
    program: "traefik",
    brought_by: "tests/clients/run traefik",
    file: include_str!("../proxies/traefik.yml"),
    arguments: &[
        "--entrypoints.web.address=127.0.0.1:LISTEN",
        "--providers.file.filename=FILE",
        "--global.checknewversion=false",
        "--log.level=ERROR",
    ],
};

pub const HAPROXY: Kind = Kind {
    name: "HAProxy",
    program: "haproxy",
    brought_by: "the system's package haproxy",
    file: include_str!("../proxies/haproxy.cfg"),
    arguments: &["-db", "-f", "FILE"],
};

pub const ENVOY: Kind = Kind {
    name: "Envoy",
    program: "envoy",
    brought_by: "tests/clients/run envoy-ext-authz",
    file: include_str!("../proxies/envoy.yaml"),
    arguments: &[
        "--config-path",
        "FILE",
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--use-dynamic-base-id",
    ],
};

pub const NGINX: Kind = Kind {
    name: "nginx",
    program: "nginx",
    brought_by: "tests/clients/run nginx",
    file: include_str!("../proxies/nginx.conf"),
    arguments: &["-p", "FOLDER", "-e", "stderr", "-c", "FILE"],
};

pub const GO: Kind = Kind {
    name: "a Go reverse proxy",
    program: "go",
    brought_by: "the Go toolchain",
    file: include_str!("../proxies/proxy.go"),
    arguments: &[],
};

impl Kind {
    /// Starts a proxy in front of `server`, or returns why it cannot run on this machine.
    pub async fn start(&self, server: &Server) -> Result<ReverseProxy, String> {
        let Some(program) = find(self.program) else {
            return Err(format!(
                "needs the program `{}`, which {} brings",
                self.program, self.brought_by
            ));
        };
        let folder = tempfile::tempdir().unwrap();
        let (listen, upstream) = (free_port().to_string(), server.address.port().to_string());
        let file = folder.path().join(if self.program == "go" {
            "proxy.go"
        } else {
            "proxy.yml"
        });
        let complete = |text: &str| {
            text.replace("LISTEN", &listen)
                .replace("UPSTREAM", &upstream)
                .replace("FILE", file.to_str().unwrap())
                .replace("FOLDER", folder.path().to_str().unwrap())
        };
        std::fs::write(&file, complete(self.file)).unwrap();
        let program = if self.program == "go" {
            build(&program, &file)
        } else {
            program
        };
        let mut command = Command::new(program);
        command.args(self.arguments.iter().map(|argument| complete(argument)));
        // Some proxies keep files in the user's folders.
        for name in ["HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, folder.path());
        }
        let log = folder.path().join("log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        // Some proxies are started by a script, so they need a process group that can be killed as
        // a whole.
        command.process_group(0);
        let address = format!("127.0.0.1:{listen}").parse().unwrap();
        let mut proxy = ReverseProxy {
            name: self.name,
            child: command.spawn().unwrap(),
            address,
            log,
            _folder: folder,
        };
        timeout(GENEROUS, proxy.serves())
            .await
            .unwrap_or_else(|_| panic!("{} does not serve: {}", self.name, proxy.said()));
        Ok(proxy)
    }
}

/// A running reverse proxy. Dropping it kills its process group.
pub struct ReverseProxy {
    name: &'static str,
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
    _folder: TempDir,
}

impl ReverseProxy {
    async fn serves(&mut self) {
        loop {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{} ended: {ended:?}: {}",
                self.name,
                self.said()
            );
            let asked = Client::new(self.address).send(&get("/livez", "")).await;
            if asked.is_ok_and(|reply| reply.status == 200) {
                return;
            }
            pause(50).await;
        }
    }

    /// The text of its log.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        let _ = kill_process_group(process_id(self.child.id()), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Finds a program in `PATH`, in the usual folders, or in the packages of the clients' tests.
pub fn find(program: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(
        [
            "/usr/sbin",
            "/usr/bin",
            "/usr/local/sbin",
            "/usr/local/go/bin",
        ]
        .map(PathBuf::from),
    );
    folders.extend(packages());
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The folders of programs that `tests/clients/run` has installed.
fn packages() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = folder("SEALWRIGHT_CLIENTS_CACHE").or_else(|| {
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Some(cache?.join("sealwright-clients"))
    });
    let kits = cache.and_then(|cache| std::fs::read_dir(cache).ok());
    let kits = kits
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|kit| kit.path());
    // A package whose installation did not finish has no such file.
    kits.filter(|kit| kit.join("installed").is_file())
        .map(|kit| kit.join("bin"))
        .collect()
}

/// Builds a Go program of one file, beside that file.
fn build(go: &Path, file: &Path) -> PathBuf {
    let program = file.with_extension("");
    let mut command = Command::new(go);
    command
        .arg("build")
        .arg("-o")
        .arg(&program)
        .arg(file)
        .env("GOTOOLCHAIN", "local");
    let output = command
        .current_dir(file.parent().unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}
