//! Sealing with AES-256-GCM: the keys of a store under the operator's master key, authorization
//! codes under a key of the store.
//!
//! Owns the master key and the form of a sealed value. Must not know where a sealed value is kept.
//!
//! A sealed value is one version byte, a 12-byte nonce, the ciphertext and a 16-byte tag. The
//! associated data says what the value was sealed for, so that rows cannot be swapped.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::Invalid;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::Sealed;

const VERSION: u8 = 1;
const NONCE: usize = 12;

/// The first bytes of the nonce of a private part whose row has a seal of its state. The nonce
/// can be changed only with the master key. Releases that do not know such seals can still open the
/// private part. 64 random bits remain, which is enough for the few keys of a store.
const DEMANDS_SEAL: [u8; 4] = *b"seal";

impl Sealed {
    /// Whether this private part was made by a release that seals the state of its keys.
    pub(super) fn demands_a_seal(&self) -> bool {
        self.0
            .get(1..)
            .is_some_and(|rest| rest.starts_with(&DEMANDS_SEAL))
    }
}

/// The operator's master key: 32 bytes. This code never stores it next to the values that it seals.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

impl MasterKey {
    /// Reads 32 bytes in standard base64, as `openssl rand -base64 32` prints them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault =
            Invalid("a master key is 32 bytes in standard base64 (openssl rand -base64 32)");
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| fault)?);
        let array: [u8; 32] = bytes.as_slice().try_into().map_err(|_| fault)?;
        Ok(Self(Zeroizing::new(array)))
    }

    /// Draws a new master key.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        entropy.fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// The text that [`MasterKey::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Seals `plain` for the row that `aad` names; `None` if no random nonce could be drawn.
    pub fn seal(&self, plain: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Option<Sealed> {
        seal(&cipher(self.0.as_slice())?, plain, aad, entropy).map(Sealed)
    }

    /// Like [`MasterKey::seal`], for the private part of a key whose row has a seal.
    pub fn seal_private_key(
        &self,
        der: &[u8],
        aad: &[u8],
        entropy: &dyn Entropy,
    ) -> Option<Sealed> {
        let mut nonce = draw_nonce(entropy)?;
        let (mark, _) = nonce.split_at_mut(DEMANDS_SEAL.len());
        mark.copy_from_slice(&DEMANDS_SEAL);
        seal_with(&cipher(self.0.as_slice())?, nonce, der, aad).map(Sealed)
    }

    /// Derives a separate key for each purpose.
    pub(super) fn derive(&self, purpose: &[u8]) -> hmac::Key {
        let bytes = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice()),
            purpose,
        );
        hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
    }

    /// Tells this key from others without telling anything else about it: 64 bits in hexadecimal
    /// digits, of an HMAC under the key itself.
    pub(crate) fn fingerprint(&self) -> String {
        let mac = hmac::sign(&self.derive(b"fingerprint"), b"");
        let short = mac.as_ref().first_chunk().copied();
        format!("{:016x}", short.map_or(0, u64::from_be_bytes))
    }

    /// Opens what [`MasterKey::seal`] made; `None` if the key or the row is another one, or the
    /// value was changed.
    pub fn unseal(&self, sealed: &Sealed, aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        unseal(&cipher(self.0.as_slice())?, &sealed.0, aad)
    }
}

/// How many bytes longer a sealed value is than its plaintext.
pub(super) const OVERHEAD: usize = 1 + NONCE + 16;

/// A 32-byte key, ready for use.
pub(super) fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key)
        .ok()
        .map(LessSafeKey::new)
}

/// Seals `plain` for what `aad` says; `None` if no random nonce could be drawn.
pub(super) fn seal(
    cipher: &LessSafeKey,
    plain: &[u8],
    aad: &[u8],
    entropy: &dyn Entropy,
) -> Option<Vec<u8>> {
    seal_with(cipher, draw_nonce(entropy)?, plain, aad)
}

fn draw_nonce(entropy: &dyn Entropy) -> Option<[u8; NONCE]> {
    let mut nonce = [0u8; NONCE];
    entropy.fill(&mut nonce).ok()?;
    Some(nonce)
}

fn seal_with(
    cipher: &LessSafeKey,
    nonce: [u8; NONCE],
    plain: &[u8],
    aad: &[u8],
) -> Option<Vec<u8>> {
    let mut body = Zeroizing::new(plain.to_vec());
    let nonce_value = Nonce::assume_unique_for_key(nonce);
    cipher
        .seal_in_place_append_tag(nonce_value, Aad::from(aad), &mut *body)
        .ok()?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    Some(sealed)
}

/// Opens what [`seal`] made; `None` if the key or `aad` is another one, or the value was changed.
pub(super) fn unseal(
    cipher: &LessSafeKey,
    sealed: &[u8],
    aad: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (version, rest) = sealed.split_first()?;
    let (nonce, body) = rest.split_at_checked(NONCE)?;
    if *version != VERSION {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = Zeroizing::new(body.to_vec());
    let length = cipher
        .open_in_place(nonce, Aad::from(aad), &mut body)
        .ok()?
        .len();
    body.truncate(length);
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_sealed_value_opens_only_under_its_key_and_for_its_row() {
        let entropy = SeededEntropy::new(1);
        let key = MasterKey::generate(&entropy).unwrap();
        let other = MasterKey::generate(&entropy).unwrap();
        let sealed = key.seal(b"private", b"kid-1", &entropy).unwrap();
        assert_eq!(
            key.unseal(&sealed, b"kid-1").unwrap().as_slice(),
            b"private"
        );
        assert!(key.unseal(&sealed, b"kid-2").is_none());
        assert!(other.unseal(&sealed, b"kid-1").is_none());
        for i in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[i] ^= 1;
            assert!(key.unseal(&changed, b"kid-1").is_none(), "byte {i}");
            assert!(
                key.unseal(&Sealed(sealed.0[..i].to_vec()), b"kid-1")
                    .is_none()
            );
        }
    }

    #[test]
    fn a_private_part_tells_that_its_row_bears_a_seal_and_opens_as_ever() {
        let entropy = SeededEntropy::new(1);
        let key = MasterKey::generate(&entropy).unwrap();
        let sealed = key
            .seal_private_key(b"private", b"kid-1", &entropy)
            .unwrap();
        assert!(sealed.demands_a_seal());
        assert_eq!(
            key.unseal(&sealed, b"kid-1").unwrap().as_slice(),
            b"private"
        );
        assert_ne!(
            sealed,
            key.seal_private_key(b"private", b"kid-1", &entropy)
                .unwrap()
        );
        for i in 1..=DEMANDS_SEAL.len() {
            let mut changed = sealed.clone();
            changed.0[i] ^= 1;
            assert!(key.unseal(&changed, b"kid-1").is_none(), "byte {i}");
        }
        assert!(
            !key.seal(b"private", b"kid-1", &entropy)
                .unwrap()
                .demands_a_seal()
        );
        assert!(!Sealed(vec![]).demands_a_seal());
    }

    #[test]
    fn a_master_key_survives_its_text_form_and_hides_in_debug() {
        let key = MasterKey::generate(&SeededEntropy::new(2)).unwrap();
        let text = key.to_text();
        assert_eq!(
            *MasterKey::parse(&format!("{}\n", *text)).unwrap().0,
            *key.0
        );
        assert!(!format!("{key:?}").contains(&text[..8]));
        for bad in ["", "short", "AAAA", &"A".repeat(44)] {
            assert!(MasterKey::parse(bad).is_err(), "{bad}");
        }
    }
}
