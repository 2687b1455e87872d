//! Agents as both backends hold them. Owns the stored form of their lists and labels. Must not know
//! SQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Invalid;
use crate::domain::about::{About, Description, LabelText, Labels, Owner};
use crate::domain::agent::{
    Agent, AgentName, AgentStatus, Audience, Epoch, Profile, RedirectUri, SuspendedBy, Terms,
    UserId,
};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;

use super::row::{Broken, list};

fn parse_list<T>(json: &str, parse: impl Fn(&str) -> Result<T, Invalid>) -> Result<Vec<T>, Broken> {
    let items: Vec<String> = serde_json::from_str(json)?;
    Ok(items
        .iter()
        .map(|item| parse(item))
        .collect::<Result<_, _>>()?)
}

fn parse_optional<T>(
    text: Option<&String>,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    text.map(|text| parse(text)).transpose()
}

/// Labels from their stored form. An earlier release writes none.
fn parse_labels(json: Option<&str>) -> Result<Labels, Broken> {
    let Some(json) = json else {
        return Ok(Labels::default());
    };
    let pairs: BTreeMap<String, String> = serde_json::from_str(json)?;
    let label = |(key, value): (&String, &String)| {
        Ok::<_, Invalid>((LabelText::parse(key)?, LabelText::parse(value)?))
    };
    let labels: Vec<_> = pairs.iter().map(label).collect::<Result<_, _>>()?;
    Ok(Labels::new(labels)?)
}

/// A profile's lists in their stored form.
pub(in crate::store) struct ProfileLists {
    /// A JSON object; `None` without labels.
    pub labels: Option<String>,
    pub scopes: String,
    pub audiences: String,
    pub redirect_uris: String,
    pub user_ids: String,
}

impl From<&Profile> for ProfileLists {
    fn from(profile: &Profile) -> Self {
        let labels = &profile.about.labels;
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.into());
        let pairs: serde_json::Map<_, _> = labels.iter().map(pair).collect();
        Self {
            labels: (!labels.is_empty()).then(|| serde_json::Value::Object(pairs).to_string()),
            scopes: list(profile.terms.scopes.iter().map(Scope::as_str)),
            audiences: list(profile.terms.audiences.iter().map(Audience::as_str)),
            redirect_uris: list(profile.terms.redirect_uris.iter().map(RedirectUri::as_str)),
            user_ids: list(profile.terms.user_ids.iter().map(UserId::as_str)),
        }
    }
}

/// The columns of an agent.
pub(in crate::store) struct AgentRow {
    pub agent_id: String,
    pub org_id: String,
    pub name: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub labels: Option<String>,
    pub status: String,
    /// The epoch of a suspension by an agent without an admin scope.
    pub agent_suspension_epoch: Option<i64>,
    pub scopes: String,
    pub audiences: String,
    pub redirect_uris: String,
    pub user_ids: String,
    pub ttl: Option<i64>,
    pub plan: String,
    pub expires_at: Option<i64>,
    pub epoch: i64,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

impl AgentRow {
    pub(super) fn parse(self) -> Result<Agent, Broken> {
        let status = AgentStatus::parse(&self.status)?;
        // A kill by an earlier release leaves the column as it is, but raises the epoch.
        let suspended_by = if self.agent_suspension_epoch == Some(self.epoch) {
            SuspendedBy::Agent
        } else {
            SuspendedBy::Operator
        };
        Ok(Agent {
            agent_id: AgentId::parse(&self.agent_id)?,
            org_id: OrgId::parse(&self.org_id)?,
            profile: Profile {
                name: AgentName::parse(&self.name)?,
                about: About {
                    description: parse_optional(self.description.as_ref(), Description::parse)?,
                    owner: parse_optional(self.owner.as_ref(), Owner::parse)?,
                    labels: parse_labels(self.labels.as_deref())?,
                },
                terms: Arc::new(Terms {
                    scopes: parse_list(&self.scopes, Scope::parse)?,
                    ttl: self.ttl.map(Ttl::new).transpose()?,
                    plan: PlanName::parse(&self.plan)?,
                    audiences: parse_list(&self.audiences, Audience::parse_stored)?,
                    redirect_uris: parse_list(&self.redirect_uris, RedirectUri::parse)?,
                    user_ids: parse_list(&self.user_ids, UserId::parse)?,
                }),
                expires_at: self.expires_at.map(Timestamp),
            },
            status,
            suspended_by: (status == AgentStatus::Suspended).then_some(suspended_by),
            epoch: Epoch(self.epoch),
            version: self.version,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}
