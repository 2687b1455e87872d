//! A remembered row may only say yes.
//!
//! Owns what becomes of a no: one that rests on remembered rows has them read again, one on fresh rows is told. Must
//! not know what is decided.

use crate::domain::refusal::Refusal;
use crate::entropy::NoEntropy;
use crate::keys::KeyFault;
use crate::store::{Freshness, StoreError};

use super::error::Error;

/// How the rows are read that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(Freshness);

/// Why a decision said no. A [`Refusal`] gets in here by [`Look::no`] or [`No::counted`] alone, so that `?` lets none
/// out that rests on remembered rows.
pub enum No {
    /// The rows were remembered, or changed meanwhile: they are read again.
    LookAgain,
    /// On fresh rows.
    Told(Told),
    /// Nothing was decided here: something failed, or the statement that counts has decided on rows of its own.
    Ended(Ended),
}

/// A no that rests on fresh rows.
pub struct Told(Error);

/// An end without a decision on the rows.
pub struct Ended(Error);

impl Look {
    /// At rows as they are remembered.
    pub const REMEMBERED: Self = Self(Freshness::Cached);
    /// At the store of record.
    pub const FRESH: Self = Self(Freshness::Fresh);

    /// How the store is asked.
    pub fn freshness(self) -> Freshness {
        self.0
    }

    /// Whether a remembered row may say yes.
    pub fn is_remembered(self) -> bool {
        self.0 == Freshness::Cached
    }

    /// The look that follows a no on rows that were read so; on fresh rows the no is told.
    pub fn again(self, why: impl Into<Error>) -> Result<Self, Error> {
        if self.is_remembered() {
            Ok(Self::FRESH)
        } else {
            Err(why.into())
        }
    }

    /// What a no on rows that were read so comes to.
    pub fn no(self, why: impl Into<Error>) -> No {
        if self.is_remembered() {
            No::LookAgain
        } else {
            No::Told(Told(why.into()))
        }
    }
}

impl No {
    /// A no of the statement that counts: it compares the versions of the rows itself.
    pub fn counted(refusal: Refusal) -> Self {
        Self::Ended(Ended(refusal.into()))
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        Self::Ended(Ended(error.into()))
    }
}

impl From<NoEntropy> for No {
    fn from(none: NoEntropy) -> Self {
        Self::Ended(Ended(none.into()))
    }
}

impl From<KeyFault> for No {
    fn from(fault: KeyFault) -> Self {
        Self::Ended(Ended(fault.into()))
    }
}

impl From<Told> for Error {
    fn from(told: Told) -> Self {
        told.0
    }
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        ended.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_on_fresh_rows_alone() {
        assert!(matches!(
            Look::REMEMBERED.no(Refusal::InvalidClient),
            No::LookAgain
        ));
        let No::Told(told) = Look::FRESH.no(Refusal::InvalidClient) else {
            panic!("it was not told")
        };
        assert!(matches!(
            Error::from(told),
            Error::Refused(Refusal::InvalidClient)
        ));
        assert_eq!(
            Look::REMEMBERED.again(Refusal::InvalidClient).unwrap(),
            Look::FRESH
        );
        assert!(Look::FRESH.again(Refusal::InvalidClient).is_err());
    }
}
