//! One pass over the events, as entries of the log. Must not know the tree, or where events and
//! entries are stored.

use crate::domain::Invalid;
use crate::domain::event::kind::EventKind;
use crate::domain::event::logged::LoggedEvent;
use crate::domain::event::row::EventRow;
use crate::domain::tree::block::BlockBuilder;
use crate::domain::tree::bundle::MAX_ENTRY_BYTES;
use crate::store::LogEntryKind;

/// The kind of the mark that stands in the log for an event that cannot be decoded.
const UNREADABLE_KIND: &str = "event.unreadable";

/// An entry without its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEntry {
    /// What it stands for.
    pub kind: LogEntryKind,
    /// The id of the event, or of the block's first token.
    pub first_id: i64,
    /// The id of the event, or of the block's last token.
    pub last_id: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Collects the events of one pass, in the order of their ids.
pub(crate) struct PassBuilder {
    entries: Vec<NewEntry>,
    entry_bytes: usize,
    block: BlockBuilder,
    /// The bytes of the event at hand. The buffer is kept, since a pass may have thousands.
    text: String,
}

impl PassBuilder {
    /// A pass that begins behind the id `from`.
    pub(crate) fn new(from: i64) -> Self {
        Self {
            entries: Vec::new(),
            entry_bytes: 0,
            block: BlockBuilder::new(from),
            text: String::new(),
        }
    }

    /// Takes the next event, as its row and decoded. An event that cannot be decoded must not stop the log for ever. It is
    /// taken as a mark with its id, and the rule that it breaks is returned.
    pub(crate) fn push(
        &mut self,
        row: &EventRow,
        logged: Result<&LoggedEvent, Invalid>,
    ) -> Result<Option<Invalid>, Invalid> {
        self.text.clear();
        let why = write_logged(row, logged, &mut self.text).err();
        let bytes = self.text.as_bytes();
        if is_token(row) {
            self.block.push(row.id, bytes)?;
        } else {
            self.entry_bytes = self.entry_bytes.saturating_add(bytes.len());
            self.entries.push(NewEntry {
                kind: LogEntryKind::Event,
                first_id: row.id,
                last_id: row.id,
                bytes: bytes.to_vec(),
            });
        }
        Ok(why)
    }

    /// How many events it took.
    pub(crate) fn events(&self) -> usize {
        self.entries
            .len()
            .saturating_add(usize::try_from(self.block.count()).unwrap_or(usize::MAX))
    }

    /// Whether it took an event that is no issued token.
    pub(crate) fn has_changes(&self) -> bool {
        !self.entries.is_empty()
    }

    /// How many bytes its entries have, without those of the block.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    /// The entries of the pass, which ends with the id `to`: the events that are no tokens, and then
    /// the block.
    pub(crate) fn finish(self, to: i64) -> Result<Vec<NewEntry>, Invalid> {
        let mut entries = self.entries;
        if let Some(block) = self.block.finish(to)? {
            entries.push(NewEntry {
                kind: LogEntryKind::Tokens,
                first_id: block.first(),
                last_id: block.last(),
                bytes: block.to_bytes(),
            });
        }
        Ok(entries)
    }
}

/// Whether this event belongs into a block.
pub(crate) fn is_token(row: &EventRow) -> bool {
    row.kind == EventKind::TokenIssued.as_str()
}

/// Appends the bytes that the log has for this event. If the event cannot be decoded, these are the
/// bytes of [`unreadable_mark`], and the rule that it breaks is returned.
pub(crate) fn write_event(row: &EventRow, out: &mut String) -> Result<(), Invalid> {
    let logged = row.logged();
    write_logged(row, logged.as_ref().map_err(|rule| *rule), out)
}

/// Like [`write_event`], for an event that is decoded already.
fn write_logged(
    row: &EventRow,
    logged: Result<&LoggedEvent, Invalid>,
    out: &mut String,
) -> Result<(), Invalid> {
    let start = out.len();
    let why = match logged {
        Ok(event) => {
            event.write_to(out);
            if is_token(row) || out.len().saturating_sub(start) <= MAX_ENTRY_BYTES {
                return Ok(());
            }
            Invalid("an entry of the log has at most 65535 bytes")
        }
        Err(why) => why,
    };
    out.truncate(start);
    out.push_str(&unreadable_mark(row.id));
    Err(why)
}

/// What the log has for an event that could not be decoded. The event's row stays where it is.
pub(crate) fn unreadable_mark(id: i64) -> String {
    format!("{{\"id\":{id},\"kind\":\"{UNREADABLE_KIND}\",\"v\":1}}")
}
