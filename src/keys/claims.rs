//! The wire format of a token: RFC 9068 header and claims, written and read.
//!
//! Owns which claims a token has. Must not know how a token is signed, or whether it lives.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::agent::Audience;
use crate::domain::ttl::Risk;
use crate::store::Recorded;

/// The maximum length of a token in bytes. A longer token is refused unread. Every minted token is
/// shorter.
pub(crate) const MAX_TOKEN_BYTES: usize = 8_192;

/// The header of a minted token (RFC 9068 §2.1).
#[derive(Serialize)]
pub(crate) struct TokenHeader<'a> {
    /// Always `RS256`.
    pub alg: &'static str,
    /// `at+jwt`, or `JWT` where configured.
    pub typ: &'static str,
    /// The signing key.
    pub kid: &'a str,
}

/// The header of a presented token. Any other member is refused: `crit` (RFC 7515 §4.1.11), and
/// `jwk`, `jku`, `x5u`, `x5c`, which must never choose a key (RFC 8725 §3.10).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresentedHeader {
    /// The algorithm that the token claims to be signed with.
    pub alg: String,
    /// The type that the token claims to have.
    pub typ: String,
    /// The key that the token names. It is the attacker's data until the signature is verified.
    pub kid: String,
}

/// `aud`: a string, or an array of them (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Aud {
    /// A single audience.
    One(String),
    /// Several audiences.
    Many(Vec<String>),
}

impl Aud {
    /// Whether `audience` is among the audiences.
    pub fn contains(&self, audience: &str) -> bool {
        self.as_slice().iter().any(|a| a == audience)
    }

    /// All audiences, however many there are.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The claims of a genuine token. Times must be JSON integers. This server never minted a token
/// with another type there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// The agent, or the user on whose behalf it acts.
    pub sub: String,
    /// Audience.
    pub aud: Aud,
    /// The agent.
    pub client_id: String,
    /// Granted scopes, space-separated.
    pub scope: String,
    /// The token's id.
    pub jti: String,
    /// The agent's epoch when the token was counted.
    pub epoch: i64,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Expires at, Unix seconds: the token is expired from this second on.
    pub exp: i64,
    /// `high` if a granted scope is high-risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Not before (RFC 7519 §4.1.5). This server never mints a token with it, so a token that has
    /// it is refused.
    #[serde(default, deserialize_with = "refuse")]
    pub nbf: (),
}

fn refuse<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("a claim that is never minted"))
}

impl Claims {
    /// Whether `scope` was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|s| s == scope)
    }
}

#[derive(Serialize)]
struct Minted<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: MintedAud<'a>,
    client_id: &'a str,
    scope: &'a str,
    jti: uuid::fmt::Hyphenated,
    epoch: i64,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MintedAud<'a> {
    One(&'a str),
    Many(Vec<&'a str>),
}

/// The claims of a recorded token as JSON (contract §2).
pub(crate) fn encode(issuer: &str, recorded: &Recorded) -> Vec<u8> {
    let grant = recorded.grant();
    let minted = Minted {
        iss: issuer,
        sub: grant.subject(),
        aud: match grant.audience() {
            [one] => MintedAud::One(one.as_str()),
            many => MintedAud::Many(many.iter().map(Audience::as_str).collect()),
        },
        client_id: grant.agent_id().as_str(),
        scope: grant.scope(),
        jti: grant.jti().0.hyphenated(),
        epoch: recorded.epoch().0,
        iat: recorded.issued_at().0,
        exp: recorded.expires_at().0,
        risk: (grant.risk() == Risk::High).then_some("high"),
    };
    // Strings and integers always serialise. If they did not, the empty payload would only fail to
    // verify.
    serde_json::to_vec(&minted).unwrap_or_default()
}

/// The header of a token that has the shape of this server's tokens: at most [`MAX_TOKEN_BYTES`]
/// bytes, three parts, and a header with exactly the three known members. The signature is not
/// checked here.
pub(crate) fn read_header(token: &str) -> Option<PresentedHeader> {
    if token.len() > MAX_TOKEN_BYTES || token.bytes().filter(|b| *b == b'.').count() != 2 {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}
