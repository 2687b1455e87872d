//! Reading events in an order that can be trusted, for one reader: lease, settled id, rows, and a
//! commit of what the reader made of them together with its new place.
//!
//! Owns how long to wait for open transactions, and how long a lease is. Must not know what an
//! event means. No transaction is open while a consumer works or while a step waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::event::row::EventRow;
use crate::domain::id::HolderId;
use crate::service::error::Error;
use crate::store::{Lease, Pass, PassOutcome, Records, Settlement, Unsettled, Write};

/// How long a lease is. If its holder dies, another process goes on after this time.
pub const LEASE_TTL: Duration = Duration::from_secs(10);

/// How many times a step asks whether the open transactions have ended. A token's transaction takes
/// milliseconds, and the next step goes on with the same question.
const SETTLE_TRIES: u32 = 10;

/// The pause between two such questions.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// Events in the order of their ids, all settled.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The reader's place in the store: everything up to this id is committed.
    pub place: i64,
    /// The id after which these events begin. Where it equals `place`, the consumer starts anew:
    /// what it took from earlier pieces without a commit is void.
    pub after: i64,
    /// The events, perhaps none.
    pub events: &'a [EventRow],
    /// The id up to which everything was read, with this piece.
    pub through: i64,
}

/// What one reader makes of the events.
#[async_trait]
pub trait EventConsumer: Send {
    /// Takes a piece. `Some` is committed together with the new place, which is the piece's
    /// `through`. `None` commits nothing: the next piece continues this one. Called in every step,
    /// even without new events, so that a consumer can commit what it has after some time.
    async fn consume(&mut self, piece: Piece<'_>) -> Result<Option<Vec<Write>>, Error>;

    /// How many events it takes in its next piece at most. A piece has fewer only if no more were
    /// settled when the store was asked last.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// The writes that it returned last are committed, and the store has acknowledged that.
    fn committed(&mut self) {}
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another holder has the lease.
    Elsewhere,
    /// Everything was read that was settled when the store was asked last.
    Done,
    /// More events may be settled: the next step need not wait.
    More,
    /// Transactions that may hold smaller ids are still open, and nothing new is settled.
    Waiting,
}

/// One reader of the events, in this process. Its [`JournalReader::step`] is called again and again
/// by one loop.
pub struct JournalReader {
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    name: &'static str,
    holder: HolderId,
    max_events: usize,
    session: Option<Session>,
    unsettled: Option<Unsettled>,
}

/// A lease, and how far the consumer has read under it.
struct Session {
    lease: Lease,
    /// When the lease was last taken or renewed, by the steady clock, in milliseconds.
    renewed: i64,
    /// The id of the last event that the consumer took.
    read: i64,
    /// The id up to which the events were settled when the store was asked last. Another run of the
    /// database may lack some of them; it commits nothing under this lease.
    settled: i64,
}

impl JournalReader {
    /// The reader with this name. `holder` is drawn for this value alone. A piece has at most
    /// `max_events` events.
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        name: &'static str,
        holder: HolderId,
        max_events: usize,
    ) -> Self {
        Self {
            records,
            clock,
            name,
            holder,
            max_events,
            session: None,
            unsettled: None,
        }
    }

    /// Reads one piece and hands it to `consumer`. The store is asked what is settled only once all of
    /// its last answer was read. After an error, or if the call is cancelled, the next step asks the
    /// store where to begin: the last commit may have been done or not.
    pub async fn step(&mut self, consumer: &mut dyn EventConsumer) -> Result<Progress, Error> {
        let (session, unsettled) = (self.session.take(), self.unsettled.take());
        let Some(mut session) = self.lease(session).await? else {
            return Ok(Progress::Elsewhere);
        };
        let unsettled = if session.settled > session.read {
            None
        } else {
            match settle(&*self.records, unsettled).await? {
                Settlement::Settled(id) => {
                    session.settled = id;
                    None
                }
                Settlement::Unsettled(open) => Some(open),
            }
        };
        let room = consumer.room().min(self.max_events);
        let events = self.events(session.read, session.settled, room).await?;
        // The ids between the last row and the settled id have no row. The place stays at an event
        // that was read, so that it is never ahead of a database that lost its newest commits.
        let through = events.last().map_or(session.read, |last| last.id);
        let piece = Piece {
            place: session.lease.place,
            after: session.read,
            events: &events,
            through,
        };
        session.read = through;
        if events.len() < room {
            // All of the answer was read. Rows that were removed meanwhile must not be waited for.
            session.settled = through;
        }
        if let Some(writes) = consumer.consume(piece).await? {
            if !self.commit(&mut session, writes).await? {
                return Ok(Progress::Elsewhere);
            }
            consumer.committed();
        }
        let progress = if unsettled.is_some() {
            Progress::Waiting
        } else if events.len() >= room {
            Progress::More
        } else {
            Progress::Done
        };
        (self.session, self.unsettled) = (Some(session), unsettled);
        Ok(progress)
    }

    /// The session to work in: the one at hand while its lease is young, otherwise one with a taken
    /// or renewed lease. If the place was moved by another holder, the session begins there.
    async fn lease(&self, session: Option<Session>) -> Result<Option<Session>, Error> {
        let now = self.clock.steady();
        let half = i64::try_from(LEASE_TTL.as_millis() / 2).unwrap_or(0);
        let session = match session {
            Some(session) if now.saturating_sub(session.renewed) < half => {
                return Ok(Some(session));
            }
            session => session,
        };
        let lease = self
            .records
            .take_lease(self.name, self.holder, LEASE_TTL, self.clock.moment())
            .await?;
        Ok(lease.map(|lease| {
            let (read, settled) = match session {
                Some(session) if session.lease == lease => (session.read, session.settled),
                _ => (lease.place, lease.place),
            };
            Session {
                lease,
                renewed: now,
                read,
                settled,
            }
        }))
    }

    async fn events(&self, after: i64, through: i64, most: usize) -> Result<Vec<EventRow>, Error> {
        if through <= after {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        Ok(self.records.events(after, through, limit).await?)
    }

    /// Commits what the consumer made of everything up to `session.read`. False if the lease was
    /// lost.
    async fn commit(&self, session: &mut Session, writes: Vec<Write>) -> Result<bool, Error> {
        let now = self.clock.steady();
        let pass = Pass {
            lease: session.lease.clone(),
            to: session.read,
            writes,
            ttl: LEASE_TTL,
            at: self.clock.moment(),
        };
        match self.records.commit_pass(&pass).await? {
            PassOutcome::LeaseLost => Ok(false),
            PassOutcome::Committed(_) => {
                session.lease.place = session.read;
                session.renewed = now;
                Ok(true)
            }
        }
    }
}

/// Asks up to which id the events are settled, and gives the transactions that are open a short
/// time to end.
pub(super) async fn settle(
    records: &dyn Records,
    unsettled: Option<Unsettled>,
) -> Result<Settlement, Error> {
    let mut answer = records.settled_event(unsettled).await?;
    for _ in 1..SETTLE_TRIES {
        let Settlement::Unsettled(open) = answer else {
            break;
        };
        tokio::time::sleep(SETTLE_PAUSE).await;
        answer = records.settled_event(Some(open)).await?;
    }
    Ok(answer)
}
