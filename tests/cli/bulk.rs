//! Tests of `sealwright agent bulk`.

use serde_json::json;

use crate::Home;

/// Makes an agent with a label. Returns its id.
fn agent(home: &Home, id: &str) {
    home.json(&[
        "agent",
        "create",
        "--name",
        id,
        "--client-id",
        id,
        "--scope",
        "agents:read",
        "--label",
        "team=pay",
    ]);
}

#[test]
fn many_agents_are_tried_and_then_stopped_by_a_filter() {
    let home = Home::new();
    for id in ["a", "b"] {
        agent(&home, id);
    }
    home.json(&["agent", "suspend", "b"]);
    let bulk = ["agent", "bulk", "suspend", "--label", "team=pay"];
    let expected = json!({"matched": 2, "changed": 1, "agents": ["a"], "refused": []});
    let tried = home.json(&[&bulk[..], &["--dry-run"]].concat());
    assert_eq!(tried, expected);
    assert_eq!(home.json(&["agent", "show", "a"])["status"], "active");
    let mut done = home.json(&[&bulk[..], &["--reason", "leak"]].concat());
    done.as_object_mut().unwrap().remove("revocationVersion");
    assert_eq!(done, expected);
    assert_eq!(home.json(&["agent", "show", "a"])["status"], "suspended");
    let events = home.json(&["audit", "list", "--agent", "a", "--kind", "agent.suspended"]);
    assert_eq!(events[0]["event"]["reason"], "leak");
    let killed = home.json(&["agent", "bulk", "revoke-tokens", "--id", "a", "--id", "b"]);
    assert_eq!(killed["agents"], json!(["a", "b"]));
    // Without a filter, every agent would be stopped.
    home.run(&["agent", "bulk", "suspend"])
        .refused(2, "required arguments");
}
