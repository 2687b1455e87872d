//! Introspection, revocation and the check that gateways ask for.
//!
//! Must not know how a token is checked. A test compares the members of the bodies with the
//! parameters that the endpoints know.

use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{Object, OneOfBuilder};

use crate::http::oauth::caller::KNOWN;

use super::route_doc::{ApiTag, ErrorBody, ProvedBy, RouteDoc, Words};
use super::schema::{
    Member, always, body, filled, integer, list, object, one_of, parameter, repeated, sometimes,
    text, truth,
};

/// `POST /api/v1/token/introspect`.
pub(crate) fn introspect() -> RouteDoc {
    let words = Words {
        operation_id: "introspectToken",
        tag: ApiTag::Tokens,
        summary: "Ask whether a token is alive",
        description: "RFC 7662. Needs a token with the scope `tokens:read`, or the credentials of an agent \
            that may ask for it.",
        reply: "Whether the token is alive, and then what it says.",
    };
    RouteDoc::new(words, ErrorBody::OAuth)
        .reads(token_body())
        .proved_by(ProvedBy::ClientOrBearer("tokens:read"))
        .answers_named(200, "Introspection", introspection())
        .refuses(&[400, 401, 403, 408, 413, 429, 503])
}

/// `POST /api/v1/token/revoke`.
pub(crate) fn revoke() -> RouteDoc {
    let words = Words {
        operation_id: "revokeToken",
        tag: ApiTag::Tokens,
        summary: "Revoke a token",
        description: "RFC 7009. An agent revokes its own tokens; a Bearer token with an admin scope revokes \
            any. A token that is unknown or dead is no error.",
        reply: "The token is dead.",
    };
    RouteDoc::new(words, ErrorBody::OAuth)
        .reads(token_body())
        .proved_by(ProvedBy::ClientOrBearer("admin:orgs"))
        .answers_named(200, "Revocation", object("Nothing.", []))
        .refuses(&[400, 401, 403, 408, 413, 429, 503])
}

/// `POST /oauth/revoke`.
pub(crate) fn revoke_alias() -> RouteDoc {
    revoke().named("revokeTokenAtOauth")
}

/// `/forward-auth`.
pub(crate) fn forward_auth() -> RouteDoc {
    let words = Words {
        operation_id: "checkBearer",
        tag: ApiTag::Gateways,
        summary: "Whether a request may pass",
        description: "For nginx `auth_request`, Traefik and Caddy forward auth and Envoy `ext_authz`; any \
            method. The Bearer token may be for any audience and about any user: demand what your service \
            needs. All demands must hold.",
        reply: "The token is alive and meets every demand.",
    };
    RouteDoc::new(words, ErrorBody::OAuth)
        .takes(demands())
        .proved_by(ProvedBy::Bearer)
        .answers_nothing(200, words.reply)
        .with_header("X-Client-Id", "The agent.")
        .with_header(
            "X-Subject",
            "The user on whose behalf the agent acts, else the agent.",
        )
        .with_header("X-Scopes", "The token's scopes, separated by spaces.")
        .with_header("X-Token-Jti", "The token's id.")
        .refuses(&[400, 401, 403, 503])
}

/// `/forward-auth/`.
pub(crate) fn forward_auth_slash() -> RouteDoc {
    forward_auth().named("checkBearerAtSlash")
}

/// Every path below `/forward-auth/`.
pub(crate) fn forward_auth_below() -> RouteDoc {
    forward_auth().named("checkBearerBelow")
}

fn demands() -> [Parameter; 4] {
    let header = |name: &'static str, meaning| {
        parameter(name, ParameterIn::Header, Required::False, text(), meaning)
    };
    let scopes = "Scopes that the token must have, separated by spaces or repeated.";
    let audiences = "Audiences that the token must have, separated by spaces or repeated.";
    [
        repeated("scope", text(), scopes),
        repeated("audience", text(), audiences),
        header("X-Required-Scope", scopes),
        header("X-Required-Audience", audiences),
    ]
}

/// The body that both endpoints read: the parameters that they know, and a client's credentials.
fn token_body() -> RequestBody {
    let members = KNOWN.into_iter().chain(["client_id", "client_secret"]);
    let form = object("", members.map(member));
    body("The token.", &["application/x-www-form-urlencoded"], form)
}

fn member(name: &'static str) -> Member {
    match name {
        "token" => always(name, filled(), "The token."),
        "token_type_hint" => sometimes(name, text(), "A hint that this server does not need."),
        "access_token" => sometimes(
            name,
            text(),
            "Not needed; refused beside a Bearer token in the head.",
        ),
        "client_id" => sometimes(
            name,
            text(),
            "The agent's id, unless the head proves who asks.",
        ),
        _ => sometimes(
            name,
            text(),
            "The agent's secret, unless the head proves who asks.",
        ),
    }
}

/// One object for a token in either state: generators make of alternatives what few people can use.
fn introspection() -> Object {
    object(
        "What is known of a token. Of a token that is not alive, only `active` is told.",
        [
            always("active", truth(), "Whether the token is alive."),
            sometimes(
                "sub",
                text(),
                "The agent, or the user on whose behalf it acts.",
            ),
            sometimes("client_id", text(), "The agent."),
            sometimes("scope", text(), "The token's scopes, separated by spaces."),
            sometimes("token_type", one_of(["Bearer"]), "How the token is used."),
            sometimes(
                "iat",
                integer(),
                "When it was issued, in seconds since 1970.",
            ),
            sometimes("exp", integer(), "When it expires, in seconds since 1970."),
            sometimes("aud", audience(), "Whom the token is for: one, or a list."),
            sometimes("iss", text(), "The issuer."),
            sometimes("jti", text(), "The token's id."),
        ],
    )
}

fn audience() -> OneOfBuilder {
    OneOfBuilder::new().item(text()).item(list(text()))
}
