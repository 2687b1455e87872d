//! Partners over HTTP: their records.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, ISSUER, TestApp, bearer};

on_both! {
    a_partner_is_made_shown_listed_and_changed,
    a_preset_fills_what_a_request_leaves_out,
    every_fault_of_a_partner_is_told_at_once,
    the_issuer_of_this_server_is_no_partner,
    keys_that_are_handed_in_are_public_ones,
    an_issuer_is_registered_once_in_an_organization,
    an_organization_has_so_many_partners_and_no_more,
    a_partner_is_suspended_reactivated_and_deleted,
    a_dry_run_of_a_partner_changes_nothing,
    a_partner_is_changed_in_the_version_that_was_demanded,
    a_partner_of_another_organization_does_not_exist,
    a_change_of_a_partner_is_an_event_of_its_organization,
}

const PARTNERS: &str = "/api/v1/partners";

/// An id that no partner has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn admin(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs audit:read";
    bearer(&app.token(&app.agent_named("boss", scopes).await).await)
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
    let made = send(app, token, "POST /api/v1/partners", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

fn cluster() -> Value {
    json!({
        "name": "Cluster", "preset": "kubernetes", "issuer": "https://k8s.example",
        "jwksUri": "https://k8s.example/openid/v1/jwks",
    })
}

/// The key of RFC 7517 appendix A.1, with its private part if one is given.
fn key_set(private: Option<&str>) -> Value {
    let mut key = json!({
        "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    if let Some(d) = private {
        key["d"] = json!(d);
    }
    json!({ "keys": [key] })
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

/// What a reply says, without the id of its request.
fn said(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body["details"]["requestId"].take();
    (answer.status, body)
}

/// An admin of another organization than `default`.
async fn chief_of(app: &TestApp<'_>, admin: &str, org: &str) -> String {
    let made = send(
        app,
        admin,
        "POST /api/v1/orgs",
        &json!({"orgId": org, "name": org}),
    )
    .await;
    assert_eq!(made.status, 201, "{made:?}");
    let chief = json!({"name": "n", "orgId": org, "scopes": ["admin:orgs", "audit:read"]});
    let chief = send(app, admin, &format!("POST {AGENTS}"), &chief).await;
    let (id, secret) = (chief.text("agentId"), chief.text("clientSecret"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    bearer(&app.post("/api/v1/token", &form).await.text("access_token"))
}

async fn a_partner_is_made_shown_listed_and_changed(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let body = json!({
        "name": "Cluster", "issuer": "https://k8s.example", "jwksUri": "https://k8s.example/keys",
        "audiences": ["https://as.example"], "requiredClaims": ["/kubernetes.io/namespace", "/a~1b"],
        "algorithms": ["RS256", "ES256"], "maxAgeSeconds": 60, "reason": "a first cluster",
    });
    let made = make(app, &admin, &body).await;
    let id = made.text("partnerId");
    let line = format!("{PARTNERS}/{id}");
    assert!(made.header("location").ends_with(&line));
    let shown = send(app, &admin, &format!("GET {line}"), &Value::Null).await;
    assert_eq!((shown.status, shown.json()), (200, made.json()));
    assert_eq!(shown.header("etag"), made.header("etag"));
    let mut expected = made.json();
    for member in [
        "name",
        "issuer",
        "jwksUri",
        "audiences",
        "requiredClaims",
        "algorithms",
    ] {
        assert_eq!(expected[member], body[member], "{member}");
    }
    for (member, value) in [
        ("orgId", json!("default")),
        ("jwks", Value::Null),
        ("maxAgeSeconds", json!(60)),
        ("preset", Value::Null),
        ("status", json!("active")),
    ] {
        assert_eq!(expected[member], value, "{member}");
    }

    let patch = json!({"name": "Old cluster", "jwks": key_set(None), "audiences": null, "maxAgeSeconds": null});
    let changed = send(app, &admin, &format!("PATCH {line}"), &patch).await;
    let version = changed.json()["version"].as_i64().unwrap();
    assert!(version > expected["version"].as_i64().unwrap());
    for (member, value) in [
        ("name", json!("Old cluster")),
        ("jwksUri", Value::Null),
        ("audiences", Value::Null),
        ("maxAgeSeconds", json!(3_600)),
        ("version", changed.json()["version"].clone()),
        ("updatedAt", changed.json()["updatedAt"].clone()),
        ("jwks", changed.json()["jwks"].clone()),
    ] {
        expected[member] = value;
    }
    assert_eq!((changed.status, changed.json()), (200, expected.clone()));
    assert_eq!(expected["jwks"]["keys"][0]["kid"], "1");
    let again = send(app, &admin, &format!("PATCH {line}"), &patch).await;
    assert_eq!(again.json(), expected, "a change that changes nothing");

    // Pages are in the order of ids.
    let other = make(app, &admin, &cluster_of("https://other.example")).await;
    let mut ids = Vec::new();
    let mut page = format!("GET {PARTNERS}?limit=1");
    loop {
        let found = send(app, &admin, &page, &Value::Null).await.json();
        let data = found["data"].as_array().unwrap().clone();
        assert!(data.len() <= 1);
        ids.extend(
            data.iter()
                .map(|one| one["partnerId"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = found["nextCursor"].as_str() else {
            break;
        };
        page = format!("GET {PARTNERS}?limit=1&cursor={cursor}");
    }
    let mut sorted = vec![id, other.text("partnerId")];
    sorted.sort();
    assert_eq!(ids, sorted);
    for unknown in [NOBODY, "a%20b"] {
        for (method, body) in [("GET", Value::Null), ("PATCH", json!({"name": "x"}))] {
            let line = format!("{method} {PARTNERS}/{unknown}");
            let answer = send(app, &admin, &line, &body).await;
            answer.is_management_error(404, "PARTNER_NOT_FOUND");
        }
    }
}

fn cluster_of(issuer: &str) -> Value {
    let mut body = cluster();
    body["issuer"] = json!(issuer);
    body
}

async fn a_preset_fills_what_a_request_leaves_out(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let github = make(app, &admin, &json!({"name": "GitHub", "preset": "github"})).await;
    for (member, value) in [
        (
            "issuer",
            json!("https://token.actions.githubusercontent.com"),
        ),
        (
            "jwksUri",
            json!("https://token.actions.githubusercontent.com/.well-known/jwks"),
        ),
        ("requiredClaims", json!(["/repository_owner_id"])),
        ("algorithms", json!(["RS256"])),
        ("maxAgeSeconds", json!(600)),
        ("preset", json!("github")),
    ] {
        assert_eq!(github.json()[member], value, "{member}");
    }
    let kubernetes = make(app, &admin, &cluster()).await.json();
    assert_eq!(
        kubernetes["requiredClaims"],
        json!(["/kubernetes.io/serviceaccount/uid"])
    );
    assert_eq!(
        (&kubernetes["algorithms"], &kubernetes["maxAgeSeconds"]),
        (&Value::Null, &json!(3_600))
    );
    // What was changed goes back to what the preset knows.
    let line = format!("PATCH {PARTNERS}/{}", github.text("partnerId"));
    let patch = json!({"jwks": key_set(None), "algorithms": ["ES256"], "requiredClaims": ["/repository_id"]});
    let changed = send(app, &admin, &line, &patch).await;
    assert_eq!(
        (changed.status, &changed.json()["jwksUri"]),
        (200, &Value::Null)
    );
    let patch = json!({"jwks": null, "algorithms": null, "requiredClaims": null});
    let mut back = send(app, &admin, &line, &patch).await.json();
    for member in ["version", "updatedAt"] {
        back[member] = github.json()[member].clone();
    }
    assert_eq!(back, github.json());
}

async fn every_fault_of_a_partner_is_told_at_once(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let create = "POST /api/v1/partners";
    let body = json!({
        "name": "", "issuer": "http://k8s.example", "jwksUri": "https://u@k8s.example/keys", "jwks": {"keys": []},
        "audiences": [], "requiredClaims": ["sub"], "algorithms": ["HS256"], "maxAgeSeconds": 59,
        "preset": "gitlab", "orgId": "a b", "other": 1,
    });
    let refused = send(app, &admin, create, &body).await;
    let expected = [
        "/name",
        "/issuer",
        "/jwksUri",
        "/jwks/keys",
        "/audiences",
        "/requiredClaims/0",
        "/algorithms/0",
        "/maxAgeSeconds",
        "/preset",
        "/orgId",
        "/other",
    ];
    assert_eq!(fields(&refused), expected);
    let refused = send(
        app,
        &admin,
        create,
        &json!({"name": "n", "orgId": "nowhere"}),
    )
    .await;
    assert_eq!(
        fields(&refused),
        ["/orgId", "/issuer", "/jwksUri", "/requiredClaims"]
    );
    let mut both = cluster();
    both["jwks"] = key_set(None);
    assert_eq!(fields(&send(app, &admin, create, &both).await), ["/jwks"]);
    let made = make(app, &admin, &cluster()).await;
    let line = format!("PATCH {PARTNERS}/{}", made.text("partnerId"));
    for (patch, field) in [
        (json!({"name": null}), "/name"),
        (json!({"jwksUri": null}), "/jwksUri"),
        (json!({"issuer": "https://other.example"}), "/issuer"),
        (json!({"preset": "github"}), "/preset"),
        (json!({"orgId": "default"}), "/orgId"),
        (
            json!({"jwksUri": "https://a.example", "jwks": key_set(None)}),
            "/jwks",
        ),
    ] {
        let refused = send(app, &admin, &line, &patch).await;
        assert_eq!(fields(&refused), [field], "{patch}");
    }
}

async fn the_issuer_of_this_server_is_no_partner(app: &TestApp<'_>) {
    let admin = admin(app).await;
    for issuer in [
        ISSUER,
        "https://auth.sealwright.test/",
        "https://AUTH.Sealwright.test",
        "https://auth.sealwright.test:443",
    ] {
        for line in ["POST /api/v1/partners", "POST /api/v1/partners?dryRun=true"] {
            let refused = send(app, &admin, line, &cluster_of(issuer)).await;
            assert_eq!(fields(&refused), ["/issuer"], "{issuer}");
            // Whatever else is wrong is told too.
            let faulty = json!({ "name": "n", "issuer": issuer, "orgId": "nobody" });
            let refused = send(app, &admin, line, &faulty).await;
            let all = ["/orgId", "/issuer", "/jwksUri", "/requiredClaims"];
            assert_eq!(fields(&refused), all, "{issuer}");
        }
    }
    let other = cluster_of("https://auth.sealwright.test/realm");
    make(app, &admin, &other).await;
}

async fn keys_that_are_handed_in_are_public_ones(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let body = |private| {
        json!({
            "name": "n", "preset": "generic", "issuer": "https://a.example", "jwks": key_set(private),
        })
    };
    let refused = send(
        app,
        &admin,
        "POST /api/v1/partners",
        &body(Some("c2VjcmV0")),
    )
    .await;
    assert_eq!(fields(&refused), ["/jwks/keys/0"]);
    assert!(!refused.body.contains("c2VjcmV0"), "{refused:?}");
    let made = make(app, &admin, &body(None)).await;
    let key = &made.json()["jwks"]["keys"][0];
    assert_eq!((&key["kid"], &key["alg"]), (&json!("1"), &json!("ES256")));
    assert_eq!(made.json()["jwksUri"], Value::Null);
}

async fn an_issuer_is_registered_once_in_an_organization(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let chief = chief_of(app, &admin, "acme").await;
    make(app, &admin, &cluster()).await;
    for line in ["POST /api/v1/partners", "POST /api/v1/partners?dryRun=true"] {
        let taken = send(app, &admin, line, &cluster()).await;
        taken.is_management_error(409, "PARTNER_EXISTS");
    }
    // Issuers are compared as they are written.
    make(app, &admin, &cluster_of("https://k8s.example/")).await;
    let own = make(app, &chief, &cluster()).await;
    assert_eq!(own.text("orgId"), "acme");
    let mut there = cluster();
    there["orgId"] = json!("acme");
    let taken = send(app, &admin, "POST /api/v1/partners", &there).await;
    taken.is_management_error(409, "PARTNER_EXISTS");
    // Once a partner is deleted, its issuer is free.
    let line = format!("DELETE {PARTNERS}/{}", own.text("partnerId"));
    assert_eq!(send(app, &chief, &line, &Value::Null).await.status, 204);
    let again = make(app, &admin, &there).await;
    assert_eq!(again.text("orgId"), "acme");
    assert_ne!(again.text("partnerId"), own.text("partnerId"));
}

async fn an_organization_has_so_many_partners_and_no_more(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let chief = chief_of(app, &admin, "acme").await;
    let app = &app.beside_with(&[("limits.partners_per_org", "2")]).await;
    let create = async |issuer: &str| {
        let body = cluster_of(issuer);
        send(app, &chief, "POST /api/v1/partners", &body).await
    };
    let first = create("https://a.example").await;
    // Of those that come at once, one finds a place.
    let (b, c) = tokio::join!(create("https://b.example"), create("https://c.example"));
    let mut statuses = [first.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 409], "{b:?} {c:?}");
    for line in ["POST /api/v1/partners", "POST /api/v1/partners?dryRun=true"] {
        let full = send(app, &chief, line, &cluster_of("https://d.example")).await;
        full.is_management_error(409, "TOO_MANY_PARTNERS");
    }
    // Others have places of their own, and whoever deletes one has one more.
    make(app, &admin, &cluster()).await;
    let line = format!("DELETE {PARTNERS}/{}", first.text("partnerId"));
    assert_eq!(send(app, &chief, &line, &Value::Null).await.status, 204);
    assert_eq!(create("https://d.example").await.status, 201);
}

async fn a_partner_is_suspended_reactivated_and_deleted(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let made = make(app, &admin, &cluster()).await;
    let line = format!("{PARTNERS}/{}", made.text("partnerId"));
    let mut version = made.json()["version"].as_i64().unwrap();
    for (action, status) in [("suspend", "suspended"), ("reactivate", "active")] {
        let line = format!("POST {line}/{action}");
        let changed = send(app, &admin, &line, &json!({"reason": "a drill"})).await;
        assert_eq!(
            (changed.status, changed.text("status")),
            (200, status.to_owned())
        );
        let next = changed.json()["version"].as_i64().unwrap();
        assert!(next > version);
        version = next;
        assert_eq!(changed.header("etag"), format!("\"{version}\""));
        // Asking for the state that it is in succeeds.
        let again = send(app, &admin, &line, &Value::Null).await;
        assert_eq!((again.status, again.json()), (200, changed.json()));
    }
    let deleted = send(app, &admin, &format!("DELETE {line}"), &Value::Null).await;
    assert_eq!((deleted.status, &*deleted.body), (204, ""));
    for request in ["GET", "DELETE"] {
        let gone = send(app, &admin, &format!("{request} {line}"), &Value::Null).await;
        gone.is_management_error(404, "PARTNER_NOT_FOUND");
    }
}

async fn a_dry_run_of_a_partner_changes_nothing(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let tried = send(app, &admin, "POST /api/v1/partners?dryRun=true", &cluster()).await;
    assert_eq!((tried.status, tried.header("dry-run")), (201, "true"));
    let made = make(app, &admin, &cluster()).await;
    let line = format!("{PARTNERS}/{}", made.text("partnerId"));
    let patch = json!({"name": "other"});
    let tried = send(app, &admin, &format!("PATCH {line}?dryRun=true"), &patch).await;
    assert_eq!(
        (tried.status, tried.text("name")),
        (200, "other".to_owned())
    );
    let suspend = format!("POST {line}/suspend?dryRun=true");
    let tried = send(app, &admin, &suspend, &Value::Null).await;
    assert_eq!(tried.text("status"), "suspended");
    let delete = format!("DELETE {line}?dryRun=true");
    assert_eq!(send(app, &admin, &delete, &Value::Null).await.status, 204);
    let shown = send(app, &admin, &format!("GET {line}"), &Value::Null).await;
    assert_eq!(shown.json(), made.json());
    let events = "select count(*) from audit_event where kind like 'partner.%'";
    assert_eq!(app.database.number(events).await, 1);
}

async fn a_partner_is_changed_in_the_version_that_was_demanded(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let made = make(app, &admin, &cluster()).await;
    let line = format!("{PARTNERS}/{}", made.text("partnerId"));
    let name = |name: &str| json!({ "name": name });
    let old = [("if-match", "\"1\"")];
    let current = [("if-match", made.header("etag"))];
    let requests = [
        (format!("PATCH {line}"), name("b")),
        (format!("POST {line}/suspend"), Value::Null),
        (format!("DELETE {line}"), Value::Null),
    ];
    for (line, body) in &requests {
        let refused = send_with(app, &admin, line, body, &old).await;
        refused.is_management_error(412, "VERSION_MISMATCH");
    }
    let (patch, body) = &requests[0];
    let changed = send_with(app, &admin, patch, body, &current).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    for (line, body) in &requests {
        let refused = send_with(app, &admin, line, body, &current).await;
        refused.is_management_error(412, "VERSION_MISMATCH");
    }
    for id in [NOBODY, "a%20b"] {
        let line = format!("PATCH {PARTNERS}/{id}");
        let refused = send_with(app, &admin, &line, &name("c"), &current).await;
        refused.is_management_error(412, "VERSION_MISMATCH");
    }
    let current = [("if-match", changed.header("etag"))];
    let deleted = send_with(app, &admin, &requests[2].0, &Value::Null, &current).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

async fn a_partner_of_another_organization_does_not_exist(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let chief = chief_of(app, &admin, "acme").await;
    chief_of(app, &admin, "b-side").await;
    let mut there = cluster();
    there["orgId"] = json!("b-side");
    let foreign = [
        make(app, &admin, &cluster()).await,
        make(app, &admin, &there).await,
    ];
    let own = make(app, &chief, &cluster()).await;
    for partner in &foreign {
        let id = partner.text("partnerId");
        for (method, path, body) in [
            ("GET", "", Value::Null),
            ("PATCH", "", json!({"name": "x"})),
            ("DELETE", "", Value::Null),
            ("POST", "/suspend", Value::Null),
            ("POST", "/reactivate", Value::Null),
        ] {
            let line = |id: &str| format!("{method} {PARTNERS}/{id}{path}");
            for headers in [&[][..], &[("if-match", partner.header("etag"))]] {
                let foreign = send_with(app, &chief, &line(&id), &body, headers).await;
                let random = send_with(app, &chief, &line(NOBODY), &body, headers).await;
                assert_eq!(said(&foreign), said(&random), "{method} {path}");
                assert!([404, 412].contains(&foreign.status), "{foreign:?}");
            }
        }
        let line = format!("GET {PARTNERS}/{id}");
        let shown = send(app, &admin, &line, &Value::Null).await;
        assert_eq!(shown.json(), partner.json());
        // Another organization cannot be chosen, whether or not it exists.
        there["orgId"] = partner.json()["orgId"].clone();
        let chosen = send(app, &chief, "POST /api/v1/partners", &there).await;
        assert_eq!(fields(&chosen), ["/orgId"]);
        let mut nowhere = there.clone();
        nowhere["orgId"] = json!("nowhere");
        let random = send(app, &chief, "POST /api/v1/partners", &nowhere).await;
        assert_eq!(said(&chosen), said(&random));
    }
    let listed = send(app, &chief, "GET /api/v1/partners", &Value::Null).await;
    assert_eq!(listed.json()["data"], json!([own.json()]));
    let all = send(app, &admin, "GET /api/v1/partners?limit=2", &Value::Null).await;
    assert_eq!(all.json()["data"].as_array().unwrap().len(), 2);
    // A cursor of another reach is none.
    let line = format!("GET {PARTNERS}?cursor={}", all.text("nextCursor"));
    assert_eq!(
        fields(&send(app, &chief, &line, &Value::Null).await),
        ["cursor"]
    );
}

async fn a_change_of_a_partner_is_an_event_of_its_organization(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let chief = chief_of(app, &admin, "acme").await;
    let mut body = cluster();
    (body["orgId"], body["reason"]) = (json!("acme"), json!("a customer"));
    let made = make(app, &admin, &body).await;
    let id = made.text("partnerId");
    let line = format!("{PARTNERS}/{id}");
    let patch = json!({"jwks": key_set(None), "requiredClaims": ["/sub"]});
    send(app, &admin, &format!("PATCH {line}"), &patch).await;
    for request in [
        format!("POST {line}/suspend"),
        format!("POST {line}/reactivate"),
        format!("DELETE {line}"),
    ] {
        send(app, &chief, &request, &Value::Null).await;
    }
    make(app, &admin, &cluster()).await;
    let list = "GET /api/v1/audit?kind=partner.*&order=asc";
    let events = |answer: Answer| -> Vec<Value> {
        let data = answer.json()["data"].clone();
        let data = data.as_array().unwrap().iter();
        data.map(|one| one["event"].clone()).collect()
    };
    let told = events(send(app, &chief, list, &Value::Null).await);
    let kinds: Vec<&str> = told
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let expected = [
        "partner.created",
        "partner.updated",
        "partner.suspended",
        "partner.reactivated",
        "partner.deleted",
    ];
    assert_eq!(kinds, expected);
    for event in &told {
        assert_eq!(
            (&event["orgId"], &event["detail"]["partnerId"]),
            (&json!("acme"), &json!(id))
        );
    }
    assert_eq!(told[0]["reason"], "a customer");
    let made = &told[0]["detail"]["changed"];
    assert_eq!(
        made["issuer"],
        json!({"from": null, "to": "https://k8s.example"})
    );
    assert_eq!(made["preset"], json!({"from": null, "to": "kubernetes"}));
    assert_eq!(made["audiences"], Value::Null);
    let changed = json!({
        "jwks": {"from": null, "to": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"},
        "jwksUri": {"from": "https://k8s.example/openid/v1/jwks", "to": null},
        "requiredClaims": {"from": ["/kubernetes.io/serviceaccount/uid"], "to": ["/sub"]},
    });
    assert_eq!(told[1]["detail"]["changed"], changed);
    let all = events(send(app, &admin, list, &Value::Null).await);
    assert_eq!(all.len(), 6);
    assert!(
        all[5].get("orgId").is_none_or(|org| org == "default"),
        "{}",
        all[5]
    );
}
