//! The hashes of a Merkle tree (RFC 6962 §2.1). Must not know which node a hash belongs to.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Invalid;

/// The length of a hash in bytes.
pub const HASH_BYTES: usize = SHA256_OUTPUT_LEN;

/// The first byte of what is hashed for a leaf. It differs from [`NODE_PREFIX`], so that a node
/// cannot be passed off as an entry.
const LEAF_PREFIX: u8 = 0x00;

/// The first byte of what is hashed for an inner node.
const NODE_PREFIX: u8 = 0x01;

/// The SHA-256 hash of a leaf, of an inner node or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeHash([u8; HASH_BYTES]);

impl NodeHash {
    /// Takes over the bytes of a hash.
    pub fn new(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash in `bytes`, if they are as many as a hash has.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
        let bytes = bytes.try_into();
        bytes.map(Self).map_err(|_| Invalid("a hash is 32 bytes"))
    }

    /// Reads standard base64 with padding (RFC 4648 §4), in its only spelling.
    pub fn from_base64(text: &str) -> Result<Self, Invalid> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Invalid("a hash is 32 bytes in standard base64"))?;
        Self::from_slice(&bytes)
    }

    /// The text that [`NodeHash::from_base64`] reads.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    fn of(digest: &Digest) -> Self {
        let mut bytes = [0; HASH_BYTES];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHash({})", self.to_base64())
    }
}

/// The hash of an entry: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> NodeHash {
    let mut context = Context::new(&SHA256);
    context.update(&[LEAF_PREFIX]);
    context.update(entry);
    NodeHash::of(&context.finish())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: NodeHash, right: NodeHash) -> NodeHash {
    let mut bytes = [NODE_PREFIX; 1 + 2 * HASH_BYTES];
    let (_, hashes) = bytes.split_at_mut(1);
    let (first, second) = hashes.split_at_mut(HASH_BYTES);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    NodeHash::of(&digest(&SHA256, &bytes))
}

/// The hash of the tree without entries: `SHA-256()`.
pub fn empty_tree_hash() -> NodeHash {
    NodeHash::of(&digest(&SHA256, &[]))
}

/// The hash of the range whose complete subtrees have these hashes, from left to right; `None`
/// without any. RFC 6962 §2.1 splits a range at the largest power of two, so the smaller subtrees
/// at the right are joined first.
pub(super) fn join(hashes: &[NodeHash]) -> Option<NodeHash> {
    let mut from_right = hashes.iter().rev().copied();
    let last = from_right.next()?;
    Some(from_right.fold(last, |right, left| node_hash(left, right)))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::hash;
    use super::*;

    /// From `rfc6962/rfc6962_test.go` of github.com/transparency-dev/merkle.
    #[test]
    fn leaves_nodes_and_the_empty_tree_hash_as_in_other_implementations() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty_tree_hash(), hash(empty));
        let empty_leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(leaf_hash(b""), hash(empty_leaf));
        let leaf = "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56";
        assert_eq!(leaf_hash(b"L123456"), hash(leaf));
        let (left, right) = (leaf_hash(b"Hello"), leaf_hash(b"World"));
        assert_ne!(node_hash(left, right), node_hash(right, left));
        let joined = [left.as_bytes().as_slice(), right.as_bytes()].concat();
        assert_ne!(node_hash(left, right), leaf_hash(&joined));
    }

    /// From `sumdb/tlog/note_test.go` of golang.org/x/mod.
    #[test]
    fn a_hash_is_written_in_standard_base64() {
        let text = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=";
        let hash = leaf_hash(b"hello world");
        assert_eq!(hash.to_base64(), text);
        assert_eq!(NodeHash::from_base64(text), Ok(hash));
    }

    #[test]
    fn a_hash_has_one_spelling_and_one_length() {
        for bad in [
            "",
            "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0",
            "TszzRgjTG6xce-z2AG31kAXYKBgQVtCSCE40HmuwBb0=",
            "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb1=",
            "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n",
            "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBTOOBIG=",
            "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40Hmuw",
        ] {
            assert!(NodeHash::from_base64(bad).is_err(), "{bad:?}");
        }
    }
}
