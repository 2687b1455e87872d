//! A histogram of times, with buckets that are at most 1.6 % wide.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 64;

#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        // The buckets reach 2^40 ns, about a quarter of an hour.
        Self {
            counts: vec![0; 41 * 64],
            total: 0,
        }
    }
}

impl Histogram {
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let last = self.counts.len() - 1;
        self.counts[index(nanos).min(last)] += 1;
        self.total += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The time in seconds below which this share of all times lies. `NaN` without any times.
    pub fn quantile(&self, share: f64) -> f64 {
        if self.total == 0 {
            return f64::NAN;
        }
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(i as u64) as f64 / 1e9;
            }
        }
        f64::NAN
    }
}

/// The bucket of a value. Each value below `STEPS` has a bucket of its own. Above that, each power
/// of two has `STEPS` buckets.
fn index(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = u64::from(value.ilog2());
    let shift = power - 6;
    ((power - 5) * STEPS + ((value >> shift) - STEPS)) as usize
}

/// The largest value of a bucket.
fn upper(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << shift) - 1
}
