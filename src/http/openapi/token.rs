//! The token endpoints and the authorization endpoint, as their dialects read and answer them.
//!
//! Must not know how a token is decided. A test compares the members of each body with the
//! parameters that its dialect knows.

use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{RefOr, Required};

use crate::http::authorization::ASSERTION_TYPE;
use crate::http::oauth::authorize::MAX_STATE_BYTES;
use crate::http::token::airisk::AIRISK;
use crate::http::token::dialect::{Credentials, Dialect};
use crate::http::token::oculus_orum::OCULUS_ORUM;
use crate::http::token::rfc6749::RFC6749;

use super::route_doc::{ApiTag, ErrorBody, ProvedBy, RouteDoc, Words};
use super::schema::{
    Member, always, body, filled, integer, list, object, one_of, parameter, pattern, query,
    sometimes, text, time, uri,
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// The scopes of a request or a token: RFC 6749 §3.3.
const SCOPES: &str = r"^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$";

/// A code challenge of S256: RFC 7636 §4.2.
const CHALLENGE: &str = "^[A-Za-z0-9_-]{43}$";

/// What a reply with a token holds.
const TOKEN_REPLY: &str = "TokenReply";

/// draft-ietf-httpapi-ratelimit-headers, `RateLimit-Policy`.
const RATE_LIMIT_POLICY: &str = "The quota of the agent's plan: how many tokens (q) in a month of how many seconds (w). \
     Absent if the plan has no limit.";

/// draft-ietf-httpapi-ratelimit-headers, `RateLimit`.
const RATE_LIMIT: &str =
    "How many tokens are left (r), and in how many seconds the month ends (t).";

/// `POST /api/v1/token`.
pub(crate) fn canonical() -> RouteDoc {
    let words = Words {
        operation_id: "issueToken",
        tag: ApiTag::Tokens,
        summary: "Get a token",
        description: "RFC 6749 §4.4. The agent's id and secret stand in the body or in the header \
            (HTTP Basic), never in both. An agent with public keys sends `client_assertion` and \
            `client_assertion_type` instead of its secret (RFC 7523). Without `scope`, the token has all scopes of the agent. \
            The 403 of a used-up quota has `RateLimit-Policy` and `RateLimit` as well.",
        reply: "The token.",
    };
    RouteDoc::new(words, ErrorBody::OAuth)
        .reads(body("What is asked for.", &[FORM], ask(&RFC6749)))
        .proved_by(ProvedBy::Client)
        .answers_named(200, TOKEN_REPLY, token_reply())
        .with_header("RateLimit-Policy", RATE_LIMIT_POLICY)
        .with_header("RateLimit", RATE_LIMIT)
        .refuses(&[400, 401, 403, 408, 413, 429, 503])
}

/// `POST /oauth/token`.
pub(crate) fn oculus_orum() -> RouteDoc {
    let words = Words {
        operation_id: "issueTokenForOculusAndOrum",
        tag: ApiTag::Tokens,
        summary: "Get a token, for clients of Oculus and Orum",
        description: "As `issueToken`, in a form or in JSON, with errors that these clients understand. \
            `grant_type` may be absent.",
        reply: "The token.",
    };
    RouteDoc::new(words, ErrorBody::OculusOrum)
        .reads(body("What is asked for.", &[FORM, JSON], ask(&OCULUS_ORUM)))
        .proved_by(ProvedBy::Client)
        .answers_named(200, TOKEN_REPLY, token_reply())
        .with_header("RateLimit-Policy", RATE_LIMIT_POLICY)
        .with_header("RateLimit", RATE_LIMIT)
        .refuses(&[400, 401, 403, 408, 413, 429, 503])
}

/// `POST /api/oauth2/Token`.
pub(crate) fn airisk() -> RouteDoc {
    let words = Words {
        operation_id: "exchangeCode",
        tag: ApiTag::Tokens,
        summary: "Exchange an authorization code for a token",
        description: "For clients of AIRisk, in a form or in JSON. The path is known in any letter case.",
        reply: "The token.",
    };
    let reply = object(
        "A token, as AIRisk's clients read it.",
        [
            always("access_token", text(), "The token, a JWT."),
            always("expiration", time(), "When the token expires."),
            always("token_type", one_of(["Bearer"]), "How to use the token."),
            always("expires_in", integer(), "How many seconds the token lives."),
        ],
    );
    RouteDoc::new(words, ErrorBody::Airisk)
        .reads(body(
            "The code, and what is asked for.",
            &[FORM, JSON],
            ask(&AIRISK),
        ))
        .proved_by(ProvedBy::Client)
        .answers_named(200, "ExchangeReply", reply)
        .refuses(&[400, 401, 403, 408, 413, 429, 503])
}

/// `GET /api/oauth2`.
pub(crate) fn authorize() -> RouteDoc {
    let words = Words {
        operation_id: "authorize",
        tag: ApiTag::Tokens,
        summary: "Get an authorization code",
        description: "Sends the code to one of the agent's redirect URIs. The path is known in any \
            letter case. The agent proves who it is when it exchanges the code.",
        reply: "",
    };
    let required = |name: &'static str, meaning| {
        parameter(name, ParameterIn::Query, Required::True, filled(), meaning)
    };
    RouteDoc::new(words, ErrorBody::Airisk)
        .takes([
            required("client_id", "The agent's id."),
            required(
                "redirect_uri",
                "One of the agent's redirect URIs, to the character.",
            ),
            query(
                "state",
                text().max_length(Some(MAX_STATE_BYTES)),
                "Sent back as it is.",
            ),
            query("userid", text(), "The user on whose behalf the agent asks."),
            query("code_challenge", pattern(CHALLENGE), "RFC 7636 §4.2."),
            query("code_challenge_method", one_of(["S256"]), "RFC 7636 §4.3."),
        ])
        .answers_nothing(302, "To the redirect URI, with the code.")
        .with_header(
            "Location",
            "The redirect URI with `code`, `state` and, if a challenge was sent, `iss`.",
        )
        .refuses(&[400, 503])
}

/// `GET /oauth/authorize`.
pub(crate) fn refuse_authorization() -> RouteDoc {
    let words = Words {
        operation_id: "refuseAuthorization",
        tag: ApiTag::Tokens,
        summary: "Refuses every request",
        description: "The metadata names this path, because libraries demand that it names one.",
        reply: "",
    };
    RouteDoc::new(words, ErrorBody::OAuth).refuses(&[400])
}

/// What a client may send to a token endpoint of this dialect.
fn ask(dialect: &Dialect) -> Object {
    let shared = ["client_id", "client_secret"];
    let own: &[&str] = if dialect.takes_assertions {
        &["client_assertion_type", "client_assertion"]
    } else {
        &[]
    };
    let members = dialect.known.iter().chain(&shared).chain(own);
    object("", members.map(|name| member(dialect, name)))
}

fn member(dialect: &Dialect, name: &'static str) -> Member {
    let named = dialect.grant_when_unnamed.is_none();
    let exchange = dialect.known.contains(&"code");
    let in_header = dialect.credentials == Credentials::Optional;
    let must = match name {
        "grant_type" => named,
        "code" | "redirect_uri" => exchange,
        _ => false,
    };
    let (schema, meaning): (RefOr<Schema>, _) = match name {
        "grant_type" => (
            one_of(dialect.grants.iter().map(|grant| grant.name())).into(),
            "The grant.",
        ),
        "scope" => (
            pattern(SCOPES).into(),
            "The scopes to ask for, separated by single spaces.",
        ),
        "audience" => (
            list(text()).into(),
            "Whom the token is for. May repeat, and each may hold several, separated by spaces.",
        ),
        "resource" => (
            list(uri()).into(),
            "Whom the token is for: an absolute URI without a fragment (RFC 8707). May repeat.",
        ),
        "redirect_uri" => (
            filled().into(),
            "The redirect URI that the code was sent to.",
        ),
        "code" => (filled().into(), "The code. It is good once, for a minute."),
        "userid" => (text().into(), "The user that the code was made for."),
        "code_verifier" => (
            text().into(),
            "RFC 7636 §4.1, if the code was made with a challenge.",
        ),
        "client_assertion_type" => (
            one_of([ASSERTION_TYPE]).into(),
            "RFC 7523, beside `client_assertion`.",
        ),
        "client_assertion" => (
            filled().into(),
            "A JWT that the agent signed with a key of its own (RFC 7523), instead of its secret.",
        ),
        "client_id" if in_header => (
            filled().into(),
            "The agent's id, unless it stands in the header.",
        ),
        "client_secret" if in_header => (
            filled().into(),
            "The agent's secret, unless it stands in the header.",
        ),
        "client_id" => (filled().into(), "The agent's id."),
        _ => (filled().into(), "The agent's secret."),
    };
    if must {
        always(name, schema, meaning)
    } else {
        sometimes(name, schema, meaning)
    }
}

fn token_reply() -> Object {
    object(
        "A token (RFC 6749 §5.1).",
        [
            always("access_token", text(), "The token, a JWT."),
            always("token_type", one_of(["Bearer"]), "How to use the token."),
            always("expires_in", integer(), "How many seconds the token lives."),
            always("scope", text(), "The token's scopes, separated by spaces."),
        ],
    )
}
