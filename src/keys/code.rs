//! Authorization codes (contract §6). A code is sealed under a key of the store. So it need
//! not be stored when it is made, and every process of the store can open it.
//!
//! The code's id and its expiry are encrypted. The client, the redirect URI and the user are the
//! associated data. So every code has 71 characters, and a code opens only for the request that it
//! was made for. Owns that format. Must not know the clock, or which codes were spent.

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::code::CodeRef;
use crate::domain::id::CodeId;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::StoreKey;

use super::prefixed::length_prefixed;
use super::seal::{self, MasterKey};
use super::store_key;

/// The purpose under which code keys are stored.
pub(crate) const PURPOSE: &str = "code";

/// Replaces [`PURPOSE`] in the binding of a code whose authorization request had a code challenge.
const CHALLENGED: &str = "code/S256";

/// The length of the id and the expiry, in bytes.
const PLAIN: usize = 16 + 8;

/// The length of a code in base64url without padding, in characters.
const LENGTH: usize = ((seal::OVERHEAD + PLAIN) * 4).div_ceil(3);

/// A code challenge of the method S256 (RFC 7636 §4.2): SHA-256 of the verifier in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkceChallenge(String);

impl PkceChallenge {
    /// The challenge that a client sends with its authorization request.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .filter(|bytes| bytes.len() == digest::SHA256_OUTPUT_LEN);
        let fault = Invalid("a code challenge is 32 bytes in base64url without padding");
        bytes.map(|_| Self(text.to_owned())).ok_or(fault)
    }

    /// The challenge that belongs to this verifier. A verifier has 43 to 128 of a URI's unreserved
    /// characters (RFC 7636 §4.1).
    pub fn of_verifier(verifier: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(allowed) {
            return Err(Invalid(
                "a code verifier is 43 to 128 characters of A-Z a-z 0-9 - . _ ~",
            ));
        }
        Ok(Self(URL_SAFE_NO_PAD.encode(digest::digest(
            &digest::SHA256,
            verifier.as_bytes(),
        ))))
    }
}

/// What a code is made for.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The client that the code is for.
    pub client_id: &'a str,
    /// The redirect URI to which the code is sent.
    pub redirect_uri: &'a str,
    /// The user on whose behalf the client acts.
    pub user: Option<&'a str>,
    /// The challenge whose verifier the exchange must present (RFC 7636).
    pub challenge: Option<&'a PkceChallenge>,
}

impl Binding<'_> {
    /// Each field with its length before it, so two different bindings never have the same bytes.
    /// Without a challenge, the bytes are those of releases before challenges: their codes open
    /// here, and codes of this release open there.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let purpose = if self.challenge.is_some() {
            CHALLENGED
        } else {
            PURPOSE
        };
        let challenge = self.challenge.map(|challenge| challenge.0.as_str());
        let fields = [purpose, self.client_id, self.redirect_uri]
            .into_iter()
            .chain(challenge)
            .chain(self.user);
        length_prefixed(fields.map(str::as_bytes), |part| {
            bytes.extend_from_slice(part);
        });
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
    /// The stored code key; `None` if it is for another purpose or does not open.
    pub fn open(stored: &StoreKey, master: &MasterKey) -> Option<Self> {
        seal::cipher(&store_key::open(stored, PURPOSE, master)?).map(Self)
    }

    /// A code in the characters of base64url, which a URI carries unencoded.
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

    /// Opens a code; `None` if it was made for anything else, was made by another store, or was
    /// changed. The expiry is not checked here.
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

    const FOR: Binding<'_> = Binding {
        client_id: "a",
        redirect_uri: "https://a.example/cb",
        user: Some("user_42"),
        challenge: None,
    };

    fn key(seed: u64) -> CodeKey {
        let entropy = SeededEntropy::new(seed);
        let master = MasterKey::generate(&entropy).unwrap();
        CodeKey::open(
            &store_key::generate(PURPOSE, 'x', &master, &entropy).unwrap(),
            &master,
        )
        .unwrap()
    }

    /// RFC 7636, Appendix B.
    fn challenge() -> PkceChallenge {
        PkceChallenge::of_verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap()
    }

    fn code() -> CodeRef {
        CodeRef {
            id: CodeId(Uuid::from_u128(7)),
            expires_at: Timestamp(1_700_000_060),
        }
    }

    fn sealed(binding: Binding<'_>) -> String {
        key(1)
            .seal(code(), binding, &SeededEntropy::new(2))
            .unwrap()
    }

    #[test]
    fn a_code_opens_for_what_it_was_made_for_and_is_as_long_for_everything() {
        let longest = "x".repeat(2_048);
        for binding in [
            FOR,
            Binding { user: None, ..FOR },
            Binding {
                challenge: Some(&challenge()),
                ..FOR
            },
            Binding {
                client_id: &longest,
                redirect_uri: &longest,
                user: Some(&longest),
                ..FOR
            },
        ] {
            let text = sealed(binding);
            assert_eq!(key(1).unseal(&text, binding), Some(code()));
            assert_eq!(text.len(), LENGTH);
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_code_opens_for_nothing_else() {
        let text = sealed(FOR);
        for other in [
            Binding {
                client_id: "b",
                ..FOR
            },
            Binding {
                redirect_uri: "https://a.example/cb/",
                ..FOR
            },
            Binding {
                user: Some("user_43"),
                ..FOR
            },
            Binding {
                user: Some(""),
                ..FOR
            },
            Binding { user: None, ..FOR },
            // The same letters, split over other fields.
            Binding {
                client_id: "ahttps://a.example/cb",
                redirect_uri: "",
                ..FOR
            },
            Binding {
                redirect_uri: "https://a.example/cbuser_42",
                user: None,
                ..FOR
            },
            Binding {
                challenge: Some(&challenge()),
                ..FOR
            },
            Binding {
                challenge: Some(&challenge()),
                user: None,
                ..FOR
            },
        ] {
            assert_eq!(key(1).unseal(&text, other), None, "{other:?}");
        }
        assert_eq!(key(3).unseal(&text, FOR), None);
    }

    #[test]
    fn a_code_with_a_challenge_opens_for_that_challenge_alone() {
        let (own, other) = (
            challenge(),
            PkceChallenge::of_verifier(&"x".repeat(43)).unwrap(),
        );
        let text = sealed(Binding {
            challenge: Some(&own),
            ..FOR
        });
        // A user with the same text as the challenge does not replace the challenge.
        let user = Some(own.0.as_str());
        for binding in [
            FOR,
            Binding {
                challenge: Some(&other),
                ..FOR
            },
            Binding {
                challenge: Some(&own),
                user: None,
                ..FOR
            },
            Binding { user, ..FOR },
        ] {
            assert_eq!(key(1).unseal(&text, binding), None, "{binding:?}");
        }
        let about = sealed(Binding { user, ..FOR });
        assert_eq!(
            key(1).unseal(
                &about,
                Binding {
                    user: None,
                    challenge: Some(&own),
                    ..FOR
                }
            ),
            None
        );
    }

    /// These codes were made with the same key by a release without challenges.
    #[test]
    fn a_code_of_an_earlier_release_opens() {
        let old = "AYoUKzqXONLbzlaXHAMGUUetK2NOrbb9BgcS--LXNRQmzHatd9no0DBYGhHsq2w-FyY35Cc";
        assert_eq!(key(1).unseal(old, FOR), Some(code()));
        let old = "AYoUKzqXONLbzlaXHAMGUUetK2NOrbb9BgcS--LXNRQmzHatd79P2KDuaglHqYmVH2OCs_g";
        assert_eq!(
            key(1).unseal(old, Binding { user: None, ..FOR }),
            Some(code())
        );
    }

    #[test]
    fn a_challenge_is_32_bytes_in_base64url_of_a_verifier_of_43_to_128_characters() {
        assert_eq!(challenge().0, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(PkceChallenge::parse(&challenge().0), Ok(challenge()));
        let spare_bits = format!("{}N", &challenge().0[..42]);
        for bad in [
            "",
            "x",
            &format!("{}=", challenge().0),
            &format!("{}A", challenge().0),
            &spare_bits,
        ] {
            assert!(PkceChallenge::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "x".repeat(42),
            "x".repeat(129),
            "+".repeat(43),
            "é".repeat(43),
        ] {
            assert!(PkceChallenge::of_verifier(&bad).is_err(), "{bad}");
        }
        assert!(PkceChallenge::of_verifier(&"-._~".repeat(32)).is_ok());
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
        for junk in [
            format!("{text}A"),
            format!("{text}="),
            text.replace(&text[..1], "+"),
            "é".repeat(36),
        ] {
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
