//! Faults, done to the real program: kills, cuts, stalls, full disks, floods.
//!
//! Every test here starts `sealwright` as a process of its own and, where it needs one, a private
//! PostgreSQL that it may stop and kill. A load generator keeps a ledger of what each request was
//! answered; an auditor compares the ledger with the database by SQL. Must not know how the server
//! is built: it speaks HTTP, SQL, signals and the command line only.
//!
//! The invariants, by the names under which failures report them:
//!
//! - *counted once*: counter == `token.issued` events, and no `jti` twice among them
//! - *nothing delivered uncounted*: every delivered `jti` is among the events
//! - *bounded loss*: delivered ≤ counter ≤ delivered + requests without an answer
//! - *kept revocations*: what was answered 200 is revoked, after any restart
//!
//! Tests take turns: a fault that one of them makes must not become a finding of another.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must stop"
)]
#![allow(
    missing_docs,
    reason = "a test binary has no readers of its documentation"
)]

mod aborts;
mod clocks;
mod codes;
mod connections;
mod crash;
mod crowd;
mod cut;
mod disk;
mod files;
mod flood;
mod hostile_revokers;
mod lane;
mod logins;
mod neighbours;
mod news;
mod outage;
mod polls;
mod replicas;
mod rewound;
mod signals;
mod slow;
mod stage;
mod stop;
mod suspend;
mod timing;
