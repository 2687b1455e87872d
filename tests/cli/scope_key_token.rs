//! Tests of `sealwright scope`, `plan`, `key` and `token`, on a store without a server.

use serde_json::{Value, json};

use crate::{Home, text};

#[test]
fn the_catalogue_begins_with_the_seven_built_in_scopes_in_their_order() {
    let listed = Home::new().json(&["scope", "list"]);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(&s["name"]))
        .collect();
    let expected = [
        "agents:read",
        "agents:write",
        "tokens:read",
        "audit:read",
        "webhooks:read",
        "webhooks:write",
        "admin:orgs",
    ];
    assert_eq!(names, expected);
    assert_eq!(listed[1]["highRisk"], true);
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["builtIn"] == true)
    );
}

#[test]
fn a_scope_is_added_once_at_the_end() {
    let home = Home::new();
    let add = [
        "scope",
        "add",
        "pay:send",
        "--description",
        "Send money",
        "--high-risk",
    ];
    let added = json!({"name": "pay:send", "scope": "pay:send", "description": "Send money", "highRisk": true,
                       "highRiskBy": "name", "builtIn": false, "agents": 0});
    assert_eq!(home.json(&add), added);
    assert_eq!(home.json(&["scope", "list"])[7], added);
    home.run(&add).refused(1, "has this scope already");
    home.run(&["scope", "add", "a b", "--description", "x"])
        .refused(2, "printable");
    home.run(&["scope", "add", "a", "--description", "x\u{1b}"])
        .refused(2, "control");
    home.run(&["scope", "add", "a"]).refused(2, "--description");
    assert_eq!(home.json(&["scope", "list"]).as_array().unwrap().len(), 8);
}

#[test]
fn the_configuration_makes_a_scope_high_risk_and_never_the_other_way() {
    let home = Home::new().with("SEALWRIGHT_SCOPES__HIGH_RISK", "audit:read");
    let listed = home.json(&["scope", "list"]);
    assert_eq!(
        (
            &listed[3]["name"],
            &listed[3]["highRisk"],
            &listed[3]["highRiskBy"]
        ),
        (&json!("audit:read"), &json!(true), &json!("configuration"))
    );
    assert_eq!(
        (&listed[1]["highRisk"], &listed[1]["highRiskBy"]),
        (&json!(true), &json!("name"))
    );
    assert_eq!(listed[0]["highRiskBy"], json!(null));
}

#[test]
fn a_scope_is_deleted_unless_it_is_built_in_or_an_agent_holds_it() {
    let home = Home::new();
    let add = |name: &str| home.json(&["scope", "add", name, "--description", "x", "--high-risk"]);
    assert_eq!(add("stock:view")["highRiskBy"], "catalogue");
    add("stock:vie");
    home.run(&["scope", "delete", "audit:read"])
        .refused(1, "is built in");
    home.run(&["scope", "delete", "gone:read"])
        .refused(1, "is not in the catalogue");
    let agents = ["a", "b"].map(|id| {
        let create = ["agent", "create", "--name", "n", "--client-id", id];
        home.json(&[&create[..], &["--scope", "stock:view"]].concat())
    });
    assert_eq!(text(&agents[1]["agentId"]), "b");
    let delete = ["scope", "delete", "stock:view", "--reason", "sold"];
    home.run(&delete)
        .refused(1, "agents hold scope stock:view: a, b");
    home.json(&["agent", "decommission", "a"]);
    home.json(&["agent", "update", "b", "--scope", "stock:vie"]);
    assert_eq!(home.json(&["scope", "list"])[7]["agents"], 0);
    assert_eq!(home.json(&["scope", "list"])[8]["agents"], 1);
    assert_eq!(home.json(&delete)["scope"], "stock:view");
    home.run(&delete).refused(1, "is not in the catalogue");
    let events = home.json(&["audit", "list", "--kind", "scope.deleted"]);
    assert_eq!(
        events[0]["event"]["detail"],
        json!({"scope": "stock:view", "highRisk": true})
    );
    assert_eq!(events[0]["event"]["reason"], "sold");
}

#[test]
fn the_first_key_signs_at_once_and_the_next_is_announced() {
    let home = Home::new().with("SEALWRIGHT_KEYS__ANNOUNCE_SECONDS", "1800");
    assert_eq!(home.json(&["key", "list"]), json!([]));
    assert_eq!(home.json(&["key", "rotate"])["state"], "signing");
    let next = home.json(&["key", "rotate"]);
    assert_eq!(next["state"], "announced");
    assert_ne!(next["announcedAt"], next["signsFrom"]);
    let listed = home.json(&["key", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(listed.as_array().unwrap().contains(&next));
    let kid = next["kid"].as_str().unwrap();
    home.run(&["key", "rotate"])
        .refused(1, &format!("key {kid} is announced already"));
    assert_eq!(home.json(&["key", "rotate", "--now"])["kid"], next["kid"]);
}

#[test]
fn a_key_is_revoked_with_a_word_about_who_learns_it_later() {
    let home = Home::new();
    let first = home.json(&["key", "rotate"]);
    home.run(&["key", "rotate", "--revoke"]).refused(2, "--now");
    let revoked = home.run(&["key", "rotate", "--now", "--revoke", "--json"]);
    assert!(revoked.stderr.contains("JWKS"), "{}", revoked.stderr);
    let listed = home.json(&["key", "list"]);
    let [only] = listed.as_array().unwrap().as_slice() else {
        panic!("{listed}");
    };
    assert_eq!(only["state"], "signing");
    assert_ne!(only["kid"], first["kid"]);
}

/// A master key: any 32 bytes.
const NEW_MASTER_KEY: &str = "bmV3IHNlYWx3cmlnaHQgdGVzdCBtYXN0ZXIga2V5ISE=";

#[test]
fn the_master_key_beside_a_database_is_replaced_in_three_steps() {
    let home = Home::new();
    let key = home.json(&["key", "rotate"]);
    let file = home.path("sealwright-data/master.key");
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(home.json(&["key", "reseal"]), json!({ "keys": 0 }));
    std::fs::write(&file, NEW_MASTER_KEY).unwrap();
    for command in [&["key", "list"][..], &["key", "reseal"]] {
        home.run(command).refused(1, "keys.master_key_previous");
    }
    home.run(&["config", "check"])
        .refused(2, "keys.master_key_previous");
    let previous = "SEALWRIGHT_KEYS__MASTER_KEY_PREVIOUS";
    let home = home.with(previous, before.trim());
    assert_eq!(home.json(&["key", "list"]), json!([key]));
    let finding = |home: &Home| {
        let told = home.run(&["doctor", "--json"]).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        let all = told["findings"].as_array().unwrap().clone();
        let found = all.into_iter().find(|one| one["about"] == "master key");
        found.unwrap()["mend"].as_str().unwrap().to_owned()
    };
    assert!(finding(&home).contains("key reseal"), "{}", finding(&home));
    let resealed = home.run(&["key", "reseal", "--reason", "it was seen", "--json"]);
    assert_eq!(resealed.code, 0, "{resealed:?}");
    assert!(
        resealed
            .stderr
            .contains("take keys.master_key_previous away")
    );
    let keys = serde_json::from_str::<Value>(&resealed.stdout).unwrap()["keys"].clone();
    assert!(keys.as_i64().unwrap() >= 5, "{keys}");
    assert!(finding(&home).contains("take"), "{}", finding(&home));
    let home = home.with(previous, "");
    assert_eq!(home.json(&["key", "list"]), json!([key]));
    assert_eq!(finding(&home), "");
    let events = home.json(&["audit", "list", "--kind", "key.resealed"]);
    assert_eq!(events[0]["event"]["detail"], json!({ "keys": keys }));
    assert_eq!(events[0]["event"]["reason"], "it was seen");
    std::fs::write(&file, &before).unwrap();
    home.run(&["key", "list"]).refused(1, "master key");
}

#[test]
fn what_is_no_token_of_this_store_is_said_to_be_none() {
    let home = Home::new();
    let foreign = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IngifQ.e30.AAAA";
    for token in ["garbage", "", "a.b.c", foreign] {
        let found = home.json(&["token", "inspect", token]);
        assert_eq!(
            found,
            json!({"active": false, "verdict": "not_ours", "claims": null}),
            "{token}"
        );
        let fed = home.feed(&format!("{token}\n"), &["token", "inspect", "-", "--json"]);
        assert_eq!(fed.code, 0);
    }
}

#[test]
fn a_token_that_is_not_known_is_kept_revoked_for_as_long_as_any_can_live() {
    let home = Home::new();
    let jti = "01890a5d-ac96-774b-bcce-b302099a8057";
    let revoked = home.json(&["token", "revoke", "--jti", jti]);
    assert_eq!(
        (&revoked["jti"], &revoked["agentId"]),
        (&json!(jti), &json!(null))
    );
    assert_eq!(home.run(&["token", "revoke", "--jti", jti]).code, 0);
    home.run(&["token", "revoke", "--jti", "nonsense"])
        .refused(2, "a jti is a UUID");
    home.run(&["token", "revoke"]).refused(2, "--jti");
}

#[test]
fn the_plans_are_listed_with_their_agents() {
    let home = Home::new();
    home.json(&[
        "agent",
        "create",
        "--name",
        "a",
        "--scope",
        "agents:read",
        "--plan",
        "unlimited",
    ]);
    let plans = home.json(&["plan", "list"]);
    let expected = json!([
        {"plan": "free", "limit": 10_000, "agents": 0},
        {"plan": "unlimited", "limit": null, "agents": 1},
    ]);
    assert_eq!(plans, expected);
}
