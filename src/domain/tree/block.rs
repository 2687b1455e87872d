//! The block: the entry of the log that stands for the tokens of a pass, and the proof that a
//! token's event is in it. Must not know what such an event says: here it is bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Invalid;

use super::frontier::Frontier;
use super::hash::{NodeHash, leaf_hash};
use super::proof::inclusion_path;
use super::verify::verify_inclusion;

/// The greatest integer that every JSON reader keeps exactly (RFC 8785 §3.2.2.3).
const MAX_INTEGER: i64 = (1 << 53) - 1;

const KIND: &str = "token.block";

const RULE: Invalid =
    Invalid("a token block is its members in order, as RFC 8785 writes them, with ids that fit");

/// The tokens of one pass, which covered the events with ids in (`from`, `to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBlock {
    from: i64,
    to: i64,
    first: i64,
    last: i64,
    count: i64,
    root: NodeHash,
}

/// The members of a block, as JSON has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockJson {
    count: i64,
    first: i64,
    from: i64,
    kind: String,
    last: i64,
    root: String,
    to: i64,
    v: u8,
}

impl TokenBlock {
    /// Reads the entry in its only spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let json: BlockJson = serde_json::from_slice(bytes).map_err(|_| RULE)?;
        let block = Self {
            from: json.from,
            to: json.to,
            first: json.first,
            last: json.last,
            count: json.count,
            root: NodeHash::from_base64(&json.root)?,
        };
        if json.kind == KIND && json.v == 1 && block.fits() && block.to_bytes() == bytes {
            Ok(block)
        } else {
            Err(RULE)
        }
    }

    /// The entry: RFC 8785 JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self {
            from,
            to,
            first,
            last,
            count,
            root,
        } = self;
        // None of the texts has a character that JSON escapes.
        let root = root.to_base64();
        format!(
            "{{\"count\":{count},\"first\":{first},\"from\":{from},\"kind\":\"{KIND}\",\"last\":{last},\
             \"root\":\"{root}\",\"to\":{to},\"v\":1}}"
        )
        .into_bytes()
    }

    /// The pass begins behind this id.
    pub fn from(&self) -> i64 {
        self.from
    }

    /// The pass ends with this id.
    pub fn to(&self) -> i64 {
        self.to
    }

    /// The id of its first token.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// The id of its last token.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// How many tokens it has: at least one.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// The hash of the tree whose entries are its tokens' events, in the order of their ids.
    pub fn root(&self) -> NodeHash {
        self.root
    }

    /// Whether the ids are in order and leave room for as many tokens.
    fn fits(&self) -> bool {
        let in_order = 0 <= self.from
            && self.from < self.first
            && self.first <= self.last
            && self.last <= self.to
            && self.to <= MAX_INTEGER;
        // In this order, the difference of two ids is between 0 and `MAX_INTEGER`.
        in_order
            && (1..=self.last.saturating_sub(self.first).saturating_add(1)).contains(&self.count)
    }
}

/// Takes the tokens of a pass one after the other. Its memory grows with their logarithm.
#[derive(Debug, Clone)]
pub struct BlockBuilder {
    from: i64,
    /// The ids of the first and the last token.
    ends: Option<(i64, i64)>,
    tree: Frontier,
}

impl BlockBuilder {
    /// For the tokens of the pass that begins behind the id `from`.
    pub fn new(from: i64) -> Self {
        let (ends, tree) = (None, Frontier::new());
        Self { from, ends, tree }
    }

    /// Takes the next token by its id and the bytes of its event.
    pub fn push(&mut self, id: i64, event: &[u8]) -> Result<(), Invalid> {
        let before = self.ends.map_or(self.from, |(_, last)| last);
        if id <= before {
            return Err(Invalid(
                "a block takes its tokens in the order of their ids, all of them of its pass",
            ));
        }
        self.tree.append(leaf_hash(event));
        self.ends = Some((self.ends.map_or(id, |(first, _)| first), id));
        Ok(())
    }

    /// How many tokens it took.
    pub fn count(&self) -> u64 {
        self.tree.size()
    }

    /// The block of the pass that ends with the id `to`; `None` if the pass had no tokens.
    pub fn finish(self, to: i64) -> Result<Option<TokenBlock>, Invalid> {
        let Some((first, last)) = self.ends else {
            return Ok(None);
        };
        let block = TokenBlock {
            from: self.from,
            to,
            first,
            last,
            count: i64::try_from(self.tree.size()).map_err(|_| RULE)?,
            root: self.tree.root(),
        };
        if block.fits() {
            Ok(Some(block))
        } else {
            Err(RULE)
        }
    }
}

/// The proof that a token's event is in its block. It is the `extra` of the proof that the block is
/// in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProof {
    event: String,
    index: u64,
    path: Vec<NodeHash>,
}

/// The members of a proof, as JSON has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockProofJson<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    index: u64,
    path: Vec<String>,
}

impl BlockProof {
    /// The proof for the event at `index` of the block whose events have these leaf hashes.
    pub fn new(event: &[u8], leaves: &[NodeHash], index: u64) -> Result<Self, Invalid> {
        let path = inclusion_path(leaves, index)?;
        let event = str::from_utf8(event).map_err(|_| RULE)?.to_owned();
        let proof = Self { event, index, path };
        // An event that is no JSON object would not read back.
        Self::parse(&proof.to_bytes())
    }

    /// Reads the bytes in their only spelling. The event is kept to the byte, since these bytes are
    /// hashed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid(
            "the proof of a token is its event, its index and its path, as RFC 8785 writes them",
        );
        let json: BlockProofJson<'_> = serde_json::from_slice(bytes).map_err(|_| RULE)?;
        let hashes = json.path.iter().map(|hash| NodeHash::from_base64(hash));
        let proof = Self {
            event: json.event.get().to_owned(),
            index: json.index,
            path: hashes.collect::<Result<_, _>>()?,
        };
        if proof.event.starts_with('{') && proof.to_bytes() == bytes {
            Ok(proof)
        } else {
            Err(RULE)
        }
    }

    /// The bytes of `extra`: RFC 8785 JSON, if the event is.
    pub fn to_bytes(&self) -> Vec<u8> {
        let quote = |hash: &NodeHash| format!("\"{}\"", STANDARD.encode(hash.as_bytes()));
        let path: Vec<String> = self.path.iter().map(quote).collect();
        let (event, index, path) = (&self.event, self.index, path.join(","));
        format!("{{\"event\":{event},\"index\":{index},\"path\":[{path}]}}").into_bytes()
    }

    /// The bytes of the token's event.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The position of the event within its block, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Whether the event is in the block at this position.
    pub fn verify(&self, block: &TokenBlock) -> Result<(), Invalid> {
        let leaf = leaf_hash(self.event.as_bytes());
        let size = u64::try_from(block.count).map_err(|_| RULE)?;
        verify_inclusion(leaf, self.index, size, &self.path, block.root)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(id: i64) -> Vec<u8> {
        format!("{{\"id\":{id},\"kind\":\"token.issued\",\"v\":1}}").into_bytes()
    }

    fn block(ids: &[i64], from: i64, to: i64) -> TokenBlock {
        let mut builder = BlockBuilder::new(from);
        for id in ids {
            builder.push(*id, &event(*id)).unwrap();
        }
        builder.finish(to).unwrap().unwrap()
    }

    #[test]
    fn a_block_is_written_as_the_log_has_it() {
        let block = block(&[12, 15], 10, 20);
        let root = block.root().to_base64();
        let text = format!(
            "{{\"count\":2,\"first\":12,\"from\":10,\"kind\":\"token.block\",\"last\":15,\"root\":\"{root}\",\"to\":20,\"v\":1}}"
        );
        assert_eq!(block.to_bytes(), text.as_bytes());
        // RFC 8785 sorts the members as a map of texts does.
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sorted: std::collections::BTreeMap<_, _> =
            json.as_object().unwrap().clone().into_iter().collect();
        assert_eq!(serde_json::to_string(&sorted).unwrap(), text);
    }

    #[test]
    fn a_block_has_one_spelling() {
        let good = String::from_utf8(block(&[12, 15], 10, 20).to_bytes()).unwrap();
        assert!(TokenBlock::parse(good.as_bytes()).is_ok());
        for (from, to) in [
            ("{", "{ "),
            ("}", "}\n"),
            ("\"count\":2,", ""),
            ("\"count\":2,\"first\":12,", "\"first\":12,\"count\":2,"),
            ("\"v\":1", "\"v\":1,\"w\":1"),
            ("\"v\":1", "\"v\":1,\"v\":1"),
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":1.0"),
            ("token.block", "token.issued"),
            ("token.block", "token\\u002eblock"),
            ("\"count\":2", "\"count\":0"),
            ("\"count\":2", "\"count\":5"),
            ("\"count\":2", "\"count\":-1"),
            ("\"first\":12", "\"first\":10"),
            ("\"first\":12", "\"first\":16"),
            ("\"from\":10", "\"from\":-1"),
            ("\"from\":10", "\"from\":1e1"),
            ("\"to\":20", "\"to\":14"),
            ("\"to\":20", "\"to\":9007199254740992"),
            ("=\"", "\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(TokenBlock::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_block_takes_tokens_of_its_pass_in_order() {
        let mut builder = BlockBuilder::new(10);
        assert!(builder.push(10, b"").is_err());
        builder.push(11, b"").unwrap();
        assert!(builder.push(11, b"").is_err() && builder.push(9, b"").is_err());
        builder.push(20, b"").unwrap();
        assert_eq!(builder.count(), 2);
        assert!(builder.clone().finish(19).is_err());
        assert!(builder.clone().finish(i64::MAX).is_err());
        assert_eq!(builder.finish(20).unwrap().unwrap().count(), 2);
        assert_eq!(BlockBuilder::new(10).finish(20), Ok(None));
    }

    #[test]
    fn a_proof_has_one_spelling_and_keeps_the_event_to_the_byte() {
        let leaves = [leaf_hash(&event(1)), leaf_hash(&event(2))];
        let proof = BlockProof::new(&event(1), &leaves, 0).unwrap();
        let path = leaves[1].to_base64();
        let text = format!(
            "{{\"event\":{{\"id\":1,\"kind\":\"token.issued\",\"v\":1}},\"index\":0,\"path\":[\"{path}\"]}}"
        );
        assert_eq!(proof.to_bytes(), text.as_bytes());
        assert_eq!(proof.event().as_bytes(), event(1));
        for (from, to) in [
            ("{\"event\"", "{ \"event\""),
            ("\"event\":{", "\"event\": {"),
            ("\"index\":0,", ""),
            ("\"index\":0", "\"index\":-0"),
            ("\"index\":0", "\"index\":0,\"index\":0"),
            ("]}", "],\"more\":1}"),
            ("]}", ",\"\"]}"),
            ("=\"", "\""),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text);
            assert!(BlockProof::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [&b"1"[..], b"", b"{", b"{}}", b" {}", b"\"\xff\"", b"[]"] {
            assert!(BlockProof::new(bad, &leaves, 0).is_err());
        }
        assert!(BlockProof::new(&event(1), &leaves, 2).is_err());
    }

    proptest! {
        #[test]
        fn every_token_of_a_block_is_proven_and_no_other_event(
            gaps in proptest::collection::vec(1i64..5, 1..120),
            from in 0i64..1000,
            pick in any::<prop::sample::Index>(),
        ) {
            let ids: Vec<i64> = gaps.iter().scan(from, |id, gap| {
                *id += gap;
                Some(*id)
            }).collect();
            let block = block(&ids, from, ids.last().unwrap() + 3);
            prop_assert_eq!(TokenBlock::parse(&block.to_bytes()), Ok(block.clone()));
            let leaves: Vec<NodeHash> = ids.iter().map(|id| leaf_hash(&event(*id))).collect();
            let at = pick.index(ids.len());
            let index = u64::try_from(at).unwrap();
            let proof = BlockProof::new(&event(ids[at]), &leaves, index).unwrap();
            prop_assert_eq!(BlockProof::parse(&proof.to_bytes()), Ok(proof.clone()));
            prop_assert_eq!(proof.verify(&block), Ok(()));
            let forged = BlockProof::new(&event(-1), &leaves, index).unwrap();
            prop_assert!(forged.verify(&block).is_err());
            let moved = BlockProof { index: index + 1, ..proof };
            prop_assert!(moved.verify(&block).is_err());
        }

        #[test]
        fn no_bytes_panic(
            cut in 0usize..200,
            at in 0usize..200,
            byte in any::<u8>(),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let leaves = [leaf_hash(&event(1)), leaf_hash(&event(2))];
            let proof = BlockProof::new(&event(1), &leaves, 0).unwrap().to_bytes();
            for mut bytes in [block(&[1, 2], 0, 3).to_bytes(), proof] {
                bytes.truncate(cut);
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
                bytes.extend(&tail);
                if let Ok(block) = TokenBlock::parse(&bytes) {
                    prop_assert_eq!(block.to_bytes(), bytes.clone());
                }
                if let Ok(proof) = BlockProof::parse(&bytes) {
                    prop_assert_eq!(proof.to_bytes(), bytes);
                }
            }
        }
    }
}
