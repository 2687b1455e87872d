//! What the kernel reports about a process: its CPU time and its memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Fallible;

/// The CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// The CPU time of this process with all its threads.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// The CPU time of a process with all its threads, including those that have ended.
pub fn cpu(process: u32) -> Fallible<Duration> {
    let stat = Stat::read(process)?;
    Ok(ticks(stat.own))
}

/// The CPU time of a process and of its descendants. A server may start through a script that waits
/// for it, so the process that was started may not be the one that works.
pub fn tree_cpu(process: u32) -> Fallible<Duration> {
    let mut sum = cpu(process)?;
    for child in children(process)? {
        sum += tree_cpu(child).unwrap_or_default();
    }
    Ok(sum)
}

/// The resident memory of a process and of its descendants, in bytes.
pub fn tree_resident(process: u32) -> Fallible<f64> {
    let mut sum = memory(process)?.resident;
    for child in children(process)? {
        sum += tree_resident(child).unwrap_or_default();
    }
    Ok(sum)
}

/// The CPU time of those children of this process that have ended.
pub fn reaped_cpu() -> Fallible<Duration> {
    Ok(ticks(Stat::read(std::process::id())?.reaped))
}

/// The CPU time of a Postgres server: the postmaster, its children, and the children that it has
/// reaped.
pub fn family_cpu(postmaster: u32) -> Fallible<Duration> {
    let parent = Stat::read(postmaster)?;
    let mut sum = ticks(parent.own + parent.reaped);
    for child in children(postmaster)? {
        sum += child_cpu(child).unwrap_or_default();
    }
    Ok(sum)
}

/// The CPU time of a child of Postgres.
///
/// Ticks of 10 ms are too coarse for a process that worked for 50 ms. The scheduler counts
/// nanoseconds, but for one thread only, and a child of Postgres has only one. A kernel that does
/// not count them reports 0; then the ticks are used.
fn child_cpu(child: u32) -> Fallible<Duration> {
    if let Ok(text) = fs::read_to_string(format!("/proc/{child}/schedstat"))
        && let Some(nanos @ 1..) = text.split(' ').next().and_then(|n| n.parse().ok())
    {
        return Ok(Duration::from_nanos(nanos));
    }
    cpu(child)
}

fn children(parent: u32) -> Fallible<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        // Skip a process that ended meanwhile.
        if Stat::read(process).is_ok_and(|stat| stat.parent == parent) {
            found.push(process);
        }
    }
    Ok(found)
}

struct Stat {
    parent: u32,
    own: u64,
    reaped: u64,
}

impl Stat {
    fn read(process: u32) -> Fallible<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Start after the program's name in parentheses, which may contain any character.
        let fields: Vec<&str> = text
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let number = |i: usize| {
            fields
                .get(i)
                .and_then(|f| f.parse::<u64>().ok())
                .ok_or("no such field")
        };
        Ok(Self {
            parent: u32::try_from(number(1)?)?,
            own: number(11)? + number(12)?,
            reaped: number(13)? + number(14)?,
        })
    }
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_secs_f64(count as f64 / per_second as f64)
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    pub peak: f64,
}

pub fn memory(process: u32) -> Fallible<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
        number
            .and_then(|n| n.parse::<f64>().ok())
            .map(|kib| kib * 1_024.0)
    };
    let resident = field("VmRSS").ok_or("no VmRSS")?;
    Ok(Memory {
        resident,
        peak: field("VmHWM").unwrap_or(resident),
    })
}

/// Resets the peak memory, so that [`memory`] reports the peak from now on.
pub fn reset_peak(process: u32) -> Fallible<()> {
    Ok(fs::write(
        Path::new("/proc")
            .join(process.to_string())
            .join("clear_refs"),
        "5",
    )?)
}
