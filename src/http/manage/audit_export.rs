//! The events as newline-delimited JSON: when a client asks for them so, and how they are sent.
//!
//! Must not know how events are found.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::try_unfold;

use crate::domain::act::Act;
use crate::domain::context::RequestContext;
use crate::domain::event::search::{EventFilter, EventOrder};
use crate::http::error::Failure;
use crate::http::reply;
use crate::http::state::State;
use crate::service::tokens::Caller;
use crate::telemetry::error_chain;

/// An export that a request asks for.
pub(super) struct ExportRequest {
    /// Which events are exported.
    pub filter: EventFilter,
    /// In which order.
    pub order: EventOrder,
    /// Whether only the head of the response is asked for (RFC 9110 §9.3.2).
    pub is_head: bool,
}

/// Begins an export. Each piece is read when the client has taken the one before it. If a piece
/// cannot be read, the connection ends without the last line.
pub(super) async fn export_events(
    state: Arc<State>,
    caller: &Caller,
    context: Arc<RequestContext>,
    request: ExportRequest,
) -> Result<Response, Failure> {
    if request.is_head {
        return Ok(reply::ndjson(Body::empty()));
    }
    let by = |at| Act::of_request(&context, caller.agent_id().clone(), None, at);
    let own = caller.limited_to().cloned();
    let export = state
        .audit
        .export(request.filter, request.order, own, by)
        .await?;
    let pieces = try_unfold(
        (state, export, context),
        |(state, mut export, context)| async {
            match state.audit.next_piece(&mut export).await {
                Ok(piece) => Ok(piece.map(|piece| (Bytes::from(piece), (state, export, context)))),
                Err(error) => {
                    let request_id = context.request_id.as_str();
                    let cause = error_chain(&error);
                    tracing::warn!(
                        request_id,
                        cause,
                        events = export.events(),
                        "an export broke off"
                    );
                    Err(error)
                }
            }
        },
    );
    Ok(reply::ndjson(Body::from_stream(pieces)))
}

/// Whether a client prefers newline-delimited JSON to JSON (RFC 9110 §12.5.1). Of two types that it
/// likes equally well, the first one counts.
pub(super) fn prefers_ndjson(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let items = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut best = (0.0, false);
    for item in items {
        let mut parts = item.split(';').map(str::trim);
        let is_ndjson = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            Some("application/x-ndjson") => true,
            Some("application/json") => false,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.0 {
            best = (weight, is_ndjson);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_gets_lines_if_it_prefers_them() {
        for (accept, expected) in [
            ("application/x-ndjson", true),
            ("Application/X-NDJSON; charset=utf-8", true),
            ("application/x-ndjson, */*;q=0.1", true),
            ("application/x-ndjson, application/json", true),
            ("application/json;q=0.5, application/x-ndjson;q=0.6", true),
            ("application/json, application/x-ndjson", false),
            ("application/json, application/x-ndjson;q=0.9", false),
            ("application/x-ndjson;q=0", false),
            ("application/x-ndjson;q=x", false),
            ("*/*", false),
            ("application/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            assert!(!prefers_ndjson(&headers));
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(prefers_ndjson(&headers), expected, "{accept}");
        }
    }
}
