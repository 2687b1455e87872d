//! What the process uses, as Linux tells it in `/proc`. Read when the metrics are asked for.
//!
//! Owns how these numbers are read and written. Must not know what they are compared with. Elsewhere
//! than on Linux they are missing. The library's counters are whole numbers, so these metrics are
//! written here: processor time has fractions.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::table::{Kind, METRICS};

/// Writes the process's metrics in the Prometheus text format.
pub(super) fn write(text: &mut String) {
    let Some(usage) = ProcessUsage::now() else {
        return;
    };
    for metric in METRICS {
        let Kind::Process(kind) = metric.kind else {
            continue;
        };
        let value = usage.value(metric.name);
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "# HELP {0} {1}\n# TYPE {0} {kind}\n{0} {value}\n\n",
            metric.name, metric.help
        );
    }
}

/// The numbers at one moment.
struct ProcessUsage {
    cpu_seconds: f64,
    resident: u64,
    virtual_size: u64,
    threads: u64,
    started: f64,
    open_files: u64,
    max_files: u64,
}

impl ProcessUsage {
    fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let stat = Stat::parse(&stat)?;
        let ticks = to_f64(rustix::param::clock_ticks_per_second());
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        // The listing itself opens one descriptor.
        let open_files = fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1);
        Some(Self {
            cpu_seconds: to_f64(stat.ticks) / ticks,
            resident: stat.pages.saturating_mul(page),
            virtual_size: stat.virtual_size,
            threads: stat.threads,
            started: boot_time() + to_f64(stat.started) / ticks,
            open_files: u64::try_from(open_files).ok()?,
            max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        })
    }

    fn value(&self, name: &str) -> f64 {
        match name {
            "process_cpu_seconds_total" => self.cpu_seconds,
            "process_resident_memory_bytes" => to_f64(self.resident),
            "process_virtual_memory_bytes" => to_f64(self.virtual_size),
            "process_threads" => to_f64(self.threads),
            "process_start_time_seconds" => self.started,
            "process_open_fds" => to_f64(self.open_files),
            "process_max_fds" => to_f64(self.max_files),
            _ => f64::NAN,
        }
    }
}

/// The members of `/proc/self/stat` (proc(5)) that are told.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    started: u64,
    virtual_size: u64,
    pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in parentheses and may hold spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // proc(5) numbers the members from 1; the one behind the name is number 3.
        let number = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            ticks: number(14)?.saturating_add(number(15)?),
            threads: number(20)?,
            started: number(22)?,
            virtual_size: number(23)?,
            pages: number(24)?,
        })
    }
}

/// When the machine started, in seconds since 1970. A service may see of `/proc` the processes alone.
fn boot_time() -> f64 {
    let seconds = |clock| {
        let time = clock_gettime(clock);
        Duration::try_from(time).map_or(0.0, |time| time.as_secs_f64())
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric is a float; the numbers are far below 2^53"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let text = "7 (a) b ( c)) S 1 1 1 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 9 0 555 4096000 77 18446744073709551615";
        let expected = Stat {
            ticks: 42,
            threads: 9,
            started: 555,
            virtual_size: 4_096_000,
            pages: 77,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        for broken in [
            "",
            "7 (a",
            "7 (a) S 1",
            "7 (a) S x x x x x x x x x x x x x x x x x x x x x x",
        ] {
            assert_eq!(Stat::parse(broken), None, "{broken}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_is_measured() {
        let usage = ProcessUsage::now().unwrap();
        assert!(usage.resident > 0 && usage.virtual_size >= usage.resident);
        assert!(usage.threads > 0 && usage.open_files > 2);
        assert!(usage.max_files >= usage.open_files && usage.started > 1e9);
        assert!(usage.cpu_seconds >= 0.0);
    }
}
