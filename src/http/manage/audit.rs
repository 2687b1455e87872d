//! `GET /api/v1/audit`: the events, in pages or as an export.

use std::sync::Arc;

use crate::api::audit::AuditJson;
use crate::domain::event::search::{EventFilter, EventOrder, KindFilter};
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::openapi::route_doc::RouteDoc;
use crate::http::openapi::schema::text;
use crate::http::reply;
use crate::http::state::State;
use crate::service::manage::audit::AuditQuery;

use super::answer::{RawKind, RawReply};
use super::audit_export::{ExportRequest, export_events, prefers_ndjson};
use super::call::Call;
use super::cursor::CursorScope;
use super::fields::{Fields, Input, rule};
use super::page::{Page, PageQuery};

/// Which events are asked for, and in which form.
pub(super) enum EventsQuery {
    /// A page. A position is the id of an event.
    Page {
        /// Which events.
        filter: EventFilter,
        /// In which order.
        order: EventOrder,
        /// Which of them.
        page: PageQuery<i64>,
    },
    /// All of them.
    Export(ExportRequest),
}

impl Input for EventsQuery {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let filter = read_filter(fields);
        let order = fields.query("order", |text| EventOrder::parse(text).map_err(rule));
        let order = order.unwrap_or(EventOrder::Descending);
        if prefers_ndjson(fields.headers()) {
            // An export knows neither `limit` nor `cursor`.
            return Some(Self::Export(ExportRequest {
                filter,
                order,
                is_head: fields.is_head(),
            }));
        }
        // JSON, so that no two filters have the same text.
        let bound = serde_json::to_string(&filter.members()).unwrap_or_default();
        let bound = format!("{} {bound}", order.as_str());
        let page = PageQuery::read(fields, "audit", bound, |position| {
            Some(i64::from_be_bytes(position.try_into().ok()?))
        });
        Some(Self::Page {
            filter,
            order,
            page,
        })
    }
}

fn read_filter(fields: &mut Fields<'_>) -> EventFilter {
    // An id that no agent or token can have is no fault: it finds nothing.
    let text = |text: &str| Ok(text.to_owned());
    let time = |text: &str| Timestamp::parse_rfc3339(text).map_err(rule);
    let filter = EventFilter {
        agent_id: fields.query("agentId", text),
        actor: fields.query("actor", text),
        kinds: fields.queries("kind", |text| KindFilter::parse(text).map_err(rule)),
        jti: fields.query("jti", text),
        request_id: fields.query("requestId", text),
        from: fields.query("from", time),
        to: fields.query("to", time),
    };
    if filter.ends_before_it_begins() {
        fields.note("to", "is before from");
    }
    filter
}

/// A page of events, or all as lines.
pub(super) enum Events {}

impl RawKind for Events {
    fn describe(doc: RouteDoc) -> RouteDoc {
        doc.answers_json::<Page<AuditJson>>(200)
            .answers(200, reply::NDJSON, text())
    }
}

/// Events, the newest first unless the request says otherwise: a page of them, or all.
pub(super) async fn list_events(
    state: Arc<State>,
    call: Call<EventsQuery>,
) -> Result<RawReply<Events>, Failure> {
    let (filter, order, page) = match call.input {
        EventsQuery::Export(request) => {
            let export = export_events(state, &call.caller, call.context, request).await?;
            return Ok(RawReply::new(export));
        }
        EventsQuery::Page {
            filter,
            order,
            page,
        } => (filter, order, page),
    };
    let query = AuditQuery {
        filter,
        order,
        org_id: call.caller.limited_to().cloned(),
        after: page.after,
        limit: usize::try_from(page.limit).unwrap_or(0),
    };
    let found = state.audit.page(&query).await?;
    let events: Result<_, _> = found.events.iter().map(AuditJson::of).collect();
    let cursors = CursorScope::new(&state.cursors, &call.caller);
    let next = found
        .next
        .map(|position| page.cursor(cursors, &position.to_be_bytes()));
    let page: Page<AuditJson> = Page::new(events?, page.limit, next);
    reply::json_of(&page).map(RawReply::new)
}
