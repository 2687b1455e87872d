//! Authorization codes (contract §6): sealed under a key of the store, so that none is written down
//! when it is made, and every process of the store can open it.
//!
//! The code's id and its end are encrypted; whose it is, where it was sent and about whom are the
//! associated data. So a code is 71 characters long whatever it is for, and opens only for what it
//! was made for. Owns that form. Must not know the clock, or which codes were spent.

use aws_lc_rs::aead::LessSafeKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::code::CodeRef;
use crate::domain::id::CodeId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::StoreKey;

use super::seal::{self, MasterKey};
use super::{length_prefixed, store_key};

/// The purpose under which code keys are stored.
pub const PURPOSE: &str = "code";

/// The id and the end.
const PLAIN: usize = 16 + 8;

/// A code in base64url without padding.
const LENGTH: usize = ((seal::OVERHEAD + PLAIN) * 4).div_ceil(3);

/// What a code is made for.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Whose.
    pub client_id: &'a str,
    /// Where it is sent.
    pub redirect_uri: &'a str,
    /// The user on whose behalf the client acts.
    pub user: Option<&'a str>,
}

impl Binding<'_> {
    /// Each field with its length before it: no two bindings are the same bytes.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let fields = [PURPOSE, self.client_id, self.redirect_uri].into_iter().chain(self.user);
        length_prefixed(fields.map(str::as_bytes), |part| bytes.extend_from_slice(part));
        bytes
    }
}

/// A store's code key.
pub struct CodeKey(LessSafeKey);

impl std::fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeKey(redacted)")
    }
}

impl CodeKey {
    /// The stored code key; `None` when it is for another purpose or does not open.
    pub fn open(stored: &StoreKey, master: &MasterKey) -> Option<Self> {
        seal::cipher(&store_key::open(stored, PURPOSE, master)?).map(Self)
    }

    /// A code in the characters of base64url, which a URI carries as they are.
    pub fn seal(
        &self,
        code: CodeRef,
        binding: Binding<'_>,
        entropy: &dyn Entropy,
    ) -> Result<String, NoEntropy> {
        let mut plain = Vec::with_capacity(PLAIN);
        plain.extend_from_slice(code.id.0.as_bytes());
        plain.extend_from_slice(&code.expires_at.0.to_be_bytes());
        let sealed = seal::seal(&self.0, &plain, &binding.to_bytes(), entropy).ok_or(NoEntropy)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a code; `None` when it was made for anything else, by another store, or changed. Nothing
    /// is said of its time.
    pub fn unseal(&self, code: &str, binding: Binding<'_>) -> Option<CodeRef> {
        if code.len() != LENGTH {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(code).ok()?;
        let plain = seal::unseal(&self.0, &sealed, &binding.to_bytes())?;
        let (id, expires_at) = plain.split_at_checked(16)?;
        Some(CodeRef {
            id: CodeId(Uuid::from_slice(id).ok()?),
            expires_at: Timestamp(i64::from_be_bytes(expires_at.try_into().ok()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::SeededEntropy;

    const FOR: Binding<'_> =
        Binding { client_id: "a", redirect_uri: "https://a.example/cb", user: Some("user_42") };

    fn key(seed: u64) -> CodeKey {
        let entropy = SeededEntropy::new(seed);
        let master = MasterKey::generate(&entropy).unwrap();
        CodeKey::open(&store_key::generate(PURPOSE, 'x', &master, &entropy).unwrap(), &master).unwrap()
    }

    fn code() -> CodeRef {
        CodeRef { id: CodeId(Uuid::from_u128(7)), expires_at: Timestamp(1_700_000_060) }
    }

    fn sealed(binding: Binding<'_>) -> String {
        key(1).seal(code(), binding, &SeededEntropy::new(2)).unwrap()
    }

    #[test]
    fn a_code_opens_for_what_it_was_made_for_and_is_as_long_for_everything() {
        let longest = "x".repeat(2_048);
        for binding in [
            FOR,
            Binding { user: None, ..FOR },
            Binding { client_id: &longest, redirect_uri: &longest, user: Some(&longest) },
        ] {
            let text = sealed(binding);
            assert_eq!(key(1).unseal(&text, binding), Some(code()));
            assert_eq!(text.len(), LENGTH);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{text}");
        }
    }

    #[test]
    fn a_code_opens_for_nothing_else() {
        let text = sealed(FOR);
        for other in [
            Binding { client_id: "b", ..FOR },
            Binding { redirect_uri: "https://a.example/cb/", ..FOR },
            Binding { user: Some("user_43"), ..FOR },
            Binding { user: Some(""), ..FOR },
            Binding { user: None, ..FOR },
            // The same letters in other fields.
            Binding { client_id: "ahttps://a.example/cb", redirect_uri: "", ..FOR },
            Binding { redirect_uri: "https://a.example/cbuser_42", user: None, ..FOR },
        ] {
            assert_eq!(key(1).unseal(&text, other), None, "{other:?}");
        }
        assert_eq!(key(3).unseal(&text, FOR), None);
    }

    #[test]
    fn a_changed_code_does_not_open() {
        let text = sealed(FOR);
        for (at, old) in text.char_indices() {
            for new in ['A', 'b', '0', '_'].into_iter().filter(|new| *new != old) {
                let mut changed = text.clone();
                changed.replace_range(at..=at, &new.to_string());
                assert_eq!(key(1).unseal(&changed, FOR), None, "{at}");
            }
            assert_eq!(key(1).unseal(&text[..at], FOR), None);
        }
        for junk in [format!("{text}A"), format!("{text}="), text.replace(&text[..1], "+"), "é".repeat(36)] {
            assert_eq!(key(1).unseal(&junk, FOR), None, "{junk}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,90}", url_safe in "[A-Za-z0-9_-]{71}") {
            prop_assert_eq!(key(1).unseal(&text, FOR), None);
            prop_assert_eq!(key(1).unseal(&url_safe, FOR), None);
        }
    }
}
