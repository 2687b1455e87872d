//! Cursors as one caller sees them: what a cursor is bound to.
//!
//! A cursor goes on with the list that it came from, under the same filters, and for callers with
//! the same reach. Must not know what a position means.

use crate::keys::cursor::CursorKey;
use crate::service::tokens::Caller;

/// Reads and writes the cursors of callers with one reach.
#[derive(Clone, Copy)]
pub(crate) struct CursorScope<'k> {
    key: &'k CursorKey,
    reach: &'k str,
}

impl<'k> CursorScope<'k> {
    /// The cursors of this caller, and of those who see the same organisations.
    pub(crate) fn new(key: &'k CursorKey, caller: &'k Caller) -> Self {
        Self::of_reach(key, caller.reach().name(caller.org_id().as_str()))
    }

    /// The cursors of callers with the reach of this name.
    pub(super) fn of_reach(key: &'k CursorKey, reach: &'k str) -> Self {
        Self { key, reach }
    }

    /// The cursor of a position in this list under these filters.
    pub(super) fn write(self, list: &str, filters: &str, position: &[u8]) -> String {
        self.key.write(&[list, self.reach, filters], position)
    }

    /// The position of a cursor, if it is one of this list under these filters.
    pub(super) fn read(self, list: &str, filters: &str, cursor: &str) -> Option<Vec<u8>> {
        self.key.read(&[list, self.reach, filters], cursor)
    }
}
