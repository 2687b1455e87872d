//! The terms of tokens that have a row of their own, so that the row of a token names its terms by
//! a number: how they are read from their rows, and how those of a token are found among them.
//!
//! Owns the values. `store::terms_book` keeps them in memory. Must not know SQL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::domain::agent::Audience;
use crate::domain::grant::Grant;
use crate::domain::id::{AgentId, CredentialId};

use super::row::{Broken, list};

/// How many terms may have a row.
#[derive(Debug, Clone, Copy)]
pub struct TermsBounds {
    /// Of one agent.
    pub agent: i64,
    /// In the whole store.
    pub store: i64,
}

impl TermsBounds {
    /// The bounds of a server.
    pub const DEFAULT: Self = Self {
        agent: 64,
        store: 100_000,
    };
}

/// Terms that many tokens share. Tokens about a user have none, since there may be as many users as
/// tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) struct CommonTerms {
    pub agent_id: AgentId,
    pub credential: CredentialId,
    pub scope: String,
    pub audience: Vec<String>,
    pub ttl: i64,
    /// The epoch of the agent's organization; `None` in the first one.
    pub org_epoch: Option<i64>,
}

impl CommonTerms {
    /// The audiences as a JSON list, as they are stored.
    pub(super) fn audience_json(&self) -> String {
        list(self.audience.iter().map(String::as_str))
    }

    /// The terms of this grant; `None` if they cannot have a row.
    pub(super) fn of(grant: &Grant) -> Option<Self> {
        let credential = grant.credential().filter(|_| grant.user().is_none())?;
        Some(Self {
            agent_id: grant.agent_id().clone(),
            credential,
            scope: grant.scope().to_owned(),
            audience: grant
                .audience()
                .iter()
                .map(|one| one.as_str().to_owned())
                .collect(),
            ttl: grant.ttl(),
            org_epoch: grant.org().map(|(_, epoch)| epoch.0),
        })
    }
}

/// Terms with a row.
#[derive(Debug)]
struct KnownTerms {
    id: i32,
    credential: CredentialId,
    scope: String,
    audience: Vec<String>,
    ttl: i64,
    org_epoch: Option<i64>,
    /// The last day of use in the store, in days since 1970.
    stored_on: AtomicI64,
    /// The last day of use that this process saw.
    used_on: AtomicI64,
}

impl KnownTerms {
    fn are(&self, grant: &Grant, credential: CredentialId) -> bool {
        self.credential == credential
            && self.ttl == grant.ttl()
            && self.org_epoch == grant.org().map(|(_, epoch)| epoch.0)
            && self.scope == grant.scope()
            && self
                .audience
                .iter()
                .eq(grant.audience().iter().map(Audience::as_str))
    }
}

/// All terms with a row, as they were under one number.
#[derive(Debug)]
pub(in crate::store) struct TermsEdition {
    /// The number that the store drew when these rows changed last.
    number: i64,
    agents: HashMap<AgentId, Vec<KnownTerms>>,
    /// Set when a batch was not counted under this number. Then no batch uses the edition until it
    /// was compared with the store.
    is_doubted: AtomicBool,
}

impl TermsEdition {
    /// The edition of this number with these rows: id, terms and last day of use.
    fn new(number: i64, rows: Vec<(i32, CommonTerms, i64)>) -> Self {
        let mut agents: HashMap<AgentId, Vec<KnownTerms>> = HashMap::new();
        for (id, terms, day) in rows {
            let CommonTerms {
                agent_id,
                credential,
                scope,
                audience,
                ttl,
                org_epoch,
            } = terms;
            agents.entry(agent_id).or_default().push(KnownTerms {
                id,
                credential,
                scope,
                audience,
                ttl,
                org_epoch,
                stored_on: AtomicI64::new(day),
                used_on: AtomicI64::new(day),
            });
        }
        Self {
            number,
            agents,
            is_doubted: AtomicBool::new(false),
        }
    }

    /// The number of this edition.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// Whether batches may use the edition.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_doubted.load(Ordering::Relaxed)
    }

    /// Lets batches use the edition, or not.
    pub(super) fn set_usable(&self, is_usable: bool) {
        self.is_doubted.store(!is_usable, Ordering::Relaxed);
    }

    /// The row of the terms of this grant, which a token uses on this day.
    pub(super) fn use_row(&self, grant: &Grant, today: i64) -> Option<i32> {
        let credential = grant.credential().filter(|_| grant.user().is_none())?;
        let of_agent = self.agents.get(grant.agent_id())?;
        let known = of_agent.iter().find(|known| known.are(grant, credential))?;
        // Read first: a write would take the value away from the other cores each time.
        if known.used_on.load(Ordering::Relaxed) < today {
            known.used_on.store(today, Ordering::Relaxed);
        }
        Some(known.id)
    }

    /// The rows that were used on a later day than the store knows: id and day.
    pub(super) fn used(&self) -> Vec<(i32, i64)> {
        let all = self.agents.values().flatten();
        all.map(|known| (known, known.used_on.load(Ordering::Relaxed)))
            .filter(|(known, used_on)| known.stored_on.load(Ordering::Relaxed) < *used_on)
            .map(|(known, used_on)| (known.id, used_on))
            .collect()
    }

    /// Notes that the store knows these days of use.
    pub(super) fn note_stored(&self, used: &[(i32, i64)]) {
        let days: HashMap<i32, i64> = used.iter().copied().collect();
        for known in self.agents.values().flatten() {
            if let Some(day) = days.get(&known.id) {
                known.stored_on.fetch_max(*day, Ordering::Relaxed);
            }
        }
    }

    /// Whether these terms have a row.
    pub(super) fn holds(&self, terms: &CommonTerms) -> bool {
        let of_agent = self.agents.get(&terms.agent_id);
        of_agent.into_iter().flatten().any(|known| {
            known.credential == terms.credential
                && known.ttl == terms.ttl
                && known.org_epoch == terms.org_epoch
                && known.scope == terms.scope
                && known.audience == terms.audience
        })
    }
}

/// The columns of a row of terms, after the number of all rows. Without rows, there is the number
/// alone.
pub(in crate::store) type TermsColumns = (
    i64,
    Option<i32>,
    Option<String>,
    Option<uuid::Uuid>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i32>,
    Option<i64>,
);

/// The edition of these rows.
pub(in crate::store) fn terms_edition(rows: Vec<TermsColumns>) -> Result<TermsEdition, Broken> {
    let number = rows.first().ok_or("the terms have a number")?.0;
    let mut known = Vec::with_capacity(rows.len());
    for (_, id, agent_id, credential_id, scope, audience, ttl, used_on, org_epoch) in rows {
        let columns = (|| {
            Some((
                id?,
                agent_id?,
                credential_id?,
                scope?,
                audience?,
                ttl?,
                used_on?,
            ))
        })();
        let Some((id, agent_id, credential_id, scope, audience, ttl, used_on)) = columns else {
            continue;
        };
        let terms = CommonTerms {
            agent_id: AgentId::parse(&agent_id)?,
            credential: CredentialId(credential_id),
            scope,
            audience: serde_json::from_str(&audience)?,
            ttl,
            org_epoch,
        };
        known.push((id, terms, i64::from(used_on)));
    }
    Ok(TermsEdition::new(number, known))
}
