//! Who runs a command, and why: both stand in the event of the change.

use sqlx::{Connection as _, SqliteConnection};

use crate::{Home, text};

/// The actor and the reason of each event, oldest first.
fn events(home: &Home) -> Vec<(String, String)> {
    let path = home.path("sealwright-data/sealwright.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut conn = SqliteConnection::connect(path.to_str().unwrap())
            .await
            .unwrap();
        let sql = "select actor, coalesce(reason, '-') from audit_event order by id";
        sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap()
    })
}

#[test]
fn every_command_that_changes_something_takes_a_reason() {
    let home = Home::new();
    home.write(
        "agents.csv",
        "clientId,scopes,secret\nimported,agents:read,0123456789abcdef\n",
    );
    for (number, line) in [
        "agent create --name n --client-id a --scope agents:read",
        "agent update a --name m",
        "agent suspend a",
        "agent reactivate a",
        "agent rotate-secret a --overlap 60",
        "credential rotate a",
        "credential create --name m",
        "agent revoke-tokens --name m",
        "agent decommission a",
        "agent import agents.csv",
        "scope add x:read --description d",
        "scope update x:read --high-risk",
        "key rotate",
        "token revoke --jti 00000000-0000-0000-0000-000000000001",
    ]
    .into_iter()
    .enumerate()
    {
        let before = home
            .path("sealwright-data")
            .exists()
            .then(|| events(&home).len());
        let reason = format!("INC-{number}: \u{1f600} \"why\"");
        let run = |reason: &str| {
            let words = line.split(' ').chain(["--reason", reason]);
            home.run(&words.collect::<Vec<_>>())
        };
        let ran = run(&reason);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let all = events(&home);
        // The first command also makes keys, which nobody gave a reason for.
        let new = all[before.unwrap_or(0)..]
            .iter()
            .filter(|(actor, _)| actor != "system");
        let new: Vec<_> = new.collect();
        assert!(!new.is_empty(), "{line}: {all:?}");
        for (actor, told) in new {
            assert_eq!(told, &reason, "{line}");
            let (user, host) = actor
                .strip_prefix("operator:")
                .unwrap()
                .rsplit_once('@')
                .unwrap();
            assert!(!user.is_empty() && !host.is_empty(), "{actor}");
        }
        for long in ["x".repeat(201), "\n".to_owned(), String::new()] {
            run(&long).refused(2, "--reason <TEXT>");
        }
        assert_eq!(events(&home).len(), all.len(), "{line}");
    }
}

#[test]
fn a_command_that_changes_nothing_takes_no_reason() {
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
    for line in [
        "agent list",
        "agent show a",
        "credential list a",
        "scope list",
        "key list",
    ] {
        let arguments: Vec<&str> = line.split(' ').chain(["--reason", "x"]).collect();
        home.run(&arguments).refused(2, "--reason");
    }
    assert_eq!(text(&home.json(&["agent", "show", "a"])["agentId"]), "a");
}
