//! Updates that take something from an agent: a warning says what its live tokens keep, or the
//! tokens are killed.

use serde_json::{Value, json};

use crate::Home;
use crate::server::start;
use crate::text;

const CREATE: [&str; 16] = [
    "agent",
    "create",
    "--name",
    "n",
    "--client-id",
    "a",
    "--scope",
    "agents:read audit:read",
    "--ttl",
    "3600",
    "--audience",
    "https://a.example",
    "--audience",
    "https://b.example",
    "--user-id",
    "u",
];

fn update(home: &Home, rest: &[&str]) -> Value {
    home.json(&[&["agent", "update", "a"], rest].concat())
}

#[test]
fn an_update_that_gives_less_says_that_live_tokens_keep_what_they_had() {
    let home = Home::new();
    home.json(&CREATE);
    update(&home, &["--redirect-uri", "https://c.example/cb"]);
    let narrowings: [(&[&str], &str); 6] = [
        (&["--scope", "agents:read"], "(scopes)"),
        (&["--ttl", "300"], "(lifetime)"),
        (&["--audience", "https://a.example"], "(audiences)"),
        (&["--redirect-uri", ""], "(redirect URIs)"),
        (&["--user-id", "v"], "(user ids)"),
        (
            &["--scope", "", "--user-id", "", "--name", "m"],
            "(scopes, user ids)",
        ),
    ];
    for (change, told) in narrowings {
        let changed = update(&home, change);
        let warnings = changed["warnings"]
            .as_array()
            .unwrap_or_else(|| panic!("{change:?}: {changed}"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        for part in [told, "--revoke-tokens", "agent revoke-tokens a"] {
            assert!(text(&warnings[0]).contains(part), "{part}: {warnings:?}");
        }
    }
    let widenings: [&[&str]; 6] = [
        &["--scope", "agents:read audit:read"],
        &["--ttl", "default"],
        &["--audience", ""],
        &["--user-id", "v", "--user-id", "w"],
        &["--plan", "unlimited"],
        &["--name", "x"],
    ];
    for change in widenings {
        assert_eq!(update(&home, change)["warnings"], json!(null), "{change:?}");
    }
    // A list of audiences allows less than no list, which allows any audience.
    assert!(
        text(&update(&home, &["--audience", "https://a.example"])["warnings"][0])
            .contains("(audiences)")
    );
    let people = home.run(&["agent", "update", "a", "--scope", "agents:read"]);
    assert!(
        people
            .stderr
            .contains("warning: less is allowed now (scopes)"),
        "{people:?}"
    );
    assert_eq!(
        update(&home, &["--scope", "", "--revoke-tokens"])["warnings"],
        json!(null)
    );
    update(&home, &["--scope", "agents:read"]);
    home.json(&["agent", "suspend", "a"]);
    assert_eq!(
        update(&home, &["--scope", ""])["warnings"],
        json!(null),
        "its tokens are dead already"
    );
    home.run(&["agent", "update", "a", "--revoke-tokens"])
        .refused(2, "required");
}

#[tokio::test]
async fn tokens_that_are_revoked_beside_an_update_are_dead_on_the_servers_next_request() {
    let server = start();
    let home = &server.home;
    let made = home.json(&CREATE);
    let secret = text(&made["clientSecret"]).to_owned();
    let verdict = |token: &Value| home.json(&["token", "inspect", text(token)])["verdict"].clone();
    let token = async || server.token("a", &secret).await.1["access_token"].clone();
    let first = token().await;
    update(home, &["--scope", "agents:read"]);
    assert_eq!(verdict(&first), "active");
    update(home, &["--ttl", "300", "--revoke-tokens"]);
    assert_eq!(verdict(&first), "killed");
    let second = token().await;
    assert_eq!(verdict(&second), "active");
    // A refused update kills no token.
    home.run(&[
        "agent",
        "update",
        "a",
        "--scope",
        "db:read",
        "--revoke-tokens",
    ])
    .refused(1, "catalogue");
    assert_eq!(verdict(&second), "active");
    let ran = home.feed(
        "a secret of sixteen",
        &["agent", "update", "a", "--secret-stdin", "--revoke-tokens"],
    );
    assert_eq!(
        (ran.code, verdict(&second)),
        (0, json!("killed")),
        "{ran:?}"
    );
}
