//! The operations on organizations: make and show. `org_changes` has the changes.
//!
//! Owns what an operator is refused. Must not know who asks or how the result is shown.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::catalogue::Catalogue;
use crate::domain::org::{Org, OrgEpoch, OrgId, OrgName, OrgStatus};
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::domain::scope::{Scope, is_admin};
use crate::entropy::{Entropy, uuid_v7};
use crate::store::{Change, Freshness, OrgChange, Outcome, Records, Store, Write};

use crate::service;

use super::attempt::MAX_CONFLICTS;
use super::authority::caller_conditions;
use super::checks::{demand_none, fault, no_outcome, unknown_scopes};
use super::error::ManageError;
use super::keeping::Keep;
use super::request::ChangeRequest;

const HOLDS_ADMIN: &str = "an organization with a list of scopes has no admins of its own";
const UPGRADE: &str = "this store was upgraded, and a server of an earlier release would overlook that an organization is \
                       suspended: stop such servers, and run `sealwright migrate --finish`";

/// An organization to be made.
#[derive(Debug, Clone)]
pub struct NewOrg {
    /// Its id. If it is `None`, a UUID is drawn.
    pub org_id: Option<OrgId>,
    /// Its name.
    pub name: OrgName,
    /// What its agents may be given; `None` means every scope.
    pub scopes: Option<Vec<Scope>>,
}

/// The changes to an organization. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct OrgPatch {
    /// Its name.
    pub name: Option<OrgName>,
    /// What its agents may be given; `Some(None)` means every scope.
    #[expect(
        clippy::option_option,
        reason = "a patch leaves, removes or sets a value"
    )]
    pub scopes: Option<Option<Vec<Scope>>>,
}

/// An organization as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgView {
    /// The organization.
    pub org: Org,
    /// Whether the change that was just made killed tokens.
    pub tokens_killed: bool,
}

/// Some organizations of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgPage {
    /// The organizations, in the byte order of their ids.
    pub orgs: Vec<OrgView>,
    /// The next ones begin behind this id; `None` if there are no more.
    pub next: Option<OrgId>,
}

/// The operations on organizations.
pub struct Orgs {
    store: Arc<dyn Store>,
    pub(super) records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
}

impl Orgs {
    /// The operations on the organizations of this store.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            records,
            clock,
            entropy,
        }
    }

    /// Up to `limit` organizations in the order of their ids, starting after the id `after`. `own` is
    /// the organization that the reader is limited to.
    pub async fn list(
        &self,
        own: Option<&OrgId>,
        after: Option<&OrgId>,
        limit: i64,
    ) -> Result<OrgPage, service::Error> {
        if let Some(own) = own {
            let found = self.records.org(own).await?;
            let is_next =
                |org: &Org| after.is_none_or(|after| org.org_id.as_str() > after.as_str());
            return Ok(OrgPage {
                orgs: found.filter(is_next).into_iter().map(view).collect(),
                next: None,
            });
        }
        // One more than asked for tells whether there are more.
        let mut orgs = self.records.orgs(after, limit + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_full = orgs.len() > most;
        orgs.truncate(most);
        let last = orgs.last().filter(|_| is_full);
        let next = last.map(|org| org.org_id.clone());
        Ok(OrgPage {
            orgs: orgs.into_iter().map(view).collect(),
            next,
        })
    }

    /// One organization. `own` is the organization that the reader is limited to: for that reader
    /// there is no other one.
    pub async fn show(&self, org_id: &OrgId, own: Option<&OrgId>) -> Result<OrgView, ManageError> {
        if own.is_some_and(|own| own != org_id) {
            return Err(RejectionCode::OrgNotFound.into());
        }
        let found = self.records.org(org_id).await?;
        found.map(view).ok_or_else(not_found)
    }

    /// Makes an organization. It is shown as its commit makes it, since the reply is kept in that
    /// commit.
    pub async fn create(
        &self,
        new: NewOrg,
        request: impl Into<ChangeRequest<'_>>,
        keep: Keep<'_, OrgView>,
    ) -> Result<OrgView, ManageError> {
        let request = request.into();
        self.check_scopes(new.scopes.as_deref()).await?;
        let (org_id, found) = match new.org_id {
            Some(org_id) => {
                let found = self.records.org(&org_id).await?;
                (org_id, found)
            }
            None => (self.draw_id()?, None),
        };
        request.demand(found.as_ref().map(|org| org.version))?;
        if found.is_some() {
            return Err(RejectionCode::OrgExists.into());
        }
        if !self.records.may_make_orgs().await? {
            let code = RejectionCode::UpgradeUnfinished;
            return Err(Rejection::with(code, UPGRADE.to_owned()).into());
        }
        let now = self.clock.now();
        let org = Org {
            org_id,
            name: new.name,
            scopes: new.scopes,
            status: OrgStatus::Active,
            epoch: OrgEpoch::default(),
            version: self.clock.unix_millis(),
            created_at: now,
            updated_at: now,
        };
        let made = view(org.clone());
        if request.is_dry_run() {
            return Ok(made);
        }
        let change = OrgChange::Create(Box::new(org));
        for _ in 0..MAX_CONFLICTS {
            let write = self.write(change.clone(), &request).await?;
            match self.commit(keep.keeping(write, &made)?).await? {
                Outcome::Applied => return Ok(made),
                Outcome::CallerChanged => {}
                Outcome::Answered => return Err(RejectionCode::IdempotencyInProgress.into()),
                _ => return Err(RejectionCode::OrgExists.into()),
            }
        }
        Err(RejectionCode::OrgKeptChanging.into())
    }

    /// Rejects scopes that nobody can be given, and admin scopes.
    pub(super) async fn check_scopes(&self, scopes: Option<&[Scope]>) -> Result<(), ManageError> {
        let Some(scopes) = scopes else {
            return Ok(());
        };
        let catalogue: Arc<Catalogue> = self.store.catalogue(Freshness::Fresh).await?;
        let mut errors = unknown_scopes(scopes, &catalogue);
        let admin = scopes.iter().enumerate();
        let admin = admin.filter(|(_, scope)| is_admin(scope.as_str()));
        errors.extend(
            admin.map(|(place, _)| FieldError::new(format!("/scopes/{place}"), HOLDS_ADMIN)),
        );
        Ok(demand_none(errors)?)
    }

    /// The write of this change, which depends on whoever asks.
    pub(super) async fn write(
        &self,
        change: OrgChange,
        request: &ChangeRequest<'_>,
    ) -> Result<Write, ManageError> {
        let conditions = caller_conditions(&*self.store, request).await?;
        let act = request.act.committed_at(self.clock.moment());
        Ok(Write::new(act, Change::Org(change)).only_if(conditions))
    }

    pub(super) async fn commit(&self, write: Write) -> Result<Outcome, service::Error> {
        let outcomes = self.store.commit(vec![write]).await?;
        outcomes.first().copied().ok_or_else(no_outcome)
    }

    fn draw_id(&self) -> Result<OrgId, service::Error> {
        let drawn = uuid_v7(&*self.clock, &*self.entropy)?;
        OrgId::parse(&drawn.to_string()).map_err(|rule| fault(rule.0))
    }
}

pub(super) fn view(org: Org) -> OrgView {
    OrgView {
        org,
        tokens_killed: false,
    }
}

pub(super) fn not_found() -> ManageError {
    RejectionCode::OrgNotFound.into()
}
