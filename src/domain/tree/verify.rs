//! The verification of proofs (RFC 9162 §2.1.3.2 and §2.1.4.2). Must not know where they come from.

use crate::domain::Invalid;

use super::hash::{NodeHash, empty_tree_hash, node_hash};

const LENGTH: Invalid = Invalid("the proof has too many or too few hashes");

/// The hash of the tree of `size` entries that has this leaf at `index`, if `path` is as long as
/// such a proof is.
pub fn root_from_inclusion(
    leaf: NodeHash,
    index: u64,
    size: u64,
    path: &[NodeHash],
) -> Result<NodeHash, Invalid> {
    // RFC 9162 §2.1.3.2 calls them fn and sn: the positions of the node and of the last node on the
    // current level.
    let (mut at, mut last) = (index, size.checked_sub(1).ok_or(LENGTH)?);
    if at > last {
        return Err(Invalid("an entry's index is below the size of its tree"));
    }
    let mut root = leaf;
    for sibling in path {
        if last == 0 {
            return Err(LENGTH);
        }
        if at & 1 == 1 || at == last {
            root = node_hash(*sibling, root);
            climb_past_missing_siblings(&mut at, &mut last);
        } else {
            root = node_hash(root, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(root) } else { Err(LENGTH) }
}

/// Whether the tree of `size` entries with the hash `root` has this leaf at `index`.
pub fn verify_inclusion(
    leaf: NodeHash,
    index: u64,
    size: u64,
    path: &[NodeHash],
    root: NodeHash,
) -> Result<(), Invalid> {
    if root_from_inclusion(leaf, index, size, path)? == root {
        Ok(())
    } else {
        Err(Invalid("the proof leads to another tree hash"))
    }
}

/// The size of a tree and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of entries.
    pub size: u64,
    /// The hash of the tree.
    pub root: NodeHash,
}

/// Whether the tree `new` begins with the entries of the tree `old`.
pub fn verify_consistency(old: TreeHead, new: TreeHead, proof: &[NodeHash]) -> Result<(), Invalid> {
    const ANOTHER: Invalid = Invalid("the newer tree does not begin with the older");
    if old.size > new.size {
        return Err(Invalid(
            "the older tree has at most as many entries as the newer",
        ));
    }
    // RFC 9162 §2.1.4 defines no proof for these two: the hashes alone decide.
    if old.size == 0 || old.size == new.size {
        let expected = if old.size == 0 {
            empty_tree_hash()
        } else {
            new.root
        };
        let is_empty = new.size != 0 || new.root == expected;
        return match (proof.is_empty(), old.root == expected && is_empty) {
            (false, _) => Err(LENGTH),
            (true, false) => Err(ANOTHER),
            (true, true) => Ok(()),
        };
    }
    let (mut at, mut last) = (old.size.saturating_sub(1), new.size.saturating_sub(1));
    let mut rest = proof.iter();
    // An older tree of a power of two is a node of the newer, and its hash is left out of the proof.
    let first = if old.size.is_power_of_two() {
        old.root
    } else {
        *rest.next().ok_or(LENGTH)?
    };
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old_root, mut new_root) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(LENGTH);
        }
        if at & 1 == 1 || at == last {
            old_root = node_hash(*sibling, old_root);
            new_root = node_hash(*sibling, new_root);
            climb_past_missing_siblings(&mut at, &mut last);
        } else {
            new_root = node_hash(new_root, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(LENGTH)
    } else if old_root == old.root && new_root == new.root {
        Ok(())
    } else {
        Err(ANOTHER)
    }
}

/// A last node with an even position has no sibling on its level. It moves up until it has one.
fn climb_past_missing_siblings(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::node::NodeId;
    use super::super::proof::ProofNodes;
    use super::super::vectors::{
        ARGON_CONSISTENCY, ARGON_ENTRY, ARGON_INCLUSION, ARGON_OLD_ROOT, ARGON_ROOT, Tree,
    };
    use super::*;
    use crate::domain::tree::hash::leaf_hash;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn inclusion(tree: &Tree, index: u64, size: u64) -> Vec<NodeHash> {
        let nodes = ProofNodes::inclusion(index, size).unwrap();
        nodes
            .hashes(|node| Ok::<_, Invalid>(tree.node(node)))
            .unwrap()
    }

    fn consistency(tree: &Tree, old: u64, new: u64) -> Vec<NodeHash> {
        let nodes = ProofNodes::consistency(old, new).unwrap();
        nodes
            .hashes(|node| Ok::<_, Invalid>(tree.node(node)))
            .unwrap()
    }

    fn head(tree: &Tree, size: u64) -> TreeHead {
        let root = tree.root(size);
        TreeHead { size, root }
    }

    fn flip(hash: NodeHash, bit: usize) -> NodeHash {
        let mut bytes = *hash.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        NodeHash::new(bytes)
    }

    /// All proofs that differ from `proof` in one place: a bit, one hash less, one hash more.
    fn spoiled(proof: &[NodeHash], bit: usize, other: NodeHash) -> Vec<Vec<NodeHash>> {
        let mut spoiled = Vec::new();
        for at in 0..proof.len() {
            let mut changed = proof.to_vec();
            changed[at] = flip(changed[at], bit);
            spoiled.push(changed);
            let mut shorter = proof.to_vec();
            shorter.remove(at);
            spoiled.push(shorter);
        }
        for at in 0..=proof.len() {
            let mut longer = proof.to_vec();
            longer.insert(at, other);
            spoiled.push(longer);
        }
        spoiled
    }

    #[test]
    fn every_inclusion_proof_of_small_trees_verifies_and_no_other_index_does() {
        let tree = Tree::of(130);
        for size in (1..=70).chain([127, 128, 129, 130]) {
            let root = tree.root(size);
            for index in 0..size {
                let path = inclusion(&tree, index, size);
                let leaf = tree.node(NodeId::leaf(index));
                assert_eq!(verify_inclusion(leaf, index, size, &path, root), Ok(()));
                for other in (0..size).filter(|other| *other != index) {
                    assert!(verify_inclusion(leaf, other, size, &path, root).is_err());
                }
            }
        }
    }

    #[test]
    fn every_consistency_proof_of_small_trees_verifies_and_no_other_size_does() {
        let tree = Tree::of(130);
        for new in (1..=66).chain([127, 128, 129, 130]) {
            for old in 0..=new {
                let proof = consistency(&tree, old, new);
                let (older, newer) = (head(&tree, old), head(&tree, new));
                assert_eq!(verify_consistency(older, newer, &proof), Ok(()));
                for size in (0..=new).filter(|size| *size != old) {
                    let wrong = TreeHead { size, ..older };
                    assert!(verify_consistency(wrong, newer, &proof).is_err());
                }
            }
        }
    }

    /// Answers of the Google Argon 2020 log, from sumdb/tlog/testdata of golang.org/x/mod.
    #[test]
    fn proofs_of_a_real_certificate_transparency_log_verify() {
        let decode = |texts: &[&str]| -> Vec<NodeHash> {
            let hashes = texts.iter().map(|text| NodeHash::from_base64(text));
            hashes.collect::<Result<_, _>>().unwrap()
        };
        let root = NodeHash::from_base64(ARGON_ROOT).unwrap();
        let leaf = leaf_hash(&STANDARD.decode(ARGON_ENTRY).unwrap());
        let path = decode(ARGON_INCLUSION);
        let size = 961_984_013;
        assert_eq!(verify_inclusion(leaf, 10_000, size, &path, root), Ok(()));
        assert!(verify_inclusion(leaf, 10_001, size, &path, root).is_err());
        let old = TreeHead {
            size: 3_654_490,
            root: NodeHash::from_base64(ARGON_OLD_ROOT).unwrap(),
        };
        let new = TreeHead { size, root };
        let proof = decode(ARGON_CONSISTENCY);
        assert_eq!(verify_consistency(old, new, &proof), Ok(()));
        assert!(
            verify_consistency(
                TreeHead {
                    size: 3_654_489,
                    ..old
                },
                new,
                &proof
            )
            .is_err()
        );
    }

    /// The cases of `proof/verify_test.go` of github.com/transparency-dev/merkle.
    #[test]
    fn sizes_without_a_proof_are_decided_by_their_hashes() {
        let (empty, some, other) = (empty_tree_hash(), leaf_hash(b"a"), leaf_hash(b"b"));
        let check = |old: (u64, NodeHash), new: (u64, NodeHash), proof: &[NodeHash]| {
            let head = |(size, root)| TreeHead { size, root };
            verify_consistency(head(old), head(new), proof).is_ok()
        };
        assert!(check((0, empty), (0, empty), &[]));
        assert!(check((0, empty), (1, some), &[]));
        assert!(check((1, some), (1, some), &[]));
        assert!(!check((0, some), (0, some), &[]));
        assert!(!check((0, some), (1, some), &[]));
        assert!(!check((0, empty), (0, some), &[]));
        assert!(!check((1, some), (1, other), &[]));
        assert!(!check((1, some), (0, empty), &[]));
        assert!(!check((2, some), (1, some), &[]));
        assert!(!check((1, some), (2, other), &[]));
        assert!(!check((0, empty), (0, empty), &[some]));
        assert!(!check((0, empty), (1, some), &[some]));
        assert!(!check((1, some), (1, some), &[some]));
    }

    #[test]
    fn the_greatest_sizes_are_refused_without_overflow() {
        let some = leaf_hash(b"");
        for length in [0, 1, 63, 64, 65, 200] {
            let path = vec![some; length];
            for at in [0, 1, u64::MAX - 1, u64::MAX] {
                let root = root_from_inclusion(some, at, u64::MAX, &path);
                assert!(
                    root.is_err() || length == 64 || length == 63,
                    "{at} {length}"
                );
                let old = TreeHead {
                    size: at,
                    root: some,
                };
                let new = TreeHead {
                    size: u64::MAX,
                    root: empty_tree_hash(),
                };
                assert!(verify_consistency(old, new, &path).is_err());
            }
        }
        assert!(root_from_inclusion(some, 0, 0, &[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_inclusion_proof_with_anything_changed_fails(size in 1u64..400, at in any::<u64>(), bit in 0usize..256) {
            let tree = Tree::of(size);
            let (index, root) = (at % size, tree.root(size));
            let (leaf, path) = (tree.node(NodeId::leaf(index)), inclusion(&tree, index, size));
            prop_assert_eq!(verify_inclusion(leaf, index, size, &path, root), Ok(()));
            prop_assert!(verify_inclusion(flip(leaf, bit), index, size, &path, root).is_err());
            prop_assert!(verify_inclusion(leaf, index, size, &path, flip(root, bit)).is_err());
            for wrong in spoiled(&path, bit, root) {
                prop_assert!(verify_inclusion(leaf, index, size, &wrong, root).is_err());
            }
        }

        #[test]
        fn a_consistency_proof_with_anything_changed_fails(new in 2u64..400, at in any::<u64>(), bit in 0usize..256) {
            let tree = Tree::of(new);
            let old = 1 + at % (new - 1);
            let (older, newer) = (head(&tree, old), head(&tree, new));
            let proof = consistency(&tree, old, new);
            prop_assert_eq!(verify_consistency(older, newer, &proof), Ok(()));
            let wrong = TreeHead { root: flip(older.root, bit), ..older };
            prop_assert!(verify_consistency(wrong, newer, &proof).is_err());
            let wrong = TreeHead { root: flip(newer.root, bit), ..newer };
            prop_assert!(verify_consistency(older, wrong, &proof).is_err());
            prop_assert!(verify_consistency(newer, older, &proof).is_err());
            for wrong in spoiled(&proof, bit, newer.root) {
                prop_assert!(verify_consistency(older, newer, &wrong).is_err());
            }
        }
    }
}
