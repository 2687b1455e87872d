//! A private PostgreSQL that a test may stop and kill.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, geteuid};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::server::{signal, signal_all};
use super::{eventually, free_port, pause};

/// One PostgreSQL server with its own folder, on loopback.
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    databases: AtomicU32,
    /// Stops the server when this process ends, even if it is killed: the guard's standard input
    /// closes then.
    guard: Child,
}

impl Cluster {
    pub async fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        give_to_user(folder.path());
        let port = free_port();
        let text = data.to_str().unwrap();
        let initdb = programs.join("initdb");
        run(&mut as_user(&[
            initdb.to_str().unwrap(),
            "-D",
            text,
            "-U",
            "sealwright",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        // `fsync` is off: the tests kill processes but never the machine, so data that was handed
        // to the system survives.
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n\
             max_connections = 200\nmax_prepared_transactions = 4\nshared_buffers = 32MB\nlog_min_messages = warning\nrestart_after_crash = on\n"
        );
        // This process appends the settings. If it is root, it may write to the folder of another
        // user.
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .unwrap();
        std::io::Write::write_all(&mut file, settings.as_bytes()).unwrap();
        drop(file);
        let cluster = Self::guarded(programs, folder, port);
        cluster.start_again().await;
        cluster
    }

    /// The cluster in this folder, which stops when this process ends.
    fn guarded(programs: PathBuf, folder: TempDir, port: u16) -> Self {
        let data = folder.path().join("data");
        let text = data.to_str().unwrap();
        let control = programs.join("pg_ctl");
        let stop = as_user_words(&[
            control.to_str().unwrap(),
            "-D",
            text,
            "-m",
            "immediate",
            "stop",
        ]);
        let stop: Vec<String> = stop.iter().map(|word| format!("\"{word}\"")).collect();
        let watch = format!(
            "trap '' INT TERM HUP; read -r _; {} >/dev/null 2>&1; rm -rf '{}'",
            stop.join(" "),
            folder.path().display()
        );
        let guard = Command::new("sh")
            .args(["-c", &watch])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            programs,
            folder,
            port,
            databases: AtomicU32::new(0),
            guard,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self, arguments: &[&str]) -> Output {
        let (program, log) = (
            self.programs.join("pg_ctl"),
            self.folder.path().join("data").join("log"),
        );
        let data = self.data();
        let [program, data, log] = [&program, &data, &log].map(|path| path.to_str().unwrap());
        as_user(&[&[program, "-D", data, "-l", log, "-w"], arguments].concat())
            .output()
            .unwrap()
    }

    /// Starts the server, for the first time or after a stop or a kill. After a kill, the old
    /// server's processes may still run for a moment, and a start is refused until they have ended.
    pub async fn start_again(&self) {
        eventually("PostgreSQL starts", async || {
            self.control(&["start"]).status.success()
        })
        .await;
    }

    /// `pg_ctl stop -m immediate`, which acts like a crash.
    pub fn stop_at_once(&self) {
        let stopped = self.control(&["-m", "immediate", "stop"]);
        assert!(
            stopped.status.success(),
            "{}",
            String::from_utf8_lossy(&stopped.stderr)
        );
    }

    /// `pg_ctl restart -m fast`, which administrators use.
    pub fn restart(&self) {
        let restarted = self.control(&["-m", "fast", "restart"]);
        assert!(
            restarted.status.success(),
            "{}",
            String::from_utf8_lossy(&restarted.stderr)
        );
    }

    /// SIGKILL to the postmaster.
    pub fn kill_postmaster(&self) {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        signal(Signal::KILL, text.lines().next().unwrap().parse().unwrap());
    }

    /// SIGKILL to one of the server's sessions: the postmaster then ends all sessions and recovers.
    pub async fn kill_a_session(&self, database: &str) {
        let mut conn = PgConnection::connect(database).await.unwrap();
        let pids: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where application_name = 'sealwright'",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        assert!(!pids.is_empty(), "no session to kill");
        signal(Signal::KILL, u32::try_from(pids[pids.len() / 2]).unwrap());
        // The postmaster has noticed the crash once this session has been ended too.
        eventually("the crash is noticed", async || {
            sqlx::raw_sql("select 1").execute(&mut conn).await.is_err()
        })
        .await;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://sealwright@127.0.0.1:{}/{name}", self.port)
    }

    /// Creates an empty database, and returns its URL.
    pub async fn create_database(&self) -> String {
        self.create_database_with("").await
    }

    /// Creates an empty database whose tables are in this folder, and returns its URL.
    pub async fn create_database_in(&self, folder: &Path) -> String {
        give_to_user(folder);
        let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let sql = format!("create tablespace apart location '{}'", folder.display());
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
        self.create_database_with("tablespace apart").await
    }

    async fn create_database_with(&self, more: &str) -> String {
        let name = format!("faults_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let sql = format!("create database {name} {more}");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
        self.url(&name)
    }

    /// Dumps a database.
    pub fn dump(&self, database: &str) {
        let mut dump = Command::new(self.programs.join("pg_dump"));
        run(dump.args(["--file", "/dev/null", "--dbname", database]));
    }

    /// An empty folder that PostgreSQL can reach.
    pub fn folder_for_a_disk(&self) -> PathBuf {
        let folder = self.folder.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

/// A backup of a database or of the whole cluster.
pub enum Backup {
    /// What `pg_dump` wrote.
    Dump(PathBuf),
    /// What `pg_basebackup` wrote.
    Files(PathBuf),
}

impl Cluster {
    /// Dumps a database into a file.
    pub fn dump_file(&self, database: &str) -> Backup {
        let file = self.folder.path().join("dump");
        let mut dump = Command::new(self.programs.join("pg_dump"));
        dump.args(["--format", "custom", "--file"]).arg(&file);
        run(dump.args(["--dbname", database]));
        Backup::Dump(file)
    }

    /// Replaces a database by a new one with the content of a dump.
    pub async fn restore_dump(&self, database: &str, file: &Path) {
        let name = database.rsplit('/').next().unwrap();
        let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
        for sql in [
            format!("drop database {name} with (force)"),
            format!("create database {name}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut conn)
                .await
                .unwrap();
        }
        let mut restore = Command::new(self.programs.join("pg_restore"));
        run(restore
            .args(["--single-transaction", "--dbname", database])
            .arg(file));
    }

    /// Archives the write-ahead log from now on.
    pub fn archive(&self) {
        let archive = self.folder.path().join("archive");
        std::fs::create_dir(&archive).unwrap();
        give_to_user(&archive);
        self.configure(&format!(
            "archive_mode = on\narchive_command = 'cp %p {}/%f'\n",
            archive.display()
        ));
        self.restart();
    }

    /// Copies the files of the cluster while it runs.
    pub fn base_backup(&self) -> Backup {
        let folder = self.folder.path().join("base");
        let program = self.programs.join("pg_basebackup");
        let port = self.port.to_string();
        let words = [
            program.to_str().unwrap(),
            "--host=127.0.0.1",
            "--username=sealwright",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
            "--port",
            &port,
            "--pgdata",
            folder.to_str().unwrap(),
        ];
        run(&mut as_user(&words));
        Backup::Files(folder)
    }

    /// The time of the database, as it is named in its settings.
    pub async fn now(&self, database: &str) -> String {
        let mut conn = PgConnection::connect(database).await.unwrap();
        sqlx::query_scalar("select clock_timestamp()::text")
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }

    /// Stops the cluster, puts a copy of its files in place, and starts it. With `target`, the
    /// archived changes up to that time follow.
    pub async fn restore_files(&self, copy: &Path, target: Option<&str>) {
        if target.is_some() {
            let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
            // A later change, so that the archive goes beyond the target.
            sqlx::raw_sql("create table if not exists later (); select pg_switch_wal()")
                .execute(&mut conn)
                .await
                .unwrap();
        }
        self.control(&["-m", "fast", "stop"]);
        std::fs::remove_dir_all(self.data()).unwrap();
        copy_folder(copy, &self.data());
        if let Some(target) = target {
            std::fs::write(self.data().join("recovery.signal"), "").unwrap();
            self.configure(&format!(
                "restore_command = 'cp {}/archive/%f %p'\nrecovery_target_time = '{target}'\n\
                 recovery_target_action = promote\n",
                self.folder.path().display()
            ));
        }
        give_to_user(&self.data());
        self.start_again().await;
        // Clients may connect before the recovery has ended.
        let database = self.url("postgres");
        eventually("the recovery ends", async || {
            let Ok(mut conn) = PgConnection::connect(&database).await else {
                return false;
            };
            sqlx::query_scalar("select not pg_is_in_recovery()")
                .fetch_one(&mut conn)
                .await
                .unwrap_or(false)
        })
        .await;
    }

    /// Appends these settings to the configuration. They hold from the next start or reload on.
    pub fn configure(&self, settings: &str) {
        let file = self.data().join("postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        std::io::Write::write_all(&mut file, settings.as_bytes()).unwrap();
    }
}

/// Streaming replication, and what happens to a primary.
impl Cluster {
    /// Starts a standby of this cluster. From then on, no commit is answered before the standby has
    /// it.
    pub async fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        give_to_user(folder.path());
        let data = folder.path().join("data");
        let program = self.programs.join("pg_basebackup");
        let from = self.port.to_string();
        run(&mut as_user(&[
            program.to_str().unwrap(),
            "--host=127.0.0.1",
            "--username=sealwright",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
            "--port",
            &from,
            "--pgdata",
            data.to_str().unwrap(),
        ]));
        let port = free_port();
        let standby = Self::guarded(self.programs.clone(), folder, port);
        standby.configure(&format!("port = {port}\n"));
        standby.start_again().await;
        self.configure("synchronous_standby_names = '*'\n");
        self.reload();
        let database = self.url("postgres");
        eventually("the standby is synchronous", async || {
            let mut conn = PgConnection::connect(&database).await.unwrap();
            let sql = "select count(*) = 1 from pg_stat_replication where sync_state = 'sync'";
            sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
        })
        .await;
        standby
    }

    /// Reads the configuration again.
    pub fn reload(&self) {
        let done = self.control(&["reload"]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        let done = self.control(&["promote"]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// The URL of the same database on this cluster.
    pub fn url_of(&self, database: &str) -> String {
        self.url(database.rsplit('/').next().unwrap())
    }

    /// The URL of a database on these clusters, of which one is the primary.
    pub fn url_among(clusters: &[&Self], database: &str) -> String {
        let name = database.rsplit('/').next().unwrap();
        let hosts: Vec<String> = clusters
            .iter()
            .map(|one| format!("127.0.0.1:{}", one.port))
            .collect();
        format!("postgres://sealwright@{}/{name}", hosts.join(","))
    }

    /// SIGKILL to every process of the server, as when its machine loses power.
    pub fn kill_all(&self) {
        signal_all(Signal::KILL, &processes(&self.data()));
    }

    /// Stops every process of the server without ending it, until the value is dropped.
    pub fn freeze(&self) -> Frozen {
        Frozen::all(processes(&self.data()))
    }
}

/// The postmaster of this data folder, and its children.
pub fn processes(data: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let postmaster: u32 = text.lines().next().unwrap().parse().unwrap();
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain spaces.
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = pids.filter(|pid| parent(*pid) == Some(postmaster));
    std::iter::once(postmaster).chain(children).collect()
}

/// Processes that stand still.
pub struct Frozen(Vec<u32>);

impl Frozen {
    /// Stops all of these without ending them.
    pub fn all(pids: Vec<u32>) -> Self {
        signal_all(Signal::STOP, &pids);
        Self(pids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal_all(Signal::CONT, &self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let mode = std::fs::metadata(from).unwrap().permissions();
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, mode).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Holds a lock in a separate session until it is dropped.
pub struct Locked(#[expect(dead_code, reason = "held for its lock, never used")] PgConnection);

impl Locked {
    pub async fn table(database: &str, table: &str) -> Self {
        Self::rows(
            database,
            &format!("lock table {table} in access exclusive mode"),
        )
        .await
    }

    /// Holds the locks that `sql` takes.
    pub async fn rows(database: &str, sql: &str) -> Self {
        let mut conn = PgConnection::connect(database).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("begin; {sql}")))
            .execute(&mut conn)
            .await
            .unwrap();
        pause(10).await;
        Self(conn)
    }
}

/// The folder with `initdb` and the other server programs. If they are absent, the test fails and
/// does not pass silently.
pub fn programs() -> PathBuf {
    let named = std::env::var_os("TEST_PG_BIN").map(PathBuf::from);
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let places = named
        .into_iter()
        .chain(versions.into_iter().rev())
        .chain(std::env::split_paths(&on_path));
    places.into_iter().find(|place| place.join("initdb").is_file()).expect(
        "no PostgreSQL server programs (initdb, pg_ctl) found: run tests/run, or name their folder in TEST_PG_BIN",
    )
}

/// Gives a folder to the user that runs PostgreSQL.
pub fn give_to_user(folder: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", &user(), folder.to_str().unwrap()]));
    }
}

fn is_root() -> bool {
    geteuid().is_root()
}

/// The user that runs PostgreSQL, which refuses to run as root.
pub fn user() -> String {
    std::env::var("TEST_PG_USER").unwrap_or_else(|_| "postgres".to_owned())
}

/// The command that runs `words` as the user that runs PostgreSQL.
fn as_user_words(words: &[&str]) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let user = user();
    if !is_root() {
        owned(words)
    } else if Command::new("runuser").arg("--version").output().is_ok() {
        [owned(&["runuser", "-u", &user, "--"]), owned(words)].concat()
    } else {
        // `su` takes one string for a shell.
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        [
            owned(&["su", &user, "-s", "/bin/sh", "-c"]),
            vec![quoted.join(" ")],
        ]
        .concat()
    }
}

fn as_user(words: &[&str]) -> Command {
    let words = as_user_words(words);
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
