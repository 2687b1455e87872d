//! Randomness, as a trait: secrets, token ids and batch ids are drawn through [`Entropy`].
//!
//! Owns the source of random bytes and the form of an id. Must not know what is drawn.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// How many bytes are drawn ahead for ids: those of 102 token ids.
const AHEAD: usize = 1_024;

/// The source of ids. It draws many bytes at once, because one call of the system's generator costs
/// about the same for one id as for many. Not for secrets: these bytes wait in memory.
pub(crate) struct IdEntropy {
    source: Arc<dyn Entropy>,
    ahead: Mutex<Ahead>,
}

struct Ahead {
    bytes: [u8; AHEAD],
    used: usize,
}

impl IdEntropy {
    /// Draws from `source`.
    pub(crate) fn new(source: Arc<dyn Entropy>) -> Self {
        let ahead = Mutex::new(Ahead {
            bytes: [0; AHEAD],
            used: AHEAD,
        });
        Self { source, ahead }
    }
}

impl Entropy for IdEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if bytes.len() > AHEAD {
            return self.source.fill(bytes);
        }
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() > AHEAD - ahead.used {
            // No byte is handed out twice, whatever becomes of this call.
            ahead.used = AHEAD;
            self.source.fill(&mut ahead.bytes)?;
            ahead.used = 0;
        }
        let end = ahead.used + bytes.len();
        bytes.copy_from_slice(&ahead.bytes[ahead.used..end]);
        ahead.used = end;
        Ok(())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers each byte that it gives, and fails at every call that the list calls a failure.
    struct Counting(Mutex<(u64, Vec<bool>)>);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            let mut state = self.0.lock().unwrap();
            if state.1.pop() == Some(true) {
                // A generator that fails may leave anything behind.
                bytes.fill(0);
                return Err(NoEntropy);
            }
            for chunk in bytes.chunks_mut(8) {
                state.0 += 1;
                chunk.copy_from_slice(&state.0.to_be_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn no_byte_that_was_drawn_ahead_is_handed_out_twice(
            failures in proptest::collection::vec(any::<bool>(), 0..8),
            words in proptest::collection::vec(1..200usize, 1..60),
        ) {
            let ids = IdEntropy::new(Arc::new(Counting(Mutex::new((0, failures)))));
            let mut seen = std::collections::HashSet::new();
            for words in words {
                let mut bytes = vec![0; words * 8];
                if ids.fill(&mut bytes).is_ok() {
                    for word in bytes.chunks(8) {
                        prop_assert!(word != [0; 8] && seen.insert(word.to_vec()));
                    }
                }
            }
        }
    }
}
