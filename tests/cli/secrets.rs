//! Rotated secrets and chosen secrets, on SQLite and on Postgres.

use serde_json::{Value, json};

use crate::database::Database;
use crate::{Home, text};

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn on_postgres(database: &Database) -> Home {
    Home::new()
        .with("SEALWRIGHT_DATABASE__URL", database.url())
        .with("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY)
}

fn rotate(home: &Home, overlap: &str) -> Value {
    home.json(&["agent", "rotate-secret", "a", "--overlap", overlap])
}

fn credentials(home: &Home) -> Vec<Value> {
    home.json(&["agent", "show", "a"])["credentials"]
        .as_array()
        .unwrap()
        .clone()
}

fn each_secret_ends_when_it_was_promised(home: &Home) {
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
    let first = credentials(home)[0]["credentialId"].clone();
    let second = rotate(home, "600");
    let held = credentials(home);
    assert_eq!(
        (&held[1]["credentialId"], &held[1]["expiresAt"]),
        (&first, &second["oldSecretExpiresAt"])
    );
    let ran = home.run(&["agent", "rotate-secret", "a", "--overlap", "600"]);
    for part in [
        "limits.credentials_per_agent",
        text(&first),
        &format!("created {}", text(&held[1]["createdAt"])),
        &format!("ends {}", text(&held[1]["expiresAt"])),
    ] {
        ran.refused(1, part);
    }
    assert!(
        !ran.stderr.contains(text(&held[0]["credentialId"])),
        "{ran:?}"
    );
    assert_eq!(
        credentials(home),
        held,
        "a refused rotation changed something"
    );
    // Without an overlap all old secrets end at once, even if their overlap has not passed.
    let third = rotate(home, "0");
    let held = credentials(home);
    assert_eq!(
        (held.len(), &held[0]["credentialId"]),
        (1, &third["credentialId"])
    );
}

#[test]
fn a_rotation_keeps_the_promise_of_the_one_before_or_is_refused() {
    each_secret_ends_when_it_was_promised(&Home::new());
}

#[tokio::test]
async fn a_rotation_keeps_the_promise_of_the_one_before_or_is_refused_on_postgres() {
    let database = Database::postgres().await;
    each_secret_ends_when_it_was_promised(&on_postgres(&database));
    database.remove().await;
}

#[test]
fn the_configuration_says_how_many_secrets_an_agent_may_have() {
    let home = Home::new().with("SEALWRIGHT_LIMITS__CREDENTIALS_PER_AGENT", "3");
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
    rotate(&home, "86400");
    rotate(&home, "600");
    let held = credentials(&home);
    assert_eq!(held.len(), 3);
    assert_eq!(held[0]["expiresAt"], json!(null));
    // The second rotation's overlap ends earlier, so it ends the first secret too.
    assert_eq!(held[1]["expiresAt"], held[2]["expiresAt"]);
    home.run(&["agent", "rotate-secret", "a", "--overlap", "1"])
        .refused(1, text(&held[2]["credentialId"]));
    let one = Home {
        environment: vec![(
            "SEALWRIGHT_LIMITS__CREDENTIALS_PER_AGENT".to_owned(),
            "1".to_owned(),
        )],
        ..home
    };
    let ran = one.run(&["agent", "rotate-secret", "a", "--overlap", "1"]);
    for credential in &held {
        ran.refused(1, text(&credential["credentialId"]));
    }
    rotate(&one, "0");
    one.run(&["agent", "rotate-secret", "a", "--overlap", "1"])
        .refused(1, "has no end");
    for bad in ["0", "11", "many"] {
        let home = Home::new().with("SEALWRIGHT_LIMITS__CREDENTIALS_PER_AGENT", bad);
        home.run(&["config", "check"]).refused(2, "1 to 10 secrets");
    }
}
