//! Organisations. Every agent belongs to one organisation; today a store holds only the first.

/// The organisation that every store begins with. It owns each agent that was made without another
/// one.
pub(crate) const DEFAULT_ORG: &str = "default";
