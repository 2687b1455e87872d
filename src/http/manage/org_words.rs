//! What people read about the operations on organizations. Must not know how an operation works.

use crate::http::openapi::route_doc::{ApiTag, Words};

/// `GET /api/v1/orgs`.
pub(super) const LIST_ORGS: Words = Words {
    operation_id: "listOrgs",
    tag: ApiTag::Orgs,
    summary: "List organizations",
    description: "In the order of their ids. An admin of another organization than `default` sees its own alone.",
    reply: "A page of organizations.",
};

/// `POST /api/v1/orgs`.
pub(super) const CREATE_ORG: Words = Words {
    operation_id: "createOrg",
    tag: ApiTag::Orgs,
    summary: "Make an organization",
    description: "Its agents see nothing of other organizations, and others nothing of it but an admin of `default`. `scopes` bounds what \
        its agents may be given, so such an organization has no admins of its own.",
    reply: "The organization.",
};

/// `GET /api/v1/orgs/{id}`.
pub(super) const GET_ORG: Words = Words {
    operation_id: "getOrg",
    tag: ApiTag::Orgs,
    summary: "Show an organization",
    description: "",
    reply: "The organization.",
};

/// `PATCH /api/v1/orgs/{id}`.
pub(super) const PATCH_ORG: Words = Words {
    operation_id: "patchOrg",
    tag: ApiTag::Orgs,
    summary: "Change an organization's name, or what its agents may be given",
    description: "A JSON Merge Patch (RFC 7396). Scopes are not taken from agents: while one holds another scope, that is refused.",
    reply: "The organization.",
};

/// `POST /api/v1/orgs/{id}/suspend`.
pub(super) const SUSPEND_ORG: Words = Words {
    operation_id: "suspendOrg",
    tag: ApiTag::Orgs,
    summary: "Stop an organization and kill the live tokens of its agents",
    description: "Holds on every replica when the reply comes, however many agents there are. The state of each agent stays as it is.",
    reply: "The organization.",
};

/// `POST /api/v1/orgs/{id}/reactivate`.
pub(super) const REACTIVATE_ORG: Words = Words {
    operation_id: "reactivateOrg",
    tag: ApiTag::Orgs,
    summary: "Let a suspended organization work again",
    description: "The old tokens of its agents stay dead.",
    reply: "The organization.",
};

/// `POST /api/v1/orgs/{id}/revoke-tokens`.
pub(super) const REVOKE_ORG_TOKENS: Words = Words {
    operation_id: "revokeOrgTokens",
    tag: ApiTag::Orgs,
    summary: "Kill the live tokens of an organization's agents and leave it active",
    description: "",
    reply: "The organization.",
};
