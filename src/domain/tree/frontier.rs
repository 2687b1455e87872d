//! The right edge of a growing tree: what is needed to append entries and to know the tree's hash,
//! in memory that grows with the logarithm of the tree. Must not know tiles.

use crate::domain::Invalid;

use super::hash::{NodeHash, empty_tree_hash, join, node_hash};
use super::node::{LeafRange, NodeId};

/// The hashes of the largest complete subtrees of a tree, from left to right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One hash for each bit that is set in `size`.
    hashes: Vec<NodeHash>,
}

impl Frontier {
    /// The edge of the tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The nodes whose hashes [`Frontier::from_hashes`] takes for a tree of `size` entries.
    pub fn nodes(size: u64) -> Vec<NodeId> {
        LeafRange {
            begin: 0,
            end: size,
        }
        .nodes()
    }

    /// The edge of a tree of `size` entries, from the hashes of [`Frontier::nodes`] in their order.
    pub fn from_hashes(size: u64, hashes: Vec<NodeHash>) -> Result<Self, Invalid> {
        let expected = usize::try_from(size.count_ones());
        if expected.is_ok_and(|expected| expected == hashes.len()) {
            Ok(Self { size, hashes })
        } else {
            Err(Invalid(
                "the edge of a tree has one hash for each bit that is set in its size",
            ))
        }
    }

    /// How many entries the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of [`Frontier::nodes`], in their order.
    pub fn hashes(&self) -> &[NodeHash] {
        &self.hashes
    }

    /// The hash of the tree (RFC 6962 §2.1).
    pub fn root(&self) -> NodeHash {
        join(&self.hashes).unwrap_or_else(empty_tree_hash)
    }

    /// Appends an entry by its leaf hash.
    pub fn append(&mut self, leaf: NodeHash) {
        self.append_with(leaf, |_, _| {});
    }

    /// Appends an entry by its leaf hash, and tells `completed` every node that this entry
    /// completes: the leaf first, then its parents upwards.
    pub fn append_with(&mut self, leaf: NodeHash, mut completed: impl FnMut(NodeId, NodeHash)) {
        let (mut node, mut hash) = (NodeId::leaf(self.size), leaf);
        completed(node, hash);
        // A node with an odd index is a right child. Its sibling is the last hash of the edge.
        while node.index & 1 == 1 {
            let Some(left) = self.hashes.pop() else {
                break;
            };
            hash = node_hash(left, hash);
            node = NodeId {
                level: node.level.saturating_add(1),
                index: node.index >> 1,
            };
            completed(node, hash);
        }
        self.hashes.push(hash);
        // Nobody appends 2^64 entries one by one.
        self.size = self.size.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors::{LEAVES, ROOTS, Tree, hash};
    use super::*;
    use crate::domain::tree::hash::leaf_hash;

    #[test]
    fn trees_of_one_to_eight_entries_hash_as_in_other_implementations() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), empty_tree_hash());
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            frontier.append(leaf_hash(leaf));
            assert_eq!(frontier.root(), hash(root), "size {}", frontier.size());
        }
    }

    #[test]
    fn the_edge_is_small_and_has_the_hash_that_the_definition_gives() {
        let tree = Tree::of(300);
        let mut frontier = Frontier::new();
        for size in 1u64..=300 {
            let index = usize::try_from(size - 1).unwrap();
            frontier.append(tree.leaves[index]);
            assert_eq!(frontier.root(), tree.root(size));
            assert_eq!(frontier.hashes().len(), size.count_ones() as usize);
        }
    }

    #[test]
    fn an_edge_of_the_wrong_length_is_refused() {
        let leaf = leaf_hash(b"");
        assert!(Frontier::from_hashes(0, vec![]).is_ok());
        for (size, count) in [(0, 1), (1, 0), (1, 2), (6, 1), (6, 3), (u64::MAX, 63)] {
            assert!(
                Frontier::from_hashes(size, vec![leaf; count]).is_err(),
                "{size}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_edge_that_is_taken_up_again_goes_on_as_if_never_left(first in 0u64..200, more in 0u64..200) {
            let tree = Tree::of(first + more);
            let hashes = Frontier::nodes(first).into_iter().map(|node| tree.node(node)).collect();
            let mut frontier = Frontier::from_hashes(first, hashes).unwrap();
            prop_assert_eq!(frontier.root(), tree.root(first));
            for index in first..first + more {
                let leaf = tree.node(NodeId::leaf(index));
                frontier.append_with(leaf, |node, hash| {
                    assert!(node.is_complete_in(index + 1) && !node.is_complete_in(index));
                    assert_eq!(tree.node(node), hash);
                });
            }
            prop_assert_eq!(frontier.root(), tree.root(first + more));
        }
    }
}
