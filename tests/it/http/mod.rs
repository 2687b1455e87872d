//! The server as clients see it, over the wire: one file for each endpoint, and files for what
//! holds at all endpoints.
//!
//! Numbers such as `item 29` are those of the numbered checks (`docs/checks.md`: RFC 6749, 6750,
//! 7009, 7662, 8414, 9068 and 8725); `D6`, `T1` are rows of the wire contract.

mod agent_changes;
mod agent_filters;
mod agent_scale;
mod agent_writes;
mod agents;
mod airisk;
mod audiences;
mod audit;
mod audit_export;
mod bodies;
mod bulk;
mod bytes;
mod catalogue;
mod client;
mod clocks;
mod connections;
mod credential_writes;
mod credentials;
mod crowded;
mod demands;
mod disabled;
mod documents;
mod dominance;
mod dominance_writes;
mod escalation;
mod events;
mod expiry;
mod forward_auth;
mod hash_cost;
mod hash_lanes;
mod health;
mod hostile;
mod idempotency;
mod imports;
mod introspect;
mod key_rotation;
mod key_seals;
mod keyed;
mod keys;
mod limits;
mod list;
mod logged;
mod metrics;
mod model;
mod oauth_basic;
mod oauth_token;
mod openapi;
mod order;
mod outage;
mod parameters;
mod quota;
mod reach;
mod recorded;
mod refusals;
mod replicas;
mod restored;
mod revocations;
mod revoke;
mod rewound;
mod risk;
mod rotation_schedule;
mod scopes;
mod secrecy;
mod secrets;
mod skewed;
mod terms;
mod time;
mod token;
mod usage;
mod writes;

use crate::harness::on_both;
