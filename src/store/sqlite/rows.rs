//! Lists of rows as parameters of statements.
//!
//! Owns for how many rows a statement is prepared. Must not know any table. A list as JSON costs
//! several times as much: SQLite parses the text, and then looks for each column of each row.

use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Either, Encode, Executor, Type};

use crate::store::token::MAX_BATCH;

/// For how many rows there are texts of a statement. A list is filled up to the next number with
/// rows of nulls, which the statement skips, so that a connection keeps few prepared statements.
const SIZES: [usize; 14] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, MAX_ROWS];

/// The most rows that one statement takes. With nine columns, they are far fewer parameters than
/// SQLite allows, 32,766.
pub(super) const MAX_ROWS: usize = MAX_BATCH;

/// The texts of a statement with lists of rows, one for each size. They are made once: a connection
/// finds the statement that it prepared by its text.
#[derive(Debug)]
pub(super) struct RowsSql(Vec<(usize, String)>);

impl RowsSql {
    /// The texts that `text` writes for each number of rows.
    pub(super) fn new(text: impl Fn(usize) -> String) -> Self {
        Self(SIZES.map(|size| (size, text(size))).into())
    }

    /// The text for at least so many rows, at most [`MAX_ROWS`], and the number of rows in it.
    pub(super) fn for_rows(&self, rows: usize) -> (usize, &str) {
        let fits = self.0.iter().find(|(size, _)| *size >= rows);
        let text = fits.or(self.0.last());
        text.map_or((0, ""), |(size, text)| (*size, text))
    }
}

/// The text of a list of so many rows. The first column of a row is its place, from 0 on; so many
/// parameters follow. They have no numbers: SQLite and sqlx look numbered parameters up one by one.
pub(super) fn list(rows: usize, parameters: usize) -> String {
    let row = |place: usize| format!("({place}{})", ",?".repeat(parameters));
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(",")
}

/// The values of a statement's parameters, in the order of its text.
#[derive(Debug, Default)]
pub(super) struct Values(SqliteArguments);

impl Values {
    /// Makes room for so many more values.
    pub(super) fn reserve(&mut self, count: usize) {
        self.0.reserve(count, 0);
    }

    /// Adds the value of the next parameter.
    pub(super) fn add<'v>(
        &mut self,
        value: impl Encode<'v, Sqlite> + Type<Sqlite>,
    ) -> sqlx::Result<()> {
        self.0.add(value).map_err(sqlx::Error::Encode)
    }

    /// Adds nulls until there are so many values.
    pub(super) fn fill(&mut self, count: usize) -> sqlx::Result<()> {
        while self.0.len() < count {
            self.add(None::<i64>)?;
        }
        Ok(())
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Runs the statements of a text one after another, in one round trip to the thread of the
/// connection. The first error ends it. Hands each row to `on_row`. Returns for each statement how
/// many rows it changed, which means something for inserts, updates and deletes only.
pub(super) async fn run(
    conn: &mut SqliteConnection,
    sql: &'static str,
    values: Values,
    mut on_row: impl FnMut(&SqliteRow) -> sqlx::Result<()>,
) -> sqlx::Result<Vec<u64>> {
    let mut changed = Vec::new();
    let mut results = conn.fetch_many(sqlx::query_with(sql, values.0));
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(done) => changed.push(done.rows_affected()),
            Either::Right(row) => on_row(&row)?,
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_row_for_each_place() {
        assert_eq!(list(0, 2), "");
        assert_eq!(list(3, 2), "(0,?,?),(1,?,?),(2,?,?)");
    }

    #[test]
    fn the_smallest_text_that_fits_is_taken() {
        let sql = RowsSql::new(|size| format!("text {size}"));
        for rows in 0..=MAX_ROWS {
            let (size, text) = sql.for_rows(rows);
            assert!(size >= rows && text == format!("text {size}"));
            let smaller = SIZES.iter().filter(|other| **other < size);
            assert!(smaller.max().is_none_or(|smaller| *smaller < rows) || rows == 0);
        }
    }

    #[test]
    fn few_rows_are_filled_up() {
        let sql = RowsSql::new(|_| String::new());
        for rows in 1..=MAX_ROWS {
            let (size, _) = sql.for_rows(rows);
            assert!(size - rows <= rows, "{rows} rows become {size}");
        }
    }
}
