//! What can be changed about partners, and the event of each change. Must not know SQL.

use serde_json::Value;

use crate::domain::agent::Audience;
use crate::domain::event::Event;
use crate::domain::event::changes::Changes;
use crate::domain::event::facts::PartnerFacts;
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::{Partner, PartnerTerms};
use crate::domain::partner::source::JwksUri;
use crate::domain::partner::terms::{
    PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerStatus,
};

/// What can be changed about a partner. Each variant lists the outcomes that it can have besides
/// `Applied`. `before` is the partner as it was when the change was decided.
#[derive(Debug, Clone)]
pub enum PartnerChange {
    /// A new partner. `Conflict` if its organization has one with this issuer; `TooMany` if it would
    /// have more than so many.
    Create(Box<Partner>, i64),
    /// Other terms; raises the version. `TargetChanged` if the version is no longer that of `before`,
    /// or the partner is gone.
    Update {
        /// The partner.
        before: Box<Partner>,
        /// Its terms.
        terms: Box<PartnerTerms>,
    },
    /// Another status; raises the version. `TargetChanged`.
    SetStatus {
        /// The partner.
        before: Box<Partner>,
        /// Its status.
        status: PartnerStatus,
    },
    /// The partner is gone. `Conflict` if agents hold live credentials of it; `TargetChanged`.
    Delete(Box<Partner>),
}

/// How a partner's row is locked until the commit, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum PartnerLock {
    /// It must not go away. Others may change it.
    Keep,
    /// It will be changed.
    Update,
    /// It will be deleted.
    Delete,
}

impl PartnerChange {
    /// The partner that this changes or deletes; `None` for a new one.
    pub(super) fn lock(&self) -> Option<(PartnerId, PartnerLock)> {
        match self {
            Self::Create(..) => None,
            Self::Update { before, .. } | Self::SetStatus { before, .. } => {
                Some((before.partner_id, PartnerLock::Update))
            }
            Self::Delete(before) => Some((before.partner_id, PartnerLock::Delete)),
        }
    }

    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Create(partner, _) => {
                let members = members(&partner.terms).into_iter();
                let made = members.fold(Changes::default(), |all, (name, value)| {
                    all.with(name, Value::Null, value)
                });
                let preset = partner.preset.map(PartnerPreset::as_str);
                let made = made
                    .with("issuer", Value::Null, partner.issuer.as_str())
                    .with("preset", Value::Null, preset);
                Event::PartnerCreated(facts(partner, made))
            }
            Self::Update { before, terms } => {
                let pairs = members(&before.terms).into_iter().zip(members(terms));
                let changed = pairs.fold(Changes::default(), |all, ((name, from), (_, to))| {
                    all.with(name, from, to)
                });
                Event::PartnerUpdated(facts(before, changed))
            }
            Self::SetStatus { before, status } => {
                let facts = facts(before, Changes::default());
                match status {
                    PartnerStatus::Suspended => Event::PartnerSuspended(facts),
                    PartnerStatus::Active => Event::PartnerReactivated(facts),
                }
            }
            Self::Delete(before) => Event::PartnerDeleted(facts(before, Changes::default())),
        }
    }
}

fn facts(partner: &Partner, changed: Changes) -> PartnerFacts {
    PartnerFacts {
        partner_id: partner.partner_id.to_string(),
        org_id: partner.org_id.clone(),
        changed,
    }
}

/// What an operator decides about a partner, under the names of the management API. Keys are told by
/// their thumbprints.
fn members(terms: &PartnerTerms) -> [(&'static str, Value); 7] {
    let audiences = terms.audiences.as_ref().map(PartnerAudiences::as_slice);
    let audiences = audiences.map(|all| all.iter().map(Audience::as_str).collect::<Value>());
    let algorithms = terms.algorithms.as_ref().map(PartnerAlgorithms::as_slice);
    let algorithms = algorithms.map(|all| all.iter().map(|one| one.as_str()).collect::<Value>());
    let claims = terms.required_claims.as_slice().iter();
    let set = terms.keys.set();
    [
        ("algorithms", algorithms.into()),
        ("audiences", audiences.into()),
        ("jwks", set.map(|set| &*set.thumbprints).into()),
        ("jwksUri", terms.keys.uri().map(JwksUri::as_str).into()),
        ("maxAgeSeconds", terms.max_age.secs().into()),
        ("name", terms.name.as_str().into()),
        ("requiredClaims", claims.map(ClaimPointer::as_str).collect()),
    ]
}
