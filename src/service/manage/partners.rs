//! The operations on partners: make and show. `partner_changes` has the changes.
//!
//! Owns what an operator is refused. Must not know who asks or how the result is shown.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::org::OrgId;
use crate::domain::partner::draft::PartnerDraft;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::PartnerKeySet;
use crate::domain::partner::terms::{PartnerId, PartnerStatus};
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::entropy::{Entropy, uuid_v7};
use crate::service;
use crate::service::tokens::Caller;
use crate::store::{Change, Outcome, PartnerChange, Records, Store, Write};

use super::attempt::MAX_CONFLICTS;
use super::authority::{UNKNOWN_ORG, caller_conditions};
use super::checks::no_outcome;
use super::client_keys::NewKeys;
use super::error::ManageError;
use super::keeping::Keep;
use super::request::ChangeRequest;

/// What is said of the issuer of this server. Its tokens prove nobody.
const OWN_ISSUER: &str = "is the issuer of this server, whose tokens prove nobody";

/// Some partners of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerPage {
    /// The partners, in the order of their ids.
    pub partners: Vec<Partner>,
    /// The next ones begin behind this id; `None` if there are no more.
    pub next: Option<PartnerId>,
}

impl From<NewKeys> for PartnerKeySet {
    fn from(new: NewKeys) -> Self {
        Self {
            keys: new.keys,
            thumbprints: new.hint,
        }
    }
}

/// The operations on partners.
pub struct Partners {
    store: Arc<dyn Store>,
    pub(super) records: Arc<dyn Records>,
    pub(super) clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
    issuer: Box<str>,
    /// How many partners one organization may have.
    most: i64,
}

impl Partners {
    /// The operations on the partners of this store. `issuer` is that of this server, and `most` how
    /// many partners one organization may have.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
        issuer: &str,
        most: i64,
    ) -> Self {
        Self {
            store,
            records,
            clock,
            entropy,
            issuer: issuer.into(),
            most,
        }
    }

    /// Up to `limit` partners in the order of their ids, starting after the id `after`. `own` is the
    /// organization that the reader is limited to.
    pub async fn list(
        &self,
        own: Option<&OrgId>,
        after: Option<PartnerId>,
        limit: i64,
    ) -> Result<PartnerPage, service::Error> {
        // One more than asked for tells whether there are more.
        let mut partners = self.records.partners(own, after, limit + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_full = partners.len() > most;
        partners.truncate(most);
        let last = partners.last().filter(|_| is_full);
        let next = last.map(|partner| partner.partner_id);
        Ok(PartnerPage { partners, next })
    }

    /// One partner. `own` is the organization that the reader is limited to: for that reader there
    /// is no other one.
    pub async fn show(
        &self,
        partner_id: PartnerId,
        own: Option<&OrgId>,
    ) -> Result<Partner, ManageError> {
        let found = self.find(partner_id, own).await?;
        found.ok_or_else(|| RejectionCode::PartnerNotFound.into())
    }

    /// Makes a partner of this organization, or of that of the caller if none is chosen. It is shown
    /// as its commit makes it, since the reply is kept in that commit.
    pub async fn create(
        &self,
        chosen: Option<OrgId>,
        draft: PartnerDraft,
        request: impl Into<ChangeRequest<'_>>,
        keep: Keep<'_, Partner>,
    ) -> Result<Partner, ManageError> {
        let request = request.into();
        let preset = draft.preset;
        let issuer = draft.issuer.clone();
        let issuer = issuer.or(preset.and_then(PartnerPreset::issuer));
        let is_own = issuer.is_some_and(|issuer| issuer.is_same_url(&self.issuer));
        let own = is_own.then(|| FieldError::new("/issuer", OWN_ISSUER));
        let completed = match (draft.complete(), own) {
            (Ok(made), None) => Ok(made),
            (made, own) => Err(own
                .into_iter()
                .chain(made.err().unwrap_or_default())
                .collect()),
        };
        let org_id = self.org_of(chosen, request.caller).await?;
        let (org_id, issuer, terms) = match (org_id, completed) {
            (Ok(org_id), Ok((issuer, terms))) => (org_id, issuer, terms),
            (org_id, completed) => {
                let mut rejection = Rejection::invalid(completed.err().unwrap_or_default());
                let unknown = org_id.err().map(|unknown| unknown.errors);
                rejection.errors.splice(0..0, unknown.unwrap_or_default());
                return Err(rejection.into());
            }
        };
        request.demand(None)?;
        let known = self.records.partners_of_issuer(&org_id, &issuer).await?;
        if known.iter().any(|partner| partner.org_id == org_id) {
            return Err(RejectionCode::PartnerExists.into());
        }
        let now = self.clock.now();
        let partner = Partner {
            partner_id: self.draw_id()?,
            org_id,
            issuer,
            preset,
            terms,
            status: PartnerStatus::Active,
            version: self.clock.unix_millis(),
            created_at: now,
            updated_at: now,
        };
        if request.is_dry_run() {
            self.demand_room(&partner.org_id).await?;
            return Ok(partner);
        }
        let change = PartnerChange::Create(Box::new(partner.clone()), self.most);
        for _ in 0..MAX_CONFLICTS {
            let write = self.write(change.clone(), &request).await?;
            match self.commit(keep.keeping(write, &partner)?).await? {
                Outcome::Applied => return Ok(partner),
                Outcome::CallerChanged => {}
                Outcome::TooMany => return Err(RejectionCode::TooManyPartners.into()),
                Outcome::Answered => return Err(RejectionCode::IdempotencyInProgress.into()),
                _ => return Err(RejectionCode::PartnerExists.into()),
            }
        }
        Err(RejectionCode::PartnerKeptChanging.into())
    }

    /// Rejects one more partner of this organization if it has as many as it may have. The commit counts
    /// anew.
    async fn demand_room(&self, org_id: &OrgId) -> Result<(), ManageError> {
        let partners = self.records.partners(Some(org_id), None, self.most).await?;
        if i64::try_from(partners.len()).is_ok_and(|number| number < self.most) {
            return Ok(());
        }
        Err(RejectionCode::TooManyPartners.into())
    }

    /// The partner, if it exists for a reader who is limited to the organization `own`.
    pub(super) async fn find(
        &self,
        partner_id: PartnerId,
        own: Option<&OrgId>,
    ) -> Result<Option<Partner>, service::Error> {
        let found = self.records.partner(partner_id).await?;
        Ok(found.filter(|partner| own.is_none_or(|own| partner.org_id == *own)))
    }

    /// The write of this change, which depends on whoever asks.
    pub(super) async fn write(
        &self,
        change: PartnerChange,
        request: &ChangeRequest<'_>,
    ) -> Result<Write, ManageError> {
        let conditions = caller_conditions(&*self.store, request).await?;
        let act = request.act.committed_at(self.clock.moment());
        Ok(Write::new(act, Change::Partner(change)).only_if(conditions))
    }

    pub(super) async fn commit(&self, write: Write) -> Result<Outcome, service::Error> {
        let outcomes = self.store.commit(vec![write]).await?;
        outcomes.first().copied().ok_or_else(no_outcome)
    }

    fn draw_id(&self) -> Result<PartnerId, service::Error> {
        Ok(PartnerId(uuid_v7(&*self.clock, &*self.entropy)?))
    }

    /// The organization of a new partner, or that there is none for the caller.
    async fn org_of(
        &self,
        chosen: Option<OrgId>,
        caller: Option<&Caller>,
    ) -> Result<Result<OrgId, Rejection>, service::Error> {
        let Some(chosen) = chosen else {
            return Ok(Ok(caller.map(Caller::org_id).cloned().unwrap_or_default()));
        };
        let is_reached = caller.is_none_or(|caller| caller.reaches(&chosen));
        if is_reached && self.records.org(&chosen).await?.is_some() {
            return Ok(Ok(chosen));
        }
        Ok(Err(Rejection::of_field("/orgId", UNKNOWN_ORG)))
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::partner::terms::PARTNER_ALGORITHMS;
    use crate::keys::client_algorithm::ClientAlgorithm;

    #[test]
    fn the_algorithms_of_partners_are_those_that_keys_may_have() {
        assert_eq!(
            PARTNER_ALGORITHMS,
            ClientAlgorithm::ALL.map(ClientAlgorithm::as_str)
        );
    }
}
