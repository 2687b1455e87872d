//! The arguments of `sealwright agent`, and what they say of an agent. Must not know what is done
//! with it.

use std::sync::Arc;

use clap::{ArgGroup, Args};

use crate::domain::agent::{AgentName, Audience, LiveTokens, Profile, RedirectUri, Terms, UserId};
use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::domain::usage::Day;
use crate::service::manage::MAX_OVERLAP;
use crate::service::manage::patch::ProfilePatch;

use super::agent_ref::AgentRef;
use super::input::{self, Item, ScopeWords, TtlWord, Why, all_items, all_scopes};

/// An agent, and why it is changed.
#[derive(Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    pub who: AgentRef,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Args)]
pub(super) struct CreateAgent {
    /// A label; need not be unique
    #[arg(long, value_parser = AgentName::parse)]
    pub name: AgentName,
    /// The id to use instead of a new UUID
    #[arg(long, value_name = "ID", value_parser = AgentId::parse)]
    pub client_id: Option<AgentId>,
    /// A scope that it may ask for; repeatable, or separated by spaces
    #[arg(long, required = true, value_parser = input::scopes)]
    pub scope: Vec<ScopeWords>,
    #[command(flatten)]
    pub rest: RestArgs,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(CHANGES))]
pub(super) struct UpdateAgent {
    /// The agent's id
    pub id: String,
    /// A new label
    #[arg(long, value_parser = AgentName::parse)]
    pub name: Option<AgentName>,
    /// Must be the id that it already has: an id never changes
    #[arg(long, value_name = "ID", value_parser = AgentId::parse)]
    pub client_id: Option<AgentId>,
    /// All the scopes that it may ask for; '' clears
    #[arg(long, value_parser = input::scopes)]
    pub scope: Vec<ScopeWords>,
    #[command(flatten)]
    pub rest: RestArgs,
    /// Kill its live tokens as well, which would keep what they were given
    #[arg(long)]
    pub revoke_tokens: bool,
}

const CHANGES: [&str; 9] = [
    "name",
    "client_id",
    "scope",
    "secret_stdin",
    "ttl",
    "plan",
    "audience",
    "redirect_uri",
    "user_id",
];

#[derive(Args)]
pub(super) struct RestArgs {
    /// Read its secret from stdin: 16 characters at least
    #[arg(long)]
    pub secret_stdin: bool,
    /// Seconds that its tokens live, 300 to 86400, or 'default'
    #[arg(long, value_name = "SECS", value_parser = input::ttl)]
    pub ttl: Option<TtlWord>,
    /// Its plan
    #[arg(long, value_parser = PlanName::parse)]
    pub plan: Option<PlanName>,
    /// An audience that it may ask for; repeatable; without any, all are allowed. A request without an
    /// audience gets the server's default, or the first listed one if the default is not listed
    #[arg(long, value_name = "A", value_parser = input::audience)]
    pub audience: Vec<Item<Audience>>,
    /// Where its authorization codes may be sent; repeatable
    #[arg(long, value_name = "U", value_parser = input::redirect_uri)]
    pub redirect_uri: Vec<Item<RedirectUri>>,
    /// A user on whose behalf it may act; repeatable
    #[arg(long, value_name = "U", value_parser = input::user_id)]
    pub user_id: Vec<Item<UserId>>,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    pub who: AgentRef,
    /// Seconds that the old secret lives on
    #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=MAX_OVERLAP))]
    pub overlap: i64,
    #[command(flatten)]
    pub why: Why,
}

impl CreateAgent {
    /// The new agent's profile.
    pub(super) fn profile(self) -> Profile {
        let rest = self.rest;
        Profile {
            name: self.name,
            terms: Arc::new(Terms {
                scopes: all_scopes(self.scope).unwrap_or_default(),
                ttl: rest.ttl.and_then(|word| word.0),
                plan: rest.plan.unwrap_or_else(PlanName::free),
                audiences: all_items(rest.audience).unwrap_or_default(),
                redirect_uris: all_items(rest.redirect_uri).unwrap_or_default(),
                user_ids: all_items(rest.user_id).unwrap_or_default(),
            }),
        }
    }
}

impl UpdateAgent {
    /// What changes in the profile.
    pub(super) fn patch(self) -> ProfilePatch {
        let rest = self.rest;
        ProfilePatch {
            agent_id: self.client_id,
            name: self.name,
            scopes: all_scopes(self.scope),
            ttl: rest.ttl.map(|word| word.0),
            plan: rest.plan,
            audiences: all_items(rest.audience),
            redirect_uris: all_items(rest.redirect_uri),
            user_ids: all_items(rest.user_id),
            tokens: if self.revoke_tokens {
                LiveTokens::Kill
            } else {
                LiveTokens::Keep
            },
        }
    }
}

#[derive(Args)]
pub(super) struct UsageArgs {
    #[command(flatten)]
    pub who: AgentRef,
    /// The first day, such as 2026-11-26 (default: 30 days before the last one)
    #[arg(long, value_parser = Day::parse)]
    pub from: Option<Day>,
    /// The last day (default: today)
    #[arg(long, value_parser = Day::parse)]
    pub to: Option<Day>,
}
