//! `GET /api/v1/audit/log/…`: the tamper-evident log, byte for byte as C2SP tlog-tiles fixes it, and
//! `GET /api/v1/audit/{id}/proof`.
//!
//! Owns the paths below the log, media types and caching. Must not know how the log is made.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::domain::rejection::RejectionCode;
use crate::domain::tree::tile::Tile;
use crate::http::error::Failure;
use crate::http::openapi::route_doc::RouteDoc;
use crate::http::openapi::schema::{octets, text};
use crate::http::reply;
use crate::http::state::State;
use crate::service::manage::ManageError;

use super::answer::{RawKind, RawReply};
use super::authority::demand_reach_over_all;
use super::call::Call;
use super::fields::{Fields, Input};

/// The cache control of a tile below its generation, which never changes (RFC 8246). Only a
/// caller with the scope may have it, so no shared cache keeps it.
const IMMUTABLE: &str = "private, immutable, max-age=31536000";

/// The cache control of everything that may change or become another log's.
const REVALIDATED: &str = "no-cache";

/// A file of the log.
pub(super) struct LogFile {
    /// The generation that the path names.
    generation: Option<i64>,
    /// `None` for the checkpoint.
    tile: Option<Tile>,
}

impl LogFile {
    fn parse(path: &str) -> Option<Self> {
        let (generation, file) = match path.split_once('/') {
            Some((first, rest)) if first != "tile" => (Some(generation(first)?), rest),
            _ => (None, path),
        };
        let tile = match file {
            "checkpoint" => None,
            tile => Some(Tile::parse(tile).ok()?),
        };
        Some(Self { generation, tile })
    }
}

/// A generation in its only spelling.
fn generation(text: &str) -> Option<i64> {
    let generation = text.parse::<i64>().ok()?;
    (generation.to_string() == text).then_some(generation)
}

impl Input for Option<LogFile> {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(fields.path_part("file").and_then(LogFile::parse))
    }
}

impl RawKind for LogFile {
    fn describe(doc: RouteDoc) -> RouteDoc {
        doc.answers(200, reply::TEXT, text())
            .answers(200, reply::OCTETS, octets())
            .with_header("Cache-Control", "How long the file may be kept.")
    }
}

/// Sends a checkpoint or a tile.
pub(super) async fn get_log_file(
    state: Arc<State>,
    call: Call<Option<LogFile>>,
) -> Result<RawReply<LogFile>, Failure> {
    // The log holds the events of all organisations.
    demand_reach_over_all(&call.caller)?;
    let file = call.input.ok_or(Failure::NotFound)?;
    let Some(tile) = file.tile else {
        let newest = state.audit_log.checkpoint(file.generation).await?;
        let newest = match (newest, file.generation) {
            (Some(newest), _) => newest,
            (None, None) => return Err(ManageError::from(RejectionCode::NotLoggedYet).into()),
            (None, Some(_)) => return Err(Failure::NotFound),
        };
        return Ok(RawReply::new(reply::with_caching(
            reply::text(StatusCode::OK, newest.note.to_string()),
            REVALIDATED,
        )));
    };
    let bytes = state.audit_log.tile(file.generation, tile).await?;
    let bytes = bytes.ok_or(Failure::NotFound)?;
    let caching = file.generation.map_or(REVALIDATED, |_| IMMUTABLE);
    Ok(RawReply::new(reply::with_caching(
        reply::octets(StatusCode::OK, bytes),
        caching,
    )))
}

/// The id of an event. A text that cannot be one finds nothing.
pub(super) struct EventId(Option<i64>);

impl Input for EventId {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let id = fields.path_part("id");
        Some(Self(id.and_then(|text| text.parse().ok())))
    }
}

/// The proof of an event.
pub(super) enum EventProof {}

impl RawKind for EventProof {
    fn describe(doc: RouteDoc) -> RouteDoc {
        doc.answers(200, reply::TEXT, text())
    }
}

/// Proves that an event is in the log.
pub(super) async fn get_proof(
    state: Arc<State>,
    call: Call<EventId>,
) -> Result<RawReply<EventProof>, Failure> {
    let EventId(Some(id)) = call.input else {
        return Err(ManageError::from(RejectionCode::EventNotFound).into());
    };
    let proof = state.audit_log.proof(id, call.caller.limited_to()).await?;
    Ok(RawReply::new(reply::with_caching(
        reply::text(StatusCode::OK, proof.to_string()),
        REVALIDATED,
    )))
}
