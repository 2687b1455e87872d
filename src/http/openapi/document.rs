//! All descriptions as one document (OpenAPI 3.1), always in the same order.
//!
//! Owns what every operation of the document has: its parameters of the path, how its caller proves
//! who it is, and its errors. Must not know which routes there are.

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Paths};
use utoipa::openapi::response::{Response, Responses};
use utoipa::openapi::security::{
    ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityRequirement,
    SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, RefOr, Server,
};

use crate::domain::scope::BUILT_IN;
use crate::http::accepts::{Methods, Reads};
use crate::http::route::{Needs, Opens, Route};

use super::merged::merge_all;
use super::route_doc::{ApiTag, ErrorBody, ProvedBy, RouteDoc};
use super::{errors, parameters};

/// What the document says of the whole API.
const ABOUT: &str = "A token server for agents and other machines (OAuth 2.0 client credentials).\n\n\
    Every reply has the header field `X-Request-Id`. Every `GET` answers `HEAD` too. Times are RFC 3339 in UTC, \
    durations are seconds. Later releases may add members to replies.";

/// The name of the security scheme of Bearer tokens.
const TOKEN: &str = "token";

/// The name of the security scheme of a client's secret in the header.
const SECRET: &str = "secret";

/// Where the operators' listener is, unless the configuration says otherwise.
const OPERATORS: &str = "http://127.0.0.1:3001";

/// The document of the server of this issuer, as pretty JSON. A path that both listeners have is
/// described once.
pub(crate) fn write(
    issuer: &str,
    public: impl Iterator<Item = &'static Route>,
    operators: impl Iterator<Item = &'static Route>,
) -> String {
    let mut paths = Paths::new();
    let mut components = components(issuer);
    for route in public {
        add(route, None, &mut paths, &mut components);
    }
    for route in operators {
        if paths.get_path_item(template(route.path)).is_none() {
            let mut server = Server::new(OPERATORS);
            server.description = Some("The operators' listener.".to_owned());
            add(route, Some(server), &mut paths, &mut components);
        }
    }
    merge_all(&mut components.schemas);
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Sealwright")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license.build()));
    let tags = ApiTag::ALL.map(ApiTag::text).map(|(name, meaning)| {
        TagBuilder::new()
            .name(name)
            .description(Some(meaning))
            .build()
    });
    let document = OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new(issuer)]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components))
        .build();
    // A document always serialises: it holds texts, numbers and lists.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// A path as OpenAPI writes it: `{*rest}` is `{rest}`.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

fn components(issuer: &str) -> Components {
    let scopes = BUILT_IN.map(|scope| (scope.name, scope.description));
    let flow = ClientCredentials::new(format!("{issuer}/api/v1/token"), Scopes::from_iter(scopes));
    let token = OAuth2::with_description(
        [Flow::ClientCredentials(flow)],
        "A Bearer token of this server, whose audience is this server and which is about no user.",
    );
    let secret = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "The agent's id and secret, each form-encoded first (RFC 6749 §2.3.1).",
        ));
    ComponentsBuilder::new()
        .schemas_from_iter(errors::schemas())
        .security_scheme(TOKEN, SecurityScheme::OAuth2(token))
        .security_scheme(SECRET, SecurityScheme::Http(secret.build()))
        .build()
}

fn add(
    route: &'static Route,
    server: Option<Server>,
    paths: &mut Paths,
    components: &mut Components,
) {
    let mut doc = (route.doc)();
    components.schemas.extend(std::mem::take(&mut doc.schemas));
    let operation = operation(route, doc, server);
    paths.add_path_operation(template(route.path), vec![method(route.methods)], operation);
}

/// The method under which a row is described. A row of all methods is described as GET.
fn method(methods: Methods) -> HttpMethod {
    match methods {
        Methods::Get | Methods::PublicGet | Methods::Any => HttpMethod::Get,
        Methods::Post => HttpMethod::Post,
        Methods::Put => HttpMethod::Put,
        Methods::Patch => HttpMethod::Patch,
        Methods::Delete => HttpMethod::Delete,
    }
}

fn operation(route: &Route, doc: RouteDoc, server: Option<Server>) -> Operation {
    let responses = responses(route, &doc);
    let words = doc.words;
    let (tag, _) = words.tag.text();
    let description = [words.description, &needed(route.opens)]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n");
    let all = parameters::of_path(route.path)
        .into_iter()
        .chain(doc.parameters)
        .map(RefOr::T)
        .collect::<Vec<_>>();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(words.operation_id))
        .tag(tag)
        .summary(Some(words.summary))
        .securities(Some(securities(route.opens, doc.proof)))
        .request_body(doc.body)
        .responses(responses)
        .build();
    operation.description = Some(description).filter(|text| !text.is_empty());
    operation.parameters = Some(all).filter(|all| !all.is_empty());
    operation.servers = server.map(|server| vec![server]);
    operation
}

/// What a token must hold, in a sentence.
fn needed(opens: Opens) -> String {
    match opens {
        Opens::Anyone | Opens::Protocol => String::new(),
        Opens::Bearer(Needs::AnyToken) => "Needs any token of this server.".to_owned(),
        Opens::Bearer(Needs::Scope(scope)) => {
            format!("Needs a token with the scope `{scope}`.")
        }
        Opens::Bearer(Needs::ScopeOrOwn(scope)) => {
            format!("Needs a token with the scope `{scope}`, or a token of the agent itself.")
        }
    }
}

/// The ways to prove who the caller is, of which one is enough.
fn securities(opens: Opens, proof: ProvedBy) -> Vec<SecurityRequirement> {
    let token = |scopes: &[&str]| SecurityRequirement::new(TOKEN, scopes.iter().copied());
    let secret = || SecurityRequirement::new(SECRET, [""; 0]);
    // An empty requirement: the credentials stand in the body.
    let in_body = SecurityRequirement::default;
    match (proof, opens) {
        (ProvedBy::Client, _) => vec![secret(), in_body()],
        (ProvedBy::ClientOrBearer(scope), _) => vec![token(&[scope]), secret(), in_body()],
        (ProvedBy::Bearer, _) | (ProvedBy::OfRow, Opens::Bearer(Needs::AnyToken)) => {
            vec![token(&[])]
        }
        (ProvedBy::OfRow, Opens::Bearer(Needs::Scope(scope))) => vec![token(&[scope])],
        (ProvedBy::OfRow, Opens::Bearer(Needs::ScopeOrOwn(scope))) => {
            vec![token(&[scope]), token(&[])]
        }
        (ProvedBy::OfRow, Opens::Anyone | Opens::Protocol) => vec![],
    }
}

/// The statuses of the good replies of a route, and those of its errors.
pub(crate) fn statuses(route: &Route) -> (Vec<u16>, Vec<u16>) {
    let doc = (route.doc)();
    let good = doc.replies.iter().map(|(status, _)| *status).collect();
    (good, refusals(route, &doc))
}

/// The statuses of the errors to expect.
fn refusals(route: &Route, doc: &RouteDoc) -> Vec<u16> {
    let own = doc.refusals.iter().copied();
    own.chain(usual_refusals(route, doc.errors)).collect()
}

fn responses(route: &Route, doc: &RouteDoc) -> Responses {
    let mut responses: Vec<(String, Response)> = refusals(route, doc)
        .into_iter()
        .map(|status| (status.to_string(), errors::of_status(doc.errors, status)))
        .collect();
    responses.push(("default".to_owned(), errors::any(doc.errors)));
    responses.extend(
        doc.replies
            .iter()
            .map(|(status, response)| (status.to_string(), response.clone())),
    );
    Responses::from_iter(responses)
}

/// The errors that follow from the row of a route of the management API.
fn usual_refusals(route: &Route, errors: ErrorBody) -> Vec<u16> {
    if errors != ErrorBody::Management {
        return vec![];
    }
    let mut statuses = vec![];
    if let Opens::Bearer(needs) = route.opens {
        statuses.extend([400, 401, 503]);
        if needs != Needs::AnyToken {
            statuses.push(403);
        }
    }
    if route.path.contains('{') {
        statuses.push(404);
    }
    if route.reads != Reads::Nothing {
        statuses.extend([408, 413]);
    }
    if route.reads.is_json() {
        statuses.push(415);
    }
    statuses
}
