//! Whose tokens live shorter since the words of a scope's name count: what an operator is told after an
//! upgrade. Must not know how it is shown.

use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::risk::{NameRule, RiskRules};
use crate::domain::scope::Scope;
use crate::domain::ttl::{HIGH_RISK_CAP, Risk, Ttl};
use crate::service;
use crate::store::{Freshness, StoreError};

use super::scopes::Scopes;
use super::view::ShortenedView;

/// How many agents are read at once.
const PAGE: i64 = 500;

impl Scopes {
    /// The agents, except decommissioned ones, whose tokens live shorter than they would under
    /// `scopes.rule = "suffix"`. An upgrade from a version that knew only that rule affects these
    /// agents.
    pub async fn shortened(&self, default: Ttl) -> Result<Vec<ShortenedView>, service::Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let floor = RiskRules {
            rule: NameRule::Suffix,
            ..self.rules.clone()
        };
        let is_cut = |scope: &&Scope| {
            let risk = |rules| catalogue.risk(std::slice::from_ref(*scope), rules);
            risk(&self.rules) == Risk::High && risk(&floor) == Risk::Ordinary
        };
        let mut all = Vec::new();
        self.each_agent(|agent| {
            let terms = &agent.profile.terms;
            let ttl = terms.ttl.unwrap_or(default).secs();
            let scopes: Vec<Scope> = terms.scopes.iter().filter(is_cut).cloned().collect();
            if ttl > HIGH_RISK_CAP && !scopes.is_empty() && !agent.status.is_final() {
                all.push(ShortenedView {
                    agent_id: agent.agent_id.clone(),
                    ttl,
                    scopes,
                });
            }
        })
        .await?;
        Ok(all)
    }

    /// Calls `see` with every agent, in the order of their ids.
    async fn each_agent(&self, mut see: impl FnMut(&Agent)) -> Result<(), StoreError> {
        let mut after: Option<AgentId> = None;
        loop {
            let page = self.records.agents(after.as_ref(), PAGE).await?;
            page.iter().for_each(&mut see);
            after = page.last().map(|agent| agent.agent_id.clone());
            if i64::try_from(page.len()).is_ok_and(|count| count < PAGE) {
                return Ok(());
            }
        }
    }
}
