//! Organizations over HTTP: their records, and what bounds their agents.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TestApp, bearer};

on_both! {
    an_organization_is_made_shown_listed_and_changed,
    every_fault_of_an_organization_is_told_at_once,
    a_dry_run_of_an_organization_changes_nothing,
    an_organization_is_changed_in_the_version_that_was_demanded,
    agents_are_given_only_what_their_organization_allows,
    scopes_that_agents_hold_are_not_taken_from_their_organization,
    the_first_organization_has_no_bounds,
    an_admin_of_another_organization_sees_its_own_alone,
    a_change_of_an_organization_is_an_event_that_belongs_to_it,
    no_organization_is_made_while_an_earlier_release_may_serve,
}

const ORGS: &str = "/api/v1/orgs";

async fn caller(app: &TestApp<'_>, id: &str, scopes: &str) -> String {
    bearer(&app.token(&app.agent_named(id, scopes).await).await)
}

async fn admin(app: &TestApp<'_>) -> String {
    caller(
        app,
        "boss",
        "agents:read agents:write admin:orgs audit:read",
    )
    .await
}

async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value) -> Answer {
    send_with(app, token, line, body, &[]).await
}

async fn send_with(
    app: &TestApp<'_>,
    token: &str,
    line: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let json = ("content-type", "application/json");
    let headers = [&[("authorization", token), json], headers].concat();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.send(method, path, &headers, body.into()).await
}

async fn make(app: &TestApp<'_>, token: &str, body: &Value) -> Answer {
    let made = send(app, token, "POST /api/v1/orgs", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

/// The fields of the faults of a refused request.
fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 400, "{answer:?}");
    let errors = answer.json()["details"]["errors"].clone();
    let errors = errors.as_array().unwrap().iter();
    errors
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

async fn an_organization_is_made_shown_listed_and_changed(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let body = json!({"orgId": "acme", "name": "Acme", "scopes": ["agents:read"]});
    let made = make(app, &admin, &body).await;
    assert!(made.header("location").ends_with("/api/v1/orgs/acme"));
    let shown = send(app, &admin, "GET /api/v1/orgs/acme", &Value::Null).await;
    assert_eq!((shown.status, shown.json()), (200, made.json()));
    assert_eq!(shown.header("etag"), made.header("etag"));
    let mut expected = made.json();
    for (member, value) in [
        ("orgId", json!("acme")),
        ("name", json!("Acme")),
        ("status", json!("active")),
        ("scopes", json!(["agents:read"])),
    ] {
        assert_eq!(expected[member], value, "{member}");
    }
    let taken = send(app, &admin, "POST /api/v1/orgs", &body).await;
    taken.is_management_error(409, "ORG_EXISTS");

    let patch = json!({"name": "Acme Corp", "scopes": null, "reason": "they grew"});
    let changed = send(app, &admin, "PATCH /api/v1/orgs/acme", &patch).await;
    let version = changed.json()["version"].as_i64().unwrap();
    assert!(version > expected["version"].as_i64().unwrap());
    (expected["name"], expected["scopes"]) = (json!("Acme Corp"), Value::Null);
    for member in ["version", "updatedAt"] {
        expected[member] = changed.json()[member].clone();
    }
    assert_eq!((changed.status, changed.json()), (200, expected.clone()));
    let again = send(app, &admin, "PATCH /api/v1/orgs/acme", &patch).await;
    assert_eq!(again.json(), expected, "a change that changes nothing");

    // Without an id, a UUID is drawn. Pages are in the order of ids.
    let drawn = make(app, &admin, &json!({"name": "Drawn"})).await;
    assert_eq!(drawn.text("orgId").len(), 36);
    let mut ids = Vec::new();
    let mut line = format!("GET {ORGS}?limit=1");
    loop {
        let page = send(app, &admin, &line, &Value::Null).await.json();
        let data = page["data"].as_array().unwrap().clone();
        assert!(data.len() <= 1);
        ids.extend(
            data.iter()
                .map(|org| org["orgId"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        line = format!("GET {ORGS}?limit=1&cursor={cursor}");
    }
    let mut sorted = vec![drawn.text("orgId"), "acme".to_owned(), "default".to_owned()];
    sorted.sort();
    assert_eq!(ids, sorted);
    for unknown in ["nobody", "a%20b"] {
        let line = format!("GET {ORGS}/{unknown}");
        let answer = send(app, &admin, &line, &Value::Null).await;
        answer.is_management_error(404, "ORG_NOT_FOUND");
        let line = format!("PATCH {ORGS}/{unknown}");
        let answer = send(app, &admin, &line, &json!({"name": "x"})).await;
        answer.is_management_error(404, "ORG_NOT_FOUND");
    }
}

async fn every_fault_of_an_organization_is_told_at_once(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let body = json!({"orgId": "a b", "name": "", "scopes": "x", "other": 1});
    let refused = send(app, &admin, "POST /api/v1/orgs", &body).await;
    assert_eq!(fields(&refused), ["/orgId", "/name", "/scopes", "/other"]);
    let unknown = json!({"name": "x", "scopes": ["agents:read", "no:such", "admin:orgs"]});
    let refused = send(app, &admin, "POST /api/v1/orgs", &unknown).await;
    assert_eq!(fields(&refused), ["/scopes/1", "/scopes/2"]);
    make(app, &admin, &json!({"orgId": "acme", "name": "Acme"})).await;
    let line = "PATCH /api/v1/orgs/acme";
    let refused = send(app, &admin, line, &json!({"scopes": ["admin:orgs"]})).await;
    assert_eq!(fields(&refused), ["/scopes/0"]);
    for body in [json!({"name": null}), json!({"orgId": "other"})] {
        assert_eq!(send(app, &admin, line, &body).await.status, 400, "{body}");
    }
}

async fn a_dry_run_of_an_organization_changes_nothing(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let body = json!({"orgId": "acme", "name": "Acme"});
    let tried = send(app, &admin, "POST /api/v1/orgs?dryRun=true", &body).await;
    assert_eq!((tried.status, tried.header("dry-run")), (201, "true"));
    let shown = send(app, &admin, "GET /api/v1/orgs/acme", &Value::Null).await;
    assert_eq!(shown.status, 404);
    let made = make(app, &admin, &body).await;
    let line = "PATCH /api/v1/orgs/acme?dryRun=true";
    let tried = send(app, &admin, line, &json!({"scopes": []})).await;
    assert_eq!((tried.status, &tried.json()["scopes"]), (200, &json!([])));
    let shown = send(app, &admin, "GET /api/v1/orgs/acme", &Value::Null).await;
    assert_eq!(shown.json(), made.json());
    let events = "select count(*) from audit_event where kind like 'org.%'";
    assert_eq!(app.database.number(events).await, 1);
}

async fn an_organization_is_changed_in_the_version_that_was_demanded(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let made = make(app, &admin, &json!({"orgId": "acme", "name": "Acme"})).await;
    let tag = made.header("etag");
    let line = "PATCH /api/v1/orgs/acme";
    let old = [("if-match", "\"1\"")];
    let refused = send_with(app, &admin, line, &json!({"name": "b"}), &old).await;
    refused.is_management_error(412, "VERSION_MISMATCH");
    let current = [("if-match", tag)];
    let changed = send_with(app, &admin, line, &json!({"name": "b"}), &current).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let refused = send_with(app, &admin, line, &json!({"name": "c"}), &current).await;
    refused.is_management_error(412, "VERSION_MISMATCH");
    for gone in ["PATCH /api/v1/orgs/nobody", "PATCH /api/v1/orgs/a%20b"] {
        let refused = send_with(app, &admin, gone, &json!({"name": "c"}), &current).await;
        refused.is_management_error(412, "VERSION_MISMATCH");
    }
}

async fn agents_are_given_only_what_their_organization_allows(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let org = json!({"orgId": "acme", "name": "Acme", "scopes": ["agents:read", "audit:read"]});
    make(app, &admin, &org).await;
    let agent = |scopes: &[&str]| json!({"name": "n", "orgId": "acme", "scopes": scopes});
    let wide = ["agents:read", "agents:write", "admin:orgs"];
    let refused = send(app, &admin, &format!("POST {AGENTS}"), &agent(&wide)).await;
    assert_eq!(fields(&refused), ["/scopes/1", "/scopes/2"]);
    let line = format!("POST {AGENTS}");
    let made = send(app, &admin, &line, &agent(&["agents:read"])).await;
    assert_eq!((made.status, made.text("orgId")), (201, "acme".to_owned()));
    let place_of_agent = format!("{AGENTS}/{}", made.text("agentId"));
    for scopes in [json!(["agents:write"]), json!(["audit:read", "admin:orgs"])] {
        let place = scopes.as_array().unwrap().len() - 1;
        let patch = json!({ "scopes": scopes });
        let refused = send(app, &admin, &format!("PATCH {place_of_agent}"), &patch).await;
        assert_eq!(fields(&refused), [format!("/scopes/{place}")]);
        let refused = send(app, &admin, &format!("PUT {place_of_agent}"), &agent(&wide)).await;
        assert_eq!(fields(&refused), ["/scopes/1", "/scopes/2"]);
    }
    let patch = json!({"scopes": ["audit:read", "agents:read"]});
    let changed = send(app, &admin, &format!("PATCH {place_of_agent}"), &patch).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    // An organization that allows every scope has admins, which an admin of `default` makes.
    make(app, &admin, &json!({"orgId": "free", "name": "Free"})).await;
    let chief = json!({"name": "n", "orgId": "free", "scopes": ["admin:orgs", "agents:write"]});
    assert_eq!(send(app, &admin, &line, &chief).await.status, 201);
    let nowhere = json!({"name": "n", "orgId": "nowhere", "scopes": []});
    assert_eq!(
        fields(&send(app, &admin, &line, &nowhere).await),
        ["/orgId"]
    );
}

async fn scopes_that_agents_hold_are_not_taken_from_their_organization(app: &TestApp<'_>) {
    let admin = admin(app).await;
    make(app, &admin, &json!({"orgId": "acme", "name": "Acme"})).await;
    let agent =
        json!({"agentId": "holder", "name": "n", "orgId": "acme", "scopes": ["audit:read"]});
    let line = format!("POST {AGENTS}");
    assert_eq!(send(app, &admin, &line, &agent).await.status, 201);
    // An agent of another organization does not count.
    app.agent_named("elsewhere", "webhooks:read").await;
    let narrow = json!({"scopes": ["agents:read"]});
    for line in [
        "PATCH /api/v1/orgs/acme?dryRun=true",
        "PATCH /api/v1/orgs/acme",
    ] {
        let refused = send(app, &admin, line, &narrow).await;
        refused.is_management_error(409, "ORG_SCOPES_IN_USE");
        assert_eq!(refused.json()["details"]["agents"], json!(["holder"]));
        assert_eq!(refused.json()["details"]["count"], 1);
    }
    let wide = json!({"scopes": ["agents:read", "audit:read"]});
    let changed = send(app, &admin, "PATCH /api/v1/orgs/acme", &wide).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let path = format!("DELETE {AGENTS}/holder");
    assert_eq!(send(app, &admin, &path, &Value::Null).await.status, 200);
    let changed = send(app, &admin, "PATCH /api/v1/orgs/acme", &narrow).await;
    assert_eq!(changed.json()["scopes"], narrow["scopes"]);
}

async fn the_first_organization_has_no_bounds(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let line = "PATCH /api/v1/orgs/default";
    let refused = send(app, &admin, line, &json!({"scopes": ["agents:read"]})).await;
    refused.is_management_error(409, "ORG_BUILT_IN");
    let named = send(app, &admin, line, &json!({"name": "Head office"})).await;
    assert_eq!(named.json()["name"], "Head office");
}

async fn an_admin_of_another_organization_sees_its_own_alone(app: &TestApp<'_>) {
    let admin = admin(app).await;
    for org in ["acme", "b-side"] {
        make(app, &admin, &json!({"orgId": org, "name": org})).await;
    }
    let chief = json!({"name": "n", "orgId": "acme", "scopes": ["admin:orgs", "agents:write"]});
    let chief = send(app, &admin, &format!("POST {AGENTS}"), &chief).await;
    let (id, secret) = (chief.text("agentId"), chief.text("clientSecret"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let token = app.post("/api/v1/token", &form).await.text("access_token");
    let chief = bearer(&token);
    let listed = send(app, &chief, "GET /api/v1/orgs", &Value::Null)
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["orgId"], "acme");
    assert_eq!(listed["nextCursor"], Value::Null);
    // A cursor of another reach is none, whatever it says.
    let page = send(app, &admin, "GET /api/v1/orgs?limit=1", &Value::Null).await;
    let line = format!("GET /api/v1/orgs?cursor={}", page.text("nextCursor"));
    assert_eq!(
        fields(&send(app, &chief, &line, &Value::Null).await),
        ["cursor"]
    );
    let said = |answer: Answer| {
        let mut body = answer.json();
        body["details"]["requestId"].take();
        (answer.status, body)
    };
    let unknown = said(send(app, &chief, "GET /api/v1/orgs/nobody", &Value::Null).await);
    for org in ["b-side", "default"] {
        let line = format!("GET /api/v1/orgs/{org}");
        assert_eq!(said(send(app, &chief, &line, &Value::Null).await), unknown);
        // An agent is made in its maker's organization only.
        let there = json!({"name": "n", "orgId": org, "scopes": []});
        let nowhere = json!({"name": "n", "orgId": "nowhere", "scopes": []});
        let line = format!("POST {AGENTS}");
        let (there, nowhere) = (
            said(send(app, &chief, &line, &there).await),
            said(send(app, &chief, &line, &nowhere).await),
        );
        assert_eq!(there, nowhere);
    }
    for (line, body) in [
        ("POST /api/v1/orgs", json!({"name": "n"})),
        ("PATCH /api/v1/orgs/acme", json!({"name": "n"})),
        ("PATCH /api/v1/orgs/nobody", json!({"name": "n"})),
    ] {
        let refused = send(app, &chief, line, &body).await;
        refused.is_management_error(403, "FORBIDDEN");
    }
}

async fn a_change_of_an_organization_is_an_event_that_belongs_to_it(app: &TestApp<'_>) {
    let admin = admin(app).await;
    make(
        app,
        &admin,
        &json!({"orgId": "acme", "name": "Acme", "reason": "a customer"}),
    )
    .await;
    let patch = json!({"name": "Acme Corp", "scopes": ["agents:read"]});
    send(app, &admin, "PATCH /api/v1/orgs/acme", &patch).await;
    let events = send(
        app,
        &admin,
        "GET /api/v1/audit?kind=org.*&order=asc",
        &Value::Null,
    )
    .await;
    let events = events.json()["data"].clone();
    let told: Vec<Value> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["event"].clone())
        .collect();
    let [made, changed] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(made["kind"], "org.created");
    assert_eq!(
        (&made["orgId"], &made["reason"]),
        (&json!("acme"), &json!("a customer"))
    );
    assert_eq!(
        made["detail"],
        json!({"changed": {"name": {"from": null, "to": "Acme"}}})
    );
    assert_eq!(changed["kind"], "org.updated");
    let expected = json!({"changed": {
        "name": {"from": "Acme", "to": "Acme Corp"},
        "scopes": {"from": null, "to": ["agents:read"]},
    }});
    assert_eq!(changed["detail"], expected);
}

async fn no_organization_is_made_while_an_earlier_release_may_serve(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let upgraded = "delete from store_default where name = 'organizations'";
    app.database.execute(upgraded).await;
    let body = json!({"name": "Acme"});
    let refused = send(app, &admin, "POST /api/v1/orgs", &body).await;
    refused.is_management_error(409, "UPGRADE_UNFINISHED");
    app.opened.records.finish_upgrade().await.unwrap();
    make(app, &admin, &body).await;
}
