//! What was found when something was looked at: how bad it is, and how to mend it.
//!
//! Must not know what was looked at, or how a finding is shown.

use std::fmt::Display;

use crate::store::StoreError;
use crate::telemetry::error_chain;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FindingLevel {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Notice,
    /// Wrong.
    Wrong,
}

impl FindingLevel {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Notice => "notice",
            Self::Wrong => "wrong",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad it is.
    pub level: FindingLevel,
    /// What was looked at, in a word or two.
    pub about: &'static str,
    /// What was found.
    pub says: String,
    /// What to do; empty if there is nothing to do.
    pub mend: String,
}

impl Finding {
    /// Something that is as it should be.
    pub(crate) fn fine(about: &'static str, says: impl Display) -> Self {
        Self::new(FindingLevel::Fine, about, says, "")
    }

    /// Something worth knowing, and what may be done.
    pub(crate) fn notice(about: &'static str, says: impl Display, mend: impl Display) -> Self {
        Self::new(FindingLevel::Notice, about, says, mend)
    }

    /// Something that is wrong, and what to do.
    pub(crate) fn wrong(about: &'static str, says: impl Display, mend: impl Display) -> Self {
        Self::new(FindingLevel::Wrong, about, says, mend)
    }

    fn new(
        level: FindingLevel,
        about: &'static str,
        says: impl Display,
        mend: impl Display,
    ) -> Self {
        Self {
            level,
            about,
            says: says.to_string(),
            mend: mend.to_string(),
        }
    }

    /// Something that could not be read.
    pub(super) fn unread(about: &'static str, error: &StoreError) -> Self {
        let mend = "see whether the database answers, and whether its schema is this program's";
        Self::wrong(about, error_chain(error), mend)
    }
}
