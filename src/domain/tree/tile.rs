//! Tiles (C2SP tlog-tiles): which of them a tree has, their paths, and the hashes in them. Must not
//! know where they are stored or served.

use std::fmt;

use crate::domain::Invalid;

use super::bundle::bundle_prefix;
use super::decimal::parse_decimal;
use super::hash::{HASH_BYTES, NodeHash};
use super::node::NodeId;
use super::proof::subtree_hash;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The height of the subtree whose leaves are the hashes of a tile: `TILE_WIDTH == 1 << TILE_HEIGHT`.
pub(super) const TILE_HEIGHT: u8 = 8;

/// The highest level that a path may name.
const MAX_LEVEL: u8 = 63;

const RULE: Invalid = Invalid(
    "a tile is tile/<0 to 63 or entries>/<index in groups of three digits>, with .p/<1 to 255> if it is partial",
);

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileLevel {
    /// Hashes. At level 0 they are those of entries; at each further level, those of full tiles of
    /// the level below.
    Hashes(u8),
    /// The entries whose hashes are in the tile of level 0 with the same index.
    Entries,
}

/// The name of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    level: TileLevel,
    index: u64,
    /// 1 to [`TILE_WIDTH`].
    width: u16,
}

impl Tile {
    /// The tile with this index on this level; `width` says how many hashes or entries it has.
    pub fn new(level: TileLevel, index: u64, width: u16) -> Result<Self, Invalid> {
        let is_level = !matches!(level, TileLevel::Hashes(above) if above > MAX_LEVEL);
        if is_level && (1..=TILE_WIDTH).contains(&width) {
            Ok(Self {
                level,
                index,
                width,
            })
        } else {
            Err(RULE)
        }
    }

    /// Reads a path, `tile/0/x001/x234/067.p/8` for example, in its only spelling.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        let rest = path.strip_prefix("tile/").ok_or(RULE)?;
        let (level, rest) = rest.split_once('/').ok_or(RULE)?;
        let level = if level == "entries" {
            TileLevel::Entries
        } else {
            let level = parse_decimal(level).and_then(|level| u8::try_from(level).ok());
            TileLevel::Hashes(level.ok_or(RULE)?)
        };
        let (digits, width) = match rest.split_once(".p/") {
            Some((digits, width)) => (digits, parse_decimal(width).ok_or(RULE)?),
            None => (rest, u64::from(TILE_WIDTH)),
        };
        let mut index = 0u64;
        for group in digits.split('/') {
            let group = group.strip_prefix('x').unwrap_or(group);
            if group.len() != 3 || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(RULE);
            }
            let group = group.parse::<u64>().map_err(|_| RULE)?;
            let shifted = index.checked_mul(1000);
            index = shifted
                .and_then(|index| index.checked_add(group))
                .ok_or(RULE)?;
        }
        let tile = Self::new(level, index, u16::try_from(width).map_err(|_| RULE)?)?;
        // It has another spelling if an `x` is missing, a group is superfluous or a full tile is
        // written as a partial one.
        if tile.to_string() == path {
            Ok(tile)
        } else {
            Err(RULE)
        }
    }

    /// What it holds.
    pub fn level(self) -> TileLevel {
        self.level
    }

    /// How many tiles of its level are to its left.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has: 1 to [`TILE_WIDTH`].
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether it never changes again.
    pub fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Whether a tree of `size` entries has it, with at least its width.
    pub fn is_in(self, size: u64) -> bool {
        width_in(self.level, self.index, size).is_some_and(|width| width >= self.width)
    }

    /// The tile of this level and index as wide as a tree of `size` entries has it; `None` if such a
    /// tree has no hash in it.
    pub fn of_tree(level: TileLevel, index: u64, size: u64) -> Option<Self> {
        let width = width_in(level, index, size)?;
        Self::new(level, index, width).ok()
    }

    /// The hash tile from which the hash of this node is computed, as wide as a tree of `size`
    /// entries has it; `None` if the node is not complete in such a tree.
    pub fn holding(node: NodeId, size: u64) -> Option<Self> {
        if !node.is_complete_in(size) {
            return None;
        }
        let (level, inside) = (node.level / TILE_HEIGHT, node.level % TILE_HEIGHT);
        let first = node.index.checked_shl(u32::from(inside))?;
        Self::of_tree(TileLevel::Hashes(level), first >> TILE_HEIGHT, size)
    }

    /// The level of the tiles that hold the hash of this node. Nodes between the levels are in no
    /// tile: they are joined from its hashes.
    pub fn level_of(node: NodeId) -> Option<u8> {
        (node.level.is_multiple_of(TILE_HEIGHT)).then_some(node.level / TILE_HEIGHT)
    }

    /// The index of the first hash or entry of this tile among all of its level.
    pub fn first(self) -> u64 {
        self.index.saturating_mul(u64::from(TILE_WIDTH))
    }

    /// The bundle with this entry, as wide as a tree of `size` entries has it; `None` if such a tree
    /// does not have the entry.
    pub fn holding_entry(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        Self::of_tree(TileLevel::Entries, index >> TILE_HEIGHT, size)
    }

    /// The bytes of this tile, from those of the same tile when it is as wide or wider: a tile only
    /// ever grows at its end.
    pub fn cut(self, stored: &[u8]) -> Result<&[u8], Invalid> {
        match self.level {
            TileLevel::Entries => bundle_prefix(stored, self.width),
            TileLevel::Hashes(_) => stored
                .get(..usize::from(self.width).saturating_mul(HASH_BYTES))
                .ok_or(Invalid("the stored tile is narrower")),
        }
    }

    /// The tiles that a tree of `new` entries has and the tree of `old` entries does not have, or
    /// not as wide: bundles first, then hash tiles from the leaves up.
    pub fn changed(old: u64, new: u64) -> Vec<Self> {
        let mut changed = Vec::new();
        let hashes = (0..=MAX_LEVEL).map(TileLevel::Hashes);
        for level in std::iter::once(TileLevel::Entries).chain(hashes) {
            let (from, to) = (count_in(level, old), count_in(level, new));
            if to == 0 {
                break;
            }
            if from < to {
                let indexes = from >> TILE_HEIGHT..=(to.saturating_sub(1)) >> TILE_HEIGHT;
                changed.extend(indexes.filter_map(|index| Self::of_tree(level, index, new)));
            }
        }
        changed
    }
}

/// How many hashes or entries a tree of `size` entries has on a level.
fn count_in(level: TileLevel, size: u64) -> u64 {
    let shift = match level {
        TileLevel::Hashes(level) => u32::from(level).saturating_mul(u32::from(TILE_HEIGHT)),
        TileLevel::Entries => 0,
    };
    size.checked_shr(shift).unwrap_or(0)
}

/// How wide a tile is in a tree of `size` entries; `None` if it would be empty.
fn width_in(level: TileLevel, index: u64, size: u64) -> Option<u16> {
    let begin = index.checked_mul(u64::from(TILE_WIDTH))?;
    let width = count_in(level, size).checked_sub(begin)?;
    let width = u16::try_from(width).unwrap_or(TILE_WIDTH).min(TILE_WIDTH);
    (width > 0).then_some(width)
}

/// The path below the address of the log.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Hashes(level) => write!(f, "tile/{level}")?,
            TileLevel::Entries => f.write_str("tile/entries")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            // Every group but the last begins with an x.
            let mark = if place > 0 { "x" } else { "" };
            write!(f, "/{mark}{group:03}")?;
        }
        if self.is_full() {
            Ok(())
        } else {
            write!(f, ".p/{}", self.width)
        }
    }
}

/// A hash tile with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTile {
    level: u8,
    index: u64,
    hashes: Vec<NodeHash>,
}

impl HashTile {
    /// The tile with its bytes, which are its hashes one after the other. The bytes of a wider tile
    /// are refused: a narrower tile has only the first of them.
    pub fn from_bytes(tile: Tile, bytes: &[u8]) -> Result<Self, Invalid> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() {
            return Err(Invalid("a tile is as many bytes as its hashes"));
        }
        Self::new(
            tile,
            hashes.iter().map(|hash| NodeHash::new(*hash)).collect(),
        )
    }

    /// The tile with its hashes, which must be as many as it is wide.
    pub fn new(tile: Tile, hashes: Vec<NodeHash>) -> Result<Self, Invalid> {
        let TileLevel::Hashes(level) = tile.level else {
            return Err(Invalid("a bundle of entries has no hashes"));
        };
        if hashes.len() != usize::from(tile.width) {
            return Err(Invalid("a tile has as many hashes as it is wide"));
        }
        let index = tile.index;
        Ok(Self {
            level,
            index,
            hashes,
        })
    }

    /// The hash of a node that is in the tile, or that is joined from hashes of it.
    pub fn node(&self, node: NodeId) -> Option<NodeHash> {
        let inside = node
            .level
            .checked_sub(self.level.checked_mul(TILE_HEIGHT)?)?;
        if inside >= TILE_HEIGHT {
            return None;
        }
        let first = node.index.checked_mul(1 << inside)?;
        if first >> TILE_HEIGHT != self.index {
            return None;
        }
        let begin = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
        let end = begin.checked_add(1 << inside)?;
        subtree_hash(self.hashes.get(begin..end)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::proof::ProofNodes;
    use super::super::vectors::Tree;
    use super::*;

    fn hashes(level: u8, index: u64, width: u16) -> Tile {
        Tile::new(TileLevel::Hashes(level), index, width).unwrap()
    }

    fn entries(index: u64, width: u16) -> Tile {
        Tile::new(TileLevel::Entries, index, width).unwrap()
    }

    /// The tile of `tree` as it would be stored.
    fn stored(tree: &Tree, tile: Tile) -> HashTile {
        let TileLevel::Hashes(level) = tile.level() else {
            panic!("no hash tile");
        };
        let first = tile.index() * 256;
        let bytes = (first..first + u64::from(tile.width())).flat_map(|index| {
            let level = level * TILE_HEIGHT;
            *tree.node(NodeId { level, index }).as_bytes()
        });
        HashTile::from_bytes(tile, &bytes.collect::<Vec<_>>()).unwrap()
    }

    /// The index is the example of C2SP tlog-tiles; the groups are those of Go's `TestTilePath`.
    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, tile) in [
            ("tile/0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("tile/5/x123/x456/078", hashes(5, 123_456_078, 256)),
            ("tile/5/x123/x456/078.p/2", hashes(5, 123_456_078, 2)),
            ("tile/0/001", hashes(0, 1, 256)),
            ("tile/0/001.p/5", hashes(0, 1, 5)),
            ("tile/63/000.p/255", hashes(63, 0, 255)),
            ("tile/entries/x003/x057/500", entries(3_057_500, 256)),
            ("tile/entries/000.p/1", entries(0, 1)),
            (
                "tile/1/x018/x446/x744/x073/x709/x551/615",
                hashes(1, u64::MAX, 256),
            ),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(Tile::parse(path), Ok(tile));
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        for bad in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/0/000/",
            "tile/5/123/456/078",
            "tile/-1/000",
            "tile/+1/000",
            "tile/01/000",
            "tile/64/000",
            "tile/256/000",
            "tile/data/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/001/000",
            "tile/0/X001/000",
            "tile/0/xx01/000",
            "tile/0/-01",
            "tile/0/+01",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000.p/257",
            "tile/0/000.p/65792",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/0/x001.p/000",
            "tile/1/x018/x446/x744/x073/x709/x551/616",
            "tile/1/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/entries/000.p/256",
            "tile/Entries/000",
            "tile/0/００１",
        ] {
            assert!(Tile::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Tile::new(TileLevel::Hashes(64), 0, 1).is_err());
        assert!(Tile::new(TileLevel::Entries, 0, 0).is_err());
        assert!(Tile::new(TileLevel::Entries, 0, 257).is_err());
    }

    /// The two examples of C2SP tlog-tiles, "Partial Tiles".
    #[test]
    fn a_tree_has_the_tiles_that_the_specification_counts() {
        let tiles: Vec<Tile> = Tile::changed(0, 70_000)
            .into_iter()
            .filter(|tile| tile.level() != TileLevel::Entries)
            .collect();
        let full = |level| {
            let of_level =
                |tile: &&Tile| tile.level() == TileLevel::Hashes(level) && tile.is_full();
            tiles.iter().filter(of_level).count()
        };
        assert_eq!([full(0), full(1), full(2)], [273, 1, 0]);
        let partial: Vec<&Tile> = tiles.iter().filter(|tile| !tile.is_full()).collect();
        let expected = [hashes(0, 273, 112), hashes(1, 1, 17), hashes(2, 0, 1)];
        assert_eq!(partial, expected.iter().collect::<Vec<_>>());
        let tiles = [entries(0, 256), hashes(0, 0, 256), hashes(1, 0, 1)];
        assert_eq!(Tile::changed(0, 256), tiles);
    }

    #[test]
    fn only_tiles_that_gain_something_change() {
        assert_eq!(Tile::changed(0, 0), []);
        assert_eq!(Tile::changed(300, 300), []);
        assert_eq!(Tile::changed(300, 5), []);
        assert_eq!(Tile::changed(300, 301), [entries(1, 45), hashes(0, 1, 45)]);
        let tiles = [
            entries(1, 256),
            entries(2, 2),
            hashes(0, 1, 256),
            hashes(0, 2, 2),
            hashes(1, 0, 2),
        ];
        assert_eq!(Tile::changed(300, 514), tiles);
        assert_eq!(Tile::changed(u64::MAX - 1, u64::MAX).len(), 2);
    }

    #[test]
    fn a_tree_has_every_narrower_form_of_its_tiles() {
        assert!(hashes(0, 1, 44).is_in(300) && hashes(0, 1, 1).is_in(300));
        assert!(!hashes(0, 1, 45).is_in(300) && !hashes(0, 2, 1).is_in(300));
        assert!(hashes(0, 0, 256).is_in(300) && hashes(0, 0, 7).is_in(300));
        assert!(hashes(1, 0, 1).is_in(300) && !hashes(1, 0, 2).is_in(300));
        assert!(!hashes(8, 0, 1).is_in(u64::MAX) && !hashes(63, 0, 1).is_in(u64::MAX));
        assert!(!hashes(0, u64::MAX, 1).is_in(u64::MAX));
        assert_eq!(Tile::holding_entry(299, 300), Some(entries(1, 44)));
        assert_eq!(Tile::holding_entry(300, 300), None);
        assert_eq!(Tile::of_tree(TileLevel::Hashes(1), 0, 255), None);
    }

    #[test]
    fn a_node_outside_the_tree_or_the_tile_is_not_found() {
        let tree = Tree::of(300);
        let tile = stored(&tree, hashes(0, 1, 44));
        let node = |level, index| NodeId { level, index };
        assert_eq!(tile.node(node(5, 8)), Some(tree.node(node(5, 8))));
        assert_eq!(tile.node(node(5, 9)), None);
        assert_eq!(tile.node(node(0, 300)), None);
        assert_eq!(tile.node(node(0, 255)), None);
        assert_eq!(tile.node(node(8, 0)), None);
        assert_eq!(tile.node(node(0, u64::MAX)), None);
        assert_eq!(tile.node(node(7, u64::MAX)), None);
        assert_eq!(tile.node(node(255, 0)), None);
        assert_eq!(Tile::holding(node(8, 1), 300), None);
        assert_eq!(Tile::holding(node(8, 0), 300), Some(hashes(1, 0, 1)));
        assert_eq!(Tile::holding(node(7, 1), 300), Some(hashes(0, 0, 256)));
        assert_eq!(Tile::holding(node(255, 0), u64::MAX), None);
    }

    #[test]
    fn the_bytes_of_a_tile_are_its_hashes() {
        let bytes = [7; 3 * HASH_BYTES];
        assert!(HashTile::from_bytes(hashes(0, 0, 3), &bytes).is_ok());
        assert!(HashTile::from_bytes(hashes(0, 0, 2), &bytes).is_err());
        assert!(HashTile::from_bytes(hashes(0, 0, 4), &bytes).is_err());
        assert!(HashTile::from_bytes(hashes(0, 0, 3), &bytes[1..]).is_err());
        assert!(HashTile::from_bytes(entries(0, 3), &bytes).is_err());
    }

    #[test]
    fn a_narrower_tile_is_the_beginning_of_the_wider() {
        let stored = [[1; HASH_BYTES], [2; HASH_BYTES]].concat();
        assert_eq!(hashes(0, 0, 1).cut(&stored).unwrap(), [1; HASH_BYTES]);
        assert_eq!(hashes(0, 0, 2).cut(&stored).unwrap(), stored);
        assert!(hashes(0, 0, 3).cut(&stored).is_err());
        let stored = [0, 1, b'a', 0, 0];
        assert_eq!(entries(0, 1).cut(&stored).unwrap(), &stored[..3]);
        assert_eq!(entries(0, 2).cut(&stored).unwrap(), stored);
        assert!(entries(0, 3).cut(&stored).is_err());
    }

    #[test]
    fn proofs_are_computed_from_tiles_alone() {
        let tree = Tree::of(700);
        for (old, size) in [(1, 700), (255, 700), (256, 699), (300, 512), (513, 514)] {
            let nodes = ProofNodes::consistency(old, size).unwrap();
            for node in nodes
                .nodes()
                .chain(ProofNodes::inclusion(old, size).unwrap().nodes())
            {
                let tile = Tile::holding(node, size).unwrap();
                assert!(tile.is_in(size));
                assert_eq!(stored(&tree, tile).node(node), Some(tree.node(node)));
            }
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_it_was_written(
            level in proptest::option::of(0u8..=63),
            index in any::<u64>(),
            shift in 0u32..64,
            width in 1u16..=256,
        ) {
            let level = level.map_or(TileLevel::Entries, TileLevel::Hashes);
            let tile = Tile::new(level, index >> shift, width).unwrap();
            prop_assert_eq!(Tile::parse(&tile.to_string()), Ok(tile));
        }

        #[test]
        fn no_path_panics_and_what_is_read_is_written_the_same(
            path in "(tile/)?([0-9]{1,3}|entries|.{0,4})(/x?[0-9]{3}){0,8}(/|.p/[0-9]{0,4}|.{0,3})",
        ) {
            if let Ok(tile) = Tile::parse(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }

        #[test]
        fn a_tile_changes_exactly_if_it_is_wider_than_before(old in 0u64..200_000, more in 0u64..200_000) {
            let new = old + more;
            let changed = Tile::changed(old, new);
            for level in 0..4 {
                let level = TileLevel::Hashes(level);
                for index in 0..=new / 256 {
                    let (before, after) = (Tile::of_tree(level, index, old), Tile::of_tree(level, index, new));
                    if after.is_none() {
                        break;
                    }
                    prop_assert_eq!(changed.contains(&after.unwrap()), before != after);
                }
            }
        }
    }
}
