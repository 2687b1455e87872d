//! Secrets and tokens, looked for in everything that a server leaves behind: its log with every
//! detail switched on, and what a crash leaves.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::client::{CALLBACK, get, post};
use crate::stage::cluster::Cluster;
use crate::stage::play;
use crate::stage::server::{Server, Site, signal};

/// What an agent's own secret looks like to somebody else.
const STRANGER: &str = "canary-of-a-stranger-4711";

#[test]
fn no_secret_and_no_token_is_in_the_log_or_in_a_crash_on_sqlite() {
    play(async { leave_nothing(Site::sqlite()).await });
}

#[test]
fn no_secret_and_no_token_is_in_the_log_or_in_a_crash_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        leave_nothing(Site::postgres(&cluster).await).await;
    });
}

async fn leave_nothing(mut site: Site) {
    site.set("SEALWRIGHT_LOG__FILTER", "trace");
    site.set("SEALWRIGHT_LOG__REQUESTS", "true");
    let agent = site.agent("canary", "unlimited");
    let log = site.folder().join("log.txt");
    let server = site.start_keeping_log(&log);
    let mut canaries = vec![agent.secret.clone(), STRANGER.to_owned()];
    canaries.extend(use_everywhere(&server, &agent.id, &agent.secret).await);
    let rotated = site.rotate(&agent, 60);
    canaries.push(rotated.secret.clone());
    canaries.extend(use_everywhere(&server, &agent.id, &rotated.secret).await);

    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let soft = core.unwrap().split_whitespace().nth(4);
    assert_eq!(soft, Some("0"), "{limits}");
    crash(server).await;
    let left: Vec<_> = files(site.folder()).collect();
    let dumps = left.iter().filter(|(name, _)| name.starts_with("core"));
    assert_eq!(dumps.count(), 0, "a core dump was left");
    let (_, text) = left.iter().find(|(name, _)| name == "log.txt").unwrap();
    assert!(
        text.len() > 10_000 && text.contains("\"DEBUG\""),
        "the log has no details"
    );
    for (name, text) in &left {
        for canary in &canaries {
            let at = text.find(canary.as_str());
            assert!(at.is_none(), "{name} holds a canary at {at:?}");
        }
    }
}

#[test]
fn core_dumps_are_left_where_the_configuration_allows_them() {
    play(async {
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_SERVER__CORE_DUMPS", "true");
        let server = site.start();
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = core.unwrap().split_whitespace().collect();
        assert_eq!(words[4], words[5], "{limits}");
    });
}

/// Sends the secret by every method to endpoints of every dialect, right and wrong. Returns what
/// must be found nowhere: the tokens' signatures and the Basic headers.
async fn use_everywhere(server: &Server, id: &str, secret: &str) -> Vec<String> {
    let mut client = server.client();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let (mut secrets, mut tokens) = (Vec::new(), Vec::new());
    for path in [
        "/api/v1/token",
        "/oauth/token",
        "/api/oauth2/Token",
        "/oauth2/token",
    ] {
        let reply = client.ask(&post(path, "", &form)).await;
        let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        tokens.extend(said["access_token"].as_str().map(str::to_owned));
    }
    for secret in [secret, STRANGER] {
        let basic = basic(id, secret);
        secrets.push(basic.rsplit(' ').next().unwrap().trim().to_owned());
        let body = "grant_type=client_credentials";
        client.ask(&post("/api/v1/token", &basic, body)).await;
        client
            .ask(&post("/api/v1/token/introspect", &basic, "token=x"))
            .await;
        // A secret in the wrong place.
        for path in [
            format!("/api/v1/agents/{secret}"),
            format!("/api/v1/agents?namePrefix={secret}"),
            format!("/{secret}"),
        ] {
            client.ask(&post(&path, &basic, &form)).await;
        }
        let code = format!("{form}&code={secret}&redirect_uri={CALLBACK}");
        client.ask(&post("/api/oauth2/Token", "", &code)).await;
    }
    assert!(tokens.len() >= 2, "no tokens were issued");
    for token in tokens {
        let bearer = format!("authorization: Bearer {token}\r\n");
        for path in [
            "/api/v1/agents",
            "/forward-auth",
            "/api/v1/token/introspect",
        ] {
            client
                .ask(&post(path, &bearer, &format!("token={token}")))
                .await;
        }
        client.ask(&get("/api/v1/agents", &bearer)).await;
        client
            .ask(&post(
                "/api/v1/token/revoke",
                &bearer,
                &format!("token={token}"),
            ))
            .await;
        secrets.push(token.rsplit('.').next().unwrap().to_owned());
    }
    secrets
}

/// The header of HTTP Basic.
fn basic(id: &str, secret: &str) -> String {
    let encoded = STANDARD.encode(format!("{id}:{secret}"));
    format!("authorization: Basic {encoded}\r\n")
}

/// Ends the process as a fault in it would.
async fn crash(mut server: Server) {
    signal(Signal::ABORT, server.pid());
    let status = server.ended().await;
    assert!(!status.success());
    server.read_log_to_its_end();
}

/// Every file of a folder, with its name and its text.
fn files(folder: &Path) -> impl Iterator<Item = (String, String)> {
    let listed = fs::read_dir(folder).unwrap();
    listed
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
}
