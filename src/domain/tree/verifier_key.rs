//! The key that verifies notes, as text (C2SP signed-note). Must not know how a signature is
//! verified.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Invalid;

/// The signature type of Ed25519 (C2SP signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// The length of an Ed25519 public key in bytes (RFC 8032 §5.1.5).
const PUBLIC_KEY_BYTES: usize = 32;

/// The length of a key id in bytes.
pub(super) const KEY_ID_BYTES: usize = 4;

const RULE: Invalid = Invalid(
    "a verifier key is `name+id+key`: the id in 8 lower-case hexadecimal digits, the key an Ed25519 public key",
);

/// The name of a key: not empty, without white space, without plus, and without the control
/// characters that a note cannot have. The key of a log is named as the log's origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Accepts `text` if it keeps the rule.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c > ' ' && !c.is_whitespace() && c != '+';
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(Invalid(
                "a key name is not empty and has no white space, no control character and no plus",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The origin of a store's log: the issuer without its scheme, and the path at which the log of
    /// this generation is served. A plus in the issuer is written as `%2B`, since a name has none.
    pub fn of_log(issuer: &str, generation: u64) -> Result<Self, Invalid> {
        let place = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        let place = place.trim_end_matches('/').replace('+', "%2B");
        Self::parse(&format!("{place}/api/v1/audit/log/{generation}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ed25519 public key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: [u8; KEY_ID_BYTES],
    public: [u8; PUBLIC_KEY_BYTES],
}

impl VerifierKey {
    /// Names a public key.
    pub fn new(name: KeyName, public: [u8; PUBLIC_KEY_BYTES]) -> Self {
        // C2SP signed-note: SHA-256(name || 0x0A || type || public key)[:4].
        let mut context = Context::new(&SHA256);
        for part in [name.as_str().as_bytes(), b"\n", &[ED25519], &public] {
            context.update(part);
        }
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self { name, id, public }
    }

    /// Reads `name+id+key`, as [`VerifierKey`] is displayed and as Go's `note.NewVerifier` reads it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // A name has no plus, but the base64 of the key may have some.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(RULE);
        };
        let key = STANDARD.decode(key).map_err(|_| RULE)?;
        let Some((&ED25519, public)) = key.split_first() else {
            return Err(RULE);
        };
        let public = public.try_into().map_err(|_| RULE)?;
        let key = Self::new(KeyName::parse(name)?, public);
        if key.id_text() == id {
            Ok(key)
        } else {
            Err(Invalid(
                "the id of a verifier key belongs to its name and its key",
            ))
        }
    }

    /// Who signs with it.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What tells it from other keys of its name. It is short and no proof of anything.
    pub fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    /// The public key (RFC 8032 §5.1.5).
    pub fn public(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public
    }

    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519][..], &self.public].concat();
        let (name, id) = (&self.name, self.id_text());
        write!(f, "{name}+{id}+{}", STANDARD.encode(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors::bytes;
    use super::*;

    /// From `sumdb/note/note_test.go` of golang.org/x/mod.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";

    /// The example of C2SP signed-note, "Verifier keys".
    const FOO: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn the_keys_of_the_specification_and_of_go_are_read_and_written() {
        for text in [PETER, ENOCH, FOO] {
            assert_eq!(VerifierKey::parse(text).unwrap().to_string(), text);
        }
        let public = bytes("e932791ae6e7a840a46164c904786426d5e7821dd8b29a00d61cae72afdd4da4");
        let name = KeyName::parse("example.com/foo").unwrap();
        let key = VerifierKey::new(name, public.try_into().unwrap());
        assert_eq!(key.to_string(), FOO);
        assert_eq!(key.id(), [0x53, 0x0d, 0x90, 0x3a]);
    }

    /// The manglings of Go's `TestNewVerifier`.
    #[test]
    fn a_mangled_key_is_refused() {
        for begin in 0..=PETER.len() {
            for end in begin + 1..=PETER.len() {
                let whole = (begin, end) == (0, PETER.len());
                assert_eq!(VerifierKey::parse(&PETER[begin..end]).is_ok(), whole);
            }
        }
        for at in 0..PETER.len() {
            let mut mangled = PETER.as_bytes().to_vec();
            mangled[at] += 1;
            let mangled = String::from_utf8(mangled).unwrap();
            assert!(VerifierKey::parse(&mangled).is_err(), "{mangled}");
        }
        let longer = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
        let unknown_type = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let upper = PETER.replace("c74f20a3", "C74F20A3");
        for bad in [longer, unknown_type, &upper, "", "+", "++", "a++", "+b+c"] {
            assert!(VerifierKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_has_no_space_and_no_plus() {
        for good in ["a", "example.com/log42", "è", "—", "a:1/b%2B", "\u{7f}"] {
            assert!(KeyName::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "", " ", "a b", "a+b", "a\n", "a\tb", "a\u{a0}b", "a\u{85}", "\u{2028}", "a\0",
        ] {
            assert!(KeyName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_origin_of_a_log_is_its_address_without_the_scheme() {
        let of_log = |issuer, generation| KeyName::of_log(issuer, generation).unwrap().to_string();
        let origin = "auth.example.com/api/v1/audit/log/1";
        assert_eq!(of_log("https://auth.example.com", 1), origin);
        assert_eq!(of_log("https://auth.example.com/", 1), origin);
        let origin = "localhost:3000/a%2Bb/api/v1/audit/log/12";
        assert_eq!(of_log("http://localhost:3000/a+b", 12), origin);
        assert!(KeyName::of_log("https://a b", 1).is_err());
    }

    proptest! {
        #[test]
        fn a_key_reads_back_as_it_was_written(name in "[^\\s\\p{C}+]{1,40}", public in any::<[u8; 32]>()) {
            let key = VerifierKey::new(KeyName::parse(&name).unwrap(), public);
            prop_assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
        }

        #[test]
        fn no_text_panics(text in "([a-f0-9+=]|.){0,80}") {
            if let Ok(key) = VerifierKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
