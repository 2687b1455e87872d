//! The matrix of what stops a client and of the ways in: whatever stopped it is in force on the next
//! request, on the replica that did it and on another one.

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::patch::ProfilePatch;

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
}

const STOPS: [Stop; 6] = [
    Stop::Suspended,
    Stop::Decommissioned,
    Stop::Expired,
    Stop::ExpiredNow,
    Stop::CredentialExpired,
    Stop::CredentialEnded,
];

impl Stop {
    /// The statuses at the canonical path, at `/oauth/token` and at AIRisk's.
    fn statuses(self) -> [u16; 3] {
        match self {
            Self::Suspended | Self::Expired | Self::ExpiredNow => [403, 403, 403],
            Self::Decommissioned => [403, 401, 403],
            Self::CredentialExpired | Self::CredentialEnded => [401, 401, 401],
        }
    }

    /// Tokens that were got with a secret live on when the secret ends.
    fn kills_tokens(self) -> bool {
        !matches!(self, Self::CredentialExpired | Self::CredentialEnded)
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

async fn stop(app: &TestApp<'_>, agent: &Agent, stop: Stop) {
    let end_in = async |seconds| {
        let end = Timestamp(app.clock.now().0 + seconds);
        let patch = ProfilePatch {
            expires_at: Some(Some(end)),
            ..ProfilePatch::default()
        };
        let act = app.opened.operator();
        app.agents()
            .update(&agent.parsed_id(), &patch, &act)
            .await
            .unwrap();
    };
    match stop {
        Stop::Suspended => app.suspend(agent).await,
        Stop::Decommissioned => app.decommission(agent).await,
        Stop::Expired => {
            end_in(10).await;
            app.clock.advance(9);
            assert_eq!(app.ask(agent, "").await.status, 200);
            app.clock.advance(1);
        }
        Stop::ExpiredNow => end_in(0).await,
        Stop::CredentialExpired => {
            app.rotate(agent, 10).await;
            app.clock.advance(9);
            assert_eq!(app.ask(agent, "").await.status, 200);
            app.clock.advance(1);
        }
        Stop::CredentialEnded => {
            app.rotate(agent, 0).await;
        }
    }
}

async fn whatever_stops_a_client_holds_at_every_way_in_on_the_next_request(app: &TestApp<'_>) {
    let other = app.beside().await;
    let asker = app.agent("tokens:read").await;
    for what in STOPS {
        let Client {
            agent,
            token,
            codes,
        } = client(app, &other).await;
        stop(app, &agent, what).await;
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
