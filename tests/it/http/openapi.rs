//! The OpenAPI document: what it says holds for the server, and every part of it can be found.

use std::collections::BTreeSet;

use sealwright::testing::http::manage::MANAGE_ROUTES;
use sealwright::testing::http::token::TOKEN_ROUTES;
use sealwright::testing::http::{OPS_ROUTES, PUBLIC_ROUTES, write_openapi};
use serde_json::Value;

use super::on_both;
use crate::harness::app::{ISSUER, TestApp, bearer};

const OPENAPI: &str = "/api/v1/openapi.json";

on_both! {
    anyone_may_read_the_document_and_no_parameter_is_known,
    the_limits_of_pages_are_those_of_the_document,
    the_parameters_of_the_document_are_known_to_the_server,
    operators_read_the_document_as_a_page_without_scripts,
}

fn document() -> Value {
    serde_json::from_str(&write_openapi(ISSUER)).unwrap()
}

/// Every operation: its path, its method and what it says.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

async fn anyone_may_read_the_document_and_no_parameter_is_known(app: &TestApp<'_>) {
    let reply = app.get(OPENAPI).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.body, write_openapi(ISSUER));
    let misspelt = app.get(&format!("{OPENAPI}?verison=1")).await;
    assert_eq!(misspelt.status, 400);
    let errors = &misspelt.json()["details"]["errors"];
    assert_eq!(errors[0]["field"], "verison");
}

async fn the_limits_of_pages_are_those_of_the_document(app: &TestApp<'_>) {
    let admin = app.agent("agents:read audit:read admin:orgs").await;
    let token = bearer(&app.token(&admin).await);
    let document = document();
    let mut lists = 0;
    for (path, _, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let Some(limit) = parameters.clone().find(|p| p["name"] == "limit") else {
            continue;
        };
        lists += 1;
        let path = &path.replace("{id}", &admin.id);
        let schema = &limit["schema"];
        let [least, most, default] =
            ["minimum", "maximum", "default"].map(|name| schema[name].as_i64().unwrap());
        for (limit, status) in [
            (least - 1, 400),
            (least, 200),
            (default, 200),
            (most, 200),
            (most + 1, 400),
        ] {
            let reply = app.get_as(&token, &format!("{path}?limit={limit}")).await;
            assert_eq!(reply.status, status, "{path}?limit={limit}");
        }
        let page = app.get_as(&token, path).await.json();
        assert_eq!(page["limit"], default, "{path}");
    }
    assert!(lists >= 2, "{lists} lists");
}

async fn the_parameters_of_the_document_are_known_to_the_server(app: &TestApp<'_>) {
    let admin = app.agent("agents:read audit:read admin:orgs").await;
    let token = bearer(&app.token(&admin).await);
    let document = document();
    for (path, method, operation) in operations(&document) {
        if method != "get" || operation["security"][0]["token"].is_null() {
            continue;
        }
        let path = path.replace("{id}", &admin.id);
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|p| p["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let reply = app.get_as(&token, &format!("{path}?{name}=%00")).await;
            let known = !reply.body.contains("is not known");
            assert!(known, "{path} {name}: {reply:?}");
        }
    }
}

async fn operators_read_the_document_as_a_page_without_scripts(app: &TestApp<'_>) {
    let page = app
        .send_to(app.ops_address, "GET", "/openapi", &[], vec![])
        .await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!page.body.contains("<script") && !page.body.contains(" src="));
    let document = document();
    for (_, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(
            page.body.contains(&format!("<section id=\"{id}\">")),
            "{id}"
        );
    }
    for link in page.body.split(" href=\"").skip(1) {
        let target = link.split('"').next().unwrap();
        let id = target.strip_prefix('#').unwrap();
        assert!(page.body.contains(&format!(" id=\"{id}\"")), "{target}");
    }
    // The public listener does not have it.
    assert_eq!(app.get("/openapi").await.status, 404);
}

#[test]
fn every_route_is_in_the_document() {
    let document = document();
    let routes = [TOKEN_ROUTES, PUBLIC_ROUTES, MANAGE_ROUTES, OPS_ROUTES];
    for route in routes.into_iter().flatten() {
        let path = route.path.replace("{*", "{");
        let method = match route.methods.names().first() {
            Some(method) => method.to_lowercase(),
            None => "get".to_owned(),
        };
        assert!(
            document["paths"][&path][&method].is_object(),
            "{method} {path}"
        );
    }
}

#[test]
fn every_operation_has_its_own_id_and_is_described() {
    let document = document();
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{place}: {id} is taken");
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()));
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("default"), "{place}");
        for (status, response) in responses {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{place}: {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let description = parameter["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{place}: {parameter}");
        }
    }
}

#[test]
fn every_reference_of_the_document_resolves_and_every_schema_is_referred_to() {
    let document = document();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(reference.as_str()), "{name} is unused");
    }
}

#[test]
fn a_body_of_the_management_api_names_all_its_members() {
    let document = document();
    let mut bodies = 0;
    for (path, method, operation) in operations(&document) {
        let Some(contents) = operation["requestBody"]["content"].as_object() else {
            continue;
        };
        if !operation["security"][0]["token"].is_array() || !path.starts_with("/api/v1/agents") {
            continue;
        }
        for (media_type, content) in contents {
            let closed = &content["schema"]["additionalProperties"];
            assert_eq!(closed, false, "{method} {path} {media_type}");
            bodies += 1;
        }
    }
    assert!(bodies >= 5, "{bodies} bodies");
}

fn collect_references<'v>(value: &'v Value, into: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str));
            for member in members.values() {
                collect_references(member, into);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, into);
            }
        }
        _ => {}
    }
}

#[test]
fn the_document_is_the_same_each_time_but_for_the_issuer() {
    let other = write_openapi("https://other.example/tenant");
    assert_eq!(write_openapi(ISSUER), write_openapi(ISSUER));
    assert_eq!(
        other.replace("https://other.example/tenant", ISSUER),
        write_openapi(ISSUER)
    );
}

#[test]
fn no_schema_is_put_together_of_several() {
    // Generators of clients lose that a member of a part may be null.
    assert!(!write_openapi(ISSUER).contains("\"allOf\""));
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (whole, part, own) in [
        ("AgentWithSecret", "Agent", "clientSecret"),
        ("CredentialWithSecret", "Credential", "clientSecret"),
    ] {
        let members = &schemas[whole]["properties"];
        assert!(members[own].is_object(), "{whole}");
        for (name, member) in schemas[part]["properties"].as_object().unwrap() {
            assert_eq!(&members[name], member, "{whole} {name}");
        }
    }
}
