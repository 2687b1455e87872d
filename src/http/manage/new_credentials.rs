//! What a request says about a new credential. Must not know what is done with it.

use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::AgentId;
use crate::domain::partner::federation::{FederatedTtl, Federation, PinnedClaims, SubjectPattern};
use crate::domain::partner::terms::PartnerId;
use crate::domain::scope::Scope;
use crate::service::manage::client_keys::NewKeys;
use crate::service::manage::credentials::CredentialTerms;

use super::body::body;
use super::fields::{Fields, Input};
use super::values::ExpiryTime;

body! {
    /// What is decided about a new credential.
    struct NewCredentialBody {
        /// What it is called.
        optional label("label"): CredentialLabel,
        /// From when on it is refused; never if it is left out.
        optional expires_at("expiresAt"): ExpiryTime,
        /// What it is checked with; a secret if it is left out.
        optional kind("kind"): CredentialKind,
        /// The public keys, with which the agent signs: of the kind `publicKey` only, which demands them.
        optional jwks("jwks"): NewKeys,
        /// The partner whose tokens prove the agent: of the kind `federated` only, which demands it.
        optional partner_id("partnerId"): PartnerId,
        /// The `sub` of such tokens, or how it begins, with `:*` or `/*` behind two segments: of the kind `federated` only, which
        /// demands it.
        optional subject("subject"): SubjectPattern,
        /// The claims of such tokens, with their values: at least those that the partner requires.
        optional claims("claims"): PinnedClaims,
        /// The scopes that such a token opens; all that the agent has if it is left out.
        optional scopes("scopes"): Vec<Scope>,
        /// How many seconds the issued tokens live at most.
        optional ttl("ttl"): FederatedTtl,
    }
}

/// One more credential for the agent that the path names.
pub(super) struct CredentialCreation(pub(super) AgentId, pub(super) CredentialTerms);

impl Input for CredentialCreation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let agent_id = fields.agent_id();
        let mut body: NewCredentialBody = fields.action_body()?;
        let keys = keys_of(fields, body.kind, body.jwks.take());
        let federation = federation_of(fields, &mut body);
        let terms = CredentialTerms {
            federation: federation?,
            ..terms(keys?, body.label, body.expires_at)
        };
        Some(Self(agent_id?, terms))
    }
}

/// The public keys of a new credential; `Some(None)` for a secret. `None` if kind and keys do not go
/// together, which is noted.
#[expect(
    clippy::option_option,
    reason = "a body that breaks a rule is told apart from one without keys"
)]
pub(super) fn keys_of(
    fields: &mut Fields<'_>,
    kind: Option<CredentialKind>,
    jwks: Option<NewKeys>,
) -> Option<Option<NewKeys>> {
    match (kind.unwrap_or(CredentialKind::Secret), jwks) {
        (CredentialKind::PublicKey, None) => {
            fields.note("/jwks", "is missing");
            None
        }
        (CredentialKind::Secret | CredentialKind::Federated, Some(_)) => {
            fields.note("/jwks", "stands only beside the kind `publicKey`");
            None
        }
        (_, jwks) => Some(jwks),
    }
}

/// What is trusted of a partner; `Some(None)` of another kind. `None` if kind and members do not go
/// together, which is noted.
#[expect(
    clippy::option_option,
    reason = "a body that breaks a rule is told apart from one of another kind"
)]
fn federation_of(
    fields: &mut Fields<'_>,
    body: &mut NewCredentialBody,
) -> Option<Option<Federation>> {
    if body.kind == Some(CredentialKind::Federated) {
        let (partner_id, subject) = (body.partner_id.take(), body.subject.take());
        for (field, is_missing) in [
            ("/partnerId", partner_id.is_none()),
            ("/subject", subject.is_none()),
        ] {
            if is_missing {
                fields.note(field, "is missing");
            }
        }
        return Some(Some(Federation {
            partner_id: partner_id?,
            subject: subject?,
            claims: body.claims.take().unwrap_or_default(),
            scopes: body.scopes.take(),
            ttl: body.ttl,
        }));
    }
    let mut is_alone = true;
    for (field, is_given) in [
        ("/partnerId", body.partner_id.is_some()),
        ("/subject", body.subject.is_some()),
        ("/claims", body.claims.is_some()),
        ("/scopes", body.scopes.is_some()),
        ("/ttl", body.ttl.is_some()),
    ] {
        if is_given {
            is_alone = false;
            fields.note(field, "stands only beside the kind `federated`");
        }
    }
    is_alone.then_some(None)
}

/// The terms of a credential without a partner.
pub(super) fn terms(
    keys: Option<NewKeys>,
    label: Option<CredentialLabel>,
    expires_at: Option<ExpiryTime>,
) -> CredentialTerms {
    CredentialTerms {
        keys,
        federation: None,
        label,
        expires_at: expires_at.map(|end| end.0),
    }
}
