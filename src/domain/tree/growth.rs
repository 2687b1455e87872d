//! What an append adds to the hash tiles. Must not know what is in them already.

use std::collections::BTreeMap;

use super::hash::{HASH_BYTES, NodeHash};
use super::node::NodeId;
use super::tile::{TILE_HEIGHT, TILE_WIDTH};

/// The hashes to write behind those that a stored hash tile has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileGrowth {
    /// The level of the tile.
    pub level: u8,
    /// How many tiles of its level are to its left.
    pub index: u64,
    /// How many hashes it has already: 0 to 255. 0 means that it is new.
    pub start: u16,
    /// The new hashes, one after the other.
    pub bytes: Vec<u8>,
}

/// Collects the hashes that belong into tiles, while entries are appended.
///
/// Its memory is that of the appended hashes: about 32 bytes an entry.
#[derive(Debug, Default)]
pub struct TreeGrowth(BTreeMap<(u8, u64), TileGrowth>);

impl TreeGrowth {
    /// Takes a node that an append completed, as [`super::frontier::Frontier::append_with`] tells
    /// it. Nodes between the levels of tiles are not stored.
    pub fn add(&mut self, node: NodeId, hash: NodeHash) {
        if !node.level.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let (level, index) = (node.level / TILE_HEIGHT, node.index >> TILE_HEIGHT);
        let growth = self.0.entry((level, index)).or_insert_with(|| TileGrowth {
            level,
            index,
            start: u16::try_from(node.index % u64::from(TILE_WIDTH)).unwrap_or(0),
            bytes: Vec::with_capacity(HASH_BYTES),
        });
        growth.bytes.extend_from_slice(hash.as_bytes());
    }

    /// The additions: from the leaves up, on each level from left to right.
    pub fn into_tiles(self) -> impl Iterator<Item = TileGrowth> {
        self.0.into_values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frontier::Frontier;
    use super::super::tile::{HashTile, Tile, TileLevel};
    use super::super::vectors::Tree;
    use super::*;

    /// Appends up to `size` and writes the tiles.
    fn grow(
        tiles: &mut BTreeMap<(u8, u64), Vec<u8>>,
        frontier: &mut Frontier,
        tree: &Tree,
        size: u64,
    ) {
        let mut growth = TreeGrowth::default();
        for index in frontier.size()..size {
            let leaf = tree.node(NodeId::leaf(index));
            frontier.append_with(leaf, |node, hash| growth.add(node, hash));
        }
        for added in growth.into_tiles() {
            let tile = tiles.entry((added.level, added.index)).or_default();
            assert_eq!(tile.len(), usize::from(added.start) * HASH_BYTES);
            tile.extend(added.bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn appended_tiles_are_those_of_the_tree_and_only_they_change(
            passes in proptest::collection::vec(0u64..700, 1..6),
        ) {
            let total = passes.iter().sum();
            let tree = Tree::of(total);
            let (mut tiles, mut frontier) = (BTreeMap::new(), Frontier::new());
            for pass in passes {
                let (old, before) = (frontier.size(), tiles.clone());
                grow(&mut tiles, &mut frontier, &tree, old + pass);
                let size = frontier.size();
                let changed: Vec<(u8, u64)> = Tile::changed(old, size)
                    .iter()
                    .filter_map(|tile| match tile.level() {
                        TileLevel::Hashes(level) => Some((level, tile.index())),
                        TileLevel::Entries => None,
                    })
                    .collect();
                let differs = |id: &&(u8, u64)| before.get(*id) != tiles.get(*id);
                prop_assert_eq!(tiles.keys().filter(differs).copied().collect::<Vec<_>>(), changed);
                for ((level, index), bytes) in &tiles {
                    let tile = Tile::of_tree(TileLevel::Hashes(*level), *index, size).unwrap();
                    prop_assert!(HashTile::from_bytes(tile, bytes).is_ok());
                }
                // The edge is read back from tiles when a process starts.
                let hashes = Frontier::nodes(size).into_iter().map(|node| {
                    let tile = Tile::holding(node, size).unwrap();
                    let TileLevel::Hashes(level) = tile.level() else {
                        panic!("no hash tile");
                    };
                    let bytes = &tiles[&(level, tile.index())];
                    HashTile::from_bytes(tile, bytes).unwrap().node(node).unwrap()
                });
                prop_assert_eq!(Frontier::from_hashes(size, hashes.collect()), Ok(frontier.clone()));
            }
            prop_assert_eq!(frontier.root(), tree.root(total));
        }
    }
}
