//! Pages: how many rows of a list a response holds, and where the next page begins.
//!
//! Owns the limits. Must not know what the rows are, or how they are read.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::http::openapi::parameters::PageLimits;
use crate::http::openapi::schema::{always, object, within};

use super::cursor::CursorScope;
use super::fields::Fields;

/// How many rows a page holds if the request has no `limit`.
const DEFAULT_PAGE: i64 = 50;

/// The most rows of a page.
pub(super) const MAX_PAGE: i64 = 200;

/// The limits, for the document.
pub(super) const PAGE_LIMITS: PageLimits = PageLimits {
    most: MAX_PAGE,
    default: DEFAULT_PAGE,
};

/// Which page of a list the request asks for. `P` is a position in the list.
pub(super) struct PageQuery<P> {
    /// The most rows that the page may hold.
    pub limit: i64,
    /// The page begins after this position.
    pub after: Option<P>,
    list: &'static str,
    filters: String,
}

impl<P> PageQuery<P> {
    /// Reads `limit` and `cursor`. `filters` is the same text for the same filters of this list.
    pub(super) fn read(
        fields: &mut Fields<'_>,
        list: &'static str,
        filters: String,
        position: impl FnOnce(&[u8]) -> Option<P>,
    ) -> Self {
        let limit = fields.query("limit", |text| match text.parse::<i64>() {
            Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
            _ => Err("must be a number from 1 to 200"),
        });
        let after = fields.cursor(list, &filters, position);
        Self {
            limit: limit.unwrap_or(DEFAULT_PAGE),
            after,
            list,
            filters,
        }
    }

    /// The cursor of the page that begins after this position.
    pub(super) fn cursor(&self, cursors: CursorScope<'_>, position: &[u8]) -> String {
        cursors.write(self.list, &self.filters, position)
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

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let rows = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        let cursor =
            ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
        let members = [
            always("data", rows, "The rows."),
            always("limit", within(1, MAX_PAGE), "The most rows of the page."),
            always(
                "nextCursor",
                cursor,
                "The `cursor` of the next page; `null` if this is the last one.",
            ),
        ];
        object("A page of a list.", members).into()
    }
}

impl<T> Page<T> {
    /// These rows. Without a cursor there are no further ones, as in a list that has no pages.
    pub(super) fn new(rows: Vec<T>, limit: i64, next_cursor: Option<String>) -> Self {
        Self {
            data: rows,
            limit,
            next_cursor,
        }
    }
}
