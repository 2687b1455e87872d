//! `backup` and `restore` of a SQLite store.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::server::{Server, start, start_in};
use crate::{Home, text};

const DATABASE: &str = "sealwright-data/sealwright.db";

fn create_agent(home: &Home, id: &str) -> String {
    let create = [
        "agent",
        "create",
        "--name",
        "n",
        "--client-id",
        id,
        "--scope",
        "tokens:read",
    ];
    text(&home.json(&create)["clientSecret"]).to_owned()
}

/// A new token of the agent `a`.
async fn token(server: &Server, secret: &str) -> String {
    let (status, reply) = server.token("a", secret).await;
    assert_eq!(status, 200, "{reply}");
    text(&reply["access_token"]).to_owned()
}

/// Stops a server in order.
fn stop(mut server: Server) -> Home {
    server.stop();
    server.take_home()
}

/// Kills a server.
fn kill(mut server: Server) -> Home {
    server.kill();
    server.take_home()
}

#[tokio::test]
async fn a_backup_beside_a_server_is_restored_without_what_was_killed_since() {
    let server = start();
    let secret = create_agent(&server.home, "a");
    let backup = server.home.path("backup.db");
    let made = server.home.json(&["backup", "backup.db"]);
    assert_eq!(made["bytes"], fs::metadata(&backup).unwrap().len());
    let allowed = fs::metadata(&backup).unwrap().permissions();
    assert_eq!(allowed.mode() & 0o777, 0o600);
    server
        .home
        .run(&["backup", "backup.db"])
        .refused(1, "is there already");
    let lost = token(&server, &secret).await;
    server.home.json(&["agent", "suspend", "a"]);
    server
        .home
        .run(&["restore", "backup.db"])
        .refused(1, "Stop the server first");
    let home = stop(server);
    let done = home.json(&["restore", "backup.db"]);
    assert_eq!(done["agents"], 2); // With the operator of the first start.
    let kept = Path::new(text(&done["kept"]));
    assert!(kept.is_file(), "{done}");
    let server = start_in(home);
    let new = token(&server, &secret).await;
    for (token, verdict) in [(&lost, "killed"), (&new, "active")] {
        let found = server.home.json(&["token", "inspect", token]);
        assert_eq!(found["verdict"], verdict, "{found}");
    }
}

#[test]
fn a_backup_that_was_copied_into_place_is_served_only_after_an_acknowledgement() {
    let home = Home::new();
    home.make_store();
    home.json(&["backup", "backup.db"]);
    fs::copy(home.path("backup.db"), home.path(DATABASE)).unwrap();
    let refused = home.run(&["serve"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("sealwright restore --acknowledge"),
        "{refused:?}"
    );
    home.json(&["restore", "--acknowledge"]);
    home.run(&["restore", "--acknowledge"])
        .refused(1, "bears no sign");
    home.json(&["restore", "--acknowledge", "--force"]);
}

#[tokio::test]
async fn a_copy_of_a_live_file_without_its_log_is_refused() {
    let server = start();
    let secret = create_agent(&server.home, "a");
    let (database, copy) = (server.home.path(DATABASE), server.home.path("copy.db"));
    fs::copy(&database, &copy).unwrap();
    let home = stop(server);
    home.run(&["restore", "copy.db"])
        .refused(1, "sealwright backup");
    fs::copy(&copy, &database).unwrap();
    for command in [&["serve"][..], &["agent", "list"]] {
        home.run(command).refused(1, "sealwright backup");
    }
    // It is taken all the same, if the operator says so.
    home.json(&["restore", "--acknowledge"]);
    let server = start_in(home);
    // The copy may be from before the agent was made.
    assert!([200, 401].contains(&server.token("a", &secret).await.0));
}

#[tokio::test]
async fn a_server_that_was_killed_leaves_a_file_that_is_no_copy() {
    let server = start();
    let secret = create_agent(&server.home, "a");
    let home = kill(server);
    let server = start_in(home);
    assert_eq!(server.token("a", &secret).await.0, 200);
    let home = kill(server);
    // Both commands move the log into the file.
    home.json(&["backup", "backup.db"]);
    let server = start_in(home);
    let home = kill(server);
    home.json(&["agent", "list"]);
    let server = start_in(home);
    assert_eq!(server.token("a", &secret).await.0, 200);
}

#[test]
fn a_restore_that_cannot_be_done_changes_nothing() {
    let home = Home::new();
    home.make_store();
    home.write("text", "no database");
    home.run(&["restore", "text"]).refused(1, "is no database");
    home.run(&["restore", "missing"]).refused(1, "missing");
    home.run(&["restore"]).refused(2, "FILE");
    let other = Home::new();
    other.make_store();
    other.json(&["backup", "backup.db"]);
    fs::copy(other.path("backup.db"), home.path("backup.db")).unwrap();
    home.run(&["restore", "backup.db"]).refused(1, "master key");
    home.json(&["agent", "list"]);
}

#[test]
fn on_a_new_machine_a_backup_and_its_master_key_are_enough() {
    let old = Home::new();
    create_agent(&old, "a");
    old.json(&["backup", "backup.db"]);
    let new = Home::new();
    fs::copy(old.path("backup.db"), new.path("backup.db")).unwrap();
    new.run(&["restore", "backup.db"])
        .refused(1, "needs the master key of its day");
    fs::copy(
        old.path("sealwright-data/master.key"),
        new.path("sealwright-data/master.key"),
    )
    .unwrap();
    let done = new.json(&["restore", "backup.db"]);
    assert!(done["kept"].is_null());
    assert_eq!(new.json(&["agent", "show", "a"])["agentId"], "a");
}

/// The commands of the page on operations, in the order of the page.
#[test]
fn the_commands_of_the_page_on_operations_back_up_and_restore() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with("Back up"));
    let lines = section.unwrap().lines();
    let commands: Vec<Vec<&str>> = lines
        .filter_map(|line| line.strip_prefix("sealwright "))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let [back_up, restore, acknowledge] = &commands[..] else {
        panic!("{commands:?}");
    };
    let home = Home::new();
    home.make_store();
    let _ = home.json(back_up);
    let _ = home.json(restore);
    fs::copy(home.path(back_up[1]), home.path(DATABASE)).unwrap();
    let _ = home.json(acknowledge);
}
