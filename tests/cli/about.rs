//! Tests of what operators say about agents: description, owner, labels, expiry.

use serde_json::{Value, json};

use crate::{Home, text};

const CREATE: [&str; 6] = ["agent", "create", "--name", "n", "--scope", "agents:read"];

fn said(agent: &Value) -> Value {
    let members = ["description", "owner", "labels", "expiresAt", "expired"];
    members.iter().map(|name| agent[name].clone()).collect()
}

#[test]
fn what_is_said_about_an_agent_is_shown_changed_and_cleared() {
    let home = Home::new();
    let rest = [
        "--client-id",
        "agt_1",
        "--description",
        "Sends invoices.\nAsk first.",
        "--owner",
        "Payments <pay@acme.example>",
        "--label",
        "team=pay",
        "--label",
        "acme.example/env=prod",
        "--expires-at",
        "2026-01-31T23:59:59+01:00",
    ];
    let made = home.json(&[&CREATE[..], &rest].concat());
    assert_eq!(made["orgId"], "default");
    let labels = json!({ "acme.example/env": "prod", "team": "pay" });
    let expected = json!([
        "Sends invoices.\nAsk first.",
        "Payments <pay@acme.example>",
        labels,
        "2026-01-31T22:59:59Z",
        true
    ]);
    for agent in [
        &made,
        &home.json(&["agent", "show", "agt_1"]),
        &home.json(&["agent", "list"])[0],
    ] {
        assert_eq!(said(agent), expected);
    }
    let people = home.run(&["agent", "show", "agt_1"]).stdout;
    for line in [
        "labels\tacme.example/env=prod team=pay\n",
        "organization\tdefault\n",
        "status\tactive, expired\n",
        "expires at\t2026-01-31T22:59:59Z\n",
    ] {
        assert!(people.contains(line), "{people}");
    }
    // Only what is given changes, and all labels are replaced at once.
    let changed = home.json(&[
        "agent",
        "update",
        "agt_1",
        "--label",
        "a=b",
        "--expires-at",
        "9999-12-31T23:59:59Z",
    ]);
    assert_eq!(
        said(&changed),
        json!([expected[0], expected[1], { "a": "b" }, "9999-12-31T23:59:59Z", false])
    );
    let clear = [
        "--label",
        "",
        "--owner",
        "",
        "--description",
        "",
        "--expires-at",
        "never",
    ];
    let cleared = home.json(&[&["agent", "update", "agt_1"][..], &clear].concat());
    assert_eq!(said(&cleared), json!([null, null, {}, null, false]));
    let events = home.json(&["audit", "list", "--kind", "agent.*"]);
    let told = |row: usize| events[row]["event"]["detail"]["changed"].clone();
    assert_eq!(
        told(0),
        json!({
            "description": { "from": expected[0], "to": null },
            "expiresAt": { "from": "9999-12-31T23:59:59Z", "to": null },
            "labels": { "from": { "a": "b" }, "to": {} },
            "owner": { "from": expected[1], "to": null }
        })
    );
    assert_eq!(
        told(1),
        json!({
            "expiresAt": { "from": expected[3], "to": "9999-12-31T23:59:59Z" },
            "labels": { "from": labels, "to": { "a": "b" } }
        })
    );
    assert_eq!(told(2)["labels"], json!({ "from": null, "to": labels }));
}

#[test]
fn what_breaks_a_rule_is_bad_usage() {
    let home = Home::new();
    let labels: Vec<String> = (0..17).map(|n| format!("k{n}=v")).collect();
    let mut many = CREATE.to_vec();
    for label in &labels {
        many.extend(["--label", label]);
    }
    home.run(&many).refused(2, "at most 16 labels");
    let long = "x".repeat(1_001);
    for (flag, value, rule) in [
        ("--label", "k", "a label is written as key=value"),
        ("--label", "k=a b", "1 to 63 characters"),
        ("--owner", "a\nb", "an owner is 1 to 200 characters"),
        (
            "--description",
            &long,
            "a description is 1 to 1000 characters",
        ),
        ("--expires-at", "tomorrow", "a time is RFC 3339"),
        ("--expires-at", "1969-12-31T23:59:59Z", "1970 to 9999"),
    ] {
        home.run(&[&CREATE[..], &[flag, value]].concat())
            .refused(2, rule);
    }
    let twice = ["--label", "k=a", "--label", "k=b"];
    home.run(&[&CREATE[..], &twice].concat())
        .refused(2, "each label key once");
    assert_eq!(home.json(&["agent", "list"]), json!([]));
}

#[test]
fn an_import_keeps_what_is_said_about_its_agents() {
    let home = Home::new();
    let json = "{\"clientId\":\"a\",\"secret\":\"hunter2 is mine\",\"description\":\"x\\ny\",\"owner\":\"o\",\
                \"labels\":{\"k\":\"v\",\"l\":\"w\"},\"expiresAt\":\"2026-01-31T22:59:59Z\"}\n";
    let csv = "clientId,secret,description,owner,labels,expiresAt\n\
               b,hunter2 is mine,\"x\ny\",o,k=v l=w,2026-01-31T22:59:59Z\n";
    for (name, content, id) in [("a.jsonl", json, "a"), ("b.csv", csv, "b")] {
        home.write(name, content);
        assert_eq!(home.json(&["agent", "import", name])["imported"], 1);
        assert_eq!(home.json(&["agent", "import", name])["existing"], 1);
        let shown = home.json(&["agent", "show", id]);
        let expected = json!(["x\ny", "o", { "k": "v", "l": "w" }, "2026-01-31T22:59:59Z", true]);
        assert_eq!(said(&shown), expected);
    }
    let rows = [
        (
            "\"labels\":{\"k\":1}",
            "labels: an object of texts is needed",
        ),
        (
            "\"labels\":{\"k=a\":\"b\"}",
            "labels: the key and the value of a label",
        ),
        (
            "\"labels\":{\"k\":\"a\",\"k\":\"b\"}",
            "labels: an agent has each label key once",
        ),
        (
            "\"labels\":\"k\"",
            "labels: a label is written as key=value",
        ),
        ("\"expiresAt\":\"soon\"", "expiresAt: a time is RFC 3339"),
        ("\"owner\":\"\"", "owner: an owner is 1 to 200 characters"),
        (
            "\"description\":\"\\t\"",
            "description: a description is 1 to 1000",
        ),
        ("\"orgId\":\"acme\"", "no field is called \"orgId\""),
    ];
    let line = |(place, (member, _)): (usize, &(&str, &str))| {
        format!("{{\"clientId\":\"c{place}\",\"secret\":\"hunter2\",{member}}}\n")
    };
    home.write(
        "c.jsonl",
        rows.iter().enumerate().map(line).collect::<String>(),
    );
    let ran = home.run(&["agent", "import", "c.jsonl", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    for (place, (_, reason)) in rows.iter().enumerate() {
        let told = text(&report["refusals"][place]["reason"]);
        assert!(told.starts_with(reason), "{told}");
    }
    assert_eq!(report["imported"], 0);
}

#[test]
fn a_list_has_the_agents_that_meet_every_filter() {
    let home = Home::new();
    for (id, rest) in [
        (
            "a",
            [
                "--owner", "Pay", "--label", "team=pay", "--label", "env=prod",
            ],
        ),
        (
            "b",
            [
                "--owner", "Pay", "--label", "team=pay", "--label", "env=test",
            ],
        ),
        (
            "c",
            [
                "--owner",
                "Ops",
                "--plan",
                "unlimited",
                "--expires-at",
                "2026-01-31T22:59:59Z",
            ],
        ),
    ] {
        home.json(&[&CREATE[..], &["--client-id", id], &rest].concat());
    }
    home.json(&["agent", "suspend", "b"]);
    let expected: [(&[&str], &[&str]); 11] = [
        (&[], &["a", "b", "c"]),
        (&["--owner", "Pay"], &["a", "b"]),
        (&["--label", "team=pay", "--label", "env=prod"], &["a"]),
        (&["--status", "suspended", "--owner", "Pay"], &["b"]),
        (&["--scope", "agents:read", "--plan", "unlimited"], &["c"]),
        (
            &["--name-prefix", "n", "--id", "b", "--id", "c"],
            &["b", "c"],
        ),
        (&["--name-prefix", "N"], &[]),
        (&["--never-used"], &["a", "b", "c"]),
        (&["--used-before", "2100-01-01T00:00:00Z"], &[]),
        (&["--expires-before", "2026-02-01T00:00:00Z"], &["c"]),
        (&["--expires-before", "2026-01-31T22:59:59Z"], &[]),
    ];
    for (flags, ids) in expected {
        let listed = home.json(&[&["agent", "list"][..], flags].concat());
        let found: Vec<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|agent| text(&agent["agentId"]))
            .collect();
        assert_eq!(found, ids, "{flags:?}");
    }
    home.run(&["agent", "list", "--status", "expired"])
        .refused(2, "an agent is active, suspended or decommissioned");
    let ids: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let mut many = vec!["agent", "list"];
    for id in &ids {
        many.extend(["--id", id]);
    }
    home.run(&many).refused(1, "is given more than 100 times");
}
