//! The log key: it signs the checkpoints of the tamper-evident log with Ed25519 (RFC 8032, C2SP
//! signed-note).
//!
//! It is a key of the store and is never in the JWKS, so no token verifies with it. Owns signing and
//! verifying notes. Must not know what a note says, except for the origin of a checkpoint.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::domain::tree::checkpoint::Checkpoint;
use crate::domain::tree::note::{NoteSignature, NoteText, SignedNote};
use crate::domain::tree::verifier_key::{KeyName, VerifierKey};
use crate::store::StoreKey;

use super::fault::KeyFault;
use super::seal::MasterKey;
use super::store_key;

/// The purpose under which log keys are stored. The 32 bytes of a store key are the private key
/// (RFC 8032 §5.1.5).
pub(crate) const PURPOSE: &str = "log";

/// A store's log key.
pub struct LogKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({}, redacted)", self.verifier)
    }
}

impl LogKey {
    /// The stored log key under the name of its log; `None` if it is for another purpose or does not
    /// open.
    pub fn open(stored: &StoreKey, master: &MasterKey, origin: KeyName) -> Option<Self> {
        let bytes = store_key::open(stored, PURPOSE, master)?;
        Self::from_private(&bytes, origin)
    }

    fn from_private(bytes: &[u8], origin: KeyName) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(bytes).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        let verifier = VerifierKey::new(origin, public);
        Some(Self { pair, verifier })
    }

    /// What others need to verify its notes.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text. The same text always gets the same signature.
    pub fn sign(&self, text: NoteText) -> Result<SignedNote, KeyFault> {
        let signature = self.pair.try_sign(text.as_str().as_bytes());
        let bytes = signature.map_err(|_| KeyFault::Signing)?.as_ref().to_vec();
        let signature = NoteSignature::new(&self.verifier, bytes).map_err(|_| KeyFault::Signing)?;
        Ok(SignedNote::new(text, signature))
    }
}

/// Why a note is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has no signature of a known key.
    #[error("the note has no signature of a known key")]
    UnknownKeys,
    /// A signature that claims to be of a known key does not verify.
    #[error("a signature of the note is not that of its text")]
    WrongSignature,
    /// Its text is not a checkpoint of the key's log.
    #[error("the note is no checkpoint of this log")]
    NotOfThisLog,
}

/// Verifies a note with the keys that the caller trusts (C2SP signed-note, "Signatures"). At least
/// one of them must have signed it. Signatures of other keys are ignored.
pub fn verify_note(note: &SignedNote, known: &[VerifierKey]) -> Result<(), NoteError> {
    let text = note.text().as_str().as_bytes();
    let mut is_signed = false;
    for key in known {
        for signature in note
            .signatures()
            .iter()
            .filter(|signature| signature.is_of(key))
        {
            UnparsedPublicKey::new(&ED25519, key.public())
                .verify(text, signature.bytes())
                .map_err(|_| NoteError::WrongSignature)?;
            is_signed = true;
        }
    }
    if is_signed {
        Ok(())
    } else {
        Err(NoteError::UnknownKeys)
    }
}

/// Verifies a note with the key of a log and returns its checkpoint, whose origin must be the key's
/// name.
pub fn verify_checkpoint(note: &SignedNote, key: &VerifierKey) -> Result<Checkpoint, NoteError> {
    verify_note(note, std::slice::from_ref(key))?;
    Checkpoint::parse(note.text())
        .ok()
        .filter(|checkpoint| checkpoint.origin() == key.name().as_str())
        .ok_or(NoteError::NotOfThisLog)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::domain::tree::hash::leaf_hash;
    use crate::domain::tree::verify::TreeHead;
    use crate::entropy::SeededEntropy;

    /// From `sumdb/note/note_test.go` of golang.org/x/mod.
    const PETER_PRIVATE: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn note(lines: &str) -> SignedNote {
        SignedNote::parse(format!("{TEXT}\n{lines}").as_bytes()).unwrap()
    }

    fn key(text: &str) -> VerifierKey {
        VerifierKey::parse(text).unwrap()
    }

    fn text(text: &str) -> NoteText {
        NoteText::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_note_is_signed_as_go_signs_it() {
        let private = STANDARD.decode(PETER_PRIVATE).unwrap();
        let name = KeyName::parse("PeterNeumann").unwrap();
        let peter = LogKey::from_private(&private[1..], name).unwrap();
        assert_eq!(peter.verifier_key().to_string(), PETER);
        let signed = peter.sign(text(TEXT)).unwrap();
        assert_eq!(signed.to_string(), format!("{TEXT}\n{PETER_LINE}"));
        assert_eq!(verify_note(&signed, &[key(PETER)]), Ok(()));
    }

    /// The example of C2SP signed-note, "Verifier keys".
    #[test]
    fn the_note_of_the_specification_verifies() {
        let foo = key("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
        let note = "This is an example message.\n\n\
            — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let note = SignedNote::parse(note.as_bytes()).unwrap();
        assert_eq!(verify_note(&note, &[foo]), Ok(()));
    }

    /// The cases of Go's `TestOpen`.
    #[test]
    fn known_signatures_must_verify_and_unknown_ones_are_ignored() {
        let (peter, enoch) = (key(PETER), key(ENOCH));
        let both = note(&[PETER_LINE, ENOCH_LINE].concat());
        assert_eq!(verify_note(&both, std::slice::from_ref(&peter)), Ok(()));
        assert_eq!(verify_note(&both, &[peter.clone(), enoch.clone()]), Ok(()));
        assert_eq!(verify_note(&both, &[]), Err(NoteError::UnknownKeys));
        let by_enoch = note(ENOCH_LINE);
        let known = std::slice::from_ref(&peter);
        assert_eq!(verify_note(&by_enoch, known), Err(NoteError::UnknownKeys));
        // A name or an id alone makes no known key.
        for line in [
            PETER_LINE.replace("PeterNeumann", "CarmenSandiego"),
            PETER_LINE.replace("x08g", "xxxx"),
        ] {
            assert_eq!(
                verify_note(&note(&line), known),
                Err(NoteError::UnknownKeys)
            );
        }
        // Too long, too short, changed, and of another text.
        let encoded = PETER_LINE.trim_end().rsplit(' ').next().unwrap();
        let cut = STANDARD.encode(&STANDARD.decode(encoded).unwrap()[..60]);
        for line in [
            format!("{}ABCD{}", &PETER_LINE[..60], &PETER_LINE[60..]),
            format!("— PeterNeumann {cut}\n"),
            PETER_LINE.replace("ZJku", "ZJkv"),
            [PETER_LINE, &PETER_LINE.replace("ZJku", "ZJkv"), ENOCH_LINE].concat(),
        ] {
            assert_eq!(
                verify_note(&note(&line), known),
                Err(NoteError::WrongSignature)
            );
            let known = [enoch.clone(), peter.clone()];
            assert_eq!(
                verify_note(&note(&line), &known),
                Err(NoteError::WrongSignature)
            );
        }
        let other = SignedNote::parse(format!("{TEXT}{TEXT}\n{PETER_LINE}").as_bytes()).unwrap();
        assert_eq!(verify_note(&other, known), Err(NoteError::WrongSignature));
    }

    #[test]
    fn a_stored_key_signs_checkpoints_of_its_log_and_shows_nothing_private() {
        let entropy = SeededEntropy::new(7);
        let master = MasterKey::generate(&entropy).unwrap();
        let stored = store_key::generate(PURPOSE, '0', &master, &entropy).unwrap();
        let origin = || KeyName::of_log("https://auth.example.com", 1).unwrap();
        let log = LogKey::open(&stored, &master, origin()).unwrap();
        let head = TreeHead {
            size: 1,
            root: leaf_hash(b"entry"),
        };
        let checkpoint = Checkpoint::new(origin().as_str(), head).unwrap();
        let signed = log.sign(checkpoint.to_text()).unwrap();
        let read = SignedNote::parse(signed.to_string().as_bytes()).unwrap();
        assert_eq!(verify_checkpoint(&read, log.verifier_key()), Ok(checkpoint));

        let another = Checkpoint::new("another.example/log", head).unwrap();
        for text in [another.to_text(), text(TEXT)] {
            let signed = log.sign(text).unwrap();
            let refused = verify_checkpoint(&signed, log.verifier_key());
            assert_eq!(refused, Err(NoteError::NotOfThisLog));
        }
        let private = store_key::open(&stored, PURPOSE, &master).unwrap();
        let shown = format!("{log:?}");
        assert!(shown.contains("redacted") && !shown.contains(&STANDARD.encode(&private)));
    }

    #[test]
    fn a_key_of_another_purpose_or_under_another_master_key_does_not_open() {
        let entropy = SeededEntropy::new(7);
        let master = MasterKey::generate(&entropy).unwrap();
        let origin = || KeyName::parse("log").unwrap();
        let tag = store_key::generate("tag", '0', &master, &entropy).unwrap();
        assert!(LogKey::open(&tag, &master, origin()).is_none());
        let stored = store_key::generate(PURPOSE, '0', &master, &entropy).unwrap();
        let other = MasterKey::generate(&entropy).unwrap();
        assert!(LogKey::open(&stored, &other, origin()).is_none());
        let renamed = StoreKey {
            purpose: PURPOSE.to_owned(),
            ..tag
        };
        assert!(LogKey::open(&renamed, &master, origin()).is_none());
    }
}
