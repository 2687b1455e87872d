//! Counting the tokens of a batch on SQLite: what the file says of the agents, and how many tokens
//! each gets. `record` writes it.
//!
//! Owns the statements that begin and read. Must not know what a token is for. Nothing changes
//! between reading and writing: the transaction holds the lock to write from its beginning.

use std::sync::LazyLock;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::domain::agent::Epoch;
use crate::domain::id::{AgentId, CredentialId};
use crate::store::fold::{Counted, Folded, Slot};
use crate::store::terms_book::BatchTerms;
use crate::store::token::Batch;

use super::rows::{MAX_ROWS, RowsSql, Values, list, run};

/// Begins the transaction and enters the batch, then does the same as [`LOOK`].
static BEGIN: LazyLock<RowsSql> = LazyLock::new(|| {
    RowsSql::new(|size| {
        let look = look(size);
        format!(
            "begin immediate;
             insert into batch (batch_id, at) values (?, ?) on conflict do nothing;
             {look}"
        )
    })
});

/// Reads what the file says of the agents of a batch.
static LOOK: LazyLock<RowsSql> = LazyLock::new(|| RowsSql::new(look));

/// How many parameters a row of [`look`] has.
const LOOK_PARAMETERS: usize = 4;

/// Joins each row, which is a credential of a slot, with the agent and the catalogue as the
/// decision saw them, and with the month's counter. A slot is counted only if the file holds all
/// credentials with which the agent authenticated: a cached secret that the file does not hold
/// opens nothing. If tokens are recorded by rows of terms, and these rows changed since this
/// process read them, there is no row. The same holds for the signing keys. `cross join` keeps SQLite from reading all agents for each
/// row.
///
/// The second statement reads the id of the newest event, from the sequence of all events.
fn look(size: usize) -> String {
    let rows = list(size, LOOK_PARAMETERS);
    format!(
        "select s.column1, a.epoch, ifnull(q.used, 0)
         from (values {rows}) as s
         cross join agent a
         left join quota q on q.agent_id = a.agent_id and q.month = ?
         left join credential c on c.credential_id = s.column5
         where a.agent_id = s.column2 and a.version = s.column3 and a.status = 'active'
           and s.column4 = (select version from revision where name = 'catalogue')
           and (s.column5 is null
               or c.agent_id = a.agent_id and (c.expires_at is null or c.expires_at > ?))
           and (select version = ifnull(?, version) from revision where name = 'terms')
           and (select version = ? from revision where name = 'keys');
         select seq from sqlite_sequence where name = 'audit_event'"
    )
}

/// What is counted of a batch, and what the file said that is needed to record it.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    /// What is counted, in the order of the slots.
    pub counted: Vec<Counted>,
    /// The new counters of the agents that get tokens.
    pub used: Vec<(&'a AgentId, i64)>,
    /// The id of the newest event; `None` if somebody deleted the sequence.
    pub newest: Option<i64>,
}

/// Begins a transaction, enters the batch and counts its tokens. `None` if the batch was entered
/// before. `terms` are those of the grants of the batch.
pub(super) async fn begin<'a>(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'a>,
    terms: &BatchTerms,
) -> sqlx::Result<Option<Tally<'a>>> {
    let mut inquiry = Inquiry::at(batch, folded, terms);
    let mut values = Values::default();
    values.add(batch.id.0)?;
    values.add(batch.now.second().0)?;
    let entered = inquiry.run(conn, &BEGIN, values).await?;
    if entered.get(1) != Some(&1) {
        return Ok(None);
    }
    inquiry.run_rest(conn).await?;
    Ok(Some(inquiry.tally()))
}

/// Counts the tokens of a batch that is entered.
pub(super) async fn count<'a>(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'a>,
    terms: &BatchTerms,
) -> sqlx::Result<Tally<'a>> {
    let mut inquiry = Inquiry::at(batch, folded, terms);
    inquiry.run_rest(conn).await?;
    Ok(inquiry.tally())
}

/// What is asked of the file about the agents of a batch.
struct Inquiry<'s, 'a> {
    batch: &'s Batch,
    slots: &'s [Slot<'a>],
    terms: &'s BatchTerms,
    /// The rows of the list: the place of a slot, and one of its credentials. A slot without
    /// credentials has one row.
    rows: Vec<(usize, Option<CredentialId>)>,
    /// How many of the rows were looked for.
    done: usize,
    /// For each slot, what was found.
    found: Vec<Found>,
    newest: Option<i64>,
}

/// What the file says of the agent of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    /// How many rows of the slot the file confirmed.
    rows: usize,
    epoch: i64,
    used: i64,
}

impl<'s, 'a> Inquiry<'s, 'a> {
    fn at(batch: &'s Batch, folded: &'s Folded<'a>, terms: &'s BatchTerms) -> Self {
        let mut rows = Vec::with_capacity(folded.slots.len());
        for (place, slot) in folded.slots.iter().enumerate() {
            if slot.credentials.is_empty() {
                rows.push((place, None));
            }
            rows.extend(slot.credentials.iter().map(|one| (place, Some(*one))));
        }
        Self {
            batch,
            slots: &folded.slots,
            terms,
            rows,
            done: 0,
            found: vec![Found::default(); folded.slots.len()],
            newest: None,
        }
    }

    /// Looks for what is left, in as many round trips as it takes.
    async fn run_rest(&mut self, conn: &mut SqliteConnection) -> sqlx::Result<()> {
        while self.done < self.rows.len() {
            self.run(conn, &LOOK, Values::default()).await?;
        }
        Ok(())
    }

    /// Looks for as many rows as a statement takes. `values` are those of the statements before.
    async fn run(
        &mut self,
        conn: &mut SqliteConnection,
        sql: &'static RowsSql,
        mut values: Values,
    ) -> sqlx::Result<Vec<u64>> {
        let left = self.rows.get(self.done..).unwrap_or_default();
        let rows = left.get(..MAX_ROWS).unwrap_or(left);
        let (size, text) = sql.for_rows(rows.len());
        let filled = values.len() + size * LOOK_PARAMETERS;
        values.reserve(filled + 4);
        for (place, credential) in rows {
            let slot = self.slots.get(*place);
            values.add(slot.map(|slot| slot.agent_id.as_str()))?;
            values.add(slot.map(|slot| slot.agent_version))?;
            values.add(slot.map(|slot| slot.catalogue_version))?;
            values.add(credential.map(|credential| credential.0))?;
        }
        values.fill(filled)?;
        let now = self.batch.now.second();
        values.add(now.month().key())?;
        values.add(now.0)?;
        values.add(self.terms.number())?;
        values.add(self.batch.keys_version)?;
        let (found, newest) = (&mut self.found, &mut self.newest);
        let on_row = |row: &SqliteRow| {
            if row.len() == 1 {
                *newest = Some(row.try_get(0)?);
                return Ok(());
            }
            let place = usize::try_from(row.try_get::<i64, _>(0)?).ok();
            let slot = place.and_then(|place| rows.get(place));
            if let Some(found) = slot.and_then(|(slot, _)| found.get_mut(*slot)) {
                found.rows += 1;
                found.epoch = row.try_get(1)?;
                found.used = row.try_get(2)?;
            }
            Ok(())
        };
        let changed = run(conn, text, values, on_row).await?;
        self.done += rows.len();
        Ok(changed)
    }

    /// Counts. A slot is counted if all its rows were found. A lowered limit does not reduce the
    /// counter.
    fn tally(self) -> Tally<'a> {
        let mut tally = Tally {
            counted: Vec::with_capacity(self.slots.len()),
            used: Vec::with_capacity(self.slots.len()),
            newest: self.newest,
        };
        for (slot, found) in self.slots.iter().zip(&self.found) {
            if found.rows != slot.credentials.len().max(1) {
                continue;
            }
            let left = slot.ceiling.saturating_sub(found.used).max(0);
            let granted = slot.asked.min(left);
            let used = found.used.saturating_add(granted);
            tally.counted.push(Counted {
                slot: slot.first,
                granted,
                epoch: Epoch(found.epoch),
                iat: self.batch.now.second(),
                used,
            });
            if granted > 0 {
                tally.used.push((slot.agent_id, used));
            }
        }
        if tally.counted.is_empty() {
            self.terms.doubt();
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn each_row_is_found_by_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("a")).await.unwrap();
        let mut held = store.writer.take().await.unwrap();
        let text = look(2);
        let (read, _) = text.split_once(';').unwrap();
        let plan = format!("explain query plan {read}");
        let rows = sqlx::query(AssertSqlSafe(plan)).fetch_all(&mut held.conn);
        let steps: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(3)).collect();
        for (table, key) in [
            ("a", "agent_id=?"),
            ("q", "agent_id=? AND month=?"),
            ("c", "credential_id=?"),
        ] {
            let search = format!("SEARCH {table} USING ");
            let found = |step: &&String| step.starts_with(&search) && step.contains(key);
            assert!(steps.iter().any(|step| found(&step)), "{steps:?}");
        }
        let scans: Vec<_> = steps
            .iter()
            .filter(|step| step.starts_with("SCAN"))
            .collect();
        assert_eq!(scans, ["SCAN 2-ROW VALUES CLAUSE"]);
    }
}
