//! An agent with its secret, and the forms in which a request carries both.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealwright::testing::domain::id::AgentId;
use serde_json::Value;

/// An agent and its secret.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    pub secret: String,
}

impl Agent {
    /// The agent's credentials as form parameters.
    pub fn form(&self) -> String {
        format!(
            "client_id={}&client_secret={}",
            encode(&self.id),
            encode(&self.secret)
        )
    }

    /// The agent's credentials as a JSON object.
    pub fn json(&self) -> String {
        serde_json::json!({ "client_id": self.id, "client_secret": self.secret }).to_string()
    }

    /// The agent's credentials as an `Authorization` header.
    pub fn basic(&self) -> String {
        basic(&self.id, &self.secret)
    }

    /// The same agent with another secret.
    pub fn with_secret(&self, secret: &str) -> Self {
        Self {
            id: self.id.clone(),
            secret: secret.to_owned(),
        }
    }

    /// The agent's secret with the last character changed.
    pub fn forged_secret(&self) -> String {
        let (head, last) = self.secret.split_at(self.secret.len() - 1);
        format!("{head}{}", if last == "x" { "y" } else { "x" })
    }

    pub fn parsed_id(&self) -> AgentId {
        AgentId::parse(&self.id).unwrap()
    }
}

/// An `Authorization` header of the Basic scheme, form-encoded as RFC 6749 §2.3.1 demands.
pub fn basic(id: &str, secret: &str) -> String {
    raw_basic(format!("{}:{}", encode(id), encode(secret)))
}

/// An `Authorization` header of the Basic scheme around these bytes.
pub fn raw_basic(bytes: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(bytes))
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Form-encodes a value.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token, unverified.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, which: usize) -> Value {
    let text = token.split('.').nth(which).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
