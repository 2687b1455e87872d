//! Signed notes (C2SP signed-note): a text and signature lines. Must not know how a signature is
//! made or verified: `keys::log` does both.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Invalid;

use super::verifier_key::{KEY_ID_BYTES, KeyName, VerifierKey};

/// The most signatures that a note may have. C2SP signed-note demands at least 16; Go's `note`
/// refuses more than 100.
pub const MAX_SIGNATURES: usize = 100;

/// What a signature line starts with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A text that can be signed: it ends in a newline and has no other control character below U+0020.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteText(String);

impl NoteText {
    /// Accepts `text` if it keeps the rule.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if text.ends_with('\n') && is_plain(&text) {
            Ok(Self(text))
        } else {
            Err(Invalid(
                "the text of a note ends in a newline and has no other control character",
            ))
        }
    }

    /// The text of these lines, whose writer checked that each is free of control characters.
    pub(super) fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = lines.into_iter();
        Self(lines.flat_map(|line| [line, "\n"]).collect())
    }

    /// The text, with the newline at its end. These bytes are signed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text has no control character below U+0020 but newline.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 || byte == b'\n')
}

/// One signature of a note. Nothing is known of it before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    key_id: [u8; KEY_ID_BYTES],
    /// At least one byte.
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// A signature of this key.
    pub fn new(key: &VerifierKey, bytes: Vec<u8>) -> Result<Self, Invalid> {
        if bytes.is_empty() {
            return Err(Invalid("a signature is not empty"));
        }
        let (name, key_id) = (key.name().clone(), key.id());
        Ok(Self {
            name,
            key_id,
            bytes,
        })
    }

    /// Whose signature it claims to be.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Whether it claims to be of this key: both the name and the id must match.
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.key_id == key.id()
    }

    /// What the key's algorithm produced.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (key_id, bytes) = decoded.split_first_chunk::<KEY_ID_BYTES>()?;
        (!bytes.is_empty()).then_some(Self {
            name: KeyName::parse(name).ok()?,
            key_id: *key_id,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = STANDARD.encode([&self.key_id[..], &self.bytes].concat());
        writeln!(f, "{SIGNATURE_PREFIX}{} {encoded}", self.name)
    }
}

/// A text with at least one signature. Its text must not be believed before a signature of a known
/// key is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: NoteText,
    /// 1 to [`MAX_SIGNATURES`].
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note with one signature.
    pub fn new(text: NoteText, signature: NoteSignature) -> Self {
        let signatures = vec![signature];
        Self { text, signatures }
    }

    /// The same note with one more signature, at the end.
    pub fn with(mut self, signature: NoteSignature) -> Result<Self, Invalid> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(Invalid("a note has at most 100 signatures"));
        }
        self.signatures.push(signature);
        Ok(self)
    }

    /// Reads the bytes of a note. Only the spelling that [`SignedNote`] displays is read, so two
    /// different byte strings are never the same note.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid(
            "a note is a text, an empty line, and lines of an em dash, a key name and a signature",
        );
        let note = str::from_utf8(bytes)
            .ok()
            .filter(|note| is_plain(note))
            .ok_or(RULE)?;
        // The text may have empty lines, so the last empty line ends it.
        let at = note.rfind("\n\n").ok_or(RULE)?;
        let (text, lines) = note.split_at(at.saturating_add(1));
        let lines = lines.strip_prefix('\n').ok_or(RULE)?;
        let lines = lines.strip_suffix('\n').ok_or(RULE)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= MAX_SIGNATURES {
                return Err(Invalid("a note has at most 100 signatures"));
            }
            signatures.push(NoteSignature::parse(line).ok_or(RULE)?);
        }
        let text = NoteText::parse(text.to_owned())?;
        Ok(Self { text, signatures })
    }

    /// What is signed.
    pub fn text(&self) -> &NoteText {
        &self.text
    }

    /// All signatures, of known and of unknown keys.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text.as_str())?;
        let mut signatures = self.signatures.iter();
        signatures.try_for_each(|signature| signature.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of C2SP signed-note.
    const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    /// From `sumdb/note/note_test.go` of golang.org/x/mod.
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn parse(text: &str) -> Result<SignedNote, Invalid> {
        SignedNote::parse(text.as_bytes())
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let note = parse(POEM).unwrap();
        assert!(
            note.text()
                .as_str()
                .ends_with("sole:\n\ned è subito sera.\n")
        );
        assert_eq!(note.signatures().len(), 1);
        assert_eq!(
            note.signatures()[0].name().as_str(),
            "quasimodo.example/salvatore"
        );
        assert_eq!(note.signatures()[0].key_id, [0x36, 0x7b, 0xa0, 0x4b]);
        assert_eq!(note.signatures()[0].bytes().len(), 64);
        assert_eq!(note.to_string(), POEM);
    }

    #[test]
    fn a_note_of_two_signatures_keeps_both_in_order() {
        let text = format!("{TEXT}\n{PETER}{ENOCH}");
        let note = parse(&text).unwrap();
        assert_eq!(note.text().as_str(), TEXT);
        let names = note
            .signatures()
            .iter()
            .map(|signature| signature.name().as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["PeterNeumann", "EnochRoot"]);
        assert_eq!(note.to_string(), text);
    }

    /// The malformed notes of Go's `TestOpen`, and more of their kind.
    #[test]
    fn a_malformed_note_is_refused() {
        let unended = PETER.trim_end();
        for bad in [
            String::new(),
            "\n".to_owned(),
            "\n\n".to_owned(),
            TEXT.to_owned(),
            format!("{TEXT}\n"),
            format!("{TEXT}\n\n"),
            format!("{TEXT}{PETER}"),
            format!("\n{PETER}"),
            format!("{TEXT}\n{unended}"),
            format!("\x01{TEXT}\n{PETER}"),
            format!("{TEXT}\r\n{PETER}"),
            format!("{TEXT}\n{unended}\r\n"),
            format!("{TEXT}\n{PETER}\n"),
            format!("{TEXT}\n{PETER}Unexpected line.\n"),
            format!("{TEXT}\n{}", PETER.replace("PeterNeumann", "Bad Name")),
            format!("{TEXT}\n{}", PETER.replace("PeterNeumann", "Bad+Name")),
            format!("{TEXT}\n{}", PETER.replace("PeterNeumann ", "")),
            format!("{TEXT}\n{}", PETER.replace("PeterNeumann", "")),
            format!("{TEXT}\n{}", PETER.replace('—', "-")),
            format!("{TEXT}\n{}", PETER.replace("nAM=", "nAN=")),
            format!("{TEXT}\n{}", PETER.replace("nAM=", "nAM")),
            format!("{TEXT}\n{}", PETER.replace("nAM=", "nAM= ")),
            // Four bytes are a key id without a signature.
            format!("{TEXT}\n— PeterNeumann x08gow==\n"),
            format!("{TEXT}\n— PeterNeumann \n"),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        let not_utf8 = [b"\xff".as_slice(), TEXT.as_bytes(), b"\n", PETER.as_bytes()].concat();
        assert!(SignedNote::parse(&not_utf8).is_err());
    }

    #[test]
    fn a_text_may_have_empty_lines_and_lines_that_look_like_signatures() {
        for text in ["\n", "a\n\n", "\n\na\n", &format!("a\n\n{PETER}")] {
            let note = parse(&format!("{text}\n{PETER}")).unwrap();
            assert_eq!(note.text().as_str(), text);
        }
        assert!(NoteText::parse(String::new()).is_err());
        assert!(NoteText::parse("a".to_owned()).is_err());
        assert!(NoteText::parse("a\tb\n".to_owned()).is_err());
        assert!(NoteText::parse("è \u{7f}\n".to_owned()).is_ok());
    }

    #[test]
    fn a_note_has_at_most_100_signatures() {
        let full = format!("{TEXT}\n{}", PETER.repeat(MAX_SIGNATURES));
        let note = parse(&full).unwrap();
        let signature = note.signatures()[0].clone();
        assert!(note.with(signature).is_err());
        assert!(parse(&format!("{full}{PETER}")).is_err());
    }

    fn signature() -> impl Strategy<Value = (String, Vec<u8>)> {
        let bytes = proptest::collection::vec(any::<u8>(), 1..80);
        ("[^\\s\\p{C}+]{1,20}", bytes)
    }

    proptest! {
        #[test]
        fn a_note_reads_back_as_it_was_written(
            text in "([^\\x00-\\x1f]|\n){0,60}",
            signatures in proptest::collection::vec(signature(), 1..5),
        ) {
            let text = NoteText::parse(format!("{text}\n")).unwrap();
            let mut signatures = signatures.into_iter().map(|(name, bytes)| {
                let key = VerifierKey::new(KeyName::parse(&name).unwrap(), [7; 32]);
                NoteSignature::new(&key, bytes).unwrap()
            });
            let note = SignedNote::new(text, signatures.next().unwrap());
            let note = signatures.try_fold(note, SignedNote::with).unwrap();
            prop_assert_eq!(parse(&note.to_string()), Ok(note));
        }

        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_the_same(
            head in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0usize..200,
            tail in "(\n|— |=|[A-Za-z+/ ]|.){0,40}",
        ) {
            let known = format!("{TEXT}\n{PETER}{ENOCH}").into_bytes();
            let mut bytes = head;
            bytes.extend(&known[cut.min(known.len())..]);
            bytes.extend(tail.as_bytes());
            if let Ok(note) = SignedNote::parse(&bytes) {
                prop_assert_eq!(note.to_string().into_bytes(), bytes);
            }
        }
    }
}
