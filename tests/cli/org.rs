//! Tests of `sealwright org`, on a store without a server.

use serde_json::{Value, json};

use crate::{Home, text};

#[test]
fn an_organization_is_made_listed_shown_and_changed() {
    let home = Home::new();
    let create = ["org", "create", "--name", "Acme", "--id", "acme"];
    let with_scopes = [&create[..], &["--scope", "agents:read audit:read"]].concat();
    let made = home.json(&with_scopes);
    assert_eq!(made["orgId"], "acme");
    assert_eq!(made["scopes"], json!(["agents:read", "audit:read"]));
    home.run(&create).refused(1, "exists already");
    assert_eq!(home.json(&["org", "show", "acme"]), made);
    let listed = home.json(&["org", "list"]);
    let ids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|org| text(&org["orgId"]))
        .collect();
    assert_eq!(ids, ["acme", "default"]);
    let update = [
        "org",
        "update",
        "acme",
        "--every-scope",
        "--name",
        "Acme Corp",
    ];
    let changed = home.json(&update);
    assert_eq!(
        (&changed["scopes"], &changed["name"]),
        (&Value::Null, &json!("Acme Corp"))
    );
    let none = home.json(&["org", "update", "acme", "--scope", ""]);
    assert_eq!(none["scopes"], json!([]));
    home.run(&["org", "update", "acme"]).refused(2, "--name");
    home.run(&["org", "show", "nobody"])
        .refused(1, "no organization");
    home.run(&["org", "create", "--name", "x", "--scope", "admin:orgs"])
        .refused(1, "no admins");
}

#[test]
fn an_agent_is_made_in_its_organization_and_within_its_bounds() {
    let home = Home::new();
    home.json(&[
        "org",
        "create",
        "--name",
        "Acme",
        "--id",
        "acme",
        "--scope",
        "agents:read",
    ]);
    let agent = |scope| {
        [
            "agent", "create", "--name", "n", "--org", "acme", "--scope", scope,
        ]
    };
    home.run(&agent("audit:read")).refused(1, "does not allow");
    let made = home.json(&agent("agents:read"));
    let shown = home.json(&["agent", "show", text(&made["agentId"])]);
    assert_eq!(shown["orgId"], "acme");
    home.run(&["org", "update", "acme", "--scope", "audit:read"])
        .refused(1, text(&made["agentId"]));
}

#[test]
fn an_organization_is_stopped_and_works_again() {
    let home = Home::new();
    home.json(&["org", "create", "--name", "Acme", "--id", "acme"]);
    let mut suspended = home.json(&["org", "suspend", "acme", "--reason", "unpaid"]);
    assert_eq!(suspended["status"], "suspended");
    let members = suspended.as_object_mut().unwrap();
    let version = members.remove("revocationVersion").unwrap();
    assert_eq!(home.json(&["org", "suspend", "acme"]), suspended);
    let back = home.json(&["org", "reactivate", "acme"]);
    assert_eq!(back["status"], "active");
    let killed = home.json(&["org", "revoke-tokens", "acme"]);
    assert_eq!(killed["status"], "active");
    assert!(killed["version"].as_i64() > back["version"].as_i64());
    assert!(killed["revocationVersion"].as_i64() > version.as_i64());
    home.run(&["org", "suspend", "default"])
        .refused(1, "built in");
    home.run(&["org", "suspend", "nobody"])
        .refused(1, "no organization");
}
