//! The arguments of `sealwright agent`, and what they say of an agent. Must not know what is done
//! with it.

use std::sync::Arc;

use clap::{ArgGroup, Args};

use crate::domain::about::{About, Description, Label, Labels, Owner};
use crate::domain::agent::{AgentName, Audience, LiveTokens, Profile, RedirectUri, Terms, UserId};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::usage::Day;
use crate::service::manage::credentials::MAX_OVERLAP;
use crate::service::manage::patch::{LabelsPatch, ProfilePatch};

use super::agent_ref::AgentRef;
use super::failure::CommandFailure;
use super::input::{self, ExpiryWord, Item, ScopeWords, TtlWord, Why, all_items, all_scopes};

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
    /// A name; need not be unique
    #[arg(long, value_parser = AgentName::parse)]
    pub name: AgentName,
    /// The id to use instead of a new UUID
    #[arg(long, value_name = "ID", value_parser = AgentId::parse)]
    pub client_id: Option<AgentId>,
    /// Its organization
    #[arg(long, value_parser = OrgId::parse)]
    pub org: Option<OrgId>,
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
    /// A new name
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

const CHANGES: [&str; 13] = [
    "name",
    "description",
    "owner",
    "label",
    "client_id",
    "scope",
    "secret_stdin",
    "ttl",
    "plan",
    "audience",
    "redirect_uri",
    "user_id",
    "expires_at",
];

#[derive(Args)]
pub(super) struct RestArgs {
    /// Read its secret from stdin: 16 characters at least
    #[arg(long)]
    pub secret_stdin: bool,
    /// What it is for, in 1000 characters at most; '' clears
    #[arg(long, value_name = "TEXT", value_parser = input::description)]
    pub description: Option<Item<Description>>,
    /// Who answers for it, in 200 characters at most; '' clears
    #[arg(long, value_name = "WHO", value_parser = input::owner)]
    pub owner: Option<Item<Owner>>,
    /// A label by which it is found; repeatable, 16 at most
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::label)]
    pub label: Vec<Item<Label>>,
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
    /// From when on it is expired, such as 2026-03-31T13:12:17Z, or 'never'
    #[arg(long, value_name = "TIME", value_parser = input::expiry)]
    pub expires_at: Option<ExpiryWord>,
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
    /// The new agent's profile. An error if the labels contradict each other.
    pub(super) fn profile(self) -> Result<Profile, CommandFailure> {
        let rest = self.rest;
        let about = About {
            description: rest.description.and_then(Item::into_value),
            owner: rest.owner.and_then(Item::into_value),
            labels: labels(rest.label)?.unwrap_or_default(),
        };
        Ok(Profile {
            name: self.name,
            about,
            terms: Arc::new(Terms {
                scopes: all_scopes(self.scope).unwrap_or_default(),
                ttl: rest.ttl.and_then(|word| word.0),
                plan: rest.plan.unwrap_or_else(PlanName::free),
                audiences: all_items(rest.audience).unwrap_or_default(),
                redirect_uris: all_items(rest.redirect_uri).unwrap_or_default(),
                user_ids: all_items(rest.user_id).unwrap_or_default(),
            }),
            expires_at: rest.expires_at.and_then(|word| word.0),
        })
    }
}

impl UpdateAgent {
    /// What changes in the profile. An error if the labels contradict each other.
    pub(super) fn patch(self) -> Result<ProfilePatch, CommandFailure> {
        let rest = self.rest;
        Ok(ProfilePatch {
            agent_id: self.client_id,
            org_id: None,
            name: self.name,
            description: rest.description.map(Item::into_value),
            owner: rest.owner.map(Item::into_value),
            labels: labels(rest.label)?.map(LabelsPatch::Replace),
            scopes: all_scopes(self.scope),
            ttl: rest.ttl.map(|word| word.0),
            plan: rest.plan,
            audiences: all_items(rest.audience),
            redirect_uris: all_items(rest.redirect_uri),
            user_ids: all_items(rest.user_id),
            expires_at: rest.expires_at.map(|word| word.0),
            tokens: if self.revoke_tokens {
                LiveTokens::Kill
            } else {
                LiveTokens::Keep
            },
        })
    }
}

/// The labels of all `--label` flags; `None` without any.
fn labels(flags: Vec<Item<Label>>) -> Result<Option<Labels>, CommandFailure> {
    let labels = all_items(flags).map(Labels::new).transpose();
    labels.map_err(|rule| CommandFailure::Usage(format!("--label: {rule}")))
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
