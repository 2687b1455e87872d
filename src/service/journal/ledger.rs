//! The reader `ledger`: it makes the tamper-evident log of the events, about once a second, adds up
//! what they tell about usage, and tells the checkpoints in the server's own log.
//!
//! Owns when a pass ends, and how often a checkpoint is told. Must not know how an event comes
//! about. A token never waits for it: while it fails, tokens go on and the log lags behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::event::row::EventRow;
use crate::domain::tree::frontier::Frontier;
use crate::domain::usage::UsageFold;
use crate::service::error::Error;
use crate::store::{Change, LogChange, Records, Write};

use super::log::append::LogEdge;
use super::log::broken;
use super::log::open::LogOpener;
use super::log::pass::PassBuilder;
use super::settle::{EventConsumer, JournalReader, Piece, Progress};
use super::usage::UsageLedger;

/// The name of the reader. Its place is the id up to which the log covers the events.
pub(crate) const LEDGER: &str = "ledger";

/// The most events of a pass. A backlog is worked off in commits of this size.
pub const MAX_PASS_EVENTS: usize = 16_384;

/// A pass ends once its entries have this many bytes, so that its commit stays short.
const MAX_PASS_BYTES: usize = 4 << 20;

/// How many events are taken at once. The thread of a token is held up no longer than these take to
/// decode and hash. Still smaller pieces would cost more of a token's CPU, since each takes round
/// trips to the database.
pub(crate) const MAX_PIECE_EVENTS: usize = 256;

/// How many times as long as a piece took the ledger rests before the next one. A backlog then
/// takes a quarter of the time of a core, the database's work included.
const REST_FACTOR: u32 = 3;

/// The longest rest. On a machine without an idle core a piece takes long because it waits for its
/// turn, and the ledger must still be faster than tokens are issued.
const MAX_REST: Duration = Duration::from_millis(10);

/// How many milliseconds issued tokens wait for the pass that logs them, if nothing else happens.
/// Other events are logged with the next step.
pub const TOKEN_PASS_INTERVAL: i64 = 10_000;

/// The least time between two checkpoints in the server's log, in milliseconds.
const TOLD_INTERVAL: i64 = 60_000;

/// The ledger of this process. One process of a store at a time has the lease, the others wait.
pub struct Ledger {
    reader: JournalReader,
    passes: Passes,
}

impl Ledger {
    /// A ledger that has done nothing yet. `reader` reads for [`LEDGER`], in pieces of
    /// [`MAX_PIECE_EVENTS`].
    pub(crate) fn new(
        reader: JournalReader,
        records: Arc<dyn Records>,
        opener: LogOpener,
        usage: UsageLedger,
        clock: Arc<StoreClock>,
    ) -> Self {
        let passes = Passes {
            records,
            opener,
            usage,
            clock,
            edge: None,
            pass: None,
            sent: None,
            told: Told::default(),
        };
        Self { reader, passes }
    }

    /// Reads everything that was settled when the store was asked last, and logs what is due. Run once
    /// a second.
    pub async fn step(&mut self) -> Result<(), Error> {
        let mut progress = Progress::More;
        while progress == Progress::More {
            let began = Instant::now();
            progress = self.reader.step(&mut self.passes).await?;
            if progress == Progress::More {
                let rest = began.elapsed().saturating_mul(REST_FACTOR).min(MAX_REST);
                tokio::time::sleep(rest).await;
            }
        }
        self.passes.tell();
        Ok(())
    }
}

/// Makes passes of pieces.
struct Passes {
    records: Arc<dyn Records>,
    opener: LogOpener,
    usage: UsageLedger,
    clock: Arc<StoreClock>,
    /// The log behind a place of the reader; `None` if it must be read.
    edge: Option<(i64, LogEdge)>,
    /// The events since that place.
    pass: Option<OpenPass>,
    /// What the last commit makes of the log, until the store has acknowledged it.
    sent: Option<Sent>,
    told: Told,
}

/// A pass that takes events.
struct OpenPass {
    builder: PassBuilder,
    usage: UsageFold,
    /// When it took the first one, by the steady clock.
    since: i64,
}

/// The log after a commit that may have been done.
struct Sent {
    to: i64,
    tree: Frontier,
    note: String,
}

#[async_trait]
impl EventConsumer for Passes {
    async fn consume(&mut self, piece: Piece<'_>) -> Result<Option<Vec<Write>>, Error> {
        let more = piece.events.len() >= self.room();
        if piece.after == piece.place {
            self.begin_at(piece.place).await?;
        }
        self.take(piece.place, piece.events)?;
        if self.is_due(more) {
            self.end(piece.through).await.map(Some)
        } else {
            Ok(None)
        }
    }

    fn room(&self) -> usize {
        let taken = self.pass.as_ref().map_or(0, |pass| pass.builder.events());
        MAX_PASS_EVENTS
            .saturating_sub(taken)
            .clamp(1, MAX_PIECE_EVENTS)
    }

    fn committed(&mut self) {
        if let (Some(sent), Some((place, edge))) = (self.sent.take(), self.edge.as_mut()) {
            *place = sent.to;
            self.told.learn(&sent.note);
            edge.grow(sent.tree, sent.note);
        }
    }
}

impl Passes {
    /// Begins a pass behind this place. The log is read again unless the last commit was
    /// acknowledged and led to this very place: after a failure, or under a new lease, only the
    /// store knows how far the log has come.
    async fn begin_at(&mut self, place: i64) -> Result<(), Error> {
        self.pass = None;
        if self.sent.is_some() {
            self.usage.forget();
        }
        let known = matches!(self.edge, Some((known, _)) if known == place);
        if known && self.sent.is_none() {
            return Ok(());
        }
        (self.edge, self.sent) = (None, None);
        let edge = LogEdge::read(&*self.records, self.opener.open().await?).await?;
        if let Some(note) = edge.note() {
            self.told.learn(note);
        }
        self.edge = Some((place, edge));
        Ok(())
    }

    fn take(&mut self, place: i64, events: &[EventRow]) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let pass = self.pass.get_or_insert_with(|| OpenPass {
            builder: PassBuilder::new(place),
            usage: UsageFold::default(),
            since: self.clock.steady(),
        });
        let mut unreadable = Vec::new();
        for event in events {
            let logged = event.logged();
            if let Ok(logged) = &logged {
                pass.usage.add(logged);
            }
            let logged = logged.as_ref().map_err(|rule| *rule);
            if let Some(rule) = pass.builder.push(event, logged).map_err(broken)? {
                unreadable.push((event.id, rule));
            }
        }
        if let Some((id, rule)) = unreadable.first() {
            tracing::error!(
                id,
                rule = rule.0,
                count = unreadable.len(),
                "an event cannot be decoded: the tamper-evident log has a mark in its place"
            );
        }
        Ok(())
    }

    /// Whether the pass ends here. While more events are at hand, it goes on until it is full.
    fn is_due(&self, more: bool) -> bool {
        let Some(OpenPass { builder, since, .. }) = &self.pass else {
            return false;
        };
        if builder.events() >= MAX_PASS_EVENTS || builder.entry_bytes() >= MAX_PASS_BYTES {
            return true;
        }
        let waited = self.clock.steady().saturating_sub(*since);
        !more && (builder.has_changes() || waited >= TOKEN_PASS_INTERVAL)
    }

    /// The writes of the pass, which ends here. Usage is a part of its commit, so that no event is
    /// left out of the sums or counted twice.
    async fn end(&mut self, to: i64) -> Result<Vec<Write>, Error> {
        let Some(mut pass) = self.pass.take() else {
            return Ok(Vec::new());
        };
        let mut changes = self.usage.changes(&mut pass.usage).await?;
        let Some((_, edge)) = &self.edge else {
            return Ok(Vec::new());
        };
        let entries = pass.builder.finish(to).map_err(broken)?;
        let grown = edge.append(entries)?;
        self.sent = Some(Sent {
            to,
            tree: grown.tree,
            note: grown.append.note.clone(),
        });
        changes.push(Change::Log(LogChange::Append(Box::new(grown.append))));
        let act = Act::system(self.clock.moment());
        let write = |change| Write::new(act.clone(), change);
        Ok(changes.into_iter().map(write).collect())
    }

    fn tell(&mut self) {
        self.told.tell(self.clock.steady());
    }
}

/// The checkpoints that were told in the server's log. Whoever keeps that log has an anchor outside
/// the database.
#[derive(Default)]
struct Told {
    /// A committed checkpoint that was not told yet.
    newest: Option<String>,
    last: Option<String>,
    /// When the last one was told, by the steady clock.
    at: Option<i64>,
}

impl Told {
    /// Takes a checkpoint that is known to be committed.
    fn learn(&mut self, note: &str) {
        if self.last.as_deref() != Some(note) {
            self.newest = Some(note.to_owned());
        }
    }

    fn tell(&mut self, now: i64) {
        let is_early = self
            .at
            .is_some_and(|at| now.saturating_sub(at) < TOLD_INTERVAL);
        if is_early {
            return;
        }
        if let Some(note) = self.newest.take() {
            tracing::info!(note, "checkpoint");
            (self.at, self.last) = (Some(now), Some(note));
        }
    }
}
