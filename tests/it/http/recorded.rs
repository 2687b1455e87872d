//! Replays recorded exchanges of other systems' clients byte for byte. They are in
//! `tests/vectors/`, one file for each dialect. The head of a file describes its format.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright::testing::domain::agent::{Audience, RedirectUri, UserId};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use serde::Deserialize;
use serde_json::Value;

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{Agent, ISSUER, TestApp, basic, claims};

on_both! {
    the_clients_of_oculus_and_orum_are_served,
    the_clients_of_airisk_are_served,
}

async fn the_clients_of_oculus_and_orum_are_served(app: &TestApp<'_>) {
    replay(app, include_str!("../../vectors/oculus_orum.json")).await;
}

async fn the_clients_of_airisk_are_served(app: &TestApp<'_>) {
    replay(app, include_str!("../../vectors/airisk.json")).await;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "about")]
    _about: String,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    row: String,
    name: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    agent: Given,
    steps: Vec<Step>,
}

/// The agent of an exchange.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    id: Option<String>,
    scopes: String,
    ttl: Option<i64>,
    audiences: Vec<String>,
    redirect_uris: Vec<String>,
    user_ids: Vec<String>,
}

impl Default for Given {
    fn default() -> Self {
        let scopes = "db:read".to_owned();
        Self {
            id: None,
            scopes,
            ttl: None,
            audiences: vec![],
            redirect_uris: vec![],
            user_ids: vec![],
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Step {
    Act {
        operator: String,
    },
    Ask {
        request: Request,
        reply: Reply,
        #[serde(default)]
        claims: BTreeMap<String, String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
}

/// Replays every exchange of a record, then fails with all differences.
async fn replay(app: &TestApp<'_>, text: &str) {
    let record: Record = serde_json::from_str(text).unwrap();
    for scope in ["db:read", "db:write"] {
        app.add_scope(scope).await;
    }
    let mut faults = Vec::new();
    for exchange in &record.exchanges {
        // After this time, nothing of the previous exchange is left on the revocation list.
        app.clock.advance(90_000);
        let settings: Vec<_> = exchange
            .settings
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        let configured = if settings.is_empty() {
            None
        } else {
            Some(app.beside_with(&settings).await)
        };
        if let Err(fault) = run(configured.as_ref().unwrap_or(app), exchange).await {
            faults.push(format!("{} {}: {fault}", exchange.row, exchange.name));
        }
    }
    let count = record.exchanges.len();
    assert!(
        faults.is_empty(),
        "{} of {count} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

async fn run(app: &TestApp<'_>, exchange: &Exchange) -> Result<(), String> {
    let given = &exchange.agent;
    let agent = app
        .agent_like(given.id.as_deref(), &given.scopes, |profile| {
            profile.ttl = given.ttl.map(|ttl| Ttl::new(ttl).unwrap());
            profile.audiences = given
                .audiences
                .iter()
                .map(|a| Audience::parse(a).unwrap())
                .collect();
            profile.redirect_uris = given
                .redirect_uris
                .iter()
                .map(|uri| RedirectUri::parse(uri).unwrap())
                .collect();
            profile.user_ids = given
                .user_ids
                .iter()
                .map(|user| UserId::parse(user).unwrap())
                .collect();
        })
        .await;
    let mut values = Values::of(&agent);
    for (number, step) in exchange.steps.iter().enumerate() {
        let done = match step {
            Step::Act { operator } => {
                act(app, &agent, operator).await;
                Ok(())
            }
            Step::Ask {
                request,
                reply,
                claims,
            } => {
                let answer = ask(app, request, &values).await;
                values
                    .see(reply, claims, &answer)
                    .map_err(|fault| format!("{fault}\n  in {answer:?}"))
            }
        };
        done.map_err(|fault| format!("step {}: {fault}", number + 1))?;
    }
    Ok(())
}

/// Does what an operator does to the agent, or moves the clock.
async fn act(app: &TestApp<'_>, agent: &Agent, what: &str) {
    match what {
        "suspend" => app.suspend(agent).await,
        "reactivate" => app.reactivate(agent).await,
        "decommission" => app.decommission(agent).await,
        "revoke its tokens" => app.revoke_tokens(agent).await,
        "use up its quota" => {
            app.token(agent).await;
            app.set_used(agent, 10_000).await;
        }
        other => app
            .clock
            .advance(other.strip_prefix("wait ").unwrap().parse().unwrap()),
    }
    app.state.list.refresh().await.unwrap();
}

async fn ask(app: &TestApp<'_>, request: &Request, values: &Values) -> Answer {
    let headers: Vec<(&str, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (&**name, values.fill(value)))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let (path, body) = (values.fill(&request.path), values.fill(&request.body));
    app.send(&request.method, &path, &headers, body.into_bytes())
        .await
}

/// The values of the names in braces.
struct Values(BTreeMap<String, String>);

impl Values {
    fn of(agent: &Agent) -> Self {
        let wrong = agent.forged_secret();
        let hashed = URL_SAFE_NO_PAD.encode(digest(&SHA256, agent.id.as_bytes()));
        let values = [
            ("id", agent.id.clone()),
            ("secret", agent.secret.clone()),
            ("basic", agent.basic()),
            ("wrong_basic", basic(&agent.id, &wrong)),
            ("wrong", wrong),
            ("hashed_id", hashed),
            ("issuer", ISSUER.to_owned()),
        ];
        Self(values.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// Compares a response with the expected one, and keeps the values that the response brings.
    fn see(
        &mut self,
        reply: &Reply,
        expected: &BTreeMap<String, String>,
        answer: &Answer,
    ) -> Result<(), String> {
        if answer.status != reply.status {
            return Err(format!("not the status {}", reply.status));
        }
        self.0.insert(
            "request_id".to_owned(),
            answer.header("x-request-id").to_owned(),
        );
        if reply.body.contains("{token}") {
            self.0.remove("token");
            self.0.remove("expiration");
        }
        let mut headers = BTreeMap::from([("cache-control", "no-store"), ("pragma", "no-cache")]);
        headers.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (&**name, &**value)),
        );
        for (name, value) in headers {
            self.take(value, answer.header(name))
                .map_err(|fault| format!("{name}: {fault}"))?;
        }
        self.take(&reply.body, &answer.body)?;
        if let Some(token) = self.0.get("token") {
            let claims = claims(token);
            self.0
                .insert("jti".to_owned(), claims["jti"].as_str().unwrap().to_owned());
            let expiration = Timestamp(claims["exp"].as_i64().unwrap()).to_rfc3339();
            if self
                .0
                .get("expiration")
                .is_some_and(|told| *told != expiration)
            {
                return Err(format!("the token expires at {expiration}"));
            }
            for (name, value) in expected {
                if claims[name] != Value::String(self.fill(value)) {
                    return Err(format!("the claim {name} is {}", claims[name]));
                }
            }
        }
        Ok(())
    }

    /// Demands that a text matches the pattern, and binds the names that have no value yet.
    fn take(&mut self, pattern: &str, text: &str) -> Result<(), String> {
        let pattern = self.fill(pattern);
        let differs = || format!("{text:?} is not {pattern:?}");
        let (mut pattern_left, mut text_left) = (&*pattern, text);
        let mut bound = Vec::new();
        while let Some((literal, name, rest)) = next_name(pattern_left) {
            text_left = text_left.strip_prefix(literal).ok_or_else(differs)?;
            let after = next_name(rest).map_or(rest, |(literal, ..)| literal);
            let end = if after.is_empty() {
                Some(text_left.len())
            } else {
                text_left.find(after)
            };
            let (value, text_rest) =
                text_left.split_at(end.filter(|end| *end > 0).ok_or_else(differs)?);
            bound.push((name.to_owned(), value.to_owned()));
            (pattern_left, text_left) = (rest, text_rest);
        }
        if pattern_left != text_left {
            return Err(differs());
        }
        self.0
            .extend(bound.into_iter().filter(|(name, _)| name != "*"));
        Ok(())
    }
}

/// The text up to the first name in braces, the name, and the rest. Braces of JSON are not names.
fn next_name(pattern: &str) -> Option<(&str, &str, &str)> {
    pattern.match_indices('{').find_map(|(at, _)| {
        let (name, rest) = pattern[at + 1..].split_once('}')?;
        let is_name = name == "*"
            || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        is_name.then_some((&pattern[..at], name, rest))
    })
}

#[test]
fn a_pattern_binds_its_names_and_nothing_else() {
    let mut values = Values(BTreeMap::from([("id".to_owned(), "a".to_owned())]));
    values
        .take(
            r#"{"x":{},"id":"{id}","t":"{t}","n":{*}}"#,
            r#"{"x":{},"id":"a","t":"1.2","n":3}"#,
        )
        .unwrap();
    assert_eq!((values.0.len(), &*values.0["t"]), (2, "1.2"));
    for (pattern, text) in [
        ("{t}", "1.3"),
        ("{u}", ""),
        ("x{u}", "y1"),
        ("{u};", "1"),
        ("{u};", "1;;"),
        ("", "x"),
    ] {
        assert!(values.take(pattern, text).is_err(), "{pattern} {text}");
    }
}
