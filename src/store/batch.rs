//! Group commit over any store. (being written)

/// The most grants in one batch.
pub const MOST: usize = 256;
