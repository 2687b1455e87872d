//! AIRisk's flow (contract §6). `rows` tests V1 to V7; `codes`, where and when a code is valid;
//! `again`, a second exchange of a code; `pkce`, code challenges; `requests`, other requests to the
//! two paths.

mod again;
mod codes;
mod pkce;
mod requests;
mod rows;

use super::on_both;

use sealwright::testing::domain::agent::{RedirectUri, UserId};
use sealwright::testing::service::manage::patch::ProfilePatch;
use url::Url;

use crate::harness::answer::Answer;
use crate::harness::app::{Agent, TestApp, encode};

pub const AUTHORIZE: &str = "/api/oauth2";
pub const EXCHANGE: &str = "/api/oauth2/Token";

/// The redirect URIs of the agents of these tests, and the users that they may act for.
pub const CALLBACK: &str = "https://app.example/cb";
const WITH_QUERY: &str = "https://app.example/cb?tenant=1";
const USERS: [&str; 2] = ["user_42", "User 43"];

const REQUEST: &str = "Invalid request";
const CODE: &str = "Invalid Code";

/// An agent that may use the flow.
async fn agent(app: &TestApp<'_>) -> Agent {
    agent_with(app, "agents:read tokens:read").await
}

async fn agent_with(app: &TestApp<'_>, scopes: &str) -> Agent {
    agent_for(app, scopes, &USERS).await
}

/// An agent that may use the flow on behalf of these users.
pub async fn agent_for(app: &TestApp<'_>, scopes: &str, users: &[&str]) -> Agent {
    app.agent_like(None, scopes, |terms| {
        terms.redirect_uris = [CALLBACK, WITH_QUERY]
            .map(|uri| RedirectUri::parse(uri).unwrap())
            .to_vec();
        terms.user_ids = users
            .iter()
            .map(|user| UserId::parse(user).unwrap())
            .collect();
    })
    .await
}

/// A token about a user, from the exchange of a code.
pub async fn user_token(app: &TestApp<'_>, agent: &Agent, user: &str) -> String {
    let code = code_about(app, agent, user).await;
    let more = format!("&userid={}", encode(user));
    token_of(&exchange_at(app, agent, &code, CALLBACK, &more).await)
}

/// Changes an agent as an operator does.
async fn update(app: &TestApp<'_>, agent: &Agent, patch: ProfilePatch) {
    app.agents()
        .update(&agent.parsed_id(), &patch, &app.opened.operator())
        .await
        .unwrap();
}

/// Asks for a code.
async fn authorize(app: &TestApp<'_>, client_id: &str, redirect_uri: &str, more: &str) -> Answer {
    let query = format!(
        "client_id={}&redirect_uri={}{more}",
        encode(client_id),
        encode(redirect_uri)
    );
    app.get(&format!("{AUTHORIZE}?{query}")).await
}

/// The code in a redirect.
#[track_caller]
fn code_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 302, "{answer:?}");
    let location = Url::parse(answer.header("location")).unwrap();
    let codes: Vec<_> = location
        .query_pairs()
        .filter(|(name, _)| name == "code")
        .collect();
    assert_eq!(codes.len(), 1, "{answer:?}");
    codes[0].1.clone().into_owned()
}

/// A code for the callback.
pub async fn code(app: &TestApp<'_>, agent: &Agent) -> String {
    code_of(&authorize(app, &agent.id, CALLBACK, "").await)
}

/// A code for the callback about a user.
async fn code_about(app: &TestApp<'_>, agent: &Agent, user: &str) -> String {
    code_of(
        &authorize(
            app,
            &agent.id,
            CALLBACK,
            &format!("&userid={}", encode(user)),
        )
        .await,
    )
}

/// Exchanges a code that was sent to the callback.
async fn exchange(app: &TestApp<'_>, agent: &Agent, code: &str) -> Answer {
    exchange_at(app, agent, code, CALLBACK, "").await
}

pub async fn exchange_at(
    app: &TestApp<'_>,
    agent: &Agent,
    code: &str,
    redirect_uri: &str,
    more: &str,
) -> Answer {
    let parameters = format!(
        "code={}&redirect_uri={}{more}",
        encode(code),
        encode(redirect_uri)
    );
    app.post(EXCHANGE, &format!("{}&{parameters}", agent.form()))
        .await
}

/// The token of an exchange that was granted.
#[track_caller]
fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("access_token")
}

impl Answer {
    /// Demands a refusal with one line of text and without a redirect.
    #[track_caller]
    pub fn is_line(&self, line: &str) -> &Self {
        assert_eq!(self.header("content-type"), "text/plain", "{self:?}");
        assert!(self.headers.get("location").is_none(), "{self:?}");
        self.is(400, line)
    }

    /// Demands a problem document of RFC 9457 that names its request.
    #[track_caller]
    pub fn is_problem(&self, status: u16, title: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["title"], title);
        assert_eq!(body["status"], status);
        assert_eq!(body["traceId"], self.header("x-request-id"));
        assert!(self.headers.get("location").is_none(), "{self:?}");
        self.is_not_kept()
    }
}
