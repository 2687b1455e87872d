//! Keeps the reply of an operation in the commit of its change, so that the same request gets it
//! again.
//!
//! Owns which reply was kept. Must not know what the operation makes, or how a reply is sealed.

use std::sync::{Mutex, PoisonError};

use crate::service;
use crate::store::Write;

use super::idempotency::{KeptReply, Recorder};

/// Keeps at most one reply: that of a request with an idempotency key.
pub(crate) struct Keeper<'a> {
    recorder: Option<Recorder<'a>>,
    kept: Mutex<Option<KeptReply>>,
}

/// The reply that tells what was made.
pub(crate) type Render<'a, T> = dyn Fn(&T) -> Result<KeptReply, service::Error> + Sync + 'a;

/// Keeps the reply that tells a `T`.
pub struct Keep<'k, T>(Option<(&'k Keeper<'k>, &'k Render<'k, T>)>);

impl<T> Clone for Keep<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Keep<'_, T> {}

impl<'a> Keeper<'a> {
    /// Keeps the reply by this recorder; `None` for a request without a key.
    pub(crate) fn new(recorder: Option<Recorder<'a>>) -> Self {
        Self {
            recorder,
            kept: Mutex::default(),
        }
    }

    /// Keeps the reply that `render` makes of what was made.
    pub(crate) fn with<'k, T>(&'k self, render: &'k Render<'k, T>) -> Keep<'k, T> {
        Keep(Some((self, render)))
    }

    /// The reply that stands in the commit, if the change was applied.
    pub(crate) fn kept(&self) -> Option<KeptReply> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

impl<T> Keep<'_, T> {
    /// Keeps nothing, as for commands.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// The write, which keeps the reply that tells what it makes.
    pub(in crate::service) fn keeping(
        &self,
        write: Write,
        made: &T,
    ) -> Result<Write, service::Error> {
        let Some((keeper, render)) = self.0 else {
            return Ok(write);
        };
        let Some(recorder) = &keeper.recorder else {
            return Ok(write);
        };
        let reply = render(made)?;
        let record = recorder.record(&reply)?;
        let mut kept = keeper.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(reply);
        Ok(write.keeping(record))
    }
}
