//! One pass as one change of the log: entries with their indexes, hashes of tiles, and the signed
//! checkpoint. Must not know where the events come from, or when a pass ends.

use crate::domain::tree::checkpoint::Checkpoint;
use crate::domain::tree::frontier::Frontier;
use crate::domain::tree::hash::leaf_hash;
use crate::domain::tree::note::SignedNote;
use crate::domain::tree::tile::Tile;
use crate::domain::tree::verify::TreeHead;
use crate::keys::log::verify_checkpoint;
use crate::service::error::Error;
use crate::store::{LogAppend, LogEntry, LogNode, Records};

use super::broken;
use super::open::OpenLog;
use super::pass::NewEntry;
use super::tree::read_frontier;

/// The log at one size, ready to grow.
pub(crate) struct LogEdge {
    log: OpenLog,
    tree: Frontier,
}

impl LogEdge {
    /// The edge of the log as the store has it. The tree must have the hash that the newest
    /// checkpoint signs: a server that went on from a changed tree would sign the change.
    pub(crate) async fn read(records: &dyn Records, log: OpenLog) -> Result<Self, Error> {
        let tree = read_frontier(records, log.head.size).await?;
        if let Some(note) = &log.head.note {
            let note = SignedNote::parse(note.as_bytes()).map_err(broken)?;
            let signed = verify_checkpoint(&note, log.key.verifier_key()).map_err(broken)?;
            if signed.head() != head(&tree) {
                return Err(broken(
                    "the stored log is not the one that its newest checkpoint signs: run `sealwright audit verify`",
                ));
            }
        }
        Ok(Self { log, tree })
    }

    /// The newest checkpoint that is known to be committed.
    pub(crate) fn note(&self) -> Option<&str> {
        self.log.head.note.as_deref()
    }

    /// The change that appends these entries.
    pub(crate) fn append(&self, entries: Vec<NewEntry>) -> Result<Grown, Error> {
        let (mut tree, old_size) = (self.tree.clone(), self.tree.size());
        let (mut appended, mut nodes) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let (index, hash) = (tree.size(), leaf_hash(&entry.bytes));
            tree.append_with(hash, |node, hash| {
                // The hashes of level 0 are those of the entries.
                if let Some(level) = Tile::level_of(node).filter(|level| *level > 0) {
                    let index = node.index;
                    nodes.push(LogNode { level, index, hash });
                }
            });
            appended.push(LogEntry {
                index,
                kind: entry.kind,
                first_id: entry.first_id,
                last_id: entry.last_id,
                hash,
                bytes: entry.bytes,
            });
        }
        let checkpoint = Checkpoint::new(&self.log.head.origin, head(&tree)).map_err(broken)?;
        let note = self.log.key.sign(checkpoint.to_text())?.to_string();
        let append = LogAppend {
            generation: self.log.head.generation,
            old_size,
            entries: appended,
            nodes,
            note,
        };
        Ok(Grown { tree, append })
    }

    /// Goes on from an append that is known to be committed.
    pub(crate) fn grow(&mut self, tree: Frontier, note: String) {
        self.log.head.size = tree.size();
        self.log.head.note = Some(note);
        self.tree = tree;
    }
}

/// A log that has grown, and the change that makes it grow.
pub(crate) struct Grown {
    /// The tree after the change.
    pub tree: Frontier,
    /// The change.
    pub append: LogAppend,
}

fn head(tree: &Frontier) -> TreeHead {
    TreeHead {
        size: tree.size(),
        root: tree.root(),
    }
}
