//! One entry of the log after the other, compared with the events. Must not know how either is
//! stored, or where checkpoints come from.

use crate::domain::tree::block::TokenBlock;
use crate::domain::tree::frontier::Frontier;
use crate::domain::tree::hash::leaf_hash;
use crate::domain::tree::verify::TreeHead;
use crate::service::error::Error;
use crate::store::{LogEntry, LogEntryKind, Records};

use super::super::pass::unreadable_mark;
use super::heads::TreeCheck;
use super::leaves::{EventLeaf, EventLeaves};
use super::report::{BrokenPart, LogBreak, Verification};

const NOT_LOGGED: &str = "it is not where the log covers its id: committed late, inserted or moved";
const TWICE: &str =
    "the log has it twice, or not in the order of ids: two ledgers, or moved entries";
const BAD_ENTRY: &str = "its entry in the log was changed";

/// The comparison so far.
pub(super) struct LogCheck {
    leaves: EventLeaves,
    tree: TreeCheck,
    /// The id up to which tokens may be missing.
    pruned_through: i64,
    /// The id of the last event that has an entry of its own.
    last_event: i64,
    /// The end of the last block's pass.
    last_to: i64,
    /// The tokens behind that block.
    tokens: LooseTokens,
    found: Verification,
}

/// Tokens that no block has covered yet.
#[derive(Default)]
struct LooseTokens {
    ends: Option<(i64, i64)>,
    tree: Frontier,
}

impl LogCheck {
    /// Before the first entry. The log covers the events up to `place`.
    pub(super) fn new(tree: TreeCheck, place: i64, pruned_through: i64) -> Self {
        Self {
            leaves: EventLeaves::new(place),
            tree,
            pruned_through,
            last_event: 0,
            last_to: 0,
            tokens: LooseTokens::default(),
            found: Verification::default(),
        }
    }

    /// The id of the last event that was compared.
    pub(super) fn covered(&self) -> i64 {
        self.last_event.max(self.last_to)
    }

    /// The break of a log that ends, or has a gap, behind the last entry.
    pub(super) fn missing_entry(&self) -> LogBreak {
        let why = "entries of the log are missing";
        LogBreak::new(BrokenPart::After(self.covered()), why)
    }

    /// Writes the counts into the report.
    pub(super) fn tell(&self, report: &mut Verification) {
        report.entries = self.found.entries;
        report.events = self.found.events;
        report.pruned = self.found.pruned;
        report.unreadable = self.found.unreadable;
    }

    /// Compares the entry that should have this index.
    pub(super) async fn entry(
        &mut self,
        records: &dyn Records,
        entry: &LogEntry,
        index: u64,
    ) -> Result<Option<LogBreak>, Error> {
        if entry.index != index {
            return Ok(Some(self.missing_entry()));
        }
        let part = match entry.kind {
            LogEntryKind::Event => BrokenPart::Event(entry.first_id),
            LogEntryKind::Tokens => BrokenPart::Tokens(entry.first_id, entry.last_id),
        };
        if leaf_hash(&entry.bytes) != entry.hash {
            return Ok(Some(LogBreak::new(part, BAD_ENTRY)));
        }
        let broken = match entry.kind {
            LogEntryKind::Event => self.event(records, entry).await?,
            LogEntryKind::Tokens => self.block(records, entry, part).await?,
        };
        if broken.is_some() {
            return Ok(broken);
        }
        self.found.entries = self.found.entries.saturating_add(1);
        let ids = (entry.first_id, entry.last_id);
        self.tree.append(records, entry.hash, ids).await
    }

    async fn event(
        &mut self,
        records: &dyn Records,
        entry: &LogEntry,
    ) -> Result<Option<LogBreak>, Error> {
        let id = entry.first_id;
        let broken = |id, why| Ok(Some(LogBreak::new(BrokenPart::Event(id), why)));
        if entry.last_id != id {
            return broken(id, BAD_ENTRY);
        }
        if id <= self.last_event || id <= self.last_to {
            return broken(id, TWICE);
        }
        let next = loop {
            match self.leaves.peek(records).await? {
                Some(leaf) if leaf.id < id && leaf.is_token => self.take_token(leaf),
                next => break next,
            }
        };
        match next {
            Some(leaf) if leaf.id < id => return broken(leaf.id, NOT_LOGGED),
            Some(leaf) if leaf.id == id && !leaf.is_token => {
                let is_mark = || entry.bytes == unreadable_mark(id).as_bytes();
                if leaf.hash != entry.hash && !is_mark() {
                    return broken(id, "it was changed after it was logged");
                }
                self.found.unreadable += u64::from(is_mark());
            }
            Some(leaf) if leaf.id == id => return broken(id, "it was changed after it was logged"),
            _ => return broken(id, "it was deleted"),
        }
        self.leaves.skip();
        self.last_event = id;
        self.found.events = self.found.events.saturating_add(1);
        Ok(None)
    }

    async fn block(
        &mut self,
        records: &dyn Records,
        entry: &LogEntry,
        part: BrokenPart,
    ) -> Result<Option<LogBreak>, Error> {
        let Ok(block) = TokenBlock::parse(&entry.bytes) else {
            return Ok(Some(LogBreak::new(part, BAD_ENTRY)));
        };
        if (block.first(), block.last()) != (entry.first_id, entry.last_id) {
            return Ok(Some(LogBreak::new(part, BAD_ENTRY)));
        }
        if block.from() < self.last_to || self.last_event > block.to() {
            return Ok(Some(LogBreak::new(part, TWICE)));
        }
        while let Some(leaf) = self
            .leaves
            .peek(records)
            .await?
            .filter(|leaf| leaf.id <= block.to())
        {
            if !leaf.is_token {
                return Ok(Some(LogBreak::new(BrokenPart::Event(leaf.id), NOT_LOGGED)));
            }
            self.take_token(leaf);
        }
        let tokens = std::mem::take(&mut self.tokens);
        let (first, last) = tokens.ends.unwrap_or((block.first(), block.last()));
        if first <= block.from() {
            return Ok(Some(LogBreak::new(BrokenPart::Event(first), NOT_LOGGED)));
        }
        let count = i64::try_from(tokens.tree.size()).unwrap_or(i64::MAX);
        let is_whole = count == block.count()
            && (first, last) == (block.first(), block.last())
            && tokens.tree.root() == block.root();
        self.found.events = self.found.events.saturating_add(tokens.tree.size());
        if !is_whole {
            let missing = block.count().saturating_sub(count);
            if missing <= 0 {
                let why =
                    "they are not the tokens that were logged: changed, inserted or committed late";
                return Ok(Some(LogBreak::new(part, why)));
            }
            if block.last() > self.pruned_through {
                let why = "tokens of this block were deleted, and no audit.pruned covers them";
                return Ok(Some(LogBreak::new(part, why)));
            }
            let missing = u64::try_from(missing).unwrap_or(0);
            self.found.pruned = self.found.pruned.saturating_add(missing);
        }
        self.last_to = block.to();
        Ok(None)
    }

    fn take_token(&mut self, leaf: EventLeaf) {
        let first = self.tokens.ends.map_or(leaf.id, |(first, _)| first);
        self.tokens.ends = Some((first, leaf.id));
        self.tokens.tree.append(leaf.hash);
        self.leaves.skip();
    }

    /// After the last entry: events that the log does not have, and the checkpoints.
    pub(super) async fn finish(
        &mut self,
        records: &dyn Records,
        size: u64,
        signed: Option<TreeHead>,
    ) -> Result<Option<LogBreak>, Error> {
        let left = match self.tokens.ends {
            Some((first, _)) => Some(first),
            None => self.leaves.peek(records).await?.map(|leaf| leaf.id),
        };
        if let Some(id) = left {
            return Ok(Some(LogBreak::new(BrokenPart::Event(id), NOT_LOGGED)));
        }
        let head = self.tree.head();
        let is_signed = match signed {
            Some(signed) => signed == head,
            None => size == 0,
        };
        if !is_signed {
            let part = BrokenPart::Between(1, self.covered());
            let why = "the log is not the one that its newest checkpoint signs";
            return Ok(Some(LogBreak::new(part, why)));
        }
        if let Some(broken) = self.tree.compare_kept(self.covered()) {
            return Ok(Some(broken));
        }
        if self.tree.is_short() {
            let part = BrokenPart::After(self.covered());
            let why = "a kept checkpoint has more entries: the end was cut off, or an older database restored";
            return Ok(Some(LogBreak::new(part, why)));
        }
        Ok(None)
    }
}
