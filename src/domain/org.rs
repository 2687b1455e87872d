//! Organisations. Every agent belongs to one; today a store holds only the first.

/// The organisation that every store begins with and that owns each agent made without another.
pub(crate) const DEFAULT_ORG: &str = "default";
