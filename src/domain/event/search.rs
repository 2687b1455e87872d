//! Which events a reader looks for: the filter as the reader writes it, and what it means.
//!
//! A filter has the members of the request of `GET /api/v1/audit`. Must not know how events are
//! stored, or how the reader sent the filter.

use serde_json::{Map, Value};

use crate::domain::Invalid;
use crate::domain::id::{AgentId, Jti};
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;

use super::kind::EventKind;
use super::request::RequestRef;

/// The order in which events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// The oldest first.
    Ascending,
    /// The newest first.
    Descending,
}

impl EventOrder {
    /// The word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }

    /// The order with this word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(Invalid("an order is asc or desc")),
        }
    }
}

/// A filter of kinds: a kind's name, or its first part and `.*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindFilter(String);

impl KindFilter {
    /// Accepts `text` if it selects at least one kind.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        EventKind::select(text).map(|_| Self(text.to_owned()))
    }
}

/// Which events a reader looks for. An event must meet all members that are given. An id that no
/// agent or token can have is a member like any other: no event meets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The agent that the event concerns.
    pub agent_id: Option<String>,
    /// Who caused the event, exactly as the event says it.
    pub actor: Option<String>,
    /// The event's kind is one of these. Empty for all kinds.
    pub kinds: Vec<KindFilter>,
    /// The token that the event concerns.
    pub jti: Option<String>,
    /// The request that asked for it: the id in the response to that request, or in the event.
    pub request_id: Option<String>,
    /// The first second, inclusive.
    pub from: Option<Timestamp>,
    /// The second that ends the range, exclusive.
    pub to: Option<Timestamp>,
}

impl EventFilter {
    /// Whether the range of time ends before it begins.
    pub fn ends_before_it_begins(&self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| to < from)
    }

    /// The members that are given, under their names in the request. Equal filters have equal
    /// members.
    pub fn members(&self) -> Map<String, Value> {
        let mut kinds = self.kinds.clone();
        kinds.sort();
        kinds.dedup();
        let kinds: Value = kinds.into_iter().map(|kind| kind.0).collect();
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let time = |time: Option<Timestamp>| time.map(|time| time.to_rfc3339().into());
        let members = [
            ("agentId", text(&self.agent_id)),
            ("actor", text(&self.actor)),
            ("kind", Some(kinds).filter(|_| !self.kinds.is_empty())),
            ("jti", text(&self.jti)),
            ("requestId", text(&self.request_id)),
            ("from", time(self.from)),
            ("to", time(self.to)),
        ];
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }

    /// What an event must have to meet this filter; `None` if no event can meet it.
    pub fn criteria(&self) -> Option<EventCriteria> {
        // No actor has this character, and not every store can compare a text with it.
        if self
            .actor
            .as_deref()
            .is_some_and(|actor| actor.contains('\0'))
        {
            return None;
        }
        let agent_id = self.agent_id.as_deref().map(AgentId::parse);
        let jti = self.jti.as_deref().map(Jti::parse);
        let mut kinds = Vec::new();
        for filter in &self.kinds {
            kinds.extend(EventKind::select(&filter.0).ok()?);
        }
        kinds.sort();
        kinds.dedup();
        Some(EventCriteria {
            agent_id: agent_id.transpose().ok()?,
            actor: self.actor.clone(),
            kinds: (!self.kinds.is_empty()).then_some(kinds),
            jti: jti.transpose().ok()?,
            requests: self.request_id.as_deref().map(RequestRef::sought),
            from: self.from,
            to: self.to,
            org_id: None,
        })
    }
}

/// What an event must have to be found. What is `None` may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCriteria {
    /// The agent that it concerns.
    pub agent_id: Option<AgentId>,
    /// Who caused it.
    pub actor: Option<String>,
    /// Its kind is one of these.
    pub kinds: Option<Vec<EventKind>>,
    /// The token that it concerns.
    pub jti: Option<Jti>,
    /// The request that asked for it is one of these.
    pub requests: Option<Vec<RequestRef>>,
    /// The first second, inclusive.
    pub from: Option<Timestamp>,
    /// The second that ends the range, exclusive.
    pub to: Option<Timestamp>,
    /// It belongs to this organisation. A token belongs to that of its agent, and what names none to
    /// the first one.
    pub org_id: Option<OrgId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(texts: &[&str]) -> Vec<KindFilter> {
        texts
            .iter()
            .map(|text| KindFilter::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn a_filter_tells_the_members_that_are_given() {
        assert_eq!(EventFilter::default().members(), Map::new());
        let filter = EventFilter {
            agent_id: Some("a b".to_owned()),
            actor: Some("system".to_owned()),
            kinds: kinds(&["token.issued", "agent.*", "token.issued"]),
            jti: Some("x".to_owned()),
            request_id: Some("r-1".to_owned()),
            from: Some(Timestamp(0)),
            to: Some(Timestamp(1)),
        };
        assert_eq!(
            Value::from(filter.members()),
            serde_json::json!({
                "agentId": "a b", "actor": "system", "kind": ["agent.*", "token.issued"], "jti": "x",
                "requestId": "r-1", "from": "1970-01-01T00:00:00Z", "to": "1970-01-01T00:00:01Z",
            })
        );
    }

    #[test]
    fn an_id_that_cannot_be_one_is_met_by_no_event() {
        let filter = EventFilter::default();
        assert_eq!(filter.criteria(), Some(EventCriteria::default()));
        let actor = Some("a\0".to_owned());
        let filter = EventFilter { actor, ..filter };
        assert_eq!(filter.criteria(), None);
        for (agent_id, jti) in [(Some("a b"), None), (Some(""), None), (None, Some("x"))] {
            let filter = EventFilter {
                agent_id: agent_id.map(str::to_owned),
                jti: jti.map(str::to_owned),
                ..EventFilter::default()
            };
            assert_eq!(filter.criteria(), None, "{filter:?}");
        }
    }

    #[test]
    fn kinds_are_selected_once_each_and_an_unknown_one_is_refused() {
        let filter = EventFilter {
            kinds: kinds(&["store_key.*", "store_key.created", "scope.changed"]),
            ..EventFilter::default()
        };
        assert_eq!(
            filter.criteria().and_then(|criteria| criteria.kinds),
            Some(vec![EventKind::ScopeChanged, EventKind::StoreKeyCreated])
        );
        for text in [
            "",
            "*",
            ".*",
            "agent",
            "agent.",
            "agents.*",
            "agent.*.*",
            "scope.updated",
        ] {
            assert!(KindFilter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_may_be_empty_and_may_not_end_before_it_begins() {
        for (from, to, wrong) in [
            (None, None, false),
            (Some(5), None, false),
            (None, Some(5), false),
            (Some(5), Some(5), false),
            (Some(5), Some(4), true),
        ] {
            let filter = EventFilter {
                from: from.map(Timestamp),
                to: to.map(Timestamp),
                ..EventFilter::default()
            };
            assert_eq!(filter.ends_before_it_begins(), wrong, "{filter:?}");
        }
    }
}
