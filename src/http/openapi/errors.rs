//! The errors of every operation: their bodies, and the statuses to expect.
//!
//! Must not know when an error happens.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Content, Ref, RefOr};

use super::route_doc::ErrorBody;
use super::schema::{always, object, one_of, sometimes, text, within};
use crate::domain::rejection::RejectionCode;

/// What a status of an error means, the same at every route.
const MEANINGS: &[(u16, &str)] = &[
    (
        400,
        "The request is malformed, or something in it breaks a rule.",
    ),
    (401, "The caller did not prove who it is."),
    (403, "The caller may not do this."),
    (
        404,
        "There is no such thing, or it is out of the caller's reach.",
    ),
    (408, "The body did not arrive in time."),
    (409, "The request conflicts with what is stored."),
    (
        412,
        "What is stored has another version than `If-Match` says.",
    ),
    (413, "The body is larger than 64 KiB."),
    (415, "The body has another media type than the route reads."),
    (422, "The idempotency key was used with another body."),
    (429, "The caller asks too often."),
    (503, "The server cannot answer now; ask again."),
];

/// The schemas of all error bodies.
pub(crate) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let all = of_management().into_iter().chain(of_protocols());
    all.map(|(name, schema)| (name.to_owned(), RefOr::from(schema)))
        .collect()
}

/// The error of the management API.
fn of_management() -> [(&'static str, Object); 3] {
    let field_error = object(
        "A part of the input that breaks a rule.",
        [
            always(
                "field",
                text(),
                "A JSON Pointer into the body, or the name of a parameter.",
            ),
            always("reason", text(), "The rule that it breaks."),
        ],
    );
    let details = object(
        "What else there is to say.",
        [
            always(
                "requestId",
                text(),
                "The request's id, as in the header field `X-Request-Id` and in the log.",
            ),
            sometimes(
                "errors",
                ArrayBuilder::new()
                    .items(Ref::from_schema_name("FieldError"))
                    .build(),
                "All faults of the input at once.",
            ),
        ],
    );
    // A rejection may carry facts of its own beside these.
    let details = ObjectBuilder::from(details)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .build();
    let code = text().examples(RejectionCode::ALL.map(RejectionCode::as_str));
    let management = object(
        "Why a request of the management API was not done.",
        [
            always(
                "code",
                code,
                "The reason, for programs. Later releases may add codes.",
            ),
            always("message", text(), "The reason, for people."),
            always("details", Ref::from_schema_name("ErrorDetails"), ""),
        ],
    );
    [
        ("FieldError", field_error),
        ("ErrorDetails", details),
        ("Error", management),
    ]
}

/// The errors of the token endpoints and their kin.
fn of_protocols() -> [(&'static str, Object); 4] {
    let oauth = object(
        "Why a request was refused (RFC 6749 §5.2).",
        [
            always("error", text(), "The reason, for programs."),
            always("error_description", text(), "The reason, for people."),
            sometimes(
                "code",
                text(),
                "The code of the management API, where a Bearer token fails.",
            ),
            sometimes(
                "message",
                text(),
                "The reason again, where a Bearer token fails.",
            ),
        ],
    );
    let inner = object(
        "The error as Oculus's clients read it.",
        [
            always("code", text(), "The reason, for programs."),
            always("message", text(), "The reason, for people."),
            always("request_id", text(), "The request's id."),
        ],
    );
    // Of the type `null` alone, generators make nothing.
    let null = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null]));
    let oculus_orum = object(
        "Why a request was refused, for clients of Oculus and Orum.",
        [
            always("error", Ref::from_schema_name("OculusError"), ""),
            always(
                "error_code",
                text(),
                "The reason as Orum's clients read it.",
            ),
            always("message", text(), "The reason, for people."),
            always("details", null, "Nothing."),
            always(
                "error_description",
                text(),
                "The reason, for clients of RFC 6749.",
            ),
        ],
    );
    let problem = object(
        "A problem (RFC 9457).",
        [
            always(
                "type",
                one_of(["about:blank"]),
                "Says nothing more than the status.",
            ),
            always("title", text(), "The phrase of the status."),
            always("status", within(400, 599), "The status."),
            sometimes("detail", text(), "The reason, for people."),
            always("traceId", text(), "The request's id."),
        ],
    );
    [
        ("OAuthError", oauth),
        ("OculusError", inner),
        ("OculusOrumError", oculus_orum),
        ("Problem", problem),
    ]
}

/// The reply of any error that has no row of its own.
pub(crate) fn any(body: ErrorBody) -> Response {
    response(body, 0, "Any other error.")
}

/// The reply of an error of this status.
pub(crate) fn of_status(body: ErrorBody, status: u16) -> Response {
    let meaning = MEANINGS.iter().find(|(other, _)| *other == status);
    let mut response = response(body, status, meaning.map_or("An error.", |(_, text)| text));
    let header = match status {
        401 => Some(("WWW-Authenticate", "How to prove who the caller is.")),
        429 | 503 => Some(("Retry-After", "After how many seconds to ask again.")),
        _ => None,
    };
    if let Some((name, meaning)) = header {
        let header = HeaderBuilder::new()
            .schema(Some(text()))
            .description(Some(meaning));
        response
            .headers
            .insert(name.to_owned(), RefOr::T(header.build()));
    }
    response
}

fn response(body: ErrorBody, status: u16, meaning: &str) -> Response {
    let by_name = |name: &str| Content::new(Some(Ref::from_schema_name(name)));
    let line = || ("text/plain", Content::new(Some(text())));
    let problem = || ("application/problem+json", by_name("Problem"));
    let contents = match (body, status) {
        (ErrorBody::Management, _) => vec![("application/json", by_name("Error"))],
        (ErrorBody::OAuth, _) => vec![("application/json", by_name("OAuthError"))],
        (ErrorBody::OculusOrum, _) => vec![("application/json", by_name("OculusOrumError"))],
        (ErrorBody::Airisk, 400) => vec![line()],
        (ErrorBody::Airisk, 0) => vec![problem(), line()],
        (ErrorBody::Airisk, _) => vec![problem()],
    };
    let response = ResponseBuilder::new().description(meaning);
    let response = contents
        .into_iter()
        .fold(response, |response, (media_type, content)| {
            response.content(media_type, content)
        });
    response.build()
}
