//! Tests of `sealwright partner`, on a store without a server.

use serde_json::{Value, json};

use crate::server::start_in;
use crate::{Home, text};

const KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn a_partner_is_made_listed_shown_and_changed() {
    let home = Home::new();
    let github = [
        "partner", "create", "--name", "GitHub", "--preset", "github",
    ];
    let made = home.json(&github);
    assert_eq!(
        made["issuer"],
        "https://token.actions.githubusercontent.com"
    );
    home.run(&github).refused(1, "issuer already");
    let id = text(&made["partnerId"]);
    assert_eq!(home.json(&["partner", "show", id]), made);
    assert_eq!(home.json(&["partner", "list"]), json!([made]));
    let update = [
        "partner",
        "update",
        id,
        "--name",
        "Actions",
        "--audience",
        "https://as.example",
        "--max-age",
        "300",
        "--require",
        "/repository_id",
        "--require",
        "/repository_owner_id",
    ];
    let changed = home.json(&update);
    for (member, value) in [
        ("name", json!("Actions")),
        ("audiences", json!(["https://as.example"])),
        ("maxAgeSeconds", json!(300)),
        (
            "requiredClaims",
            json!(["/repository_id", "/repository_owner_id"]),
        ),
    ] {
        assert_eq!(changed[member], value, "{member}");
    }
    let back = home.json(&["partner", "update", id, "--audience", "", "--require", ""]);
    assert_eq!(
        (&back["audiences"], &back["requiredClaims"]),
        (&Value::Null, &made["requiredClaims"])
    );
    home.run(&["partner", "update", id]).refused(2, "--name");
    let nobody = "00000000-0000-4000-8000-000000000000";
    home.run(&["partner", "show", nobody])
        .refused(1, "no partner");
    home.run(&["partner", "show", "x"]).refused(2, "UUID");
}

#[test]
fn a_partner_has_keys_from_a_file_or_an_address() {
    let home = Home::new();
    let file = home.write("key.json", KEY).display().to_string();
    let create = [
        "partner",
        "create",
        "--name",
        "CI",
        "--preset",
        "generic",
        "--issuer",
        "https://ci.example",
    ];
    home.run(&create).refused(1, "jwks");
    let itself = Home::new().with("SEALWRIGHT_TOKEN__ISSUER", "https://ci.example");
    itself
        .run(&[&create[..], &["--jwks", &file]].concat())
        .refused(1, "the issuer of this server");
    let with_file = [&create[..], &["--jwks", &file]].concat();
    let made = home.json(&with_file);
    assert_eq!(made["jwks"]["keys"][0]["alg"], "EdDSA");
    let id = text(&made["partnerId"]);
    let uri = "https://ci.example/keys";
    let changed = home.json(&["partner", "update", id, "--jwks-uri", uri]);
    assert_eq!(
        (&changed["jwks"], &changed["jwksUri"]),
        (&Value::Null, &json!(uri))
    );
    let private = home
        .write("private.json", KEY.replace("\"x\"", "\"d\":\"AA\",\"x\""))
        .display()
        .to_string();
    home.run(&["partner", "update", id, "--jwks", &private])
        .refused(2, "private");
    home.run(&["partner", "update", id, "--jwks", "/nowhere"])
        .refused(2, "/nowhere");
}

#[test]
fn a_partner_is_stopped_works_again_and_is_deleted() {
    let home = Home::new();
    home.json(&["org", "create", "--name", "Acme", "--id", "acme"]);
    let made = home.json(&[
        "partner", "create", "--name", "n", "--preset", "github", "--org", "acme",
    ]);
    assert_eq!(made["orgId"], "acme");
    let id = text(&made["partnerId"]);
    let suspended = home.json(&["partner", "suspend", id, "--reason", "a leak"]);
    assert_eq!(suspended["status"], "suspended");
    // Nobody holds a credential of it, so nothing is killed.
    let killed = home.json(&["partner", "suspend", id, "--revoke-tokens"]);
    assert_eq!(killed, suspended);
    home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--org",
        "acme",
        "--scope",
        "agents:read",
    ]);
    home.json(&[
        "credential",
        "create",
        "a",
        "--partner",
        id,
        "--subject",
        "repo:acme/*",
        "--claim",
        "/repository_owner_id=65",
    ]);
    let killed = home.json(&["partner", "suspend", id, "--revoke-tokens"]);
    assert!(killed["revocationVersion"].is_i64(), "{killed}");
    let all = home.json(&["credential", "list", "a"]);
    let held = all.as_array().unwrap().iter();
    let held: Vec<&Value> = held.filter(|one| one["kind"] == "federated").collect();
    home.json(&[
        "credential",
        "revoke",
        "a",
        "--credential",
        text(&held[0]["credentialId"]),
    ]);
    assert_eq!(
        home.json(&["partner", "list", "--org", "acme"]),
        json!([suspended])
    );
    assert_eq!(
        home.json(&["partner", "list", "--org", "default"]),
        json!([])
    );
    assert_eq!(
        home.json(&["partner", "reactivate", id])["status"],
        "active"
    );
    assert_eq!(
        home.json(&["partner", "delete", id])["partnerId"],
        made["partnerId"]
    );
    home.run(&["partner", "delete", id])
        .refused(1, "no partner");
    let nowhere = [
        "partner", "create", "--name", "n", "--preset", "github", "--org", "nowhere",
    ];
    home.run(&nowhere).refused(1, "no organization");
}

#[test]
fn a_server_starts_without_the_authorities_of_the_system() {
    let mut server = start_in(Home::new().with("SSL_CERT_FILE", "/nowhere.pem"));
    let log = server.stop();
    let warning = log.lines().find(|line| line.contains("SSL_CERT_FILE"));
    assert!(
        warning.is_some_and(|line| line.contains("/nowhere.pem")),
        "{log}"
    );
    // Whoever needs them is told so.
    let home = server.take_home();
    let made = home.json(&[
        "partner",
        "create",
        "--name",
        "n",
        "--preset",
        "generic",
        "--issuer",
        "https://ci.example",
        "--jwks-uri",
        "https://127.0.0.1:1/keys",
    ]);
    home.run(&["partner", "keys", text(&made["partnerId"])])
        .refused(1, "SSL_CERT_FILE");
}
