//! Organisations. Every agent belongs to one organisation; today a store holds only the first. Must
//! not know what a caller asks for.

/// The organisation that every store begins with. It owns each agent that was made without another
/// one.
pub(crate) const DEFAULT_ORG: &str = "default";

/// Which organisations' data a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Its own organisation's. Today every agent is in the first one.
    Own,
    /// All of it: the caller has an admin scope and is in the first organisation.
    All,
}

impl Reach {
    /// The reach as a word, for what is bound to it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Own => DEFAULT_ORG,
            // No organisation has this id, since an id has no asterisk.
            Self::All => "*",
        }
    }
}
