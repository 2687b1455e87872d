//! High-risk scopes (contract D2) in every command that creates, lists, changes or grants a scope.

use serde_json::{Value, json};

use crate::server::start;
use crate::{Home, text};

fn add(home: &Home, names: &[&str]) {
    for name in names {
        home.json(&["scope", "add", name, "--description", "For a test"]);
    }
}

fn warnings(answer: &Value) -> Vec<&str> {
    answer.get("warnings").map_or(vec![], |all| {
        all.as_array().unwrap().iter().map(text).collect()
    })
}

#[test]
fn a_scope_that_nobody_judged_is_warned_of_at_every_door() {
    let home = Home::new();
    let judged = ["db:read", "write:db"];
    add(&home, &judged);
    let add_one = ["scope", "add", "workflow", "--description", "For a test"];
    let told = "scope workflow: no word of its name";
    assert!(warnings(&home.json(&add_one))[0].starts_with(told));
    for scope in home.json(&["scope", "list"]).as_array().unwrap() {
        assert_eq!(
            warnings(scope).len(),
            usize::from(scope["name"] == "workflow"),
            "{scope}"
        );
    }
    let all = "db:read write:db workflow";
    let made = home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        all,
    ]);
    assert!(
        warnings(&made)[0].starts_with(told) && warnings(&made).len() == 1,
        "{made}"
    );
    let changed = home.json(&["agent", "update", "a", "--scope", all]);
    assert!(
        warnings(&changed)
            .iter()
            .any(|warning| warning.starts_with(told)),
        "{changed}"
    );
    assert_eq!(
        warnings(&home.json(&["agent", "update", "a", "--name", "m"])),
        [""; 0]
    );
    home.write(
        "rows",
        "clientId,secret,scopes\nb,hunter2,workflow db:read\nc,hunter2,workflow\n",
    );
    let report = home.json(&["agent", "import", "rows"]);
    assert!(
        warnings(&report)[0].starts_with(told) && warnings(&report).len() == 1,
        "{report}"
    );

    home.write("more", "clientId,secret,scopes\nd,hunter2,workflow\n");
    let commands: [&[&str]; 5] = [
        &["scope", "list"],
        &["scope", "add", "x:y", "--description", "x"],
        &["agent", "create", "--name", "n", "--scope", "workflow"],
        &["agent", "update", "a", "--scope", "workflow"],
        &["agent", "import", "more"],
    ];
    for command in commands {
        let ran = home.run(command);
        assert!(
            ran.code == 0 && ran.stderr.contains("warning: scope "),
            "{command:?}: {ran:?}"
        );
        assert!(
            !ran.stdout.contains("no word of its name"),
            "{command:?}: {ran:?}"
        );
    }
}

#[test]
fn a_scope_that_a_hand_or_the_configuration_judged_is_not_warned_of() {
    let home = Home::new();
    let marked = home.json(&[
        "scope",
        "add",
        "workflow",
        "--description",
        "x",
        "--high-risk",
    ]);
    assert_eq!(
        (warnings(&marked), &marked["highRisk"]),
        (vec![], &json!(true))
    );
    let settings = [
        ("SCOPES__RULE", "suffix"),
        ("SCOPES__UNCLASSIFIED", "high"),
        ("SCOPES__HIGH_RISK", "x:y"),
    ];
    for (name, value) in settings {
        let home = Home::new().with(&format!("SEALWRIGHT_{name}"), value);
        let added = home.json(&["scope", "add", "x:y", "--description", "x"]);
        assert_eq!(
            (warnings(&added), &added["highRisk"]),
            (vec![], &json!(value != "suffix")),
            "{name}"
        );
    }
}

#[test]
fn a_mark_is_set_and_taken_back_but_never_what_a_name_or_the_configuration_says() {
    let home = Home::new().with("SEALWRIGHT_SCOPES__HIGH_RISK", "listed");
    add(&home, &["workflow", "db:write", "write:db", "listed"]);
    let update =
        |name: &str, rest: &[&str]| home.json(&[&["scope", "update", name], rest].concat());
    assert_eq!(update("workflow", &["--high-risk"])["highRisk"], true);
    let changed = update("workflow", &["--description", "Other"]);
    assert_eq!(
        (&changed["highRisk"], &changed["description"]),
        (&json!(true), &json!("Other"))
    );
    let unmarked = update("workflow", &["--no-high-risk"]);
    assert_eq!(
        (&unmarked["highRisk"], warnings(&unmarked).len()),
        (&json!(false), 1)
    );
    assert_eq!(update("workflow", &["--no-high-risk"])["highRisk"], false);
    for (name, why) in [
        ("db:write", "nothing lifts that"),
        ("agents:write", "nothing lifts that"),
        ("admin:orgs", "nothing lifts that"),
        ("write:db", "scopes.rule"),
        ("listed", "scopes.high_risk"),
    ] {
        home.run(&["scope", "update", name, "--no-high-risk"])
            .refused(1, why);
        let listed = home.json(&["scope", "list"]);
        let scope = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|scope| scope["name"] == name)
            .unwrap();
        assert_eq!(scope["highRisk"], true, "{name}");
    }
    home.run(&["scope", "update", "gone", "--high-risk"])
        .refused(1, "not in the catalogue");
    home.run(&["scope", "update", "workflow"])
        .refused(2, "required");
    home.run(&[
        "scope",
        "update",
        "workflow",
        "--high-risk",
        "--no-high-risk",
    ])
    .refused(2, "cannot be used");
}

#[test]
fn a_scope_that_is_newly_marked_names_whose_tokens_live_on() {
    let home = Home::new();
    add(&home, &["workflow", "db:write"]);
    home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "workflow db:write",
    ]);
    let marked = home.json(&["scope", "update", "workflow", "--high-risk"]);
    let told = warnings(&marked);
    assert!(
        told[0].contains("agent revoke-tokens") && told[0].ends_with("have the scope: a"),
        "{told:?}"
    );
    for (name, mark) in [("workflow", "--high-risk"), ("db:write", "--high-risk")] {
        assert_eq!(
            warnings(&home.json(&["scope", "update", name, mark])),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn checking_the_configuration_lists_whose_tokens_an_upgrade_shortens() {
    let home = Home::new();
    add(&home, &["db:read", "write:db", "db:write"]);
    for (id, scope, ttl) in [
        ("cut", "db:read write:db", "86400"),
        ("both", "db:write write:db", "3600"),
        ("short", "write:db", "900"),
        ("default", "write:db", "default"),
        ("floor", "db:write", "86400"),
        ("reads", "db:read", "86400"),
        ("gone", "write:db", "86400"),
    ] {
        home.json(&[
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            id,
            "--scope",
            scope,
            "--ttl",
            ttl,
        ]);
    }
    home.json(&["agent", "decommission", "gone"]);
    let data = home.path("sealwright-data");
    let files = || {
        let entries = std::fs::read_dir(&data).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let before = (files(), std::fs::read(data.join("sealwright.db")).unwrap());
    let expected = json!([
        {"agentId": "both", "ttl": 3_600, "scopes": ["write:db"]},
        {"agentId": "cut", "ttl": 86_400, "scopes": ["write:db"]},
    ]);
    assert_eq!(home.json(&["config", "check"])["shortened"], expected);
    let people = home.run(&["config", "check"]);
    assert_eq!(
        people.stdout,
        "agent\tttl\tscopes\nboth\t3600\twrite:db\ncut\t86400\twrite:db\n"
    );
    assert!(people.stderr.contains("scopes.rule"), "{people:?}");
    let after = (files(), std::fs::read(data.join("sealwright.db")).unwrap());
    assert!(
        before == after,
        "the check wrote something: {:?} {:?}",
        before.0,
        after.0
    );
    let old = Home {
        environment: vec![("SEALWRIGHT_SCOPES__RULE".to_owned(), "suffix".to_owned())],
        ..home
    };
    assert_eq!(old.json(&["config", "check"])["shortened"], json!([]));
}

#[test]
fn a_store_that_cannot_be_read_is_said_and_is_no_fault_of_the_configuration() {
    let home = Home::new();
    std::fs::create_dir(home.path("sealwright-data")).unwrap();
    home.write(
        "sealwright-data/sealwright.db",
        "this is no database, whatever its name says",
    );
    let ran = home.run(&["config", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stderr.contains("the store was not looked into"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_token_says_among_its_claims_that_it_is_high_risk() {
    let server = start();
    let home = &server.home;
    add(home, &["write:db", "db:read"]);
    for (id, scope, risk) in [
        ("a", "write:db", json!("high")),
        ("b", "db:read", json!(null)),
        ("c", "db:read write:db", json!("high")),
    ] {
        let made = home.json(&[
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            id,
            "--scope",
            scope,
        ]);
        let (_, reply) = server.token(id, text(&made["clientSecret"])).await;
        let found = home.json(&["token", "inspect", text(&reply["access_token"])]);
        assert_eq!(
            (&found["verdict"], &found["claims"]["risk"]),
            (&json!("active"), &risk),
            "{scope}"
        );
    }
}
