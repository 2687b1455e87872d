//! `doctor`: what is wrong, how to mend it, and nothing that must stay secret.

use serde_json::{Value, json};

use crate::server::start;
use crate::{Home, text};

/// The finding about this.
fn about<'a>(told: &'a Value, what: &str) -> &'a Value {
    told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["about"] == what)
        .unwrap_or_else(|| panic!("nothing about {what}: {told}"))
}

fn examine(home: &Home, agent: &[&str]) -> (i32, Value) {
    let ran = home.run(&[&["doctor", "--json"], agent].concat());
    let told = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    (ran.code, told)
}

#[test]
fn without_a_store_the_doctor_says_so_and_makes_none() {
    let home = Home::new();
    let (code, told) = examine(&home, &[]);
    assert_eq!(
        (code, &about(&told, "store")["level"]),
        (1, &json!("wrong"))
    );
    assert!(!home.path("sealwright-data").exists());
    let ran = home.run(&["doctor"]);
    assert!(ran.stdout.contains("there is none"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_server_that_works_is_fine_and_no_secret_is_shown() {
    let server = start();
    let secret = "canary-of-a-setting-which-is-32-byte";
    let home = &server.home;
    let (code, told) = examine(home, &[]);
    assert_eq!(code, 0, "{told}");
    for what in ["schema", "clock", "keys", "ledger", "server"] {
        assert_eq!(about(&told, what)["level"], "fine", "{told}");
    }
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        told["configuration"]["server.listen"]["value"].is_string(),
        "{told}"
    );
    let url = format!("postgres://sw:{secret}@127.0.0.1:1/sw");
    let key = "c2VhbHdyaWdodCB0ZXN0IG1hc3RlciBrZXkgMzIgYiE=";
    let elsewhere = Home::new()
        .with("SEALWRIGHT_DATABASE__URL", &url)
        .with("SEALWRIGHT_KEYS__MASTER_KEY", key);
    let ran = elsewhere.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        !said.contains(secret) && !said.contains("c2VhbHdyaWd"),
        "{said}"
    );
}

#[tokio::test]
async fn an_agent_is_told_why_it_gets_no_token() {
    let server = start();
    let home = &server.home;
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "tokens:read",
    ];
    let made = home.json(&create);
    let (code, told) = examine(home, &["a"]);
    assert_eq!(code, 0, "{told}");
    for what in ["agent", "credentials", "quota"] {
        assert_eq!(about(&told, what)["level"], "fine", "{told}");
    }
    assert!(!told.to_string().contains(text(&made["clientSecret"])));
    home.json(&["agent", "suspend", "a"]);
    let (code, told) = examine(home, &["a"]);
    let agent = about(&told, "agent");
    assert_eq!((code, text(&agent["says"])), (1, "suspended: 403"));
    assert!(text(&agent["mend"]).contains("agent reactivate"), "{told}");
    let (code, told) = examine(home, &["nobody"]);
    assert_eq!(
        (code, &about(&told, "agent")["level"]),
        (1, &json!("wrong"))
    );
}

#[tokio::test]
async fn the_last_refusals_of_an_agent_are_shown() {
    let mut server = start();
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "tokens:read",
    ];
    server.home.json(&create);
    assert_eq!(server.token("a", "not its secret").await.0, 401);
    // A server writes the counts of refusals when it stops.
    server.stop();
    let home = server.take_home();
    let (_, told) = examine(&home, &["a"]);
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1, "{told}");
    assert!(
        refusals[0]["reason"] == "wrong_secret" && refusals[0]["count"] == 1,
        "{told}"
    );
    let shown = home.run(&["doctor", "a"]).stdout;
    assert!(shown.contains("wrong_secret"), "{shown}");
}
