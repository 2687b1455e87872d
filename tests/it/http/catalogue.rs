//! The catalogue of scopes and the signing keys over HTTP.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{TestApp, bearer};

on_both! {
    a_scope_is_added_shown_changed_and_deleted,
    a_scope_that_is_held_or_built_in_is_not_deleted,
    every_fault_of_a_scope_is_told_at_once,
    a_dry_run_of_a_scope_or_a_key_changes_nothing,
    only_an_admin_of_the_first_organisation_changes_scopes_and_keys,
    a_new_key_is_announced_with_its_reason,
}

const SCOPES: &str = "/api/v1/scopes";
const KEYS: &str = "/api/v1/keys";

async fn caller(app: &TestApp<'_>, id: &str, scopes: &str) -> String {
    bearer(&app.token(&app.agent_named(id, scopes).await).await)
}

async fn send(app: &TestApp<'_>, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.send(method, path, &headers, body.into()).await
}

/// The fields of the faults of a refused request.
fn fields(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["details"]["errors"].clone();
    let errors = errors.as_array().unwrap();
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

async fn a_scope_is_added_shown_changed_and_deleted(app: &TestApp<'_>) {
    let admin = caller(app, "boss", "agents:read admin:orgs").await;
    let new = json!({"scope": "stock:view", "description": "See the stock"});
    let added = send(app, &admin, "POST", SCOPES, &new).await;
    let mut expected = json!({"scope": "stock:view", "description": "See the stock", "highRisk": false,
                              "highRiskBy": null, "builtIn": false, "agents": 0});
    assert_eq!((added.status, added.json()), (201, expected.clone()));
    let path = format!("{SCOPES}/stock%3Aview");
    assert_eq!(added.header("location"), path);
    assert_eq!(send(app, &admin, "POST", SCOPES, &new).await.status, 409);
    let shown = send(app, &admin, "GET", &path, &Value::Null).await;
    assert_eq!((shown.status, shown.json()), (200, expected.clone()));

    let mark = json!({"highRisk": true, "reason": "it moves goods"});
    let changed = send(app, &admin, "PATCH", &path, &mark).await;
    (expected["highRisk"], expected["highRiskBy"]) = (json!(true), json!("catalogue"));
    assert_eq!((changed.status, changed.json()), (200, expected));
    let back = send(app, &admin, "PATCH", &path, &json!({"highRisk": null})).await;
    assert_eq!(back.json()["highRiskBy"], Value::Null);
    let listed = send(app, &admin, "GET", SCOPES, &Value::Null).await.json();
    assert_eq!(listed["data"][7]["scope"], "stock:view");
    assert_eq!(listed["nextCursor"], Value::Null);
    assert_eq!(listed["data"][0]["agents"], 1);

    let deleted = send(app, &admin, "DELETE", &path, &Value::Null).await;
    assert_eq!(deleted.status, 200);
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({})),
        ("DELETE", Value::Null),
    ] {
        let gone = send(app, &admin, method, &path, &body).await;
        assert_eq!(gone.json()["code"], "SCOPE_NOT_FOUND", "{method}");
    }
}

async fn a_scope_that_is_held_or_built_in_is_not_deleted(app: &TestApp<'_>) {
    let admin = caller(app, "boss", "agents:read admin:orgs").await;
    let path = format!("{SCOPES}/audit:read");
    let built_in = send(app, &admin, "DELETE", &path, &Value::Null).await;
    assert_eq!(
        (built_in.status, built_in.json()["code"].clone()),
        (409, json!("SCOPE_BUILT_IN"))
    );
    let new = json!({"scope": "stock:view", "description": "x"});
    send(app, &admin, "POST", SCOPES, &new).await;
    app.agent_named("holder", "stock:view").await;
    let path = format!("{SCOPES}/stock:view");
    for dry_run in ["", "?dryRun=true"] {
        let held = send(
            app,
            &admin,
            "DELETE",
            &format!("{path}{dry_run}"),
            &Value::Null,
        )
        .await;
        assert_eq!(
            (held.status, held.json()["code"].clone()),
            (409, json!("SCOPE_IN_USE"))
        );
        assert_eq!(held.json()["details"]["agents"], json!(["holder"]));
        assert_eq!(held.json()["details"]["count"], 1);
    }
}

async fn every_fault_of_a_scope_is_told_at_once(app: &TestApp<'_>) {
    let admin = caller(app, "boss", "agents:read admin:orgs").await;
    let bad =
        json!({"scope": "a b", "description": "", "highRisk": 1, "owner": "x", "reason": "a\nb"});
    let refused = send(app, &admin, "POST", &format!("{SCOPES}?dry=1"), &bad).await;
    assert_eq!(refused.status, 400);
    let mut found = fields(&refused);
    found.sort();
    let expected = [
        "/description",
        "/highRisk",
        "/owner",
        "/reason",
        "/scope",
        "dry",
    ];
    assert_eq!(found, expected);
    let path = format!("{SCOPES}/audit:read");
    let refused = send(app, &admin, "PATCH", &path, &json!({"description": null})).await;
    assert_eq!(fields(&refused), ["/description"]);
    let stays = format!("{SCOPES}/agents:write");
    let stays = send(app, &admin, "PATCH", &stays, &json!({"highRisk": false})).await;
    assert_eq!(
        (stays.status, stays.json()["code"].clone()),
        (409, json!("SCOPE_STAYS_HIGH_RISK"))
    );
    for unknown in ["a%20b", "%22", "x"] {
        let path = format!("{SCOPES}/{unknown}");
        let answer = send(app, &admin, "GET", &path, &Value::Null).await;
        assert_eq!(answer.json()["code"], "SCOPE_NOT_FOUND", "{unknown}");
    }
}

async fn a_dry_run_of_a_scope_or_a_key_changes_nothing(app: &TestApp<'_>) {
    let admin = caller(app, "boss", "agents:read admin:orgs").await;
    let new = json!({"scope": "stock:view", "description": "x", "highRisk": true});
    let added = send(app, &admin, "POST", &format!("{SCOPES}?dryRun=true"), &new).await;
    assert_eq!((added.status, added.header("dry-run")), (201, "true"));
    assert_eq!(added.json()["highRiskBy"], "catalogue");
    let path = format!("{SCOPES}/audit:read?dryRun=true");
    let changed = send(
        app,
        &admin,
        "PATCH",
        &path,
        &json!({"description": "Other"}),
    )
    .await;
    assert_eq!(changed.json()["description"], "Other");
    let rotated = send(
        app,
        &admin,
        "POST",
        &format!("{KEYS}/rotate?dryRun=true"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        (rotated.status, rotated.json()["state"].clone()),
        (200, json!("announced"))
    );
    let listed = send(app, &admin, "GET", SCOPES, &Value::Null).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 7);
    assert_ne!(listed["data"][3]["description"], "Other");
    let keys = send(app, &admin, "GET", KEYS, &Value::Null).await.json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
}

async fn only_an_admin_of_the_first_organisation_changes_scopes_and_keys(app: &TestApp<'_>) {
    let reader = caller(app, "reader", "agents:read agents:write").await;
    let new = json!({"scope": "stock:view", "description": "x"});
    for (method, path, body) in [
        ("POST", SCOPES.to_owned(), new),
        ("PATCH", format!("{SCOPES}/audit:read"), json!({})),
        ("DELETE", format!("{SCOPES}/audit:read"), Value::Null),
        ("POST", format!("{KEYS}/rotate"), Value::Null),
        ("GET", KEYS.to_owned(), Value::Null),
    ] {
        let refused = send(app, &reader, method, &path, &body).await;
        assert_eq!(refused.status, 403, "{method} {path}");
    }
    assert_eq!(
        send(app, &reader, "GET", SCOPES, &Value::Null).await.status,
        200
    );
}

async fn a_new_key_is_announced_with_its_reason(app: &TestApp<'_>) {
    let admin = caller(app, "boss", "admin:orgs").await;
    let body = json!({"reason": "every quarter"});
    let rotated = send(app, &admin, "POST", &format!("{KEYS}/rotate"), &body).await;
    assert_eq!(
        (rotated.status, rotated.json()["state"].clone()),
        (200, json!("announced"))
    );
    let keys = send(app, &admin, "GET", KEYS, &Value::Null).await.json();
    let mut listed = keys["data"].as_array().unwrap().iter();
    assert!(listed.any(|key| *key == rotated.json()));
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    let event: Value =
        serde_json::from_slice(&rows.last().unwrap().logged().unwrap().bytes()).unwrap();
    assert_eq!(
        (&event["kind"], &event["reason"]),
        (&json!("key.announced"), &json!("every quarter"))
    );
    assert_eq!(event["actor"], "agent:boss");
    let stale = [("authorization", admin.as_str()), ("if-match", "\"1\"")];
    let stale = app
        .send("POST", &format!("{KEYS}/rotate"), &stale, "".into())
        .await;
    assert_eq!(stale.status, 412);
}
