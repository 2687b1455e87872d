//! Which hashes a proof consists of, and their computation from stored nodes (RFC 6962 §2.1.1 and
//! §2.1.2). Must not know how nodes are stored: the caller asks for the nodes, reads them, and hands
//! them back through a closure.

use crate::domain::Invalid;

use super::hash::{NodeHash, join};
use super::node::{LeafRange, NodeId};

/// The nodes from which a proof is computed. The right edge of a tree has hashes that are stored
/// nowhere; a hash of a proof that lies there is joined from several nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofNodes(Vec<Vec<NodeId>>);

impl ProofNodes {
    /// For the proof that the tree of `size` entries has a certain entry at `index`.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, Invalid> {
        if index >= size {
            return Err(Invalid("an entry's index is below the size of its tree"));
        }
        let mut ranges = Vec::new();
        let mut inside = whole(size);
        while let Some((left, right)) = inside.split() {
            let is_left = index < left.end;
            let (next, sibling) = if is_left {
                (left, right)
            } else {
                (right, left)
            };
            ranges.push(sibling);
            inside = next;
        }
        Ok(Self::from_top(ranges))
    }

    /// For the proof that the tree of `new` entries begins with the tree of `old` entries. The proof
    /// is empty if `old` is 0 or `new`: then there is nothing to prove but the equality of two
    /// hashes.
    pub fn consistency(old: u64, new: u64) -> Result<Self, Invalid> {
        if old > new {
            return Err(Invalid(
                "the older tree has at most as many entries as the newer",
            ));
        }
        if old == 0 {
            return Ok(Self(Vec::new()));
        }
        let mut ranges = Vec::new();
        let (mut inside, mut is_known) = (whole(new), true);
        while let Some((left, right)) = inside.split().filter(|_| inside.end != old) {
            let is_left = old <= left.end;
            let (next, sibling) = if is_left {
                (left, right)
            } else {
                (right, left)
            };
            ranges.push(sibling);
            inside = next;
            // As long as it only went left, the range at the end is the whole older tree, whose hash
            // the verifier has.
            is_known &= is_left;
        }
        if !is_known {
            ranges.push(inside);
        }
        Ok(Self::from_top(ranges))
    }

    /// A proof lists its hashes from the leaves up.
    fn from_top(ranges: Vec<LeafRange>) -> Self {
        Self(ranges.into_iter().rev().map(LeafRange::nodes).collect())
    }

    /// All nodes whose hashes are needed.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().flatten().copied()
    }

    /// The proof. `read` returns the hash of a node of [`ProofNodes::nodes`].
    pub fn hashes<E>(
        &self,
        mut read: impl FnMut(NodeId) -> Result<NodeHash, E>,
    ) -> Result<Vec<NodeHash>, E> {
        let mut proof = Vec::with_capacity(self.0.len());
        for nodes in &self.0 {
            let hashes: Vec<NodeHash> = nodes
                .iter()
                .map(|node| read(*node))
                .collect::<Result<_, E>>()?;
            proof.extend(join(&hashes));
        }
        Ok(proof)
    }
}

/// The inclusion proof of the leaf at `index` among all leaves of a tree.
pub fn inclusion_path(leaves: &[NodeHash], index: u64) -> Result<Vec<NodeHash>, Invalid> {
    const OUTSIDE: Invalid = Invalid("a node of the proof is outside the tree");
    let size = u64::try_from(leaves.len()).map_err(|_| OUTSIDE)?;
    ProofNodes::inclusion(index, size)?.hashes(|node| {
        let width = 1usize.checked_shl(u32::from(node.level)).ok_or(OUTSIDE)?;
        let begin = usize::try_from(node.index)
            .ok()
            .and_then(|index| index.checked_mul(width))
            .ok_or(OUTSIDE)?;
        let end = begin.checked_add(width).ok_or(OUTSIDE)?;
        subtree_hash(leaves.get(begin..end).ok_or(OUTSIDE)?).ok_or(OUTSIDE)
    })
}

/// The hash of a complete subtree from its leaves, which are a power of two.
pub(super) fn subtree_hash(leaves: &[NodeHash]) -> Option<NodeHash> {
    if !leaves.len().is_power_of_two() {
        return None;
    }
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).filter_map(join).collect();
    }
    level.first().copied()
}

fn whole(size: u64) -> LeafRange {
    LeafRange {
        begin: 0,
        end: size,
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{CONSISTENCY, INCLUSION, LEAVES, Tree, hash};
    use super::*;

    fn proof(nodes: &ProofNodes, tree: &Tree) -> Vec<NodeHash> {
        let read = |node| Ok::<_, Invalid>(tree.node(node));
        nodes.hashes(read).unwrap()
    }

    fn hashes(texts: &[&str]) -> Vec<NodeHash> {
        texts.iter().map(|text| hash(text)).collect()
    }

    #[test]
    fn inclusion_proofs_are_those_of_other_implementations() {
        let tree = Tree::with(LEAVES);
        for (index, size, expected) in INCLUSION {
            let nodes = ProofNodes::inclusion(*index, *size).unwrap();
            assert_eq!(proof(&nodes, &tree), hashes(expected), "{index} of {size}");
            let leaves = &tree.leaves[..usize::try_from(*size).unwrap()];
            assert_eq!(inclusion_path(leaves, *index).unwrap(), hashes(expected));
        }
    }

    #[test]
    fn consistency_proofs_are_those_of_other_implementations() {
        let tree = Tree::with(LEAVES);
        for (old, new, expected) in CONSISTENCY {
            let nodes = ProofNodes::consistency(*old, *new).unwrap();
            assert_eq!(proof(&nodes, &tree), hashes(expected), "{old} to {new}");
        }
    }

    #[test]
    fn a_proof_outside_the_tree_does_not_exist() {
        assert!(ProofNodes::inclusion(0, 0).is_err());
        assert!(ProofNodes::inclusion(5, 5).is_err());
        assert!(ProofNodes::consistency(6, 5).is_err());
        assert!(inclusion_path(&[], 0).is_err());
        assert_eq!(ProofNodes::consistency(0, 5), Ok(ProofNodes(vec![])));
        assert_eq!(ProofNodes::consistency(5, 5), Ok(ProofNodes(vec![])));
    }

    #[test]
    fn the_largest_trees_have_proofs_of_at_most_65_hashes() {
        for size in [u64::MAX, u64::MAX - 1, 1 << 63] {
            for at in [1, size / 3, size - 2, size - 1] {
                let inclusion = ProofNodes::inclusion(at, size).unwrap();
                let consistency = ProofNodes::consistency(at, size).unwrap();
                assert!(inclusion.0.len() <= 64 && consistency.0.len() <= 65);
                let mut nodes = inclusion.nodes().chain(consistency.nodes());
                assert!(nodes.all(|node| node.is_complete_in(size)));
            }
        }
    }

    #[test]
    fn a_node_that_cannot_be_read_ends_the_computation() {
        let nodes = ProofNodes::inclusion(0, 7).unwrap();
        let failure = nodes.hashes(|node| Err::<NodeHash, _>(node.level));
        assert_eq!(failure, Err(0));
    }
}
