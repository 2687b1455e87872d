//! The nodes of a tree and which of them make up a range. Must not know their hashes.

/// A node below which all leaves exist: it covers the leaves from `index << level` up to, but
/// without, `(index + 1) << level`. Its hash never changes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// The height of the subtree; a leaf has 0.
    pub level: u8,
    /// How many nodes of this level are to its left.
    pub index: u64,
}

impl NodeId {
    /// The leaf of the entry with this index.
    pub fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// Whether a tree of `size` entries has all leaves of this node.
    pub fn is_complete_in(self, size: u64) -> bool {
        // Both factors have at most 64 bits, so the product has at most 128.
        let end = |width: u64| (u128::from(self.index) + 1).saturating_mul(u128::from(width));
        let width = 1u64.checked_shl(u32::from(self.level));
        width.is_some_and(|width| end(width) <= u128::from(size))
    }
}

/// A range of leaves that has a hash of its own in RFC 6962: the leaves from `begin` up to, but
/// without, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeafRange {
    /// The first leaf.
    pub(super) begin: u64,
    /// The leaf behind the last.
    pub(super) end: u64,
}

impl LeafRange {
    /// How many leaves it has.
    pub(super) fn len(self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    /// Splits a range of at least two leaves where RFC 6962 §2.1 does: the left part is the largest
    /// power of two that is smaller than the whole.
    pub(super) fn split(self) -> Option<(Self, Self)> {
        let last = self.len().checked_sub(1).filter(|last| *last > 0)?;
        let middle = self.begin.saturating_add(1 << last.ilog2());
        let (begin, end) = (self.begin, self.end);
        Some((Self { begin, end: middle }, Self { begin: middle, end }))
    }

    /// The largest complete nodes that make it up, from left to right: one for each bit that is set
    /// in its length.
    pub(super) fn nodes(self) -> Vec<NodeId> {
        let (mut begin, length) = (self.begin, self.len());
        let mut nodes = Vec::new();
        for level in (0u8..64).rev() {
            let width = 1u64 << level;
            if length & width != 0 {
                let index = begin >> level;
                nodes.push(NodeId { level, index });
                begin = begin.saturating_add(width);
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_complete_when_its_last_leaf_exists() {
        let node = |level, index| NodeId { level, index };
        assert!(node(0, 0).is_complete_in(1) && !node(0, 0).is_complete_in(0));
        assert!(node(3, 2).is_complete_in(24) && !node(3, 2).is_complete_in(23));
        assert!(node(63, 0).is_complete_in(u64::MAX) && !node(63, 1).is_complete_in(u64::MAX));
        assert!(!node(64, 0).is_complete_in(u64::MAX) && !node(255, 0).is_complete_in(u64::MAX));
        assert!(!node(0, u64::MAX).is_complete_in(u64::MAX));
        assert!(!node(63, u64::MAX).is_complete_in(u64::MAX));
    }

    #[test]
    fn a_range_is_split_at_the_largest_power_of_two_below_its_length() {
        let range = |begin, end| LeafRange { begin, end };
        let left = |size| range(0, size).split().map(|(left, _)| left.end);
        assert_eq!([0, 1].map(left), [None, None]);
        let sizes = [2, 3, 4, 5, 7, 8, 9, u64::MAX];
        let splits = [1, 2, 2, 4, 4, 4, 8, 1 << 63].map(Some);
        assert_eq!(sizes.map(left), splits);
        assert_eq!(range(8, 11).split(), Some((range(8, 10), range(10, 11))));
    }

    #[test]
    fn a_range_is_made_of_one_node_for_each_bit_of_its_length() {
        let nodes = |begin, end| LeafRange { begin, end }.nodes();
        let node = |level, index| NodeId { level, index };
        assert_eq!(nodes(0, 0), []);
        assert_eq!(nodes(0, 7), [node(2, 0), node(1, 2), node(0, 6)]);
        assert_eq!(nodes(8, 11), [node(1, 4), node(0, 10)]);
        assert_eq!(nodes(0, u64::MAX).len(), 64);
    }
}
