//! Tests of `sealwright agent`.

use serde_json::json;

use crate::{Home, text};

const CREATE: [&str; 6] = [
    "agent",
    "create",
    "--name",
    "First",
    "--scope",
    "agents:read",
];

#[test]
fn an_agent_is_made_and_its_secret_printed_this_once() {
    let home = Home::new();
    let made = home.json(&CREATE);
    let (id, secret) = (text(&made["agentId"]), text(&made["clientSecret"]));
    assert_eq!(id.len(), 36);
    assert!(secret.starts_with("sw_") && secret.len() == 64);
    for later in [
        home.run(&["agent", "show", id]),
        home.run(&["agent", "list", "--json"]),
    ] {
        assert!(
            later.stdout.contains(id) && !later.stdout.contains(secret),
            "{later:?}"
        );
    }
    assert!(!home.stores(secret), "the store holds a secret in clear");
    let people = home.run(&CREATE);
    assert!(people.stdout.contains("client secret\tsw_"), "{people:?}");
    assert!(
        people.stderr.contains("never shown again") && !people.stderr.contains("sw_"),
        "{people:?}"
    );
}

#[test]
fn an_agent_is_shown_with_what_it_may_do_and_what_it_used() {
    let home = Home::new();
    let made = home.json(&[
        "agent",
        "create",
        "--name",
        "Billing",
        "--client-id",
        "agt_abc123",
        "--scope",
        "audit:read tokens:read",
        "--scope",
        "agents:read",
        "--ttl",
        "86400",
        "--plan",
        "unlimited",
        "--audience",
        "https://a",
        "--audience",
        "https://b",
        "--redirect-uri",
        "https://c.example/cb",
        "--user-id",
        "user_42",
    ]);
    let id = text(&made["agentId"]);
    assert_eq!(id, "agt_abc123");
    let shown = home.json(&["agent", "show", id]);
    let expected = [
        ("name", json!("Billing")),
        ("status", json!("active")),
        (
            "scopes",
            json!(["audit:read", "tokens:read", "agents:read"]),
        ),
        ("ttl", json!(86_400)),
        ("plan", json!("unlimited")),
        ("audiences", json!(["https://a", "https://b"])),
        ("redirectUris", json!(["https://c.example/cb"])),
        ("userIds", json!(["user_42"])),
    ];
    for (name, value) in expected {
        assert_eq!(shown[name], value, "{name}");
    }
    let usage = &shown["usage"];
    assert_eq!(
        (&usage["issued"], &usage["limit"]),
        (&json!(0), &json!(null))
    );
    assert_eq!(text(&usage["month"]).len(), 7);
    assert!(text(&usage["resetsAt"]).ends_with("-01T00:00:00Z"));
    assert!(text(&shown["createdAt"]).ends_with('Z'));
    let listed = home.json(&["agent", "list"]);
    assert_eq!(listed[0]["agentId"], shown["agentId"]);
    assert_eq!(listed[0]["usage"], shown["usage"]);
    assert!(listed[0].get("credentials").is_none());
}

#[test]
fn an_agent_made_without_more_is_on_plan_free_with_the_servers_lifetime() {
    let made = Home::new().json(&CREATE);
    assert_eq!(
        (&made["plan"], &made["ttl"], &made["usage"]["limit"]),
        (&json!("free"), &json!(null), &json!(10_000))
    );
}

#[test]
fn a_scope_must_be_in_the_catalogue_first() {
    let home = Home::new();
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--scope",
        "agents:read db:read",
    ];
    home.run(&create)
        .refused(1, "scope db:read is not in the catalogue");
    assert_eq!(home.json(&["agent", "list"]), json!([]));
    // All faults are reported at once. The same holds when an agent is changed.
    let all = ["--scope", "a:a agents:read b:b", "--plan", "gold"];
    let told = "scope a:a is not in the catalogue: add it first; scope b:b is not in the catalogue: add it first; \
                plan gold is not configured";
    home.run(&[&["agent", "create", "--name", "n"][..], &all].concat())
        .refused(1, told);
    home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "n",
        "--scope",
        "agents:read",
    ]);
    home.run(&[&["agent", "update", "n"][..], &all].concat())
        .refused(1, told);
    home.json(&[
        "scope",
        "add",
        "db:read",
        "--description",
        "Read the database",
    ]);
    assert_eq!(
        home.json(&create)["scopes"],
        json!(["agents:read", "db:read"])
    );
}

#[test]
fn a_secret_from_stdin_is_taken_as_it_is_but_for_one_newline() {
    let home = Home::new();
    for (given, kept) in [
        ("s3cret of sixteen \n", "s3cret of sixteen "),
        ("a secret of two\n\n", "a secret of two\n"),
        ("a secret of none", "a secret of none"),
        ("a secret of dos.\r\n", "a secret of dos."),
    ] {
        let ran = home.feed(
            given,
            &[&CREATE[..], &["--secret-stdin", "--json"]].concat(),
        );
        let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(text(&made["clientSecret"]), kept);
    }
    home.feed("\n", &[&CREATE[..], &["--secret-stdin"]].concat())
        .refused(2, "the secret on stdin");
    home.feed(
        "a\0b and fourteen more",
        &[&CREATE[..], &["--secret-stdin"]].concat(),
    )
    .refused(2, "the secret on stdin");
}

#[test]
fn a_secret_that_was_generated_for_another_agent_is_refused() {
    let home = Home::new();
    let made = home.json(&CREATE);
    let ran = home.feed(
        text(&made["clientSecret"]),
        &[&CREATE[..], &["--secret-stdin"]].concat(),
    );
    ran.refused(1, "of another agent");
    assert!(!ran.stderr.contains(text(&made["clientSecret"])));
}

#[test]
fn a_taken_id_is_refused_and_its_agent_left_alone() {
    let home = Home::new();
    let first = home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    home.run(&[
        "agent",
        "create",
        "--name",
        "Second",
        "--client-id",
        "a",
        "--scope",
        "audit:read",
    ])
    .refused(1, "exists already");
    assert_eq!(home.json(&["agent", "show", "a"])["name"], first["name"]);
}

/// Item 56: a token about a user must not be mistaken for a token of an agent.
#[test]
fn an_agent_and_a_user_never_have_one_id() {
    let home = Home::new();
    let first = home.json(&[&CREATE[..], &["--user-id", "user_42"]].concat());
    let why = "an agent and a user, now or earlier, would have the same id";
    home.run(&[&CREATE[..], &["--client-id", "user_42"]].concat())
        .refused(1, why);
    let id = text(&first["agentId"]);
    home.run(&[&CREATE[..], &["--user-id", id]].concat())
        .refused(1, why);
    home.run(&[&CREATE[..], &["--client-id", "x", "--user-id", "x"]].concat())
        .refused(1, why);
    for user in [id, "user_42"] {
        let ran = home.run(&[
            "agent",
            "update",
            id,
            "--user-id",
            "user_43",
            "--user-id",
            user,
        ]);
        assert_eq!(ran.code, i32::from(user == id), "{ran:?}");
    }
    home.write(
        "rows",
        "{\"clientId\":\"user_43\",\"secret\":\"hunter2\"}\n\
         {\"clientId\":\"a\",\"secret\":\"hunter2\",\"userIds\":[\"u\",\"b\"]}\n\
         {\"clientId\":\"b\",\"secret\":\"hunter2\",\"userIds\":[\"v\"]}\n\
         {\"clientId\":\"c\",\"secret\":\"hunter2\",\"userIds\":[\"a\"]}\n",
    );
    let ran = home.run(&["agent", "import", "rows", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &report["imported"], &report["refused"]),
        (1, &json!(1), &json!(3)),
        "{ran:?}"
    );
    for (refusal, line, field) in [(0, 1, "clientId"), (1, 3, "clientId"), (2, 4, "userIds")] {
        let told = report["refusals"][refusal].to_string();
        assert!(
            told.contains(why) && told.contains(field) && told.contains(&line.to_string()),
            "{told}"
        );
    }
}

#[test]
fn lifetimes_are_taken_from_300_to_86400_seconds() {
    let home = Home::new();
    for bad in [
        "299",
        "86401",
        "-1",
        "0",
        "1.5",
        "9999999999999999999",
        "",
        "ten",
    ] {
        home.run(&[&CREATE[..], &[&*format!("--ttl={bad}")]].concat())
            .refused(2, "300 to 86400");
    }
    for good in ["300", "86400"] {
        assert_eq!(
            home.json(&[&CREATE[..], &["--ttl", good]].concat())["ttl"].to_string(),
            good
        );
    }
}

#[test]
fn values_that_break_their_rule_are_refused_before_anything_is_made() {
    let home = Home::new();
    for bad in [
        ["--name", "a\u{1b}[2Jb"],
        ["--name", "a\nb"],
        ["--name", ""],
        ["--client-id", "a b"],
        ["--client-id", "a/b"],
        ["--scope", "a\"b"],
        ["--plan", "Free"],
        ["--redirect-uri", "http://evil.example/cb"],
        ["--audience", "https://a https://b"],
        ["--audience", "https://é.example"],
        ["--audience", "https://a.example/%zz"],
        ["--user-id", "a\tb"],
    ] {
        let rest: Vec<&str> = CREATE
            .chunks(2)
            .skip(1)
            .filter(|pair| pair[0] != bad[0])
            .flatten()
            .copied()
            .collect();
        home.run(&[&["agent", "create"], &rest[..], &bad[..]].concat())
            .refused(2, bad[0]);
    }
    home.run(&[&CREATE[..], &["--plan", "gold"]].concat())
        .refused(1, "plan gold is not configured");
    assert_eq!(home.json(&["agent", "list"]), json!([]));
}

#[test]
fn an_update_replaces_what_is_given_and_leaves_the_rest() {
    let home = Home::new();
    home.json(
        &[
            &CREATE[..],
            &[
                "--client-id",
                "a",
                "--ttl",
                "300",
                "--audience",
                "x",
                "--user-id",
                "u",
            ],
        ]
        .concat(),
    );
    let changed = home.json(&[
        "agent",
        "update",
        "a",
        "--name",
        "New",
        "--scope",
        "audit:read",
        "--audience",
        "y",
    ]);
    assert_eq!(changed["name"], "New");
    assert_eq!(changed["scopes"], json!(["audit:read"]));
    assert_eq!(changed["audiences"], json!(["y"]));
    assert_eq!(
        (&changed["ttl"], &changed["userIds"]),
        (&json!(300), &json!(["u"]))
    );
    let cleared = home.json(&[
        "agent",
        "update",
        "a",
        "--ttl",
        "default",
        "--scope",
        "",
        "--audience",
        "",
        "--user-id",
        "",
    ]);
    assert_eq!(cleared["ttl"], json!(null));
    for list in ["scopes", "audiences", "userIds"] {
        assert_eq!(cleared[list], json!([]), "{list}");
    }
    assert_eq!(cleared["name"], "New");
}

#[test]
fn an_update_that_cannot_be_is_refused_and_changes_nothing() {
    let home = Home::new();
    home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    home.json(&[&CREATE[..], &["--client-id", "b"]].concat());
    home.run(&["agent", "update", "a", "--scope", "db:read"])
        .refused(1, "not in the catalogue");
    home.run(&["agent", "update", "a", "--plan", "gold"])
        .refused(1, "not configured");
    home.run(&["agent", "update", "a", "--client-id", "b", "--name", "x"])
        .refused(1, "id never changes");
    home.run(&["agent", "update", "a", "--ttl", "299"])
        .refused(2, "300 to 86400");
    home.run(&["agent", "update", "a"]).refused(2, "required");
    assert_eq!(home.json(&["agent", "show", "a"])["name"], "First");
    assert_eq!(
        home.json(&["agent", "update", "a", "--client-id", "a"])["name"],
        "First"
    );
}

#[test]
fn updates_at_the_same_time_all_hold() {
    let home = Home::new();
    home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    let changes: [&[&str]; 5] = [
        &["--name", "New"],
        &["--ttl", "300"],
        &["--plan", "unlimited"],
        &["--audience", "x"],
        &["--user-id", "u"],
    ];
    std::thread::scope(|scope| {
        for change in changes {
            let home = &home;
            scope.spawn(move || home.json(&[&["agent", "update", "a"], change].concat()));
        }
    });
    let shown = home.json(&["agent", "show", "a"]);
    let now = json!([
        shown["name"],
        shown["ttl"],
        shown["plan"],
        shown["audiences"],
        shown["userIds"]
    ]);
    assert_eq!(now, json!(["New", 300, "unlimited", ["x"], ["u"]]));
}

#[test]
fn asking_for_the_state_it_is_in_succeeds_and_decommissioned_is_for_ever() {
    let home = Home::new();
    home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    let steps = [
        ("reactivate", "active"),
        ("suspend", "suspended"),
        ("suspend", "suspended"),
        ("reactivate", "active"),
        ("revoke-tokens", "active"),
        ("revoke-tokens", "active"),
        ("decommission", "decommissioned"),
        ("decommission", "decommissioned"),
    ];
    for (verb, status) in steps {
        assert_eq!(home.json(&["agent", verb, "a"])["status"], status, "{verb}");
    }
    for verb in ["reactivate", "suspend", "rotate-secret"] {
        home.run(&["agent", verb, "a"]).refused(1, "decommissioned");
    }
}

#[test]
fn an_unknown_id_fails_every_command_that_names_one() {
    let home = Home::new();
    let verbs = [
        "show",
        "suspend",
        "reactivate",
        "decommission",
        "rotate-secret",
        "revoke-tokens",
    ];
    for id in ["nobody", "no id at all", ""] {
        for verb in verbs {
            home.run(&["agent", verb, id])
                .refused(1, "no agent has this id");
        }
        home.run(&["agent", "update", id, "--name", "x"])
            .refused(1, "no agent has this id");
    }
}

#[test]
fn a_rotation_gives_a_new_secret_and_ends_the_old_one_when_it_was_told_to() {
    let home = Home::new();
    let made = home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    let rotated = home.json(&["agent", "rotate-secret", "a", "--overlap", "600"]);
    assert_eq!(rotated["agentId"], "a");
    assert_ne!(rotated["clientSecret"], made["clientSecret"]);
    assert_ne!(rotated["credentialId"], made["credentialId"]);
    let live = rotated["credentials"].as_array().unwrap();
    assert_eq!(
        (live.len(), &live[1]["expiresAt"]),
        (2, &rotated["oldSecretExpiresAt"])
    );
    let again = home.json(&["agent", "rotate-secret", "a"]);
    let live = again["credentials"].as_array().unwrap();
    assert_eq!(
        (live.len(), &live[0]["credentialId"]),
        (1, &again["credentialId"])
    );
    for bad in ["-1", "2592001", "x"] {
        home.run(&["agent", "rotate-secret", "a", &format!("--overlap={bad}")])
            .refused(2, "--overlap");
    }
}

#[test]
fn an_update_can_replace_the_secret_too() {
    let home = Home::new();
    let made = home.json(&[&CREATE[..], &["--client-id", "a"]].concat());
    let ran = home.feed(
        "a chosen secret.\n",
        &["agent", "update", "a", "--secret-stdin", "--json"],
    );
    let changed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(!ran.stdout.contains("chosen secret"));
    let live = changed["credentials"].as_array().unwrap();
    assert_eq!(live.len(), 1);
    assert_ne!(live[0]["credentialId"], made["credentialId"]);
    // The chosen secret is not shown, not even its prefix. If the secret is refused, the rest of
    // the update is refused too.
    assert_eq!(
        home.json(&["agent", "show", "a"])["credentials"][0]["hint"],
        ""
    );
    home.json(&["agent", "decommission", "a"]);
    let both = ["agent", "update", "a", "--name", "other", "--secret-stdin"];
    home.feed("another secret of mine\n", &both)
        .refused(1, "decommissioned");
    assert_ne!(home.json(&["agent", "show", "a"])["name"], "other");
}

#[test]
fn a_long_list_is_complete_and_in_order() {
    let home = Home::new();
    let lines: Vec<String> = (0..1_001)
        .map(|i| {
            let hash = "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01232";
            format!("{{\"clientId\":\"agt_{i:04}\",\"secretHash\":\"{hash}\"}}")
        })
        .collect();
    home.write("agents.jsonl", lines.join("\n"));
    assert_eq!(
        home.json(&["agent", "import", "agents.jsonl"])["imported"],
        1_001
    );
    let listed = home.json(&["agent", "list"]);
    let ids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|a| text(&a["agentId"]))
        .collect();
    assert_eq!(ids.len(), 1_001);
    assert!(ids.is_sorted());
}

#[test]
fn more_scopes_than_a_token_carries_are_refused_when_they_are_given() {
    let home = Home::new();
    let names: Vec<String> = (0..26)
        .map(|i| format!("{}{i:02}:read", "x".repeat(113)))
        .collect();
    for name in &names {
        assert_eq!(
            home.run(&["scope", "add", name, "--description", "d"]).code,
            0
        );
    }
    let create = |scopes: &str| home.run(&["agent", "create", "--name", "a", "--scope", scopes]);
    create(&names.join(" ")).refused(1, "shorter than 3072 bytes");
    assert_eq!(create(&names[..25].join(" ")).code, 0);
}

#[test]
fn an_agent_is_found_by_its_name_where_no_other_living_agent_has_it() {
    let home = Home::new();
    let named =
        |name: &str| home.json(&["agent", "create", "--scope", "agents:read", "--name", name]);
    let (billing, twin) = (named("Billing, north"), named("Twin"));
    let id = text(&billing["agentId"]);
    let by_name = ["--name", "Billing, north"];
    let shown = home.json(&[&["agent", "show"], &by_name[..]].concat());
    assert_eq!(shown["agentId"], id);
    for (verb, status) in [
        ("suspend", "suspended"),
        ("reactivate", "active"),
        ("revoke-tokens", "active"),
        ("rotate-secret", "active"),
        ("decommission", "decommissioned"),
    ] {
        let done = home.json(&[&["agent", verb], &by_name[..]].concat());
        assert_eq!(
            (text(&done["agentId"]), text(&done["status"])),
            (id, status)
        );
    }
    // A decommissioned agent gives its name away.
    home.run(&[&["agent", "show"], &by_name[..]].concat())
        .refused(1, "no agent has this name");
    // An ambiguous name changes nothing and tells the ids.
    let other = named("Twin");
    let refused = home.run(&["agent", "suspend", "--name", "Twin"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for made in [&twin, &other] {
        let id = text(&made["agentId"]);
        assert!(refused.stderr.contains(id), "{refused:?}");
        assert_eq!(home.json(&["agent", "show", id])["status"], "active");
    }
    for usage in [
        vec!["agent", "show"],
        vec!["agent", "show", id, "--name", "Twin"],
    ] {
        assert_eq!(home.run(&usage).code, 2, "{usage:?}");
    }
}
