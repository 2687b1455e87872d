//! The values that tests/clients/run gives to every Rust client, and requests that a check sends
//! without the library.

pub mod front;
pub mod stub;

use std::error::Error;
use std::process::Command;

use serde_json::Value;

pub type Outcome = Result<(), Box<dyn Error>>;

/// A secret in the form of a real one. It belongs to no agent.
pub const WRONG_SECRET: &str = "sw_wrongxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

pub struct Given {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    pub service_id: String,
    pub service_secret: String,
    pub scope: String,
    /// The server's metadata (RFC 8414).
    pub metadata: Value,
}

impl Given {
    pub fn read() -> Result<Self, Box<dyn Error>> {
        let mut metadata = ureq::get(variable("METADATA")?).call()?;
        Ok(Self {
            issuer: variable("ISSUER")?,
            client_id: variable("CLIENT_ID")?,
            client_secret: variable("CLIENT_SECRET")?,
            service_id: variable("SERVICE_ID")?,
            service_secret: variable("SERVICE_SECRET")?,
            scope: variable("SCOPE")?,
            metadata: metadata.body_mut().read_json()?,
        })
    }

    pub fn endpoint(&self, name: &str) -> String {
        self.metadata[name].as_str().unwrap_or_default().to_owned()
    }

    /// Requests a token with these form parameters, for libraries that only verify tokens.
    pub fn request_token(&self, form: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
        let mut members = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
        ];
        members.extend(form);
        let mut answer = ureq::post(self.endpoint("token_endpoint")).send_form(members)?;
        let answer: Value = answer.body_mut().read_json()?;
        Ok(answer["access_token"]
            .as_str()
            .ok_or("no token")?
            .to_owned())
    }

    /// Revokes the client's own token, for libraries that cannot do it.
    pub fn revoke(&self, token: &str) -> Outcome {
        let form = [
            ("token", token),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
        ];
        ureq::post(self.endpoint("revocation_endpoint")).send_form(form)?;
        Ok(())
    }

    /// Revokes all tokens of the client, as an operator does.
    pub fn revoke_agent(&self) -> Outcome {
        let done = Command::new(variable("SEALWRIGHT")?)
            .args(["agent", "revoke-tokens", &self.client_id])
            .output()?;
        if done.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8(done.stderr)?.into())
        }
    }
}

/// What the checks have proven so far. The table of docs/clients.md has the same words.
#[derive(Default)]
pub struct Report(Vec<&'static str>);

impl Report {
    pub fn did(&mut self, what: &'static str) {
        self.0.push(what);
    }

    /// Prints the last line, which tests/clients/run reads. The version is the one in `Cargo.lock`.
    pub fn done(&self, package: &str) -> Outcome {
        let lock = include_str!("../Cargo.lock");
        let entry = lock
            .split_once(&format!("name = \"{package}\"\nversion = \""))
            .ok_or("not in the lock")?
            .1;
        let version = entry.split_once('"').ok_or("no version")?.0;
        println!("{version}: {}", self.0.join("; "));
        Ok(())
    }
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}
