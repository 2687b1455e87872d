//! Proofs that an entry is in a log, as a text that is checked without the log (C2SP tlog-proof).
//! Must not know what the entry says, or who signed the checkpoint.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Invalid;

use super::checkpoint::Checkpoint;
use super::decimal::parse_decimal;
use super::hash::NodeHash;
use super::note::SignedNote;
use super::verify::verify_inclusion;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes of a proof: one for each bit of an index.
const MAX_HASHES: usize = 64;

const RULE: Invalid = Invalid(
    "a proof is its header, `extra` with data in base64 if it has any, `index`, hashes, an empty line and a note",
);

/// An inclusion proof with the checkpoint that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application needs to use the proof; empty if there is nothing. It is not
    /// authenticated.
    pub extra: Vec<u8>,
    /// The index of the entry in the log.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up. At most 64 hashes.
    pub path: Vec<NodeHash>,
    /// The checkpoint with its signatures, whose text is a [`Checkpoint`].
    pub checkpoint: SignedNote,
}

impl TlogProof {
    /// Reads the text in its only spelling. The signatures are not verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = str::from_utf8(bytes).map_err(|_| RULE)?;
        // No line before the note is empty, so the first empty line ends them.
        let (head, note) = text.split_once("\n\n").ok_or(RULE)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(RULE);
        }
        let mut line = lines.next().ok_or(RULE)?;
        let mut extra = Vec::new();
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = STANDARD.decode(encoded).map_err(|_| RULE)?;
            // Without data, the line is left out.
            if extra.is_empty() {
                return Err(RULE);
            }
            line = lines.next().ok_or(RULE)?;
        }
        let index = line.strip_prefix("index ").and_then(parse_decimal);
        let index = index.ok_or(RULE)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() >= MAX_HASHES {
                return Err(Invalid("a proof has at most 64 hashes"));
            }
            path.push(NodeHash::from_base64(line)?);
        }
        let checkpoint = SignedNote::parse(note.as_bytes())?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self {
            extra,
            index,
            path,
            checkpoint,
        })
    }

    /// The checkpoint, if the proof leads from the entry with this hash to the checkpoint's tree. The
    /// caller verifies the checkpoint's signature.
    pub fn verify(&self, leaf: NodeHash) -> Result<Checkpoint, Invalid> {
        let checkpoint = Checkpoint::parse(self.checkpoint.text())?;
        let head = checkpoint.head();
        verify_inclusion(leaf, self.index, head.size, &self.path, head.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", hash.to_base64())?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::proof::inclusion_path;
    use super::super::vectors::Tree;
    use super::super::verifier_key::{KeyName, VerifierKey};
    use super::super::verify::TreeHead;
    use super::*;
    use crate::domain::tree::note::NoteSignature;

    fn parse(text: &str) -> Result<TlogProof, Invalid> {
        TlogProof::parse(text.as_bytes())
    }

    fn note(head: TreeHead) -> SignedNote {
        let text = Checkpoint::new("example.com/log", head).unwrap().to_text();
        let key = VerifierKey::new(KeyName::parse("example.com/log").unwrap(), [7; 32]);
        SignedNote::new(text, NoteSignature::new(&key, vec![1; 64]).unwrap())
    }

    fn proof(tree: &Tree, index: u64) -> TlogProof {
        let size = u64::try_from(tree.leaves.len()).unwrap();
        let root = tree.root(size);
        TlogProof {
            extra: vec![],
            index,
            path: inclusion_path(&tree.leaves, index).unwrap(),
            checkpoint: note(TreeHead { size, root }),
        }
    }

    /// The lines of the example of C2SP tlog-proof. Its signatures are shortened and its extra data
    /// is no whole base64 there, so the two are other ones here.
    #[test]
    fn the_lines_of_the_specification_are_read_and_written() {
        let text = "c2sp.org/tlog-proof@v1\n\
            extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\n\
            index 73894\n\
            gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
            B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
            EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n\
            RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n\
            AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\
            \n\
            example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
            \n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let proof = parse(text).unwrap();
        assert_eq!(proof.extra, b"age-v1.2.1-darwin-arm64.tar.gz");
        assert_eq!((proof.index, proof.path.len()), (73_894, 5));
        assert_eq!(proof.to_string(), text);
        assert!(proof.verify(proof.path[0]).is_err());
    }

    #[test]
    fn a_proof_leads_from_its_entry_to_its_checkpoint_and_from_no_other() {
        let tree = Tree::of(11);
        for index in 0..11 {
            let proof = proof(&tree, index);
            let read = parse(&proof.to_string()).unwrap();
            for (leaf, other) in tree.leaves.iter().zip(0u64..) {
                assert_eq!(read.verify(*leaf).is_ok(), index == other);
            }
        }
    }

    /// The malformed proofs of `proof/tlog_proof_test.go` of github.com/transparency-dev/merkle, and
    /// more of their kind.
    #[test]
    fn a_proof_has_one_spelling() {
        let good = proof(&Tree::of(3), 0).to_string();
        assert!(parse(&good).is_ok());
        let after = |line: &str, more: &str| good.replace(line, &format!("{line}{more}"));
        let hash = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n";
        for bad in [
            String::new(),
            good.replace(HEADER, "wrong-header"),
            good.replace("index 0\n", ""),
            good.replace("index 0\n", "\n"),
            good.replace("index 0", "index 00"),
            good.replace("index 0", "index -5"),
            good.replace("index 0", "index notanumber"),
            good.replace("index 0", "index  0"),
            good.replace("index 0", "index"),
            after("@v1\n", "extra \n"),
            after("@v1\n", "extra\n"),
            after("@v1\n", "extra !!notbase64!!\n"),
            after("@v1\n", "extra YQ\n"),
            after("@v1\n", "extra YQ==\nextra YQ==\n"),
            after("index 0\n", "extra YQ==\n"),
            after("index 0\n", "!!notbase64!!\n"),
            after(
                "index 0\n",
                "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBTOOBIG=\n",
            ),
            after("index 0\n", &hash.repeat(63)),
            good.replace("\nexample", "example"),
            good.replace("\nexample", "\n\nexample"),
            good.replace("log\n3\n", "log\n03\n"),
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        assert!(TlogProof::parse(b"c2sp.org/tlog-proof@v1\nindex 0\n\n\xff").is_err());
    }

    proptest! {
        #[test]
        fn a_proof_reads_back_as_it_was_written(
            extra in proptest::collection::vec(any::<u8>(), 0..80),
            index in any::<u64>(),
            path in proptest::collection::vec(any::<[u8; 32]>(), 0..=MAX_HASHES),
            size in any::<u64>(),
            root in any::<[u8; 32]>(),
        ) {
            let path = path.into_iter().map(NodeHash::new).collect();
            let checkpoint = note(TreeHead { size, root: NodeHash::new(root) });
            let proof = TlogProof { extra, index, path, checkpoint };
            prop_assert_eq!(parse(&proof.to_string()), Ok(proof));
        }

        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_the_same(
            cut in 0usize..300,
            at in 0usize..300,
            byte in any::<u8>(),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = proof(&Tree::of(5), 2).to_string().into_bytes();
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.extend(tail);
            if let Ok(proof) = TlogProof::parse(&bytes) {
                prop_assert_eq!(proof.to_string().into_bytes(), bytes);
            }
        }
    }
}
