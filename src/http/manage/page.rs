//! Pages: how many rows of a list a response holds, and where the next page begins.
//!
//! Owns the limits and the cursor. Must not know what the rows are, or how they are read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::id::AgentId;

use super::fields::Fields;

/// How many rows a page holds if the request has no `limit`.
const DEFAULT_PAGE: i64 = 50;

/// The most rows of a page.
pub(super) const MAX_PAGE: i64 = 200;

/// Which page the request asks for.
pub(super) struct PageQuery {
    /// The most rows that the page may hold.
    pub limit: i64,
    /// The page begins after this row.
    pub after: Option<AgentId>,
}

impl PageQuery {
    /// Reads `limit` and `cursor`.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let limit = fields.query("limit", |text| match text.parse::<i64>() {
            Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
            _ => Err("must be a number from 1 to 200"),
        });
        let after = fields.query("cursor", read_cursor);
        Self {
            limit: limit.unwrap_or(DEFAULT_PAGE),
            after,
        }
    }

    /// How many rows to read: one more than the page holds, to see whether there is a next page.
    pub(super) fn rows(&self) -> i64 {
        self.limit + 1
    }
}

/// One page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    data: Vec<T>,
    limit: i64,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of these rows, which are at most [`PageQuery::rows`], in the order of their ids.
    pub(super) fn of(mut rows: Vec<T>, query: &PageQuery, id: impl Fn(&T) -> &str) -> Self {
        let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| URL_SAFE_NO_PAD.encode(id(last)));
        Self::new(rows, query.limit, next_cursor)
    }

    /// These rows. Without a cursor there are no further ones, as in a list that has no pages.
    pub(super) fn new(rows: Vec<T>, limit: i64, next_cursor: Option<String>) -> Self {
        Self {
            data: rows,
            limit,
            next_cursor,
        }
    }
}

/// A cursor is the last id of the previous page. It is parsed as an id, so that a changed cursor is
/// refused or harmless.
fn read_cursor(text: &str) -> Result<AgentId, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let id = bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|id| AgentId::parse(&id).ok());
    id.ok_or("is no cursor of this server")
}
