//! A decision on cached rows may grant a request, but it may not refuse one.
//!
//! Owns what follows a refusal: if it rests on cached rows, the rows are read again; if it rests on
//! fresh rows, it is returned. Must not know what is decided.

use crate::domain::refusal::Refusal;
use crate::entropy::NoEntropy;
use crate::keys::KeyFault;
use crate::store::{Freshness, StoreError};

use super::error::{Error, KeyReadError};

/// How the rows for a decision are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(Freshness);

/// Why a decision did not grant the request. Only [`Look::refuse`] and [`NotGranted::counted`] turn
/// a [`Refusal`] into this type, so that `?` cannot return a refusal that rests on cached rows.
pub enum NotGranted {
    /// The rows were cached, or have changed meanwhile. They must be read again.
    LookAgain,
    /// The refusal rests on fresh rows.
    Refused(Refused),
    /// No decision was made here: something failed, or the statement that counts tokens decided on
    /// its own rows.
    Undecided(Undecided),
}

/// A refusal that rests on fresh rows.
pub struct Refused(Error);

/// An end without a decision on the rows.
pub struct Undecided(Error);

impl Look {
    /// Cached rows may be used.
    pub const REMEMBERED: Self = Self(Freshness::Cached);
    /// Rows are read from the store of record.
    pub const FRESH: Self = Self(Freshness::Fresh);

    /// The freshness to ask the store for.
    pub fn freshness(self) -> Freshness {
        self.0
    }

    /// Whether a cached row may be used.
    pub fn is_remembered(self) -> bool {
        self.0 == Freshness::Cached
    }

    /// The next look after a refusal on rows that were read with this look. On fresh rows, the
    /// refusal is returned.
    pub fn again(self, why: impl Into<Error>) -> Result<Self, Error> {
        if self.is_remembered() {
            Ok(Self::FRESH)
        } else {
            Err(why.into())
        }
    }

    /// What follows a refusal on rows that were read with this look.
    pub fn refuse(self, why: impl Into<Error>) -> NotGranted {
        if self.is_remembered() {
            NotGranted::LookAgain
        } else {
            NotGranted::Refused(Refused(why.into()))
        }
    }
}

impl NotGranted {
    /// A refusal by the statement that counts tokens, which compares the versions of the rows
    /// itself.
    pub fn counted(refusal: Refusal) -> Self {
        Self::Undecided(Undecided(refusal.into()))
    }
}

impl From<StoreError> for NotGranted {
    fn from(error: StoreError) -> Self {
        Self::Undecided(Undecided(error.into()))
    }
}

impl From<NoEntropy> for NotGranted {
    fn from(none: NoEntropy) -> Self {
        Self::Undecided(Undecided(none.into()))
    }
}

impl From<KeyFault> for NotGranted {
    fn from(fault: KeyFault) -> Self {
        Self::Undecided(Undecided(fault.into()))
    }
}

impl From<KeyReadError> for NotGranted {
    fn from(error: KeyReadError) -> Self {
        Self::Undecided(Undecided(error.into()))
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

impl From<Undecided> for Error {
    fn from(undecided: Undecided) -> Self {
        undecided.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_on_fresh_rows_alone() {
        assert!(matches!(
            Look::REMEMBERED.refuse(Refusal::InvalidClient),
            NotGranted::LookAgain
        ));
        let NotGranted::Refused(refused) = Look::FRESH.refuse(Refusal::InvalidClient) else {
            panic!("the refusal was not returned")
        };
        assert!(matches!(
            Error::from(refused),
            Error::Refused(Refusal::InvalidClient)
        ));
        assert_eq!(
            Look::REMEMBERED.again(Refusal::InvalidClient).unwrap(),
            Look::FRESH
        );
        assert!(Look::FRESH.again(Refusal::InvalidClient).is_err());
    }
}
