//! A private Postgres for the time of the run, with the settings of a default installation.
//!
//! Nothing is tuned and nothing is switched off. The settings are those that `initdb` writes,
//! except the listener: a socket in a private folder, and a free port for clients that need one.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::cores::Cores;
use crate::server::free_address;
use crate::{Fallible, Problem};

/// The settings that affect durability and cost. The report shows them with the figures.
const SHOWN: [&str; 9] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
];

const DEFAULT_PORT: u16 = 5432;

pub struct Postgres {
    postmaster: Child,
    folder: PathBuf,
    /// Names the socket, and the port on the loopback address if it listens there.
    port: u16,
}

/// Where a cluster listens besides its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    OnSocket,
    /// On the loopback address as well, for clients that cannot use a socket.
    OnLoopback,
}

impl Postgres {
    /// Creates a cluster in `folder`, which must exist, and starts it on the cores of the server.
    pub fn start(folder: &Path, cores: &Cores, listens: Listens) -> Fallible<Self> {
        let binaries = find_binaries().ok_or(
            "no PostgreSQL here: install the system's package (Debian: apt-get install postgresql), \
             or measure SQLite alone with --only sqlite",
        )?;
        let owner = owner(folder)?;
        let data = folder.join("data");
        let log = folder.join("postgres.log");
        let as_owner = |program: &str| -> Fallible<Command> {
            let mut command = Command::new(binaries.join(program));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            let log = File::options().create(true).append(true).open(&log)?;
            command
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log);
            Ok(command)
        };
        let initdb = as_owner("initdb")?
            .args([
                "-U",
                "sealwright",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .status()?;
        if !initdb.success() {
            return Err(said("initdb failed", &log));
        }
        let (port, addresses) = match listens {
            Listens::OnSocket => (DEFAULT_PORT, ""),
            Listens::OnLoopback => (free_address()?.port(), "127.0.0.1"),
        };
        let mut postgres = as_owner("postgres")?;
        postgres
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder)
            .args(["-p", &port.to_string()])
            .args(["-c", &format!("listen_addresses={addresses}")]);
        let postmaster = cores.start_served(|| postgres.spawn())??;
        let mut started = Self {
            postmaster,
            folder: folder.to_owned(),
            port,
        };
        started
            .wait()
            .map_err(|problem| said(&problem.to_string(), &log))?;
        Ok(started)
    }

    fn wait(&mut self) -> Fallible<()> {
        let begun = Instant::now();
        loop {
            let connected = crate::block_on(async {
                let conn = PgConnection::connect(&self.url("postgres")).await?;
                Ok(conn.close().await?)
            });
            match connected {
                Ok(()) => return Ok(()),
                Err(_) if self.postmaster.try_wait()?.is_some() => {
                    return Err("Postgres ended".into());
                }
                Err(error) if begun.elapsed() > Duration::from_mins(1) => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The process id of the postmaster.
    pub fn process(&self) -> u32 {
        self.postmaster.id()
    }

    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://sealwright@localhost:{}/{database}?host={}",
            self.port,
            self.folder.display()
        )
    }

    /// A database's place as clients over TCP write it, without scheme and user.
    pub fn place_on_loopback(&self, database: &str) -> String {
        format!("127.0.0.1:{}/{database}", self.port)
    }

    pub fn create_database(&self, name: &str) -> Fallible<String> {
        self.execute("postgres", &format!("create database {name}"))?;
        Ok(self.url(name))
    }

    /// Runs statements on a new connection.
    pub fn execute(&self, database: &str, sql: &str) -> Fallible<()> {
        crate::block_on(async {
            let mut conn = PgConnection::connect(&self.url(database)).await?;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut conn)
                .await?;
            Ok(conn.close().await?)
        })
    }

    /// The settings on which the figures depend.
    pub fn settings(&self) -> Fallible<Vec<(String, String)>> {
        crate::block_on(async {
            let mut conn = PgConnection::connect(&self.url("postgres")).await?;
            let mut shown = Vec::new();
            for name in SHOWN {
                let sql = AssertSqlSafe(format!("show {name}"));
                shown.push((
                    name.to_owned(),
                    sqlx::query_scalar(sql).fetch_one(&mut conn).await?,
                ));
            }
            conn.close().await?;
            Ok(shown)
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let process = i32::try_from(self.postmaster.id())
            .ok()
            .and_then(Pid::from_raw);
        // SIGQUIT ends Postgres at once. That is safe, since its data is deleted with the folder.
        if let Some(process) = process
            && kill_process(process, Signal::QUIT).is_ok()
        {
            let _ = self.postmaster.wait();
        }
    }
}

/// The user and group that own the cluster. Postgres refuses to run as root, so root gives the
/// folder to another user. `None` means the current user.
fn owner(folder: &Path) -> Fallible<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (user, group) = ids("postgres")
        .or_else(|| ids("nobody"))
        .ok_or("no user to run Postgres as")?;
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

/// The folder that holds initdb and postgres. Prefers the newest version.
fn find_binaries() -> Option<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = Vec::new();
    for (root, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
    ] {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(version) = name.strip_prefix(prefix) {
                folders.push((version.parse().unwrap_or(0), entry.path().join(below)));
            }
        }
    }
    folders.sort_unstable();
    let mut found: Vec<PathBuf> = folders
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .collect();
    found.extend(crate::machine::first_line("pg_config", &["--bindir"]).map(PathBuf::from));
    found
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// An error with the end of the log, which explains the failure.
fn said(what: &str, log: &Path) -> Problem {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "{what}\n{}",
        lines[lines.len().saturating_sub(15)..].join("\n")
    )
    .into()
}
