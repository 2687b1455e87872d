//! The command line on PostgreSQL: it gives the same answers, and only `migrate` migrates.

use serde_json::json;

use crate::database::Database;
use crate::{Home, text};

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[tokio::test]
async fn only_migrate_migrates_and_every_command_works_then() {
    let database = Database::postgres_without_schema().await;
    let home = Home::new().with("SEALWRIGHT_DATABASE__URL", database.url());
    let keyed = Home::new()
        .with("SEALWRIGHT_DATABASE__URL", database.url())
        .with("SEALWRIGHT_KEYS__MASTER_KEY", MASTER_KEY);
    for command in [
        &["agent", "list"][..],
        &["key", "rotate"],
        &["scope", "list"],
        &["serve"],
    ] {
        keyed.run(command).refused(1, "sealwright migrate");
    }
    for _ in 0..2 {
        assert_eq!(home.run(&["migrate"]).code, 0);
    }
    let made = keyed.json(&[
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        "a",
        "--scope",
        "agents:read",
    ]);
    assert!(text(&made["clientSecret"]).starts_with("sw_"));
    keyed
        .run(&[
            "agent",
            "create",
            "--name",
            "n",
            "--client-id",
            "a",
            "--scope",
            "",
        ])
        .refused(1, "exists already");
    let steps = [
        ("suspend", "suspended"),
        ("reactivate", "active"),
        ("decommission", "decommissioned"),
    ];
    for (verb, status) in steps {
        assert_eq!(keyed.json(&["agent", verb, "a"])["status"], status);
    }
    keyed
        .run(&["agent", "reactivate", "a"])
        .refused(1, "decommissioned");
    keyed.write(
        "a.csv",
        "clientId,secret,scopes,status\na,x,,\nb,secret,agents:read,suspended\n",
    );
    let ran = keyed.run(&["agent", "import", "a.csv", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&report["imported"], &report["refusals"][0]["line"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(keyed.json(&["agent", "show", "b"])["status"], "suspended");
    assert_eq!(keyed.json(&["agent", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(keyed.json(&["key", "rotate"])["state"], "signing");
    database.remove().await;
}
