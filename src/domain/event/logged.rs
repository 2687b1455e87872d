//! An event as it is listed, exported, hashed and sent: one line of canonical JSON.
//!
//! Must not know what an event of a kind says.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::canonical::{NotCanonical, SafeInteger, canonicalize_object, write_integer};
use crate::domain::digest::{hex, sha256};
use crate::domain::id::{AgentId, CredentialId, Jti};
use crate::domain::time::Timestamp;
use crate::json::write_string;

use super::kind::EventKind;
use super::request::RequestRef;
use super::source::EventSource;

/// The most bytes of a detail. Of a longer one, an event tells the length and the hash.
pub(crate) const MAX_DETAIL_BYTES: usize = 16_384;

/// What an event says besides its other members: a canonical JSON object of at most 16 KiB. Cheap
/// to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Detail(Arc<str>);

impl Detail {
    /// The detail with these members, or the length and the hash of their canonical bytes if these
    /// are more than 16 KiB.
    pub fn new(members: &Map<String, Value>) -> Result<Self, NotCanonical> {
        let text = canonicalize_object(members)?;
        if text.len() <= MAX_DETAIL_BYTES {
            return Ok(Self(text.into()));
        }
        let hash = hex(&sha256(text.as_bytes()));
        let cut = format!("{{\"bytes\":{},\"sha256\":\"{hash}\"}}", text.len());
        Ok(Self(cut.into()))
    }

    /// The detail that a store holds as the text of a JSON object.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let members: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| Invalid("a stored detail is a JSON object"))?;
        Ok(Self::new(&members)?)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event with its id. Its members are what its bytes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Who caused it: `agent:<id>`, `operator:<user>@<host>` or `system`.
    pub actor: Arc<str>,
    /// The agent that it concerns.
    pub agent_id: Option<AgentId>,
    /// When it happened.
    pub at: Timestamp,
    /// The credential that it concerns, or with which the actor authenticated.
    pub credential_id: Option<CredentialId>,
    /// What is fixed for its kind.
    pub detail: Option<Detail>,
    /// The agent's epoch, which an issued token carries.
    pub epoch: Option<SafeInteger>,
    /// When the token expires that it concerns.
    pub exp: Option<Timestamp>,
    /// Its id. Ids rise, but not without gaps.
    pub id: SafeInteger,
    /// The token that it concerns.
    pub jti: Option<Jti>,
    /// Its kind.
    pub kind: EventKind,
    /// The organisation that it concerns.
    pub org_id: Option<String>,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<RequestRef>,
    /// The scopes of an issued token, joined by spaces.
    pub scope: Option<Arc<str>>,
    /// Where the request came from, as precisely as events may tell it.
    pub source: Option<EventSource>,
}

impl LoggedEvent {
    /// The event in canonical JSON (RFC 8785).
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = String::with_capacity(512);
        self.write_to(&mut out);
        out.into_bytes()
    }

    /// Appends the event in canonical JSON (RFC 8785): for readers of many events, which keep their
    /// buffer.
    pub fn write_to(&self, out: &mut String) {
        // RFC 8785 §3.2.3: in the order of the names. The destructuring leaves no member out.
        let Self {
            actor,
            agent_id,
            at,
            credential_id,
            detail,
            epoch,
            exp,
            id,
            jti,
            kind,
            org_id,
            reason,
            request_id,
            scope,
            source,
        } = self;
        out.push_str("{\"actor\":");
        write_string(actor, out);
        if let Some(agent_id) = agent_id {
            write_plain("agentId", agent_id.as_str(), out);
        }
        write_time("at", *at, out);
        if let Some(credential_id) = credential_id {
            write_uuid("credentialId", credential_id.0, out);
        }
        if let Some(detail) = detail {
            out.push_str(",\"detail\":");
            out.push_str(detail.as_str());
        }
        if let Some(epoch) = epoch {
            out.push_str(",\"epoch\":");
            write_integer(*epoch, out);
        }
        if let Some(exp) = exp {
            write_time("exp", *exp, out);
        }
        out.push_str(",\"id\":");
        write_integer(*id, out);
        if let Some(jti) = jti {
            write_uuid("jti", jti.0, out);
        }
        write_plain("kind", kind.as_str(), out);
        write_text("orgId", org_id.as_deref(), out);
        write_text("reason", reason.as_deref(), out);
        if let Some(request_id) = request_id {
            write_shown("requestId", request_id, out);
        }
        write_text("scope", scope.as_deref(), out);
        if let Some(source) = source {
            write_shown("source", source, out);
        }
        out.push_str(",\"v\":1}");
    }
}

fn write_text(name: &str, value: Option<&str>, out: &mut String) {
    if let Some(value) = value {
        write_name(name, out);
        write_string(value, out);
    }
}

/// Writes a member whose value is made of characters that need no escape.
fn write_plain(name: &str, value: &str, out: &mut String) {
    write_name(name, out);
    out.push('"');
    out.push_str(value);
    out.push('"');
}

fn write_time(name: &str, at: Timestamp, out: &mut String) {
    write_name(name, out);
    out.push('"');
    at.write_rfc3339(out);
    out.push('"');
}

fn write_uuid(name: &str, id: Uuid, out: &mut String) {
    let mut text = Uuid::encode_buffer();
    write_plain(name, id.hyphenated().encode_lower(&mut text), out);
}

/// Like [`write_plain`], without a string between the value and its text.
fn write_shown(name: &str, value: &impl std::fmt::Display, out: &mut String) {
    write_name(name, out);
    // Writing to a String cannot fail.
    let _ = write!(out, "\"{value}\"");
}

fn write_name(name: &str, out: &mut String) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::option;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::canonical::{MAX_INTEGER, canonicalize};
    use crate::domain::event::source::SourcePrecision;

    fn least() -> LoggedEvent {
        LoggedEvent {
            actor: "system".into(),
            agent_id: None,
            at: Timestamp(0),
            credential_id: None,
            detail: None,
            epoch: None,
            exp: None,
            id: SafeInteger::new(1).unwrap(),
            jti: None,
            kind: EventKind::KeyRemoved,
            org_id: None,
            reason: None,
            request_id: None,
            scope: None,
            source: None,
        }
    }

    fn text(event: &LoggedEvent) -> String {
        String::from_utf8(event.bytes()).unwrap()
    }

    #[test]
    fn an_event_is_one_object_with_sorted_members() {
        assert_eq!(
            text(&least()),
            "{\"actor\":\"system\",\"at\":\"1970-01-01T00:00:00Z\",\"id\":1,\"kind\":\"key.removed\",\"v\":1}"
        );
        let full = LoggedEvent {
            actor: "operator:o\"p@h".into(),
            agent_id: AgentId::parse("a~1").ok(),
            at: Timestamp(1),
            credential_id: Some(CredentialId(Uuid::from_u128(1))),
            detail: Detail::parse("{ \"b\": 1.0, \"a\": \"\\u00e9\" }").ok(),
            epoch: SafeInteger::new(5).ok(),
            exp: Some(Timestamp(601)),
            id: SafeInteger::new(MAX_INTEGER).unwrap(),
            jti: Some(Jti(Uuid::from_u128(2))),
            kind: EventKind::TokenIssued,
            org_id: Some("default".to_owned()),
            reason: Some("why\n".to_owned()),
            request_id: Some(RequestRef::Ours {
                process: 1,
                count: 2,
            }),
            scope: Some("db:read x".into()),
            source: SourcePrecision::Prefix.cut([192, 0, 2, 1].into()),
        };
        assert_eq!(
            text(&full),
            "{\"actor\":\"operator:o\\\"p@h\",\"agentId\":\"a~1\",\"at\":\"1970-01-01T00:00:01Z\",\
             \"credentialId\":\"00000000-0000-0000-0000-000000000001\",\"detail\":{\"a\":\"é\",\"b\":1},\
             \"epoch\":5,\"exp\":\"1970-01-01T00:10:01Z\",\"id\":9007199254740991,\
             \"jti\":\"00000000-0000-0000-0000-000000000002\",\"kind\":\"token.issued\",\"orgId\":\"default\",\
             \"reason\":\"why\\n\",\"requestId\":\"0000000000000001-2\",\"scope\":\"db:read x\",\
             \"source\":\"192.0.2.0/24\",\"v\":1}"
        );
    }

    #[test]
    fn a_detail_above_16_kib_becomes_its_length_and_hash() {
        let detail = |length: usize| {
            let members = json!({ "a": "x".repeat(length) });
            Detail::new(members.as_object().unwrap()).unwrap()
        };
        // `{"a":""}` are 8 bytes.
        assert_eq!(
            detail(MAX_DETAIL_BYTES - 8).as_str().len(),
            MAX_DETAIL_BYTES
        );
        let cut = detail(MAX_DETAIL_BYTES - 7);
        let whole = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_DETAIL_BYTES - 7));
        let hash = hex(&sha256(whole.as_bytes()));
        assert_eq!(
            cut.as_str(),
            format!("{{\"bytes\":16385,\"sha256\":\"{hash}\"}}")
        );
        assert_eq!(Detail::parse(cut.as_str()), Ok(cut));
    }

    #[test]
    fn what_is_no_detail_is_refused() {
        for bad in ["", "null", "[]", "1", "{", "{\"a\":9007199254740992}"] {
            assert!(Detail::parse(bad).is_err(), "{bad}");
        }
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        let members = json!({ "a": deep });
        assert_eq!(
            Detail::new(members.as_object().unwrap()),
            Err(NotCanonical::TooDeep)
        );
    }

    fn any_event() -> impl Strategy<Value = LoggedEvent> {
        let texts = (
            any::<String>(),
            option::of("[A-Za-z0-9._~:-]{1,128}"),
            option::of(any::<String>()),
            option::of(any::<String>()),
            option::of("[!#-\\[\\]-~]{1,20}( [!#-\\[\\]-~]{1,20}){0,3}"),
        );
        let numbers = (
            any::<i64>(),
            option::of(any::<i64>()),
            1..=MAX_INTEGER,
            option::of(0..=MAX_INTEGER),
            0..EventKind::ALL.len(),
        );
        let ids = (
            option::of(any::<u128>()),
            option::of(any::<u128>()),
            option::of(any::<String>()),
            option::of(any::<IpAddr>()),
            option::of(proptest::collection::hash_map(
                any::<String>(),
                any::<String>(),
                0..4,
            )),
        );
        (texts, numbers, ids).prop_map(|(texts, numbers, ids)| LoggedEvent {
            actor: texts.0.into(),
            agent_id: texts.1.map(|id| AgentId::parse(&id).unwrap()),
            at: Timestamp(numbers.0),
            credential_id: ids.0.map(|id| CredentialId(Uuid::from_u128(id))),
            detail: ids.4.map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name, value.into()));
                Detail::new(&members.collect()).unwrap()
            }),
            epoch: numbers.3.map(|epoch| SafeInteger::new(epoch).unwrap()),
            exp: numbers.1.map(Timestamp),
            id: SafeInteger::new(numbers.2).unwrap(),
            jti: ids.1.map(|id| Jti(Uuid::from_u128(id))),
            kind: EventKind::ALL[numbers.4],
            org_id: texts.2,
            reason: texts.3,
            request_id: ids.2.map(|text| RequestRef::of_client(&text)),
            scope: texts.4.map(Arc::from),
            source: ids.3.and_then(|address| SourcePrecision::Full.cut(address)),
        })
    }

    proptest! {
        #[test]
        fn the_bytes_of_any_event_are_its_canonical_json(event in any_event()) {
            let bytes = event.bytes();
            let read: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(canonicalize(&read).unwrap().into_bytes(), bytes);
            prop_assert_eq!(read["actor"].as_str(), Some(&*event.actor));
            prop_assert_eq!(read["reason"].as_str(), event.reason.as_deref());
            prop_assert_eq!(read["id"].as_i64(), Some(event.id.get()));
            prop_assert_eq!(read["kind"].as_str(), Some(event.kind.as_str()));
        }
    }
}
