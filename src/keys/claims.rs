//! The wire format of a token: RFC 9068 header and claims, written and read.
//!
//! Owns which claims a token has. Must not know how a token is signed, or whether it lives.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::agent::Audience;
use crate::domain::ttl::Risk;
use crate::json::{write_integer, write_string};
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
    /// The agent's organization, if it is not the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// The organization's epoch when the token was counted, beside `org_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_epoch: Option<i64>,
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

/// The claims of a token that is being minted (contract §2).
#[cfg_attr(test, derive(Serialize))]
struct Minted<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: MintedAud<'a>,
    client_id: &'a str,
    scope: &'a str,
    jti: uuid::fmt::Hyphenated,
    epoch: i64,
    #[cfg_attr(test, serde(flatten, skip_serializing_if = "Option::is_none"))]
    org: Option<MintedOrg<'a>>,
    iat: i64,
    exp: i64,
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    risk: Option<&'static str>,
}

#[cfg_attr(test, derive(Serialize))]
#[cfg_attr(test, serde(untagged))]
enum MintedAud<'a> {
    One(&'a str),
    Many(Vec<&'a str>),
}

#[cfg_attr(test, derive(Serialize))]
struct MintedOrg<'a> {
    org_id: &'a str,
    org_epoch: i64,
}

/// The room that claims get at first. Most are shorter.
const USUAL_BYTES: usize = 512;

impl Minted<'_> {
    /// The claims as JSON, with the members in order. Every token is written, so no general
    /// serializer is.
    fn to_json(&self) -> String {
        let mut out = String::with_capacity(USUAL_BYTES);
        out.push_str(r#"{"iss":"#);
        write_string(self.iss, &mut out);
        out.push_str(r#","sub":"#);
        write_string(self.sub, &mut out);
        out.push_str(r#","aud":"#);
        self.aud.write(&mut out);
        out.push_str(r#","client_id":"#);
        write_string(self.client_id, &mut out);
        out.push_str(r#","scope":"#);
        write_string(self.scope, &mut out);
        out.push_str(r#","jti":""#);
        let mut jti = [0; uuid::fmt::Hyphenated::LENGTH];
        out.push_str(self.jti.encode_lower(&mut jti));
        out.push_str(r#"","epoch":"#);
        write_integer(self.epoch, &mut out);
        if let Some(org) = &self.org {
            out.push_str(r#","org_id":"#);
            write_string(org.org_id, &mut out);
            out.push_str(r#","org_epoch":"#);
            write_integer(org.org_epoch, &mut out);
        }
        out.push_str(r#","iat":"#);
        write_integer(self.iat, &mut out);
        out.push_str(r#","exp":"#);
        write_integer(self.exp, &mut out);
        if let Some(risk) = self.risk {
            out.push_str(r#","risk":"#);
            write_string(risk, &mut out);
        }
        out.push('}');
        out
    }
}

impl MintedAud<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::One(one) => write_string(one, out),
            Self::Many(many) => {
                out.push('[');
                for (index, one) in many.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(one, out);
                }
                out.push(']');
            }
        }
    }
}

/// The claims of a recorded token as JSON (contract §2).
pub(crate) fn encode(issuer: &str, recorded: &Recorded) -> String {
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
        org: grant.org().map(|(org_id, epoch)| MintedOrg {
            org_id: org_id.as_str(),
            org_epoch: epoch.0,
        }),
        iat: recorded.issued_at().0,
        exp: recorded.expires_at().0,
        risk: (grant.risk() == Risk::High).then_some("high"),
    };
    minted.to_json()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn claims_are_written_as_a_serializer_does(
            texts in proptest::array::uniform4(any::<String>()),
            audience in proptest::collection::vec(any::<String>(), 0..4),
            jti in any::<u128>(),
            numbers in proptest::array::uniform3(any::<i64>()),
            is_high in any::<bool>(),
            org in proptest::option::of((any::<String>(), any::<i64>())),
        ) {
            let [iss, sub, client_id, scope] = texts.each_ref().map(String::as_str);
            let minted = Minted {
                iss,
                sub,
                aud: match audience.as_slice() {
                    [one] => MintedAud::One(one),
                    many => MintedAud::Many(many.iter().map(String::as_str).collect()),
                },
                client_id,
                scope,
                jti: uuid::Uuid::from_u128(jti).hyphenated(),
                epoch: numbers[0],
                org: org.as_ref().map(|(org_id, org_epoch)| MintedOrg { org_id, org_epoch: *org_epoch }),
                iat: numbers[1],
                exp: numbers[2],
                risk: is_high.then_some("high"),
            };
            prop_assert_eq!(minted.to_json(), serde_json::to_string(&minted).unwrap());
        }
    }
}
