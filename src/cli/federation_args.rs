//! The options of `sealwright credential create` about a partner whose tokens prove the agent.

use clap::Args;
use serde_json::Value;

use crate::domain::Invalid;
use crate::domain::partner::federation::{FederatedTtl, Federation, PinnedClaims, SubjectPattern};
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::terms::PartnerId;
use crate::domain::scope::Scope;

use super::failure::CommandFailure;

/// A claim with its value.
#[derive(Debug, Clone)]
struct ClaimArg(ClaimPointer, Value);

impl ClaimArg {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let rule = Invalid("a claim is POINTER=TEXT, or POINTER:=JSON for a value that is no text");
        let (pointer, value) = text.split_once('=').ok_or(rule)?;
        match pointer.strip_suffix(':') {
            Some(pointer) => {
                let value = serde_json::from_str(value).map_err(|_| rule)?;
                Ok(Self(ClaimPointer::parse(pointer)?, value))
            }
            None => Ok(Self(ClaimPointer::parse(pointer)?, value.into())),
        }
    }
}

#[derive(Args)]
pub(super) struct FederationArgs {
    /// A partner whose tokens prove the agent, in place of a secret
    #[arg(long, value_name = "ID", value_parser = PartnerId::parse, conflicts_with = "public_key", requires = "subject")]
    partner: Option<PartnerId>,
    /// The `sub` of such tokens, or how it begins: repo:acme/*
    #[arg(long, value_parser = SubjectPattern::parse, requires = "partner")]
    subject: Option<SubjectPattern>,
    /// A claim of such tokens: POINTER=TEXT, or POINTER:=JSON; repeatable
    #[arg(long, value_name = "POINTER=TEXT", value_parser = ClaimArg::parse, requires = "partner")]
    claim: Vec<ClaimArg>,
    /// A scope that such a token opens; repeatable; all that the agent has without it
    #[arg(long, value_parser = Scope::parse, requires = "partner")]
    scope: Vec<Scope>,
    /// Seconds that the issued tokens live at most, 60 to 86400
    #[arg(long, value_name = "SECS", value_parser = FederatedTtl::parse, requires = "partner")]
    ttl: Option<FederatedTtl>,
}

impl FederationArgs {
    /// What is trusted of a partner, if one is named.
    pub(super) fn read(self) -> Result<Option<Federation>, CommandFailure> {
        let Some((partner_id, subject)) = self.partner.zip(self.subject) else {
            return Ok(None);
        };
        let claims = self.claim.into_iter().map(|one| (one.0, one.1)).collect();
        let failed = |rule: Invalid| CommandFailure::Failed(rule.0.to_owned());
        Ok(Some(Federation {
            partner_id,
            subject,
            claims: PinnedClaims::new(claims).map_err(failed)?,
            scopes: (!self.scope.is_empty()).then_some(self.scope),
            ttl: self.ttl,
        }))
    }
}
