//! Documents that anyone may read, and the health of the server.
//!
//! Must not know how a document is made.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, Required};

use super::feed;
use super::route_doc::{ApiTag, ErrorBody, RouteDoc, Words};
use super::schema::{always, list, object, one_of, parameter, query, sometimes, text, truth};

/// `GET /api/v1/token/revoked`.
pub(crate) fn revocations() -> RouteDoc {
    let words = Words {
        operation_id: "listRevocations",
        tag: ApiTag::Discovery,
        summary: "The revocation list, for offline verifiers",
        description: "Poll it with `If-None-Match`. Refuse a token whose `jti` is in `revoked_jtis`, and one \
            whose agent is in `revoked_agents` with a higher epoch than the token's. A client that accepts \
            gzip gets it compressed. With `since`, the reply is what came after that version. With `wait`, \
            it comes as soon as there is news.",
        reply: "The list, or what came after a version.",
    };
    let schemas: [(&str, Object); 7] = [
        ("RevocationList", feed::revocation_list()),
        ("RevokedAgent", feed::revoked_agent()),
        ("RevocationDelta", feed::delta()),
        ("RevokedToken", feed::revoked_token()),
        ("AgentRevocation", feed::agent_revocation()),
        ("OrgRevocation", feed::org_revocation()),
        ("RevokedKey", feed::revoked_key()),
    ];
    let either = OneOfBuilder::new()
        .item(Ref::from_schema_name("RevocationList"))
        .item(Ref::from_schema_name("RevocationDelta"));
    let mut doc = conditional(RouteDoc::new(words, ErrorBody::OAuth))
        .takes(feed::parameters())
        .answers(200, "application/json", either)
        .refuses(&[400]);
    for (name, schema) in schemas {
        doc.schemas.push((name.to_owned(), schema.into()));
    }
    let doc = tagged(doc);
    doc.with_header(
        "Retry-After",
        "After how many seconds to ask again, if the reply came early.",
    )
}

/// `GET /oauth/revoked-tokens`.
pub(crate) fn revocations_alias() -> RouteDoc {
    revocations().named("listRevocationsAtOauth")
}

/// `GET /.well-known/jwks.json`.
pub(crate) fn jwks() -> RouteDoc {
    let words = Words {
        operation_id: "getJwks",
        tag: ApiTag::Discovery,
        summary: "The keys that verify tokens",
        description: "A JWK set (RFC 7517).",
        reply: "The keys.",
    };
    let doc = conditional(RouteDoc::new(words, ErrorBody::OAuth));
    let mut doc = doc.answers_named(200, "Jwks", key_set());
    doc.schemas.push(("Jwk".to_owned(), jwk().into()));
    tagged(doc)
}

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) fn metadata() -> RouteDoc {
    let words = Words {
        operation_id: "getMetadata",
        tag: ApiTag::Discovery,
        summary: "The server's metadata",
        description: "RFC 8414.",
        reply: "The metadata.",
    };
    let doc = conditional(RouteDoc::new(words, ErrorBody::OAuth));
    tagged(doc.answers_named(200, "Metadata", metadata_members()))
}

/// `GET /.well-known/openid-configuration`.
pub(crate) fn metadata_alias() -> RouteDoc {
    metadata().named("getOpenidConfiguration")
}

/// `GET /api/v1/openapi.json`.
pub(crate) fn openapi() -> RouteDoc {
    let words = Words {
        operation_id: "getOpenapi",
        tag: ApiTag::Discovery,
        summary: "This document",
        description: "OpenAPI 3.1. `sealwright openapi` prints the same bytes.",
        reply: "The document.",
    };
    let any = ObjectBuilder::new().schema_type(Type::Object);
    RouteDoc::new(words, ErrorBody::Management)
        .answers(200, "application/json", any)
        .refuses(&[400])
}

/// `GET /openapi`.
pub(crate) fn openapi_page() -> RouteDoc {
    let words = Words {
        operation_id: "getOpenapiPage",
        tag: ApiTag::Server,
        summary: "This document as a page",
        description: "HTML, without scripts.",
        reply: "The page.",
    };
    RouteDoc::new(words, ErrorBody::OAuth).answers(200, "text/html", text())
}

/// `GET /livez`.
pub(crate) fn livez() -> RouteDoc {
    let words = Words {
        operation_id: "getLivez",
        tag: ApiTag::Server,
        summary: "Whether the process runs",
        description: "",
        reply: "It does.",
    };
    let alive = object(
        "The process runs.",
        [always("status", one_of(["ok"]), "`ok`.")],
    );
    RouteDoc::new(words, ErrorBody::OAuth).answers_named(200, "Liveness", alive)
}

/// `GET /healthz`.
pub(crate) fn healthz() -> RouteDoc {
    livez().named("getHealthz")
}

/// `GET /readyz`.
pub(crate) fn readyz() -> RouteDoc {
    readiness(Words {
        operation_id: "getReadyz",
        tag: ApiTag::Server,
        summary: "Whether the server can issue tokens",
        description: "",
        reply: "It can.",
    })
}

/// `GET /readyz/verify`.
pub(crate) fn readyz_verify() -> RouteDoc {
    readiness(Words {
        operation_id: "getReadyzVerify",
        tag: ApiTag::Server,
        summary: "Whether the server has the key set and the revocation list in memory",
        description: "",
        reply: "It has.",
    })
}

fn readiness(words: Words) -> RouteDoc {
    let results = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(text()));
    let readiness = object(
        "Whether the server should get requests.",
        [
            always(
                "status",
                one_of(["ok", "unavailable"]),
                "Whether it should.",
            ),
            sometimes("reason", text(), "Why not."),
            sometimes(
                "checks",
                results,
                "The result of each check, if it was asked for.",
            ),
        ],
    );
    let verbose = query("verbose", text(), "Shows the result of each check.");
    RouteDoc::new(words, ErrorBody::OAuth)
        .takes([verbose])
        .answers_named(200, "Readiness", readiness)
        .answers(503, "application/json", Ref::from_schema_name("Readiness"))
        .with_header("Retry-After", "After how many seconds to ask again.")
}

/// `GET /metrics`.
pub(crate) fn metrics() -> RouteDoc {
    let words = Words {
        operation_id: "getMetrics",
        tag: ApiTag::Server,
        summary: "The counters, in the text format of Prometheus",
        description: "",
        reply: "The counters.",
    };
    RouteDoc::new(words, ErrorBody::OAuth).answers(200, "text/plain", text())
}

/// With the parameter and the reply of a client that has the document.
fn conditional(doc: RouteDoc) -> RouteDoc {
    doc.takes([if_none_match()])
        .answers_nothing(304, "The client has the document.")
}

fn if_none_match() -> Parameter {
    parameter(
        "If-None-Match",
        ParameterIn::Header,
        Required::False,
        text(),
        "The entity tags of what the client has.",
    )
}

fn tagged(doc: RouteDoc) -> RouteDoc {
    doc.with_header("ETag", "The document's entity tag.")
        .with_header("Cache-Control", "How long the document may be kept.")
}

fn key_set() -> Object {
    let keys = ArrayBuilder::new().items(Ref::from_schema_name("Jwk"));
    object("A JWK set (RFC 7517).", [always("keys", keys, "The keys.")])
}

fn jwk() -> Object {
    object(
        "A public key (RFC 7517).",
        [
            always("kty", one_of(["RSA"]), "The kind of the key."),
            always("kid", text(), "The key's id."),
            always("use", one_of(["sig"]), "What the key is for."),
            always("alg", one_of(["RS256"]), "The algorithm."),
            always("n", text(), "The modulus."),
            always("e", text(), "The exponent."),
        ],
    )
}

fn metadata_members() -> Object {
    let texts = |name, meaning| always(name, list(text()), meaning);
    object(
        "The server's metadata (RFC 8414).",
        [
            always("issuer", text(), "The issuer."),
            always("authorization_endpoint", text(), "Refuses every request."),
            texts("response_types_supported", "RFC 8414 §2."),
            texts("code_challenge_methods_supported", "RFC 8414 §2."),
            always(
                "authorization_response_iss_parameter_supported",
                truth(),
                "RFC 9207 §3.",
            ),
            always("token_endpoint", text(), "Where tokens are issued."),
            texts("token_endpoint_auth_methods_supported", "RFC 8414 §2."),
            texts(
                "token_endpoint_auth_signing_alg_values_supported",
                "RFC 8414 §2: of client assertions.",
            ),
            always(
                "introspection_endpoint",
                text(),
                "Where tokens are checked.",
            ),
            texts(
                "introspection_endpoint_auth_methods_supported",
                "RFC 8414 §2.",
            ),
            always("revocation_endpoint", text(), "Where tokens are revoked."),
            texts("revocation_endpoint_auth_methods_supported", "RFC 8414 §2."),
            always(
                "sealwright_revocation_list",
                text(),
                "Where the revocation list is.",
            ),
            always("jwks_uri", text(), "Where the keys are."),
            texts("grant_types_supported", "RFC 8414 §2."),
            texts("scopes_supported", "The built-in scopes."),
            texts("subject_types_supported", "OpenID Connect Discovery §3."),
            texts(
                "id_token_signing_alg_values_supported",
                "OpenID Connect Discovery §3.",
            ),
        ],
    )
}
