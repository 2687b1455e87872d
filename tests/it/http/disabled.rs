//! The matrix of what stops a client, by command and over HTTP, and of the ways in: whatever stopped
//! it is in force on the next request, on the replica that did it and on another one.

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::patch::ProfilePatch;
use sealwright::testing::store::Freshness;
use serde_json::json;

use super::airisk::{CALLBACK, agent_for, code, exchange_at};
use super::introspect::INACTIVE;
use super::on_both;
use crate::harness::app::{
    AGENTS, Agent, INTROSPECT, OAUTH_TOKEN, REVOKE, TOKEN, TestApp, bearer, encode,
};

on_both! {
    whatever_stops_a_client_holds_at_every_way_in_on_the_next_request,
}

/// What stops a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Suspended,
    Decommissioned,
    /// The agent's end came.
    Expired,
    /// The agent's end was brought forward to now.
    ExpiredNow,
    /// The overlap of a rotation is over.
    CredentialExpired,
    /// A rotation had no overlap.
    CredentialEnded,
    /// The one credential was ended.
    CredentialRevoked,
}

const STOPS: [Stop; 7] = [
    Stop::Suspended,
    Stop::Decommissioned,
    Stop::Expired,
    Stop::ExpiredNow,
    Stop::CredentialExpired,
    Stop::CredentialEnded,
    Stop::CredentialRevoked,
];

/// How long an agent that expires, or a secret that was rotated, still lives.
const REST: i64 = 10;

impl Stop {
    /// The statuses at the canonical path, at `/oauth/token` and at AIRisk's.
    fn statuses(self) -> [u16; 3] {
        match self {
            Self::Suspended | Self::Expired | Self::ExpiredNow => [403, 403, 403],
            Self::Decommissioned => [403, 401, 403],
            _ => [401, 401, 401],
        }
    }

    /// Tokens that were got with a secret live on when the secret ends.
    fn kills_tokens(self) -> bool {
        self.statuses()[0] == 403
    }

    /// It comes by itself after [`REST`] seconds.
    fn comes_later(self) -> bool {
        matches!(self, Self::Expired | Self::CredentialExpired)
    }
}

/// What a client holds before it is stopped.
struct Client {
    agent: Agent,
    token: String,
    codes: [String; 2],
}

async fn client(app: &TestApp<'_>, other: &TestApp<'_>) -> Client {
    let agent = agent_for(app, "agents:read tokens:read", &["u"]).await;
    // Both replicas remember the agent, its secret and its token.
    let token = app.token(&agent).await;
    other.token(&agent).await;
    for replica in [app, other] {
        assert_eq!(replica.get_as(&bearer(&token), AGENTS).await.status, 200);
    }
    Client {
        codes: [code(app, &agent).await, code(app, &agent).await],
        agent,
        token,
    }
}

/// The one credential of the agent.
async fn credential(app: &TestApp<'_>, agent: &Agent) -> CredentialId {
    let store = &app.opened.store;
    let found = store.agent(&agent.parsed_id(), Freshness::Fresh).await;
    found.unwrap().unwrap().credentials[0].credential_id
}

async fn stop_by_command(app: &TestApp<'_>, agent: &Agent, stop: Stop) {
    let (agents, id, act) = (app.agents(), agent.parsed_id(), app.opened.operator());
    match stop {
        Stop::Suspended => app.suspend(agent).await,
        Stop::Decommissioned => app.decommission(agent).await,
        Stop::Expired | Stop::ExpiredNow => {
            let rest = if stop.comes_later() { REST } else { 0 };
            let end = Timestamp(app.clock.now().0 + rest);
            let patch = ProfilePatch {
                expires_at: Some(Some(end)),
                ..ProfilePatch::default()
            };
            agents.update(&id, &patch, &act).await.unwrap();
        }
        Stop::CredentialExpired => {
            app.rotate(agent, REST).await;
        }
        Stop::CredentialEnded => {
            app.rotate(agent, 0).await;
        }
        Stop::CredentialRevoked => {
            let credential = credential(app, agent).await;
            let ended = agents.end_credential(&id, credential, LiveTokens::Keep, &act);
            ended.await.unwrap();
        }
    }
}

async fn stop_over_http(app: &TestApp<'_>, admin: &str, agent: &Agent, stop: Stop) {
    let ends = |seconds| {
        let end = Timestamp(app.clock.now().0 + seconds).to_rfc3339();
        json!({ "expiresAt": end })
    };
    let (method, path, body) = match stop {
        Stop::Suspended => ("POST", "/suspend".to_owned(), json!({})),
        Stop::Decommissioned => ("DELETE", String::new(), json!({})),
        Stop::Expired => ("PATCH", String::new(), ends(REST)),
        Stop::ExpiredNow => ("PATCH", String::new(), ends(0)),
        Stop::CredentialExpired => {
            let body = json!({ "overlapSeconds": REST });
            ("POST", "/credentials/rotate".to_owned(), body)
        }
        Stop::CredentialEnded => ("POST", "/credentials/rotate".to_owned(), json!({})),
        Stop::CredentialRevoked => {
            let credential = credential(app, agent).await;
            ("DELETE", format!("/credentials/{credential}"), json!({}))
        }
    };
    let headers = [
        ("authorization", admin),
        ("content-type", "application/json"),
    ];
    let path = format!("{AGENTS}/{}{path}", agent.id);
    let answer = app.send(method, &path, &headers, body.to_string().into());
    let answer = answer.await;
    assert!((200..300).contains(&answer.status), "{stop:?}: {answer:?}");
}

async fn whatever_stops_a_client_holds_at_every_way_in_on_the_next_request(app: &TestApp<'_>) {
    let other = app.beside().await;
    let asker = app.agent("tokens:read").await;
    let admin = app.agent("agents:write admin:orgs").await;
    let by_command = STOPS.map(|what| (what, None));
    let over_http = STOPS.map(|what| (what, Some(&admin)));
    for (what, admin) in by_command.into_iter().chain(over_http) {
        let Client {
            agent,
            token,
            codes,
        } = client(app, &other).await;
        match admin {
            None => stop_by_command(app, &agent, what).await,
            Some(admin) => {
                let admin = bearer(&app.token(admin).await);
                stop_over_http(app, &admin, &agent, what).await;
            }
        }
        if what.comes_later() {
            app.clock.advance(REST - 1);
            assert_eq!(app.ask(&agent, "").await.status, 200);
            app.clock.advance(1);
        }
        let [canonical, oauth, airisk] = what.statuses();
        for (replica, code) in [&other, app].into_iter().zip(&codes) {
            let grant = "grant_type=client_credentials";
            let form = format!("{grant}&{}", agent.form());
            let presented = format!("token={}", encode(&token));
            let by_secret = [
                (canonical, replica.post(TOKEN, &form).await),
                (
                    canonical,
                    replica.post_as(&agent.basic(), TOKEN, grant).await,
                ),
                (oauth, replica.post(OAUTH_TOKEN, &form).await),
                (oauth, replica.post_json(OAUTH_TOKEN, &agent.json()).await),
                (
                    oauth,
                    replica.post_as(&agent.basic(), OAUTH_TOKEN, grant).await,
                ),
                (
                    airisk,
                    exchange_at(replica, &agent, code, CALLBACK, "").await,
                ),
                (
                    canonical,
                    replica
                        .post_as(&agent.basic(), INTROSPECT, &presented)
                        .await,
                ),
                (
                    canonical,
                    replica.post_as(&agent.basic(), REVOKE, &presented).await,
                ),
            ];
            for (place, (status, answer)) in by_secret.iter().enumerate() {
                assert_eq!(answer.status, *status, "{what:?} {place}: {answer:?}");
            }
            let (by_bearer, active) = if what.kills_tokens() {
                (401, false)
            } else {
                (200, true)
            };
            let bearer = bearer(&token);
            for (place, answer) in [
                replica.get_as(&bearer, AGENTS).await,
                replica
                    .get_as(&bearer, &format!("{AGENTS}/{}", agent.id))
                    .await,
                replica.post_as(&bearer, INTROSPECT, &presented).await,
                replica.get_as(&bearer, "/forward-auth").await,
            ]
            .iter()
            .enumerate()
            {
                assert_eq!(answer.status, by_bearer, "{what:?} {place}: {answer:?}");
            }
            let told = replica.introspect(&asker, &token).await;
            assert_eq!(told.body != INACTIVE, active, "{what:?}: {told:?}");
        }
    }
}
