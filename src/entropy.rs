//! Randomness, as a trait: secrets, token ids and batch ids are drawn through [`Entropy`].
//!
//! Owns the source of random bytes and the form of an id. Must not know what is drawn.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

use crate::clock::Clock;

/// Draws random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`; an error if the system gives no random bytes.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoEntropy;

/// The system's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill(bytes).map_err(|_| NoEntropy)
    }
}

/// A generator that repeats itself from a seed, for tests.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct SeededEntropy(AtomicU64);

#[cfg(test)]
impl SeededEntropy {
    /// Starts from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

#[cfg(test)]
impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64: good enough to tell values apart in a test, and not for anything else.
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A UUID of version 7 (RFC 9562 §5.7): the clock's milliseconds and 74 random bits.
pub fn uuid_v7(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Uuid, NoEntropy> {
    let mut random = [0u8; 10];
    entropy.fill(&mut random)?;
    let millis = u64::try_from(clock.unix_millis()).unwrap_or(0);
    Ok(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
