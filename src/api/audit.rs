//! Events as JSON.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::event::kind::EventKind;
use crate::service::manage::audit::ListedEvent;

/// The members of an event, in the order of its bytes: the name, what it says, and whether every
/// event has it.
const EVENT_MEMBERS: [(&str, EventMember, bool, &str); 16] = [
    (
        "actor",
        EventMember::Text,
        true,
        "Who did it: `agent:<id>`, `operator:<user>@<host>` or `system`.",
    ),
    (
        "agentId",
        EventMember::Text,
        false,
        "The agent that it concerns.",
    ),
    ("at", EventMember::Time, true, "When."),
    (
        "credentialId",
        EventMember::Text,
        false,
        "The credential that it concerns.",
    ),
    (
        "detail",
        EventMember::Object,
        false,
        "What else there is to say of this kind.",
    ),
    (
        "epoch",
        EventMember::Integer,
        false,
        "The agent's epoch, which the token carries.",
    ),
    ("exp", EventMember::Time, false, "When the token expires."),
    ("id", EventMember::Integer, true, "The event's id."),
    (
        "jti",
        EventMember::Text,
        false,
        "The token that it concerns.",
    ),
    (
        "kind",
        EventMember::Kind,
        true,
        "What happened. Later releases may add kinds.",
    ),
    (
        "orgId",
        EventMember::Text,
        false,
        "The organization that it concerns.",
    ),
    (
        "reason",
        EventMember::Text,
        false,
        "The reason that was given.",
    ),
    (
        "requestId",
        EventMember::Text,
        false,
        "The request that asked for it: the server's own id, or `sha256:` and a hash of the client's.",
    ),
    (
        "scope",
        EventMember::Text,
        false,
        "The token's scopes, separated by spaces.",
    ),
    (
        "source",
        EventMember::Text,
        false,
        "The network that the request came from.",
    ),
    (
        "v",
        EventMember::Integer,
        true,
        "The version of the format, 1.",
    ),
];

#[derive(Clone, Copy)]
enum EventMember {
    Text,
    Integer,
    Time,
    Object,
    Kind,
}

/// The schema of an event's bytes.
pub(crate) enum EventSchema {}

impl ToSchema for EventSchema {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }
}

impl PartialSchema for EventSchema {
    fn schema() -> RefOr<Schema> {
        let event = ObjectBuilder::new().description(Some(
            "An event: one JSON object in canonical form (RFC 8785).",
        ));
        let event = EVENT_MEMBERS.iter().fold(event, |event, row| {
            let (name, member, always, text) = *row;
            let schema = member.schema().description(Some(text));
            let event = event.property(name, schema);
            if always { event.required(name) } else { event }
        });
        event.into()
    }
}

impl EventMember {
    fn schema(self) -> ObjectBuilder {
        let schema = ObjectBuilder::new();
        match self {
            Self::Text => schema.schema_type(Type::String),
            Self::Integer => schema
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))),
            Self::Time => schema
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
            Self::Object => schema,
            Self::Kind => schema
                .schema_type(Type::String)
                .examples(EventKind::ALL.iter().map(|kind| kind.as_str())),
        }
    }
}

/// An event of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(crate) struct AuditJson {
    /// The event's own bytes.
    #[schema(value_type = EventSchema)]
    pub event: Box<RawValue>,
    /// The index of the event's entry in the log; of an issued token, that of its block. `null`
    /// until the log has it.
    #[schema(required)]
    pub entry: Option<u64>,
}

impl AuditJson {
    /// An event of a page.
    pub(crate) fn of(listed: &ListedEvent) -> Result<Self, serde_json::Error> {
        let mut text = String::with_capacity(512);
        listed.event.write_to(&mut text);
        Ok(Self {
            event: RawValue::from_string(text)?,
            entry: listed.entry,
        })
    }
}
