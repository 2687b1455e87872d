//! What people read about each operation of the management API, in the document and on its pages.
//!
//! Everything else in the document is taken from the code that reads the request and writes the
//! reply. Must not know how an operation works.

use crate::http::openapi::route_doc::{ApiTag, Words};

/// `GET /api/v1/agents`.
pub(super) const LIST_AGENTS: Words = Words {
    operation_id: "listAgents",
    tag: ApiTag::Agents,
    summary: "List agents",
    description: "In the order of their ids, those that meet all filters. A page may have fewer agents than `limit`, or none, \
        although there are more: `nextCursor` tells.",
    reply: "A page of agents.",
};

/// `POST /api/v1/agents/bulk`.
pub(super) const CHANGE_AGENTS: Words = Words {
    operation_id: "changeAgents",
    tag: ApiTag::Agents,
    summary: "Stop many agents, or kill their live tokens",
    description: "Every agent that meets the filter, up to 1,000 in a request: while the reply has a `next`, ask again with it as \
        `cursor`. Try it with `dryRun=true` first. What was changed holds on every replica when the reply comes.",
    reply: "What became of the agents of this piece.",
};

/// `GET /api/v1/agents/{id}`.
pub(super) const GET_AGENT: Words = Words {
    operation_id: "getAgent",
    tag: ApiTag::Agents,
    summary: "Show an agent",
    description: "",
    reply: "The agent, with its live credentials.",
};

/// `POST /api/v1/agents`.
pub(super) const CREATE_AGENT: Words = Words {
    operation_id: "createAgent",
    tag: ApiTag::Agents,
    summary: "Make an agent",
    description: "Without an `agentId`, which only an admin of the organization `default` chooses, a UUID is drawn. Without an admin \
        scope, a caller makes only agents that have nothing that its own agent lacks.",
    reply: "The agent, with its secret: it is shown this once.",
};

/// `PUT /api/v1/agents/{id}`.
pub(super) const PUT_AGENT: Words = Words {
    operation_id: "putAgent",
    tag: ApiTag::Agents,
    summary: "Make an agent, or replace all that was decided about it",
    description: "A member that is left out gets the value that creation gives it. With `If-None-Match: *` the agent is \
        only made, which only an admin of the organization `default` does. Who may replace is as for a patch.",
    reply: "The agent, with its secret if it was just made.",
};

/// `PATCH /api/v1/agents/{id}`.
pub(super) const PATCH_AGENT: Words = Words {
    operation_id: "patchAgent",
    tag: ApiTag::Agents,
    summary: "Change an agent",
    description: "A JSON Merge Patch (RFC 7396): `null` sets what creation would have set. Without an admin scope, a caller changes only \
        agents that have nothing that its own agent lacks, before and after the change, and never itself.",
    reply: "The agent.",
};

/// `DELETE /api/v1/agents/{id}`.
pub(super) const DELETE_AGENT: Words = Words {
    operation_id: "deleteAgent",
    tag: ApiTag::Agents,
    summary: "Decommission an agent",
    description: "For ever: the id is never free again. Who may is as for a patch.",
    reply: "The agent.",
};

/// `POST /api/v1/agents/{id}/suspend`.
pub(super) const SUSPEND_AGENT: Words = Words {
    operation_id: "suspendAgent",
    tag: ApiTag::Agents,
    summary: "Stop an agent and kill its live tokens",
    description: "Holds on every replica when the reply comes. An agent that is allowed an admin scope is stopped only \
        with an admin scope.",
    reply: "The agent.",
};

/// `POST /api/v1/agents/{id}/reactivate`.
pub(super) const REACTIVATE_AGENT: Words = Words {
    operation_id: "reactivateAgent",
    tag: ApiTag::Agents,
    summary: "Let a suspended agent work again",
    description: "Its old tokens stay dead. Who may is as for a patch; what an admin or an operator suspended, only these reactivate.",
    reply: "The agent.",
};

/// `POST /api/v1/agents/{id}/decommission`.
pub(super) const DECOMMISSION_AGENT: Words = Words {
    operation_id: "decommissionAgent",
    tag: ApiTag::Agents,
    summary: "Stop an agent for ever",
    description: "The same as `DELETE`. Who may is as for a patch.",
    reply: "The agent.",
};

/// `POST /api/v1/agents/{id}/revoke-tokens`.
pub(super) const REVOKE_AGENT_TOKENS: Words = Words {
    operation_id: "revokeAgentTokens",
    tag: ApiTag::Agents,
    summary: "Kill an agent's live tokens and leave it active",
    description: "The tokens of an agent that is allowed an admin scope are killed only with an admin scope.",
    reply: "The agent.",
};

/// `GET /api/v1/agents/{id}/credentials`.
pub(super) const LIST_CREDENTIALS: Words = Words {
    operation_id: "listCredentials",
    tag: ApiTag::Credentials,
    summary: "List an agent's credentials",
    description: "The live ones, the newest first. An agent may list its own with any token.",
    reply: "A page of credentials.",
};

/// `POST /api/v1/agents/{id}/credentials`.
pub(super) const CREATE_CREDENTIAL: Words = Words {
    operation_id: "createCredential",
    tag: ApiTag::Credentials,
    summary: "Give an agent one more credential",
    description: "A secret or, with the kind `publicKey`, public keys, with which the agent signs its requests for tokens \
        (RFC 7523). Up to `limits.credentials_per_agent` of each kind are live at once. An agent may give itself a secret with any \
        token, and public keys with an admin scope. For other agents, `agents:write` is needed, and an admin scope unless the \
        caller's own agent has all that the agent has.",
    reply: "The credential. Its secret, if it has one, is shown this once.",
};

/// `POST /api/v1/agents/{id}/credentials/rotate`.
pub(super) const ROTATE_CREDENTIALS: Words = Words {
    operation_id: "rotateCredentials",
    tag: ApiTag::Credentials,
    summary: "Give an agent a new credential in place of all others of its kind",
    description: "Each live credential of the kind ends at its own end or after the overlap, whichever is first. Who may is as for \
        one more.",
    reply: "The new credential. Its secret, if it has one, is shown this once.",
};

/// `DELETE /api/v1/agents/{id}/credentials/{credentialId}`.
pub(super) const END_CREDENTIAL: Words = Words {
    operation_id: "endCredential",
    tag: ApiTag::Credentials,
    summary: "End a credential",
    description: "Every replica refuses it from its next request on. Who may is as for one more secret.",
    reply: "It has ended, now or before.",
};

/// `GET /api/v1/agents/{id}/usage`.
pub(super) const GET_USAGE: Words = Words {
    operation_id: "getAgentUsage",
    tag: ApiTag::Agents,
    summary: "Show what an agent used",
    description: "This month's tokens and what is left, tokens and refusals on each day that had any, and when it last \
        used each of its scopes. 400 days are kept. Days and last uses lag behind by some ten seconds.",
    reply: "What the agent used.",
};

/// `GET /api/v1/audit`.
pub(super) const LIST_EVENTS: Words = Words {
    operation_id: "listEvents",
    tag: ApiTag::Audit,
    summary: "List events",
    description: "Each event meets all filters. A page reads a bounded number of events and may be short: go on as long \
        as there is a `nextCursor`.\n\nWith `Accept: application/x-ndjson` the reply has all events that meet the filters, \
        one a line, and knows neither `limit` nor `cursor`. Its last line is `{\"complete\":true,\"events\":n,\"through\":id}`: \
        a reply without it broke off.",
    reply: "A page of events, or all of them.",
};

/// `GET /api/v1/audit/log/{*file}`.
pub(super) const GET_LOG_FILE: Words = Words {
    operation_id: "getLogFile",
    tag: ApiTag::Audit,
    summary: "Get a checkpoint or a tile of the log",
    description: "C2SP tlog-tiles, byte for byte: `checkpoint`, `tile/<level>/<index>` and `tile/entries/<index>`, of the \
        current generation, or of the one that comes first in the path.",
    reply: "The file.",
};

/// `GET /api/v1/audit/{id}/proof`.
pub(super) const GET_PROOF: Words = Words {
    operation_id: "getEventProof",
    tag: ApiTag::Audit,
    summary: "Prove that an event is in the log",
    description: "C2SP tlog-proof. Of a token's event, it proves the block of tokens, and how the event is in the block.",
    reply: "The proof.",
};

/// `GET /api/v1/keys`.
pub(super) const LIST_KEYS: Words = Words {
    operation_id: "listKeys",
    tag: ApiTag::Keys,
    summary: "List signing keys",
    description: "All of them, the oldest first.",
    reply: "The keys.",
};

/// `POST /api/v1/keys/rotate`.
pub(super) const ROTATE_KEYS: Words = Words {
    operation_id: "rotateKeys",
    tag: ApiTag::Keys,
    summary: "Rotate the signing keys",
    description: "Announces a new key, which signs once it was published long enough. While a key is announced, that is refused. \
        With `now`, the announced key signs at once; without one, a new key does. With `now` and `revoke`, the keys that have \
        signed so far leave the JWKS, and on the next request to any server all tokens that they signed are dead: for a \
        key that leaked. Verifiers learn it when they read the JWKS again, after up to a day. A dry run of a new key shows a key \
        that no server ever has.",
    reply: "The key that signs next.",
};

/// `GET /api/v1/scopes`.
pub(super) const LIST_SCOPES: Words = Words {
    operation_id: "listScopes",
    tag: ApiTag::Scopes,
    summary: "List the catalogue of scopes",
    description: "All scopes in the order of the catalogue; there are no pages.",
    reply: "The scopes.",
};

/// `GET /api/v1/plans`.
pub(super) const LIST_PLANS: Words = Words {
    operation_id: "listPlans",
    tag: ApiTag::Agents,
    summary: "List the plans",
    description: "All plans in the order of their names; there are no pages. A plan that agents are on and the \
        configuration lacks allows no token until it is back.",
    reply: "The plans.",
};

/// `GET /api/v1/revocations/convergence`.
pub(super) const GET_CONVERGENCE: Words = Words {
    operation_id: "getConvergence",
    tag: ApiTag::Audit,
    summary: "Show which verifiers already enforce a version of the revocation list",
    description: "Verifiers report the version that they enforce when they poll the list. For an admin of the first \
        organization who has this scope.",
    reply: "What can be said of all verifiers.",
};

/// `DELETE /api/v1/revocations/verifiers/{verifier}`.
pub(super) const REMOVE_VERIFIER: Words = Words {
    operation_id: "removeVerifier",
    tag: ApiTag::Audit,
    summary: "Forget a verifier that does not run any more",
    description: "One that still runs is known again with its next report. Without this, a silent verifier is \
        forgotten after 24 hours.",
    reply: "The verifier.",
};

/// `POST /api/v1/scopes`.
pub(super) const ADD_SCOPE: Words = Words {
    operation_id: "addScope",
    tag: ApiTag::Scopes,
    summary: "Add a scope, so that agents can be given it",
    description: "",
    reply: "The scope.",
};

/// `GET /api/v1/scopes/{scope}`.
pub(super) const GET_SCOPE: Words = Words {
    operation_id: "getScope",
    tag: ApiTag::Scopes,
    summary: "Show a scope",
    description: "",
    reply: "The scope.",
};

/// `PATCH /api/v1/scopes/{scope}`.
pub(super) const PATCH_SCOPE: Words = Words {
    operation_id: "patchScope",
    tag: ApiTag::Scopes,
    summary: "Change a scope's description or mark",
    description: "The mark is taken back only if nothing else makes the scope high-risk.",
    reply: "The scope.",
};

/// `DELETE /api/v1/scopes/{scope}`.
pub(super) const DELETE_SCOPE: Words = Words {
    operation_id: "deleteScope",
    tag: ApiTag::Scopes,
    summary: "Delete a scope that no agent holds",
    description: "Tokens that carry it live on. A built-in scope is not deleted.",
    reply: "The scope as it was.",
};

/// `GET /api/v1/whoami`.
pub(super) const GET_WHOAMI: Words = Words {
    operation_id: "getWhoami",
    tag: ApiTag::Server,
    summary: "Show the caller",
    description: "What the token says, and the state of its agent.",
    reply: "The caller.",
};
