//! Checkpoints (C2SP tlog-checkpoint): what a log says about its tree, as the text of a note. Must
//! not know who signed it.

use crate::domain::Invalid;

use super::decimal::parse_decimal;
use super::hash::NodeHash;
use super::note::{NoteText, is_plain};
use super::verify::TreeHead;

const RULE: Invalid = Invalid(
    "a checkpoint is lines that are not empty: the origin, the size in decimal, the hash in base64, and extensions",
);

/// The state of a log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, which C2SP tlog-checkpoint recommends.
    pub fn new(origin: &str, head: TreeHead) -> Result<Self, Invalid> {
        let extensions = Vec::new();
        let origin = parse_line(origin)?;
        Ok(Self {
            origin,
            head,
            extensions,
        })
    }

    /// Reads the text of a note.
    pub fn parse(text: &NoteText) -> Result<Self, Invalid> {
        let lines = text.as_str().strip_suffix('\n').ok_or(RULE)?;
        let mut lines = lines.split('\n');
        let origin = parse_line(lines.next().ok_or(RULE)?)?;
        let size = lines.next().and_then(parse_decimal).ok_or(RULE)?;
        let root = NodeHash::from_base64(lines.next().ok_or(RULE)?)?;
        let extensions = lines.map(parse_line).collect::<Result<_, _>>()?;
        Ok(Self {
            origin,
            head: TreeHead { size, root },
            extensions,
        })
    }

    /// The text to sign.
    pub fn to_text(&self) -> NoteText {
        let (size, root) = (self.head.size.to_string(), self.head.root.to_base64());
        let fixed = [self.origin.as_str(), &size, &root];
        let extensions = self.extensions.iter().map(String::as_str);
        NoteText::of_lines(fixed.into_iter().chain(extensions))
    }

    /// Which log it is about.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The size of the tree and its hash.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The lines behind the hash. Nothing is known about what they mean.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

fn parse_line(line: &str) -> Result<String, Invalid> {
    if line.is_empty() || line.contains('\n') || !is_plain(line) {
        return Err(RULE);
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::tree::hash::leaf_hash;
    use crate::domain::tree::note::SignedNote;

    fn parse(text: &str) -> Result<Checkpoint, Invalid> {
        Checkpoint::parse(&NoteText::parse(text.to_owned())?)
    }

    /// The example of C2SP tlog-checkpoint.
    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let note = SignedNote::parse(note.as_bytes()).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.head().size, 20_852_163);
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        assert_eq!(checkpoint.head().root.to_base64(), root);
        assert!(checkpoint.extensions().is_empty());
        assert_eq!(checkpoint.to_text(), *note.text());
    }

    /// From `sumdb/tlog/note_test.go` of golang.org/x/mod.
    #[test]
    fn a_checkpoint_of_the_go_checksum_database_is_read_and_written() {
        let head = TreeHead {
            size: 123_456_789_012,
            root: leaf_hash(b"hello world"),
        };
        let golden =
            "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n";
        let checkpoint = Checkpoint::new("go.sum database tree", head).unwrap();
        assert_eq!(checkpoint.to_text().as_str(), golden);
        assert_eq!(parse(golden), Ok(checkpoint));
        let extended = parse(&format!("{golden}JOE\nè\n")).unwrap();
        assert_eq!(extended.extensions(), ["JOE", "è"]);
    }

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let root = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=";
        for bad in [
            "\n".to_owned(),
            "a\n".to_owned(),
            "a\n1\n".to_owned(),
            format!("\n1\n{root}\n"),
            format!("a\n\n{root}\n"),
            format!("a\n1\n\n{root}\n"),
            format!("a\n1\n{root}\n\n"),
            format!("a\n1\n{root}\n\nb\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n0xabcdef\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n1 \n{root}\n"),
            format!("a\n1\n{root} \n"),
            "a\n1\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBTOOBIG=\n".to_owned(),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        let head = TreeHead {
            size: 0,
            root: leaf_hash(b""),
        };
        for origin in ["", "a\n", "a\nb", "\n", "a\tb"] {
            assert!(Checkpoint::new(origin, head).is_err(), "{origin:?}");
        }
    }

    proptest! {
        #[test]
        fn a_checkpoint_reads_back_as_it_was_written(
            origin in "[^\\x00-\\x1f]{1,40}",
            size in any::<u64>(),
            root in any::<[u8; 32]>(),
            extensions in proptest::collection::vec("[^\\x00-\\x1f]{1,20}", 0..4),
        ) {
            let head = TreeHead { size, root: NodeHash::new(root) };
            let checkpoint = Checkpoint { extensions, ..Checkpoint::new(&origin, head).unwrap() };
            let text = checkpoint.to_text();
            prop_assert_eq!(NoteText::parse(text.as_str().to_owned()), Ok(text.clone()));
            prop_assert_eq!(Checkpoint::parse(&text), Ok(checkpoint));
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_written_the_same(
            text in "(a\n|[0-9]{1,20}\n|TszzRgjTG6xce\\+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n|.|\n){0,8}",
        ) {
            if let Ok(checkpoint) = parse(&text) {
                let written = checkpoint.to_text();
                prop_assert_eq!(written.as_str(), text);
            }
        }
    }
}
