//! What people read about the operations on partners. Must not know how an operation works.

use crate::http::openapi::route_doc::{ApiTag, Words};

/// `GET /api/v1/partners`.
pub(super) const LIST_PARTNERS: Words = Words {
    operation_id: "listPartners",
    tag: ApiTag::Partners,
    summary: "List partners",
    description: "In the order of their ids. An admin of another organization than `default` sees those of its own alone.",
    reply: "A page of partners.",
};

/// `POST /api/v1/partners`.
pub(super) const CREATE_PARTNER: Words = Words {
    operation_id: "createPartner",
    tag: ApiTag::Partners,
    summary: "Make a partner",
    description: "A preset fills what the request leaves out: `github` all but the name; `kubernetes` and `generic` which claims are \
        pinned. An issuer is registered once in an organization.",
    reply: "The partner.",
};

/// `GET /api/v1/partners/{id}`.
pub(super) const GET_PARTNER: Words = Words {
    operation_id: "getPartner",
    tag: ApiTag::Partners,
    summary: "Show a partner",
    description: "",
    reply: "The partner.",
};

/// `PATCH /api/v1/partners/{id}`.
pub(super) const PATCH_PARTNER: Words = Words {
    operation_id: "patchPartner",
    tag: ApiTag::Partners,
    summary: "Change what is decided about a partner",
    description: "A JSON Merge Patch (RFC 7396). `jwks` takes the place of `jwksUri`, and `jwksUri` that of `jwks`. Its issuer, \
        organization and preset never change.",
    reply: "The partner.",
};

/// `DELETE /api/v1/partners/{id}`.
pub(super) const DELETE_PARTNER: Words = Words {
    operation_id: "deletePartner",
    tag: ApiTag::Partners,
    summary: "Delete a partner",
    description: "Its issuer may be registered again. Refused while agents hold live credentials of it.",
    reply: "The partner is gone.",
};

/// `POST /api/v1/partners/{id}/suspend`.
pub(super) const SUSPEND_PARTNER: Words = Words {
    operation_id: "suspendPartner",
    tag: ApiTag::Partners,
    summary: "Let a partner's tokens prove nothing",
    description: "In force from the next request on. With `revokeTokens`, the live tokens of the agents that hold its credentials \
        die too.",
    reply: "The partner.",
};

/// `POST /api/v1/partners/{id}/reactivate`.
pub(super) const REACTIVATE_PARTNER: Words = Words {
    operation_id: "reactivatePartner",
    tag: ApiTag::Partners,
    summary: "Let a suspended partner's tokens prove agents again",
    description: "",
    reply: "The partner.",
};

/// `POST /api/v1/partners/{id}/test`.
pub(super) const TEST_PARTNER: Words = Words {
    operation_id: "testPartner",
    tag: ApiTag::Partners,
    summary: "Try a token of a partner",
    description: "Says whether it would open a token for this agent, and otherwise which check failed. Issues nothing, and changes \
        nothing.",
    reply: "What was found out.",
};
