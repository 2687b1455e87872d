//! The schemas of the revocation feed.
//!
//! Must not know how a revocation is found.

use utoipa::openapi::Ref;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ArrayBuilder, Object};

use crate::http::oauth::revocations::{MAX_VERSION, MAX_WAIT};

use super::schema::{
    Member, Presence, always, integer, list, object, or_null, query, text, within,
};

/// What a client says of what it holds, and how long it waits.
pub(super) fn parameters() -> [Parameter; 2] {
    [
        query(
            "since",
            within(0, MAX_VERSION),
            "The version that the client holds: the reply is what came after it. 0 for everything.",
        ),
        query(
            "wait",
            within(1, MAX_WAIT),
            "For how many seconds to wait for news, beside `since` or `If-None-Match`.",
        ),
    ]
}

/// What came after a version.
pub(super) fn delta() -> Object {
    let items = |name| ArrayBuilder::new().items(Ref::from_schema_name(name));
    object(
        "What came after a version of the revocation list.",
        [
            since(),
            always("version", integer(), "What to ask for next."),
            always(
                "revoked_tokens",
                items("RevokedToken"),
                "Tokens that were revoked one by one.",
            ),
            always(
                "revoked_agents",
                items("AgentRevocation"),
                "Agents whose tokens were killed.",
            ),
            always(
                "revoked_orgs",
                items("OrgRevocation"),
                "Organizations whose agents' tokens were killed.",
            ),
            always("revoked_keys", items("RevokedKey"), "Keys that leaked."),
        ],
    )
}

/// A member that is always there, and may be null.
fn since() -> Member {
    let meaning = "The version that was asked for, or null if this is everything.";
    let (name, _, meaning, schema) = or_null("since", integer(), meaning);
    (name, Presence::Always, meaning, schema)
}

/// The second until which an entry matters.
fn until() -> Member {
    let meaning = "From this second on, in unix time, the entry can be forgotten.";
    always("exp", integer(), meaning)
}

/// A token of the feed.
pub(super) fn revoked_token() -> Object {
    object(
        "A token that was revoked.",
        [always("jti", text(), "Its id."), until()],
    )
}

/// An agent of the feed.
pub(super) fn agent_revocation() -> Object {
    object(
        "An agent whose tokens of a lower epoch are dead.",
        [
            always(
                "agent",
                text(),
                "base64url of the SHA-256 of its `client_id`.",
            ),
            always("epoch", integer(), "The lowest epoch of its live tokens."),
            until(),
        ],
    )
}

/// An organization of the feed.
pub(super) fn org_revocation() -> Object {
    object(
        "An organization whose agents' tokens of a lower `org_epoch` are dead.",
        [
            always(
                "orgId",
                text(),
                "Its id, which the tokens carry as `org_id`.",
            ),
            always(
                "epoch",
                integer(),
                "The lowest `org_epoch` of the live tokens.",
            ),
            until(),
        ],
    )
}

/// A key of the feed.
pub(super) fn revoked_key() -> Object {
    object(
        "A key that signs nothing any more, and all of whose tokens are dead.",
        [always("kid", text(), "Its id."), until()],
    )
}

/// The list of contract §4.
pub(super) fn revocation_list() -> Object {
    let agents = ArrayBuilder::new().items(Ref::from_schema_name("RevokedAgent"));
    object(
        "What is revoked.",
        [
            always("revoked_jtis", list(text()), "The ids of revoked tokens."),
            always("revoked_agents", agents, "Agents whose tokens were killed."),
            always("version", integer(), "Grows with each revocation."),
        ],
    )
}

/// An agent of that list.
pub(super) fn revoked_agent() -> Object {
    object(
        "An agent whose tokens of a lower epoch are dead.",
        [
            always(
                "agent",
                text(),
                "base64url of the SHA-256 of its `client_id`.",
            ),
            always("epoch", integer(), "The lowest epoch of its live tokens."),
        ],
    )
}
