//! What a new connection is told before its first statement.
//!
//! Owns the settings of a session. Must not know when a connection is opened.

/// How the database may plan the statements of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    /// As it thinks best.
    Free,
    /// Row by row along the indexes: three to four times faster for a batch of ids against a large
    /// table, and rows are locked in the order in which they were asked for.
    Indexed,
}

impl Plan {
    /// What a new connection is told first. A commit is durable before it answers, whatever the
    /// server's own setting, and a statement sees what was committed when it began: what is decided here
    /// rests on locks and versions, not on stricter isolation. A statement that its caller gave up must
    /// not hold its locks for ever; one that waits for a lock gives up far sooner, since others wait for
    /// this connection. A standby cannot say who was revoked a moment ago, so it is asked
    /// whether it is one.
    pub(super) fn greeting(self) -> &'static str {
        match self {
            Self::Free => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; set lock_timeout = 200; \
                 set idle_in_transaction_session_timeout = 5000; \
                 select pg_is_in_recovery()"
            }
            Self::Indexed => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; set lock_timeout = 200; \
                 set idle_in_transaction_session_timeout = 5000; \
                 set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
                 select pg_is_in_recovery()"
            }
        }
    }
}
