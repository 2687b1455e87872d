//! The machine on which the figures were measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::Fallible;
use crate::cores::Cores;

#[derive(Serialize)]
pub struct Machine {
    pub cpu: String,
    /// Whether the processor has the instructions that make RSA signatures twice as fast.
    pub avx512ifma: bool,
    pub cores: usize,
    pub served_cores: Vec<usize>,
    pub client_cores: Vec<usize>,
    pub memory_gib: u64,
    pub kernel: String,
    pub system: String,
    pub rustc: String,
    pub target: String,
    pub commit: String,
    /// The kind of file system under the databases.
    pub disk: String,
    /// The load average when the harness began. Above zero, the figures are not reliable.
    pub load_before: f64,
}

impl Machine {
    pub fn read(cores: &Cores, data: &Path) -> Fallible<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kib = memory
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse::<u64>().ok())
            .unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned();
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let name = system
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let load = fs::read_to_string("/proc/loadavg")?;
        let (rustc, target) = toolchain()?;
        Ok(Self {
            cpu: cpu
                .map_or("unknown", |c| c.trim_start_matches([' ', '\t', ':']))
                .to_owned(),
            avx512ifma: cpus.contains("avx512ifma"),
            cores: cores.all().len(),
            served_cores: cores.served.clone(),
            client_cores: cores.client.clone(),
            memory_gib: kib / 1_048_576,
            kernel,
            system: name.unwrap_or("unknown").trim_matches('"').to_owned(),
            rustc,
            target,
            commit: first_line("git", &["describe", "--always", "--dirty"]).unwrap_or_default(),
            disk: file_system(data),
            load_before: load
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0.0),
        })
    }

    pub fn introduce(&self) {
        println!(
            "{}, {} cores, {} GiB, {}, Linux {}",
            self.cpu, self.cores, self.memory_gib, self.system, self.kernel
        );
        println!("{}, {}, commit {}", self.rustc, self.target, self.commit);
        println!(
            "server and database on cores {:?}, load generator on {:?}, databases on {}",
            self.served_cores, self.client_cores, self.disk
        );
        if self.load_before > 0.3 {
            println!(
                "WARNING: this machine is busy (load {}): the figures are not to be trusted",
                self.load_before
            );
        }
        if self.disk == "tmpfs" {
            println!(
                "WARNING: the databases lie in memory, where nothing waits for a disk (see --data)"
            );
        }
    }
}

/// The compiler's version and target, as the compiler prints them.
pub fn toolchain() -> Fallible<(String, String)> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc names no host")?;
    Ok((
        text.lines().next().unwrap_or_default().to_owned(),
        host.to_owned(),
    ))
}

/// The first line that a program prints.
pub fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    String::from_utf8(output.stdout)
        .ok()?
        .lines()
        .next()
        .map(str::to_owned)
}

/// The file system type of the mount that contains `folder`.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let fields = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = fields
        .filter(|(at, _)| folder.starts_with(at))
        .max_by_key(|(at, _)| at.len());
    above.map_or("unknown", |(_, kind)| kind).to_owned()
}
