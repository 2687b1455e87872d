//! Pages: how many rows of a list, and where the next page begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::id::AgentId;

use super::fields::Fields;

/// How many rows a page holds when nobody says.
const DEFAULT_PAGE: i64 = 50;

/// The most rows of a page.
const MAX_PAGE: i64 = 200;

/// Which page is asked for.
pub(super) struct Asked {
    /// The most rows that it may hold.
    pub limit: i64,
    /// The row that it begins behind.
    pub after: Option<AgentId>,
}

impl Asked {
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

    /// How many rows to read: one more than the page holds tells whether there is a next one.
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
    /// The page of these rows, [`Asked::rows`] at most, in the order of their ids.
    pub(super) fn of(mut rows: Vec<T>, asked: &Asked, id: impl Fn(&T) -> &str) -> Self {
        let most = usize::try_from(asked.limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| URL_SAFE_NO_PAD.encode(id(last)));
        Self {
            data: rows,
            limit: asked.limit,
            next_cursor,
        }
    }
}

/// A cursor is the last id of the page before: typed, so that a tampered one is refused or harmless.
fn read_cursor(text: &str) -> Result<AgentId, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let id = bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|id| AgentId::parse(&id).ok());
    id.ok_or("is no cursor of this server")
}
