//! Partners, as they are looked up, and as both backends hold them. Must not know SQL, or how a
//! partner's tokens are checked.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::agent::{Audience, Epoch};
use crate::domain::credential::PublicKeys;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::{Partner, PartnerTerms};
use crate::domain::partner::source::{JwksUri, KeySource, PartnerIssuer, PartnerKeySet};
use crate::domain::partner::terms::{
    AlgorithmName, MaxAge, PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerName,
    PartnerStatus, RequiredClaims,
};
use crate::domain::time::Timestamp;

use super::error::StoreError;
use super::row::{Broken, list};

/// Partners.
#[async_trait]
pub trait ReadPartners: Send + Sync {
    /// The partner with this id.
    async fn partner(&self, partner_id: PartnerId) -> Result<Option<Partner>, StoreError>;

    /// The partners with this issuer that serve the agents of this organization: its own one, and
    /// that of the first organization.
    async fn partners_of_issuer(
        &self,
        org_id: &OrgId,
        issuer: &PartnerIssuer,
    ) -> Result<Vec<Partner>, StoreError>;

    /// Up to `limit` partners in the order of their ids, starting after the id `after`, of one
    /// organization if one is given.
    async fn partners(
        &self,
        org_id: Option<&OrgId>,
        after: Option<PartnerId>,
        limit: i64,
    ) -> Result<Vec<Partner>, StoreError>;

    /// Up to `limit` agents that hold a credential of this partner that is live at `now`, in the byte
    /// order of their ids, starting after the id `after`.
    async fn partner_holders(
        &self,
        partner_id: PartnerId,
        now: Timestamp,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<Vec<PartnerHolder>, StoreError>;
}

/// An agent that holds a live credential of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerHolder {
    /// The agent.
    pub agent_id: AgentId,
    /// Its epoch.
    pub epoch: Epoch,
}

impl PartnerHolder {
    /// From what a backend selects.
    pub(in crate::store) fn of_row((agent_id, epoch): (String, i64)) -> Result<Self, Broken> {
        Ok(Self {
            agent_id: AgentId::parse(&agent_id)?,
            epoch: Epoch(epoch),
        })
    }
}

/// The columns of a partner, in the order in which every statement names them.
pub(in crate::store) type PartnerColumns = (
    Uuid,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    i64,
    Option<String>,
    String,
    i64,
    i64,
    i64,
);

/// A partner from its columns.
pub(in crate::store) fn partner_row(columns: PartnerColumns) -> Result<Partner, Broken> {
    let (partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, ..) = columns;
    let (.., audiences, claims, algorithms, max_age, preset, status, version, made, changed) =
        columns;
    let keys = match (jwks_uri, jwks) {
        (Some(uri), None) => KeySource::Uri(JwksUri::parse(&uri)?),
        (None, Some(keys)) => KeySource::Set(PartnerKeySet {
            keys: PublicKeys(keys.into()),
            thumbprints: thumbprints.unwrap_or_default().into(),
        }),
        _ => return Err("a partner has either an address of keys or keys".into()),
    };
    let audiences = audiences
        .map(|text| items(&text, Audience::parse))
        .transpose()?;
    let algorithms = algorithms
        .map(|text| items(&text, AlgorithmName::parse))
        .transpose()?;
    Ok(Partner {
        partner_id: PartnerId(partner_id),
        org_id: OrgId::parse(&org_id)?,
        issuer: PartnerIssuer::parse(&issuer)?,
        preset: preset.map(|word| PartnerPreset::parse(&word)).transpose()?,
        terms: PartnerTerms {
            name: PartnerName::parse(&name)?,
            keys,
            audiences: audiences.map(PartnerAudiences::new).transpose()?,
            required_claims: RequiredClaims::new(items(&claims, ClaimPointer::parse)?)?,
            algorithms: algorithms.map(PartnerAlgorithms::new).transpose()?,
            max_age: MaxAge::new(max_age)?,
        },
        status: PartnerStatus::parse(&status)?,
        version,
        created_at: Timestamp(made),
        updated_at: Timestamp(changed),
    })
}

/// The columns of what an operator decides about a partner.
pub(in crate::store) struct PartnerTermsColumns<'t> {
    pub name: &'t str,
    pub jwks_uri: Option<&'t str>,
    pub jwks: Option<&'t str>,
    pub thumbprints: Option<&'t str>,
    pub audiences: Option<String>,
    pub required_claims: String,
    pub algorithms: Option<String>,
    pub max_age: i64,
}

impl<'t> PartnerTermsColumns<'t> {
    /// The columns of these terms.
    pub(in crate::store) fn of(terms: &'t PartnerTerms) -> Self {
        let set = terms.keys.set();
        let audiences = terms.audiences.as_ref().map(PartnerAudiences::as_slice);
        let algorithms = terms.algorithms.as_ref().map(PartnerAlgorithms::as_slice);
        let claims = terms.required_claims.as_slice();
        Self {
            name: terms.name.as_str(),
            jwks_uri: terms.keys.uri().map(JwksUri::as_str),
            jwks: set.map(|set| &*set.keys.0),
            thumbprints: set.map(|set| &*set.thumbprints),
            audiences: audiences.map(|all| list(all.iter().map(Audience::as_str))),
            required_claims: list(claims.iter().map(ClaimPointer::as_str)),
            algorithms: algorithms.map(|all| list(all.iter().map(|one| one.as_str()))),
            max_age: terms.max_age.secs(),
        }
    }
}

fn items<T>(json: &str, parse: impl Fn(&str) -> Result<T, Invalid>) -> Result<Vec<T>, Broken> {
    let texts: Vec<String> = serde_json::from_str(json)?;
    let items: Result<_, Invalid> = texts.iter().map(|text| parse(text)).collect();
    Ok(items?)
}
