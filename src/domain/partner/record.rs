//! A partner as a store holds it. Must not know how it is made or changed.

use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;

use super::preset::PartnerPreset;
use super::source::{KeySource, PartnerIssuer};
use super::terms::{
    MaxAge, PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerName, PartnerStatus,
    RequiredClaims,
};

/// What an operator decides about a partner, and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerTerms {
    /// Its name.
    pub name: PartnerName,
    /// Where its keys come from.
    pub keys: KeySource,
    /// The audiences; `None` means this server's issuer.
    pub audiences: Option<PartnerAudiences>,
    /// The claims that each credential pins.
    pub required_claims: RequiredClaims,
    /// The algorithms; `None` means every one that its keys have.
    pub algorithms: Option<PartnerAlgorithms>,
    /// How old its tokens may be.
    pub max_age: MaxAge,
}

/// A partner as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Its id.
    pub partner_id: PartnerId,
    /// The organization that it belongs to. A partner of the first one serves all.
    pub org_id: OrgId,
    /// Its issuer, which no other partner of the organization has. It never changes.
    pub issuer: PartnerIssuer,
    /// What it was made from. It never changes.
    pub preset: Option<PartnerPreset>,
    /// What an operator decides.
    pub terms: PartnerTerms,
    /// Its state.
    pub status: PartnerStatus,
    /// Raised in the same commit as each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
