//! The version of the revocation list that a command's own kill has, and who enforces it.

use serde_json::Value;

use crate::Home;

/// Every command that kills tells a version, later than the one before. The others tell none.
#[test]
fn a_kill_tells_the_version_of_the_revocation_list() {
    let home = Home::new();
    home.json(&["org", "create", "--name", "Acme", "--id", "acme"]);
    for id in ["a", "b"] {
        home.json(&[
            "agent",
            "create",
            "--name",
            id,
            "--client-id",
            id,
            "--scope",
            "audit:read",
        ]);
    }
    let (nothing, kill) = (false, true);
    let steps: [(&[&str], bool); 13] = [
        (&["agent", "reactivate", "a"], nothing),
        (&["agent", "suspend", "a"], kill),
        (&["agent", "suspend", "a"], nothing),
        (&["agent", "reactivate", "a"], nothing),
        (&["agent", "revoke-tokens", "a"], kill),
        (&["agent", "decommission", "a"], kill),
        (&["agent", "decommission", "a"], nothing),
        (
            &["agent", "bulk", "suspend", "--id", "b", "--dry-run"],
            nothing,
        ),
        (&["agent", "bulk", "suspend", "--id", "b"], kill),
        (&["agent", "bulk", "suspend", "--id", "b"], nothing),
        (&["org", "suspend", "acme"], kill),
        (&["org", "suspend", "acme"], nothing),
        (&["org", "revoke-tokens", "acme"], kill),
    ];
    let mut newest = 0;
    for (command, kills) in steps {
        let version = home.json(command)["revocationVersion"].as_i64();
        assert_eq!(version.is_some(), kills, "{command:?}");
        assert!(
            version.is_none_or(|version| version > newest),
            "{command:?}"
        );
        newest = version.unwrap_or(newest);
    }
    // It is what `revocation watch` takes, and waits for without being told.
    for given in [&["--version", &newest.to_string()][..], &[]] {
        let watched = home.run(&[&["revocation", "watch", "--json"], given].concat());
        let told: Value = serde_json::from_str(&watched.stdout).unwrap();
        assert_eq!((watched.code, &told["version"]), (1, &newest.into()));
        assert!(watched.stderr.contains("no verifier has reported"));
    }
}
