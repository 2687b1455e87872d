//! `credential`: the secrets of an agent, one by one.

use serde_json::{Value, json};

use crate::{Home, text};

fn home() -> Home {
    let home = Home::new();
    home.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "agents:read",
    ]);
    home
}

fn run(home: &Home, line: &str) -> Value {
    home.json(&line.split(' ').collect::<Vec<_>>())
}

fn ids(list: &Value) -> Vec<Value> {
    let all = list.as_array().unwrap().iter();
    all.map(|one| one["credentialId"].clone()).collect()
}

#[test]
fn a_secret_is_made_listed_and_revoked() {
    let home = home();
    let first = ids(&run(&home, "credential list a"))[0].clone();
    let made = run(
        &home,
        "credential create --name n --label CI --expires-at 2999-01-01T00:00:00Z",
    );
    let secret = text(&made["clientSecret"]);
    let mut shown = made.clone();
    for member in ["agentId", "clientSecret"] {
        shown.as_object_mut().unwrap().remove(member);
    }
    let keys = shown.as_object().unwrap().keys();
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [
            "createdAt",
            "createdBy",
            "credentialId",
            "endedAt",
            "endedBy",
            "expiresAt",
            "hint",
            "kind",
            "label",
            "lastUsedAt"
        ]
    );
    assert_eq!(
        (&shown["kind"], &shown["label"], &shown["expiresAt"]),
        (
            &json!("secret"),
            &json!("CI"),
            &json!("2999-01-01T00:00:00Z")
        )
    );
    assert_eq!(shown["hint"], secret[..8]);
    let listed = run(&home, "credential list a");
    assert_eq!(listed[0], shown);
    assert_eq!(ids(&listed), [shown["credentialId"].clone(), first.clone()]);
    assert_eq!(run(&home, "agent show a")["credentials"], listed);
    home.run(&["credential", "create", "a"])
        .refused(1, text(&shown["credentialId"]));
    let revoke = format!(
        "credential revoke a --credential {} --revoke-tokens",
        text(&first)
    );
    let left = run(&home, &revoke);
    assert_eq!(ids(&left), ids(&json!([shown])));
    // The same once more changes nothing.
    assert_eq!(run(&home, &revoke), left);
    let all = run(&home, "credential list a --all");
    assert_eq!(ids(&all), [shown["credentialId"].clone(), first]);
    assert!(text(&all[1]["endedBy"]).starts_with("operator:"), "{all}");
    let ran = home.run(&["credential", "list", "a", "--all"]);
    assert!(ran.stdout.starts_with("id\tkind\tlabel\t"), "{ran:?}");
    assert!(!ran.stdout.contains(secret), "{ran:?}");
}

#[test]
fn a_rotation_takes_the_place_of_all_secrets() {
    let home = home();
    run(&home, "credential create a");
    home.run(&["credential", "rotate", "a", "--overlap", "60"])
        .refused(1, "would have to end first");
    let made = run(&home, "credential rotate a --label next");
    assert_eq!(ids(&run(&home, "credential list a")), ids(&json!([made])));
    let next = run(&home, "credential rotate a --overlap 60");
    let listed = run(&home, "credential list a");
    assert_eq!(ids(&listed), ids(&json!([next, made])));
    assert_eq!(listed[1]["expiresAt"], next["oldSecretExpiresAt"]);
    let ran = home.run(&["credential", "rotate", "a"]);
    assert!(ran.stdout.contains("client secret\t"), "{ran:?}");
    assert!(ran.stderr.contains("never shown again"), "{ran:?}");
}

#[test]
fn a_file_with_a_public_key_is_read_as_a_body_is() {
    let home = home();
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let file = home.path("key.json");
    let create = |json: String| {
        std::fs::write(&file, json).unwrap();
        let file = file.to_str().unwrap();
        home.run(&["credential", "create", "a", "--public-key", file])
    };
    let twice = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"AA","x":"{x}"}}"#);
    create(twice).refused(1, "given more than once");
    create("{".to_owned()).refused(1, "neither a JWK Set nor a JWK nor PEM");
    let made = create(format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
    assert_eq!(made.code, 0, "{made:?}");
    // A thumbprint is told whole.
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    let listed = home.run(&["credential", "list", "a"]).stdout;
    assert!(listed.contains(&format!("\t{thumbprint}\t")), "{listed}");
}

#[test]
fn what_cannot_be_is_refused() {
    let home = home();
    let some = "00000000-0000-0000-0000-000000000001";
    for (line, code, part) in [
        ("credential list nobody", 1, "no agent has this id"),
        ("credential create nobody", 1, "no agent has this id"),
        ("credential list --name nobody", 1, "no agent has this name"),
        (
            "credential create a --expires-at 2020-01-01T00:00:00Z",
            1,
            "later than now",
        ),
        ("credential create a --expires-at soon", 2, "--expires-at"),
        ("credential create a --label", 2, "--label"),
        ("credential rotate a --overlap 2592001", 2, "--overlap"),
        ("credential revoke a --credential x", 2, "--credential"),
        ("credential revoke a", 2, "--credential"),
        (
            &format!("credential revoke a --credential {some}"),
            1,
            "no credential",
        ),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        home.run(&arguments).refused(code, part);
    }
    assert_eq!(ids(&run(&home, "credential list a")).len(), 1);
    home.json(&["agent", "decommission", "a"]);
    for line in ["credential create a", "credential rotate a"] {
        let arguments: Vec<&str> = line.split(' ').collect();
        home.run(&arguments).refused(1, "decommissioned");
    }
}
