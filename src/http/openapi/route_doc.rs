//! The description of one route: what people read about it, what it takes and what it answers.
//!
//! Must not know which routes there are, or how a description becomes a document.

use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Content, Ref, RefOr};

use super::schema::text;

/// The part of the API that a route belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiTag {
    /// Tokens: how to get, check and revoke one.
    Tokens,
    /// Public documents.
    Discovery,
    /// The check that gateways ask for.
    Gateways,
    /// Agents.
    Agents,
    /// What agents prove themselves with.
    Credentials,
    /// The record of events.
    Audit,
    /// The catalogue of scopes.
    Scopes,
    /// Organizations.
    Orgs,
    /// Partners.
    Partners,
    /// Signing keys.
    Keys,
    /// What the caller or the server is.
    Server,
}

impl ApiTag {
    /// Every tag, in the order of the document.
    pub(crate) const ALL: [Self; 11] = [
        Self::Tokens,
        Self::Discovery,
        Self::Gateways,
        Self::Agents,
        Self::Credentials,
        Self::Audit,
        Self::Scopes,
        Self::Orgs,
        Self::Partners,
        Self::Keys,
        Self::Server,
    ];

    /// The name and what belongs to it.
    pub(crate) fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Tokens => ("Tokens", "Get, check and revoke tokens."),
            Self::Discovery => (
                "Discovery",
                "Documents that anyone may read: keys, metadata and revoked tokens.",
            ),
            Self::Gateways => ("Gateways", "Whether a gateway should let a request pass."),
            Self::Agents => ("Agents", "Agents and what they used."),
            Self::Credentials => ("Credentials", "The secrets of agents."),
            Self::Audit => ("Audit", "The events, and the tamper-evident log of them."),
            Self::Scopes => ("Scopes", "The scopes that agents may be given."),
            Self::Orgs => (
                "Organizations",
                "Groups of agents that see nothing of each other.",
            ),
            Self::Partners => (
                "Partners",
                "Platforms whose signed tokens prove who an agent is.",
            ),
            Self::Keys => ("Keys", "The keys that sign tokens."),
            Self::Server => ("Server", "The caller, and the health of the server."),
        }
    }
}

/// How a route writes its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// The shape of the management API.
    Management,
    /// RFC 6749 §5.2.
    OAuth,
    /// The body that the clients of Oculus and Orum understand.
    OculusOrum,
    /// A line of text for 400, else a problem of RFC 9457.
    Airisk,
}

/// What people read about an operation.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The id of the operation, in camelCase. Generated clients name their functions after it, so
    /// it is never changed.
    pub operation_id: &'static str,
    /// Where the operation belongs.
    pub tag: ApiTag,
    /// A line without a full stop.
    pub summary: &'static str,
    /// Sentences in paragraphs, with code between backticks. May be empty.
    pub description: &'static str,
    /// What a good reply holds, in a sentence.
    pub reply: &'static str,
}

/// How a caller proves who it is, where the route itself does not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvedBy {
    /// As the row of the route says.
    OfRow,
    /// With a client's secret, in the header or in the body.
    Client,
    /// With a client's secret, or with a Bearer token that has this scope.
    ClientOrBearer(&'static str),
    /// With any Bearer token.
    Bearer,
}

/// A JSON body.
pub(crate) struct BodyDoc {
    /// What it holds.
    pub schema: RefOr<Schema>,
    /// Whether the request must have it.
    pub is_required: bool,
}

/// The description of one route.
pub struct RouteDoc {
    /// What people read.
    pub words: Words,
    /// How a caller proves who it is.
    pub proof: ProvedBy,
    /// Parameters of the query and of the head. The document adds those of the path.
    pub parameters: Vec<Parameter>,
    /// The body that the route reads.
    pub body: Option<RequestBody>,
    /// The good replies, by status.
    pub replies: Vec<(u16, Response)>,
    /// How errors are written.
    pub errors: ErrorBody,
    /// The statuses of the errors to expect, besides those that every route of its kind has.
    pub refusals: &'static [u16],
    /// The schemas that these parts refer to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl RouteDoc {
    /// A description without parameters, body and replies.
    pub(crate) fn new(words: Words, errors: ErrorBody) -> Self {
        Self {
            words,
            proof: ProvedBy::OfRow,
            parameters: vec![],
            body: None,
            replies: vec![],
            errors,
            refusals: &[],
            schemas: vec![],
        }
    }

    /// The same description under another id, for a route that is another name of a route.
    pub(crate) fn named(mut self, operation_id: &'static str) -> Self {
        self.words.operation_id = operation_id;
        self
    }

    /// With these parameters.
    pub(crate) fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// With this body.
    pub(crate) fn reads(mut self, body: RequestBody) -> Self {
        self.body = Some(body);
        self
    }

    /// With this way to prove who the caller is.
    pub(crate) fn proved_by(mut self, proof: ProvedBy) -> Self {
        self.proof = proof;
        self
    }

    /// With these statuses of errors.
    pub(crate) fn refuses(mut self, statuses: &'static [u16]) -> Self {
        self.refusals = statuses;
        self
    }

    /// With a reply of this status that holds this type as JSON.
    pub(crate) fn answers_json<T: ToSchema>(mut self, status: u16) -> Self {
        let name = T::name().into_owned();
        let schema = Ref::from_schema_name(&name);
        self.schemas.push((name, T::schema()));
        T::schemas(&mut self.schemas);
        self.answers(status, "application/json", schema)
    }

    /// With a reply of this status that holds this schema, which the document keeps under this
    /// name.
    pub(crate) fn answers_named(
        mut self,
        status: u16,
        name: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        self.schemas.push((name.to_owned(), schema.into()));
        self.answers(status, "application/json", Ref::from_schema_name(name))
    }

    /// With a reply of this status. A status that has a reply of another media type gets this one
    /// too.
    pub(crate) fn answers(
        mut self,
        status: u16,
        media_type: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let content = RefOr::T(Content::new(Some(schema)));
        let known = self.replies.iter_mut().find(|(other, _)| *other == status);
        if let Some((_, response)) = known {
            response.content.insert(media_type.to_owned(), content);
            return self;
        }
        let mut response = ResponseBuilder::new().description(self.words.reply).build();
        response.content.insert(media_type.to_owned(), content);
        self.replies.push((status, response));
        self
    }

    /// With a reply of this status that has no body.
    pub(crate) fn answers_nothing(mut self, status: u16, meaning: &'static str) -> Self {
        let response = ResponseBuilder::new().description(meaning).build();
        self.replies.push((status, response));
        self
    }

    /// With this header field in the newest reply.
    pub(crate) fn with_header(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some((_, response)) = self.replies.last_mut() {
            let header: Header = HeaderBuilder::new()
                .schema(Some(text()))
                .description(Some(meaning))
                .build();
            response.headers.insert(name.to_owned(), header.into());
        }
        self
    }
}
