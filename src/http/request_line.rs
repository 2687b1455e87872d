//! The line in the log about an answered request.
//!
//! Owns which requests get a line, and its fields, which `docs/watching.md` lists. Must not know how
//! a request was answered. Holds no secret, token, code or assertion: an id that nobody proved is
//! hashed, since a client may send a secret in its place.

use std::net::IpAddr;
use std::time::Duration;

use crate::document::text_digest;
use crate::domain::agent::Audience;
use crate::domain::context::RequestContext;
use crate::domain::grant::Grant;
use crate::domain::id::AgentId;

use super::trace::TraceId;

/// Which requests get a line, and whether probes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLog {
    /// Requests that were answered with this status code or a higher one.
    pub(crate) from_status: u16,
    /// Whether these may be requests of probes.
    pub(crate) probes: bool,
}

impl RequestLog {
    /// Whether a request that was answered with this status gets a line.
    pub(crate) fn wants(self, status: u16, is_probe: bool) -> bool {
        status >= self.from_status && (self.probes || !is_probe)
    }
}

/// An answered request, besides its context.
pub(crate) struct RequestLine<'a> {
    /// One of a few fixed words.
    pub method: &'static str,
    /// The pattern of the route.
    pub route: &'static str,
    /// The status code.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
    /// The address that connected.
    pub peer: Option<IpAddr>,
    /// Why the request was refused.
    pub reason: Option<&'a str>,
    /// The id of the trace that the request belongs to.
    pub trace: Option<&'a TraceId>,
}

impl RequestLine<'_> {
    /// Writes the line.
    pub(crate) fn write(&self, context: &RequestContext) {
        let granted = context.granted();
        let mut buffer = uuid::Uuid::encode_buffer();
        let jti = &mut buffer;
        let issued = granted.map(move |grant| &*grant.jti().0.hyphenated().encode_lower(jti));
        let audiences = granted.and_then(several_audiences);
        let aud = audiences
            .as_deref()
            .or_else(|| granted?.audience().first().map(Audience::as_str));
        let ttl = granted.map(Grant::ttl);
        let agent = context.agent_id().map(AgentId::as_str);
        let claimed_agent = match agent {
            Some(_) => None,
            None => context.claimed_agent().map(|id| text_digest(id.as_str())),
        };
        let message = match (self.reason, issued) {
            (Some(_), _) => "request refused",
            (None, Some(_)) => "token issued",
            (None, None) => "request answered",
        };
        let client = context.from.map(tracing::field::display);
        // The peer tells something only if a proxy told the client's address.
        let peer = self.peer.filter(|peer| Some(*peer) != context.from);
        let peer = peer.map(tracing::field::display);
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "sealwright::request",
            message,
            request_id = context.request_id.as_str(),
            method = self.method,
            route = self.route,
            status = self.status,
            micros,
            client,
            peer,
            agent,
            claimed_agent,
            issued,
            aud,
            ttl,
            reason = self.reason,
            trace = self.trace.map(TraceId::as_str),
        );
    }
}

/// All audiences in one text, if there are several.
fn several_audiences(grant: &Grant) -> Option<String> {
    match grant.audience() {
        [] | [_] => None,
        several => Some(
            several
                .iter()
                .map(Audience::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_logged_alone_and_probes_if_they_are_wanted() {
        let log = |from_status, probes| RequestLog {
            from_status,
            probes,
        };
        let all = log(0, false);
        assert!(all.wants(200, false) && all.wants(503, false) && !all.wants(503, true));
        assert!(log(0, true).wants(200, true));
        let errors = log(400, true);
        assert!(!errors.wants(304, false) && errors.wants(400, false) && errors.wants(503, true));
        assert!(!log(u16::MAX, true).wants(500, false));
    }
}
