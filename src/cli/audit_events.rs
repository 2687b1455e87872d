//! `sealwright audit list` and `audit export`: the events.

use std::io::{self, Write as _};

use clap::Args;

use crate::api::audit::AuditJson;
use crate::domain::act::Act;
use crate::domain::event::search::{EventFilter, EventOrder, KindFilter};
use crate::domain::time::Timestamp;
use crate::service::manage::audit::{Audit, AuditQuery, ListedEvent};
use crate::telemetry::error_chain;

use super::failure::CommandFailure;
use super::output::{Printer, Sheet};

/// Which events, as flags.
#[derive(Args)]
pub(super) struct EventArgs {
    /// Events that concern this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// What this actor did: 'agent:ID', 'operator:USER@HOST' or 'system'
    #[arg(long)]
    actor: Option<String>,
    /// Events of this kind, such as 'token.issued', or of all that begin so, 'agent.*'; repeatable
    #[arg(long, value_parser = KindFilter::parse)]
    kind: Vec<KindFilter>,
    /// Events of the token with this id
    #[arg(long)]
    jti: Option<String>,
    /// What a request did, by the X-Request-ID of its response
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Events at this time or later, such as 2026-03-31T13:12:17Z
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    from: Option<Timestamp>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    to: Option<Timestamp>,
    /// 'desc' for the newest first, 'asc' for the oldest first
    #[arg(long, default_value = "desc", value_parser = EventOrder::parse)]
    order: EventOrder,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    events: EventArgs,
    /// How many events at most, up to 1000; 'audit export' gives all
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

impl EventArgs {
    fn filter(self) -> Result<(EventFilter, EventOrder), CommandFailure> {
        let filter = EventFilter {
            agent_id: self.agent,
            actor: self.actor,
            kinds: self.kind,
            jti: self.jti,
            request_id: self.request,
            from: self.from,
            to: self.to,
        };
        if filter.ends_before_it_begins() {
            return Err(CommandFailure::Usage("--to is before --from".to_owned()));
        }
        Ok((filter, self.order))
    }
}

/// Prints events.
pub(super) async fn list(
    args: ListArgs,
    audit: &Audit,
    out: Printer,
) -> Result<(), CommandFailure> {
    let limit = usize::from(args.limit);
    let (filter, order) = args.events.filter()?;
    let mut query = AuditQuery {
        filter,
        order,
        org_id: None,
        after: None,
        limit,
    };
    let mut found = Vec::new();
    loop {
        let page = audit.page(&query).await?;
        found.extend(page.events);
        query.limit = limit.saturating_sub(found.len());
        query.after = page.next;
        if query.after.is_none() || query.limit == 0 {
            break;
        }
    }
    let shown: Result<Vec<_>, _> = found.iter().map(AuditJson::of).collect();
    let shown = shown.map_err(|error| CommandFailure::of(&error))?;
    out.print(&shown, || {
        Sheet::list(&HEAD, found.iter().map(row).collect())
    })
}

const HEAD: [&str; 8] = [
    "id", "at", "kind", "actor", "agent", "reason", "request", "entry",
];

fn row(listed: &ListedEvent) -> Vec<String> {
    let event = &listed.event;
    let text = |value: Option<String>| value.unwrap_or_default();
    vec![
        event.id.get().to_string(),
        event.at.to_rfc3339(),
        event.kind.as_str().to_owned(),
        event.actor.to_string(),
        text(event.agent_id.as_ref().map(ToString::to_string)),
        text(event.reason.clone()),
        text(event.request_id.map(|request| request.to_string())),
        text(listed.entry.map(|entry| entry.to_string())),
    ]
}

/// Writes all events as lines of JSON on stdout. The last line says that nothing is missing.
pub(super) async fn export(
    args: EventArgs,
    audit: &Audit,
    operator: Act,
) -> Result<(), CommandFailure> {
    let (filter, order) = args.filter()?;
    let by = |at| operator.committed_at(at);
    let mut export = audit.export(filter, order, None, by).await?;
    let mut stdout = io::stdout();
    loop {
        match audit.next_piece(&mut export).await {
            Ok(Some(piece)) => stdout.write_all(&piece)?,
            Ok(None) => break,
            Err(error) => {
                let (events, cause) = (export.events(), error_chain(&error));
                let why = format!("the export broke off after {events} events: {cause}");
                return Err(CommandFailure::Store(why));
            }
        }
    }
    Ok(stdout.flush()?)
}
