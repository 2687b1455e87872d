//! What tests and benches use. Everything else in the crate is private, so that the compiler
//! reports dead code. Each name has the same path here as inside the crate.

pub mod api {
    pub mod agents {
        pub use crate::api::agents::AgentJson;
    }
}
pub mod app {
    pub use crate::app::{Opened, Wrapping, compose, migrate, open, open_with};
    pub mod loops {
        pub use crate::app::loops::loops;
    }
}
pub mod clock {
    pub use crate::clock::{Clock, FakeClock, StoreClock, SystemClock};
}
pub mod config {
    pub use crate::config::{Config, DatabaseUrl, MasterKeyNeed};
    pub mod raw {
        pub use crate::config::raw::Raw;
    }
}
pub mod domain {
    pub mod about {
        pub use crate::domain::about::{About, Description, LabelText, Labels, Owner, parse_label};
    }
    pub mod act {
        pub use crate::domain::act::{Act, ChangeReason, Operator};
    }
    pub mod agent {
        pub use crate::domain::agent::{
            Agent, AgentName, AgentStatus, Audience, Epoch, LiveTokens, Profile, RedirectUri,
            SuspendedBy, Terms, UserId,
        };
    }
    pub mod agent_filter {
        pub use crate::domain::agent_filter::{AgentFilter, NamePrefix};
    }
    pub mod assertion {
        pub use crate::domain::assertion::AssertionRef;
    }
    pub mod canonical {
        pub use crate::domain::canonical::{NotCanonical, SafeInteger, canonicalize};
    }
    pub mod catalogue {
        pub use crate::domain::catalogue::{Catalogue, CatalogueEntry};
    }
    pub mod code {
        pub use crate::domain::code::{CODE_TTL, Code, CodeRef};
    }
    pub mod context {
        pub use crate::domain::context::{RequestContext, RequestId};
    }
    pub mod credential {
        pub use crate::domain::credential::{
            Credential, CredentialKind, CredentialLabel, SecretHash, Tag,
        };
    }
    pub mod dominance {
        pub use crate::domain::dominance::{Excess, HeldMember, Holdings, ServerDefaults, excess};
    }
    pub mod event {
        pub use crate::domain::event::Event;
        pub mod changes {
            pub use crate::domain::event::changes::Changes;
        }
        pub mod facts {
            pub use crate::domain::event::facts::{
                CredentialFacts, OrgFacts, PartnerFacts, TokenTerms,
            };
        }
        pub mod kind {
            pub use crate::domain::event::kind::EventKind;
        }
        pub mod logged {
            pub use crate::domain::event::logged::{Detail, LoggedEvent};
        }
        pub mod reason {
            pub use crate::domain::event::reason::{RefusalCount, RefusalReason};
        }
        pub mod request {
            pub use crate::domain::event::request::RequestRef;
        }
        pub mod row {
            pub use crate::domain::event::row::EventRow;
        }
        pub mod search {
            pub use crate::domain::event::search::{
                EventCriteria, EventFilter, EventOrder, KindFilter,
            };
        }
        pub mod source {
            pub use crate::domain::event::source::{EventSource, SourcePrecision};
        }
    }
    pub mod grant {
        pub use crate::domain::grant::{Applicant, Basis, Grant, Policy, TokenRequest, decide};
    }
    pub mod proof {
        pub use crate::domain::proof::{OwnProof, ProvenBy};
    }
    pub mod id {
        pub use crate::domain::id::{
            AgentId, BatchId, CodeId, CredentialId, HolderId, Jti, Kid, ProcessId,
        };
    }
    pub mod idempotency {
        pub use crate::domain::idempotency::IdempotencyKey;
    }
    pub mod org {
        pub use crate::domain::org::{Org, OrgEpoch, OrgId, OrgName, OrgStanding, OrgStatus};
    }
    pub mod partner {
        pub use crate::domain::partner::draft::PartnerDraft;
        pub use crate::domain::partner::federation::{
            FederatedTtl, Federation, PinnedClaims, SubjectPattern,
        };
        pub use crate::domain::partner::preset::PartnerPreset;
        pub use crate::domain::partner::record::{Partner, PartnerTerms};
        pub use crate::domain::partner::source::{KeySource, PartnerIssuer};
        pub use crate::domain::partner::terms::{PartnerId, PartnerName, PartnerStatus};
    }
    pub mod permission {
        pub use crate::domain::permission::{AgentOperation, CallerRights, Denial};
    }
    pub mod precondition {
        pub use crate::domain::precondition::{Precondition, VersionMatch};
    }
    pub mod quota {
        pub use crate::domain::quota::{Limit, PlanName, Plans};
    }
    pub mod rejection {
        pub use crate::domain::rejection::{FieldError, RejectionCode};
    }
    pub mod risk {
        pub use crate::domain::risk::RiskRules;
    }
    pub mod scope {
        pub use crate::domain::scope::{BUILT_IN, Scope, parse_scope_list};
    }
    pub mod time {
        pub use crate::domain::time::{Moment, Timestamp};
    }
    pub mod tree {
        pub mod block {
            pub use crate::domain::tree::block::{BlockBuilder, BlockProof, TokenBlock};
        }
        pub mod bundle {
            pub use crate::domain::tree::bundle::{
                MAX_ENTRY_BYTES, bundle_prefix, push_entry, split_bundle,
            };
        }
        pub mod checkpoint {
            pub use crate::domain::tree::checkpoint::Checkpoint;
        }
        pub mod frontier {
            pub use crate::domain::tree::frontier::Frontier;
        }
        pub mod hash {
            pub use crate::domain::tree::hash::{
                HASH_BYTES, NodeHash, empty_tree_hash, leaf_hash, node_hash,
            };
        }
        pub mod node {
            pub use crate::domain::tree::node::NodeId;
        }
        pub mod note {
            pub use crate::domain::tree::note::{
                MAX_SIGNATURES, NoteSignature, NoteText, SignedNote,
            };
        }
        pub mod proof {
            pub use crate::domain::tree::proof::{ProofNodes, inclusion_path};
        }
        pub mod tile {
            pub use crate::domain::tree::tile::{HashTile, TILE_WIDTH, Tile, TileLevel};
        }
        pub mod tlog_proof {
            pub use crate::domain::tree::tlog_proof::TlogProof;
        }
        pub mod verifier_key {
            pub use crate::domain::tree::verifier_key::{KeyName, VerifierKey};
        }
        pub mod verify {
            pub use crate::domain::tree::verify::{
                TreeHead, root_from_inclusion, verify_consistency, verify_inclusion,
            };
        }
    }
    pub mod ttl {
        pub use crate::domain::ttl::Ttl;
    }
    pub mod usage {
        pub use crate::domain::usage::Day;
    }
}
pub mod entropy {
    pub use crate::entropy::{Entropy, NoEntropy, SystemEntropy, uuid_v7};
}
pub mod http {
    pub use crate::http::{OPS_ROUTES, PUBLIC_ROUTES, ops_router, public_router, write_openapi};
    pub mod manage {
        pub use crate::http::manage::MANAGE_ROUTES;
        pub mod body {
            pub use crate::http::manage::body::{FieldPlace, FromJson, ObjectReader, PatchMember};
        }
        pub mod json_value {
            pub use crate::http::manage::json_value::{JsonText, JsonValue};
        }
    }
    pub mod parameters {
        pub use crate::http::parameters::Parameters;
    }
    pub mod serve {
        pub use crate::http::serve::{Caps, Rules, Tls, TlsFault, serve};
    }
    pub mod state {
        pub use crate::http::state::State;
    }
    pub mod token {
        pub use crate::http::token::TOKEN_ROUTES;
    }
}
pub mod keys {
    pub mod algorithm {
        pub use crate::keys::algorithm::{GeneratedKey, PrivateKey, RsaBits, generate};
    }
    pub mod log {
        pub use crate::keys::log::{LogKey, NoteError, verify_checkpoint, verify_note};
    }
    pub mod seal {
        pub use crate::keys::seal::MasterKey;
    }
    pub mod row_seal {
        pub use crate::keys::row_seal::new_record;
    }
}
pub mod outbound {
    pub mod network {
        pub use crate::outbound::network::{OuterNetwork, SystemNetwork};
    }
}
pub mod service {
    pub mod clients {
        pub mod secret {
            pub use crate::service::clients::secret::{Secret, Secrets};
            pub mod bulk {
                pub use crate::service::clients::secret::bulk::hash_all;
            }
            pub mod kdf {
                pub use crate::service::clients::secret::kdf::{Workspace, hash, verify};
            }
        }
    }
    pub mod clock {
        pub use crate::service::clock::measure_clock;
    }
    pub use crate::service::Error;
    pub mod journal {
        pub mod expiry {
            pub use crate::service::journal::expiry::warn_of_expiry;
        }
        pub mod lag {
            pub use crate::service::journal::lag::{LedgerLag, measure_lag};
        }
        pub mod ledger {
            pub use crate::service::journal::ledger::{
                Ledger, MAX_PASS_EVENTS, TOKEN_PASS_INTERVAL,
            };
        }
        pub mod log {
            pub mod verify {
                pub use crate::service::journal::log::verify::{
                    BrokenPart, KeptNote, LogBreak, LogVerifier, Verification,
                };
            }
        }
        pub mod prune {
            pub use crate::service::journal::prune::TokenPruner;
        }
        pub mod settle {
            pub use crate::service::journal::settle::{
                EventConsumer, JournalReader, LEASE_TTL, Piece, Progress,
            };
        }
    }
    pub mod manage {
        pub mod agents {
            pub use crate::service::manage::agents::{Agents, NewAgent};
        }
        pub mod client_keys {
            pub use crate::service::manage::client_keys::NewKeys;
        }
        pub mod credentials {
            pub use crate::service::manage::credentials::{
                CredentialPage, CredentialTerms, ListedCredentials, Rotation,
            };
        }
        pub use crate::service::manage::ManageError;
        pub mod idempotency {
            pub use crate::service::manage::idempotency::{
                Answered, BodyHash, Idempotency, KeptReply, KeyedRequest, Recorder,
            };
        }
        pub mod keeping {
            pub use crate::service::manage::keeping::Keep;
        }
        pub mod import {
            pub use crate::service::manage::import::Imported;
            pub use crate::service::manage::row::Row;
        }
        pub mod patch {
            pub use crate::service::manage::patch::ProfilePatch;
        }
        pub mod scopes {
            pub use crate::service::manage::scopes::ScopePatch;
        }
    }
    pub mod generation {
        pub use crate::service::generation::{GenerationWatch, Sight, follow_store};
    }
    pub mod restore {
        pub use crate::service::restore::{Acknowledged, Restores, Unmarked};
    }
    pub mod key_rotation {
        pub use crate::service::key_rotation::RotationMode;
    }
    pub mod reseal {
        pub use crate::service::reseal::Resealed;
    }
    pub mod upgrade {
        pub use crate::service::upgrade::{Finished, finish_upgrade};
    }
    pub mod readiness {
        pub use crate::service::readiness::Draining;
    }
}
pub mod store {
    pub use crate::store::{
        AgentChange, AgentRecord, AgentRows, AgentUsage, Backend, Batch, Change, CommitCondition,
        CredentialChange, CredentialQuery, CredentialRecord, EventTable, Freshness,
        GenerationChange, IdRange, KeyChange, KeyRecord, KeyReplacement, KeyResealing, KeyState,
        KilledAgentQuery, KilledTokens, Lease, LogAppend, LogChange, LogEntry, LogEntryKind,
        LogHead, LogNode, MAX_WINDOW_ROWS, OpenError, OrgChange, Outcome, PROCESS_TTL, Pass,
        PassOutcome, ProcessRecord, ProcessReport, REPLY_TTL, REVOCATION_GRACE, Recorded, Records,
        ReplyPlace, ReplyRecord, Retires, SPENT_GRACE, ScopeChange, ScopeHolders, Sealed,
        Settlement, SilentUser, Standing, Store, StoreError, StoreGeneration, StoreKey,
        StoreSchema, StoredKeys, TermsBounds, TokenChange, TokenRef, Unsettled, Verdict, Write,
    };
    pub mod batch {
        pub use crate::store::batch::Batched;
    }
    pub mod postgres {
        pub use crate::store::postgres::{PostgresStore, migrate};
    }
    pub mod records {
        pub use crate::store::records::{ReadAgents, Upkeep};
    }
    pub mod rehearsal {
        pub use crate::store::rehearsal::{Rehearsal, Rehearse};
    }
    pub mod sqlite {
        pub use crate::store::sqlite::{NotAlone, SqliteStore};
    }
}
pub mod tasks {
    pub use crate::tasks::Loop;
}
pub mod telemetry {
    pub use crate::telemetry::{Format, Output, start_logging};
}
