//! The settings of a new connection, sent before its first statement.
//!
//! Owns the settings of a session. Must not know when a connection is opened.

/// The numbers of the shared advisory lock on each connection of a program that reports.
pub(super) const REPORTS: (i32, i32) = (0x5EA1, 1);

/// How the database may plan the statements of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) enum QueryPlanning {
    /// The database chooses freely.
    ByServer,
    /// Row by row along the indexes. For a batch of ids and a large table, this is three to four
    /// times faster, and rows are locked in the order in which they were asked for. The database may keep
    /// the plan of a statement until it analyzes one of its tables, so no plan may suit only a table that is
    /// short: a list is joined with a table by `= any (array[…])`, since no plan can begin at the table
    /// then.
    ByIndex,
}

impl QueryPlanning {
    /// The settings of a new connection. A commit is durable before it is answered,
    /// whatever the server's own setting. A statement sees what was committed when it began: the
    /// decisions here rest on locks and versions, not on stricter isolation. A statement that its
    /// caller gave up must not hold its locks forever. A statement that waits for a lock gives up
    /// far sooner, because others wait for this connection. No statement is worth compiling, which
    /// takes up to a second: without an index, the planner takes it for endless.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::ByServer => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; set lock_timeout = 200; \
                 set idle_in_transaction_session_timeout = 5000; set jit = off;"
            }
            Self::ByIndex => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; set lock_timeout = 200; \
                 set idle_in_transaction_session_timeout = 5000; set jit = off; \
                 set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off;"
            }
        }
    }
}
