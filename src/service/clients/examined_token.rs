//! What an operator is told of a partner's token: the credential that it would open, or the check
//! that failed. Must not issue anything.

use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::OrgId;
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::PartnerStatus;
use crate::domain::time::Timestamp;
use crate::keys::assertion::{Assertion, FailedCheck};
use crate::service::error::Error;
use crate::service::tokens::Caller;
use crate::store::{AgentRecord, Freshness};

use super::partner_token::{Judgement, PartnerTokens, serves};

/// The check that fails while the keys are not known.
const KEYS: FailedCheck = "keys";

/// What an admin of one organization is told of it, whatever the reason is.
const UNKNOWN_KEYS: &str = "the keys of the partner are not known: ask again in a moment, and then whoever runs this server, whose log says why";

/// What was found out about a partner's token, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExaminedToken {
    /// The credential that it would open; `None` if it opens none.
    pub credential_id: Option<CredentialId>,
    /// The check that failed.
    pub failed: Option<&'static str>,
    /// What more is known of the failure.
    pub why: Option<String>,
}

impl PartnerTokens {
    /// What the token would open for this agent, if whoever asks reaches its organization; without a
    /// caller it is an operator. Issues nothing. An admin of one organization chooses where its partners'
    /// keys are, and would learn of every name and address there what this machine sees of it: so only
    /// an operator, and an admin who reaches all, is told why keys were not fetched.
    pub async fn examine(
        &self,
        partner: &Partner,
        agent_id: &AgentId,
        token: &str,
        caller: Option<&Caller>,
    ) -> Result<ExaminedToken, Error> {
        let record = self.store.agent(agent_id, Freshness::Fresh).await?;
        let reaches = |org_id: &OrgId| caller.is_none_or(|caller| caller.reaches(org_id));
        let found = record.filter(|record| reaches(&record.agent.org_id));
        let mut examined = match found {
            Some(record) => self.examine_for(partner, &record, token, self.keys.now()),
            None => refused("agent", None),
        };
        if examined.failed == Some(KEYS) && caller.and_then(Caller::limited_to).is_some() {
            examined.why = Some(UNKNOWN_KEYS.to_owned());
        }
        Ok(examined)
    }

    fn examine_for(
        &self,
        partner: &Partner,
        record: &AgentRecord,
        token: &str,
        now: Timestamp,
    ) -> ExaminedToken {
        let Some(read) = Assertion::read(token) else {
            return refused("format", None);
        };
        if read.partner() != Some(partner.issuer.as_str()) || self.is_own(partner.issuer.as_str()) {
            return refused("issuer", None);
        }
        if partner.status != PartnerStatus::Active || !serves(partner, record) {
            return refused("partner", None);
        }
        match self.judge(&read, partner, Some(record), now) {
            Judgement::Trusted(credential_id, _) => ExaminedToken {
                credential_id: Some(credential_id),
                failed: None,
                why: None,
            },
            Judgement::Refused(check) => refused(check, None),
            Judgement::Later(why) => {
                let why = why.map_or_else(
                    || "they are being fetched: ask again in a moment".to_owned(),
                    |why| why.to_string(),
                );
                refused(KEYS, Some(why))
            }
        }
    }
}

fn refused(failed: FailedCheck, why: Option<String>) -> ExaminedToken {
    ExaminedToken {
        credential_id: None,
        failed: Some(failed),
        why,
    }
}
