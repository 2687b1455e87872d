//! The tree of the log, computed anew: compared with the stored tiles and with checkpoints. Must not
//! know what an entry stands for.

use std::collections::HashMap;

use crate::domain::tree::frontier::Frontier;
use crate::domain::tree::hash::NodeHash;
use crate::domain::tree::node::NodeId;
use crate::domain::tree::tile::{TILE_WIDTH, Tile, TileLevel};
use crate::domain::tree::verify::TreeHead;
use crate::service::error::Error;
use crate::store::Records;

use super::report::{BrokenPart, LogBreak};

/// The tree so far, and what it is compared with.
pub(super) struct TreeCheck {
    tree: Frontier,
    /// The kept checkpoints that are still to come, the largest first.
    kept: Vec<TreeHead>,
    /// The first event behind the last kept checkpoint that was right.
    since_kept: Option<i64>,
    /// The stored hashes of the tile at hand of each level, with its index.
    tiles: HashMap<u8, (u64, Vec<NodeHash>)>,
}

impl TreeCheck {
    /// Before the first entry.
    pub(super) fn new(mut kept: Vec<TreeHead>) -> Self {
        kept.sort_by_key(|head| std::cmp::Reverse(head.size));
        Self {
            tree: Frontier::new(),
            kept,
            since_kept: None,
            tiles: HashMap::new(),
        }
    }

    /// The tree so far.
    pub(super) fn head(&self) -> TreeHead {
        TreeHead {
            size: self.tree.size(),
            root: self.tree.root(),
        }
    }

    /// Appends an entry, which stands for events from `first_id` to `last_id`.
    pub(super) async fn append(
        &mut self,
        records: &dyn Records,
        hash: NodeHash,
        (first_id, last_id): (i64, i64),
    ) -> Result<Option<LogBreak>, Error> {
        let mut completed = Vec::new();
        self.tree.append_with(hash, |node, hash| {
            if let Some(level) = Tile::level_of(node).filter(|level| *level > 0) {
                completed.push((level, node, hash));
            }
        });
        for (level, node, hash) in completed {
            if self.stored(records, level, node).await? != Some(hash) {
                let why = "a hash of it was changed";
                let tile = Tile::of_tree(
                    TileLevel::Hashes(level),
                    node.index / u64::from(TILE_WIDTH),
                    self.tree.size(),
                );
                let part = tile.map_or(BrokenPart::Event(last_id), |tile| {
                    BrokenPart::Tile(tile, last_id)
                });
                return Ok(Some(LogBreak::new(part, why)));
            }
        }
        self.since_kept.get_or_insert(first_id);
        Ok(self.compare_kept(last_id))
    }

    /// Compares the tree with the kept checkpoints of its size.
    pub(super) fn compare_kept(&mut self, last_id: i64) -> Option<LogBreak> {
        while let Some(kept) = self.kept.last().copied() {
            if kept.size != self.tree.size() {
                break;
            }
            if kept.root != self.tree.root() {
                let first = self.since_kept.unwrap_or(last_id);
                let why = "the log is not the one that a kept checkpoint signs";
                return Some(LogBreak::new(BrokenPart::Between(first, last_id), why));
            }
            self.kept.pop();
            self.since_kept = None;
        }
        None
    }

    /// Whether a kept checkpoint is of a larger log.
    pub(super) fn is_short(&self) -> bool {
        self.kept.iter().any(|kept| kept.size > self.tree.size())
    }

    async fn stored(
        &mut self,
        records: &dyn Records,
        level: u8,
        node: NodeId,
    ) -> Result<Option<NodeHash>, Error> {
        let width = u64::from(TILE_WIDTH);
        let (tile, inside) = (node.index / width, node.index % width);
        let known = self.tiles.get(&level).is_some_and(|(at, _)| *at == tile);
        if !known {
            let from = tile.saturating_mul(width);
            let hashes = records.log_hashes(level, from, TILE_WIDTH).await?;
            self.tiles.insert(level, (tile, hashes));
        }
        let hashes = self.tiles.get(&level).map(|(_, hashes)| hashes);
        let inside = usize::try_from(inside).ok();
        Ok(hashes
            .zip(inside)
            .and_then(|(hashes, inside)| hashes.get(inside))
            .copied())
    }
}
