//! Fault tests of the real program: kills, cut connections, stalls, full disks, floods.
//!
//! Every test here starts `sealwright` as a separate process and, if it needs one, a private
//! PostgreSQL that it may stop and kill. A load generator keeps a ledger of the responses. An
//! auditor compares the ledger with the database by SQL. Must not know how the server is built: the
//! tests use only HTTP, SQL, signals and the command line.
//!
//! The invariants, by the names that failures report:
//!
//! - *counted once*: counter == `token.issued` events, and no `jti` twice among them
//! - *nothing delivered uncounted*: every delivered `jti` is among the events
//! - *bounded loss*: delivered ≤ counter ≤ delivered + requests without a response
//! - *kept revocations*: a token whose revocation was answered 200 is revoked, after any restart
//!
//! Most tests wait more than they work, so several run at once, each with servers and a database of
//! its own. Those that measure or fill the machine run alone (`stage::play_alone`).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue must stop"
)]
#![allow(
    missing_docs,
    reason = "nobody reads the documentation of a test binary"
)]

mod aborts;
mod assertions;
mod audiences;
mod bursts;
mod canary;
mod clocks;
mod codes;
mod connections;
mod crash;
mod crowd;
mod cut;
mod disk;
mod failover;
mod files;
mod flood;
mod held;
mod hostile_revokers;
mod journal;
mod keyed;
mod lane;
mod logins;
mod neighbours;
mod news;
mod outage;
mod patroni;
mod polls;
mod replicas;
mod reseal;
mod restores;
mod revoked_keys;
mod rewound;
mod rolling;
mod rotation;
mod signals;
mod slow;
mod stage;
mod stop;
mod suspend;
mod timing;
mod tls;
mod upgrade;
