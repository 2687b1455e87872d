//! Agents: who may ask for tokens. Owns their fields; must not know their secrets.

use std::sync::Arc;

use url::Url;

use super::Invalid;
use super::about::About;
use super::id::AgentId;
use super::org::OrgId;
use super::quota::PlanName;
use super::refusal::Refusal;
use super::scope::Scope;
pub use super::status::{AgentStatus, SuspendedBy};
use super::time::Timestamp;
use super::ttl::Ttl;

/// An agent's name: 1–200 characters, without control characters. It need not be unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentName(Box<str>);

impl AgentName {
    /// Accepts 1–200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "a name is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A resource server that a token is for (`aud`): a URI, or a name written in the characters of a
/// URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(Arc<str>);

impl Audience {
    /// Accepts 1–512 of the characters of RFC 3986, with valid percent-encoding. A gateway
    /// separates two audiences with a space, so it could not demand an audience with other
    /// characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 512 || !is_written_as_uri(text) {
            return Err(Invalid(
                "an audience is 1 to 512 characters of a URI (RFC 3986), without spaces, others percent-encoded",
            ));
        }
        Ok(Self(text.into()))
    }

    /// An audience that an operator listed under the wider rule of an earlier release, or that
    /// comes from the issuer's own rule: 1–512 bytes that JSON need not escape. It stays in the
    /// list and in tokens, but a request cannot ask for it.
    pub fn parse_stored(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 512 || text.chars().any(grows_in_json) {
            return Err(Invalid(
                "a stored audience is 1 to 512 bytes without control characters, quotes and backslashes",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The audience as written in `aud`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether JSON writes the character with more bytes than it has. A token has a maximum length, so
/// each value in it must have a known maximum of bytes.
fn grows_in_json(c: char) -> bool {
    c.is_control() || c == '"' || c == '\\'
}

/// A user on whose behalf an agent may act: 1–256 bytes without control characters, quotes and
/// backslashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Accepts 1–256 bytes that JSON need not escape.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 256 || text.chars().any(grows_in_json) {
            return Err(Invalid(
                "a user id is 1 to 256 bytes without control characters, quotes and backslashes",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The id as written in `sub`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A registered redirect URI (contract §6): `https://`, or `http://` on loopback, without fragment
/// and user, and without the `code` and `state` that are added to it; at most 2,048 of the
/// characters of RFC 3986. It is compared as text, so it is kept exactly as registered. It is sent
/// unchanged in a `Location` header field, so every browser must read it as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Accepts an absolute URI that obeys the rule above.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid(
            "a redirect URI is https://, or http:// on loopback, in ASCII, without fragment and user, and \
             without code and state in its query",
        );
        // A browser reads a backslash as a slash, and drops characters that a URI cannot have.
        if text.len() > 2_048 || !is_written_as_uri(text) {
            return Err(fault);
        }
        // Without the slashes, a URI with the scheme of the page is a relative reference.
        let has_authority = text
            .split_once("://")
            .is_some_and(|(_, rest)| !rest.starts_with('/'));
        let url = Url::parse(text).map_err(|_| fault)?;
        let loopback = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let scheme_ok = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        let has_user = !url.username().is_empty() || url.password().is_some();
        // RFC 6749 §3.1: a parameter must not be sent twice, and these two are added to the
        // registered URI.
        let has_ours = url
            .query_pairs()
            .any(|(name, _)| name == "code" || name == "state");
        if !scheme_ok || !has_authority || has_user || has_ours || url.fragment().is_some() {
            return Err(fault);
        }
        Ok(Self(text.to_owned()))
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 3986 §2: whether the text has only a URI's characters, including the `#` of a fragment.
pub(crate) fn is_written_as_uri(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    text.bytes().all(allowed) && percent_is_followed_by_hex(text)
}

/// RFC 3986 §2.1: whether two hexadecimal digits follow each `%`.
fn percent_is_followed_by_hex(text: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    text.split('%')
        .skip(1)
        .all(|rest| is_hex(rest.as_bytes().first()) && is_hex(rest.as_bytes().get(1)))
}

/// Rises with each kill of an agent's tokens, to a number that no earlier epoch had. A token lives
/// only while its `epoch` claim equals its agent's epoch (contract D8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// What an operator decides about an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: AgentName,
    /// What people say about it.
    pub about: About,
    /// What the agent may have. Agents with equal terms may share them in memory.
    pub terms: Arc<Terms>,
    /// From this second on the agent is expired; `None` means never.
    pub expires_at: Option<Timestamp>,
}

impl Profile {
    /// Whether the agent is expired at `now`. Only the clock decides, so no clean-up has to run.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// The terms on which an agent gets tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The scopes that it may ask for.
    pub scopes: Vec<Scope>,
    /// The agent's own token lifetime; `None` means the server's default.
    pub ttl: Option<Ttl>,
    /// Its plan.
    pub plan: PlanName,
    /// The audiences that it may ask for; an empty list allows every audience.
    pub audiences: Vec<Audience>,
    /// Where authorization codes may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// The users on whose behalf it may act.
    pub user_ids: Vec<UserId>,
}

/// What happens to an agent's live tokens when its profile is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LiveTokens {
    /// They stay valid, with the rights that they have.
    #[default]
    Keep,
    /// They are killed in the same commit.
    Kill,
}

/// An agent as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id, which is its `client_id`.
    pub agent_id: AgentId,
    /// The organisation that it belongs to. It never changes.
    pub org_id: OrgId,
    /// What an operator decides.
    pub profile: Profile,
    /// Its state.
    pub status: AgentStatus,
    /// With whose authority it was suspended; `None` unless it is suspended.
    pub suspended_by: Option<SuspendedBy>,
    /// Raised in the same commit as each suspension, decommission or mass revocation.
    pub epoch: Epoch,
    /// Raised in the same commit as each change to the agent, its credentials or its plan.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Agent {
    /// Refuses an agent that is suspended, decommissioned or expired. Called only after the secret
    /// was verified (contract D6). The clock is read only for an agent that has an end.
    pub fn admit(&self, now: impl FnOnce() -> Timestamp) -> Result<(), Refusal> {
        self.status.admit()?;
        match self.profile.expires_at {
            Some(end) if end <= now() => Err(Refusal::AgentExpired),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_are_https_or_loopback_without_fragment() {
        for good in [
            "https://a.example/cb",
            "https://a.example/cb?x=1",
            "http://localhost:8080/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:9/cb",
            "https://a.example",
            "HTTPS://A.example/%C3%A9?x=1&y=(2)",
            "https://a.example/code?codes=1&x=code&state_=%20",
        ] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://a.example/cb",
            "https://a.example/cb#f",
            "javascript:alert(1)",
            "/cb",
            "https:",
            "http://localhost.evil.example/",
            "https://a.example/ b",
            "https://a.example/é",
            "https://é.example/",
            "https://a.example\\@b.example/",
            "https://a.example@b.example/",
            "https://u:p@b.example/",
            "https:a.example/cb",
            "https:/a.example/cb",
            "https:///a.example/cb",
            "http:///localhost/cb",
            "https://a.example/%",
            "https://a.example/%2",
            "https://a.example/%%41",
            "https://a.example/cb?x=%zz",
            "https://a.example/cb?code=1",
            "https://a.example/cb?x=1&state",
            "https://a.example/cb?%63ode=1",
        ] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_stands_in_a_token_is_no_longer_there() {
        for good in ["https://api.example", "urn:x:é", "a b"] {
            let stored = Audience::parse_stored(good).unwrap();
            assert_eq!(
                serde_json::json!(stored.as_str()).to_string().len(),
                good.len() + 2
            );
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a\"b", "a\\b", "a\nb", "\u{7f}", &"x".repeat(513)] {
            assert!(
                Audience::parse(bad).is_err() && Audience::parse_stored(bad).is_err(),
                "{bad:?}"
            );
            assert!(UserId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(UserId::parse(&"x".repeat(257)).is_err());
    }

    #[test]
    fn ids_keep_to_their_alphabet() {
        assert!(AgentId::parse("agt_abc123").is_ok());
        assert!(AgentId::parse(&"x".repeat(128)).is_ok());
        for bad in ["", "a b", "a/b", "é", &"x".repeat(129), "a\n"] {
            assert!(AgentId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
