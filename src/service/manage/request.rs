//! How a change is asked for: by whom, on which condition, and whether it is made or only tried.
//! Must not know what is changed.

use crate::domain::act::Act;
use crate::domain::precondition::{Precondition, VersionMatch};
use crate::domain::rejection::RejectionCode;
use crate::service::tokens::Caller;

/// Whether a change is made or only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeMode {
    /// It is made.
    Commit,
    /// All is checked and the result is shown, but nothing is written.
    DryRun,
}

/// A change as it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRequest<'a> {
    /// Who asks, from where, when and why.
    pub act: &'a Act,
    /// The token of the agent that asks. `None` for an operator at the command line and for the
    /// server itself, who may do everything.
    pub caller: Option<&'a Caller>,
    /// What is demanded of the version that is changed. `None` if nothing is.
    pub precondition: Option<&'a Precondition>,
    /// Whether the change is made or only tried.
    pub mode: ChangeMode,
}

impl ChangeRequest<'_> {
    /// Rejects the change unless this version is one that it may be made to. `None` if what is to be
    /// changed does not exist.
    pub(crate) fn demand(&self, version: Option<i64>) -> Result<(), RejectionCode> {
        self.precondition
            .map_or(Ok(()), |precondition| precondition.demand(version))
    }

    /// Whether the change is made only to certain versions.
    pub(super) fn names_versions(&self) -> bool {
        let if_match = self
            .precondition
            .and_then(|demand| demand.if_match.as_ref());
        matches!(if_match, Some(VersionMatch::OneOf(_)))
    }

    /// Whether the change is only tried.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.mode == ChangeMode::DryRun
    }
}

impl<'a> From<&'a Act> for ChangeRequest<'a> {
    /// A change that is made unconditionally, as commands make it. An agent's act is refused
    /// without its caller.
    fn from(act: &'a Act) -> Self {
        Self {
            act,
            caller: None,
            precondition: None,
            mode: ChangeMode::Commit,
        }
    }
}
