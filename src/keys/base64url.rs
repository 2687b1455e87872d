//! base64url without padding (RFC 7515 §2) for the parts of a token.
//!
//! Owns which of the library's engines writes it. Must not know what is encoded.

use base64::Engine;
use base64::engine::general_purpose::NO_PAD;

/// The engine with the widest instructions of this machine: it takes half the instructions of the
/// general one for the claims and the signature of a token.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: std::sync::LazyLock<base64::engine::simd::Simd> =
    std::sync::LazyLock::new(|| base64::engine::simd::Simd::url_safe(NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: base64::engine::GeneralPurpose =
    base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD);

/// Appends the encoded bytes to a text.
pub(super) fn append(bytes: &[u8], text: &mut String) {
    ENGINE.encode_string(bytes, text);
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_engine_writes_the_same_text(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
            let mut text = "before.".to_owned();
            append(&bytes, &mut text);
            prop_assert_eq!(text, format!("before.{}", URL_SAFE_NO_PAD.encode(&bytes)));
        }
    }
}
