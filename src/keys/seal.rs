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
/// While a store gets another master key, the one before it is held too: it opens what is sealed
/// under it, and seals nothing.
#[derive(Clone)]
pub struct MasterKey {
    newest: Zeroizing<[u8; 32]>,
    previous: Option<Zeroizing<[u8; 32]>>,
}

/// Which key a value is sealed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedUnder {
    /// The master key.
    Newest,
    /// The master key before it.
    Previous,
    /// Neither.
    Other,
}

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
        Ok(Self::of(Zeroizing::new(array)))
    }

    fn of(newest: Zeroizing<[u8; 32]>) -> Self {
        Self {
            newest,
            previous: None,
        }
    }

    /// The same key, which also opens what is sealed under `previous`.
    #[must_use]
    pub fn and_previous(self, previous: &Self) -> Self {
        Self {
            previous: Some(previous.newest.clone()),
            ..self
        }
    }

    /// Whether there is a key before this one.
    pub(crate) fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// The keys that open values, the newest first.
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let previous = self.previous.as_ref();
        [&self.newest]
            .into_iter()
            .chain(previous)
            .map(|key| key.as_slice())
    }

    /// Draws a new master key.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        entropy.fill(bytes.as_mut_slice())?;
        Ok(Self::of(bytes))
    }

    /// The text that [`MasterKey::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.newest.as_slice()))
    }

    /// Seals `plain` for the row that `aad` names; `None` if no random nonce could be drawn.
    pub fn seal(&self, plain: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Option<Sealed> {
        seal(&cipher(self.newest.as_slice())?, plain, aad, entropy).map(Sealed)
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
        seal_with(&cipher(self.newest.as_slice())?, nonce, der, aad).map(Sealed)
    }

    /// Derives a separate key for each purpose, from the newest key.
    pub(super) fn derive(&self, purpose: &[u8]) -> hmac::Key {
        derive(self.newest.as_slice(), purpose)
    }

    /// The same from each key, the newest first.
    pub(super) fn derive_all(&self, purpose: &[u8]) -> impl Iterator<Item = hmac::Key> {
        self.all().map(move |key| derive(key, purpose))
    }

    /// Tells the keys from others without telling anything else about them, the newest first: 64 bits
    /// in hexadecimal digits, of an HMAC under the key itself.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        let short = |key: hmac::Key| hmac::sign(&key, b"").as_ref().first_chunk().copied();
        self.derive_all(b"fingerprint")
            .map(|key| format!("{:016x}", short(key).map_or(0, u64::from_be_bytes)))
            .collect()
    }

    /// Opens what [`MasterKey::seal`] made; `None` if the key or the row is another one, or the
    /// value was changed.
    pub fn unseal(&self, sealed: &Sealed, aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.all()
            .find_map(|key| unseal(&cipher(key)?, &sealed.0, aad))
    }

    /// Which key this value is sealed under.
    pub(super) fn sealed_under(&self, sealed: &Sealed, aad: &[u8]) -> SealedUnder {
        let mut opens = self
            .all()
            .map(|key| cipher(key).is_some_and(|key| unseal(&key, &sealed.0, aad).is_some()));
        match (opens.next(), opens.next()) {
            (Some(true), _) => SealedUnder::Newest,
            (_, Some(true)) => SealedUnder::Previous,
            _ => SealedUnder::Other,
        }
    }
}

fn derive(key: &[u8], purpose: &[u8]) -> hmac::Key {
    let bytes = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), purpose);
    hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
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
    fn a_value_under_the_key_before_opens_and_a_new_one_needs_the_newest() {
        let entropy = SeededEntropy::new(3);
        let draw = || MasterKey::generate(&entropy).unwrap();
        let (before, after, other) = (draw(), draw(), draw());
        let both = after.clone().and_previous(&before);
        let old = before.seal(b"private", b"kid-1", &entropy).unwrap();
        let new = both.seal(b"private", b"kid-1", &entropy).unwrap();
        let foreign = other.seal(b"private", b"kid-1", &entropy).unwrap();
        for (key, opens_old, opens_new) in [
            (&before, true, false),
            (&both, true, true),
            (&after, false, true),
        ] {
            assert_eq!(key.unseal(&old, b"kid-1").is_some(), opens_old);
            assert_eq!(key.unseal(&new, b"kid-1").is_some(), opens_new);
            assert!(key.unseal(&foreign, b"kid-1").is_none());
        }
        let under = |sealed| both.sealed_under(sealed, b"kid-1");
        assert_eq!(under(&old), SealedUnder::Previous);
        assert_eq!(under(&new), SealedUnder::Newest);
        assert_eq!(under(&foreign), SealedUnder::Other);
        assert_eq!(after.sealed_under(&old, b"kid-1"), SealedUnder::Other);
    }

    #[test]
    fn a_fingerprint_names_a_key_and_is_no_part_of_it() {
        let entropy = SeededEntropy::new(4);
        let draw = || MasterKey::generate(&entropy).unwrap();
        let (before, after) = (draw(), draw());
        let both = after.clone().and_previous(&before);
        let expected = [after.fingerprints(), before.fingerprints()].concat();
        assert_eq!(both.fingerprints(), expected);
        assert_ne!(expected[0], expected[1]);
        assert!(expected.iter().all(|print| print.len() == 16));
    }

    #[test]
    fn a_master_key_survives_its_text_form_and_hides_in_debug() {
        let key = MasterKey::generate(&SeededEntropy::new(2)).unwrap();
        let text = key.to_text();
        assert_eq!(
            *MasterKey::parse(&format!("{}\n", *text)).unwrap().newest,
            *key.newest
        );
        assert!(!format!("{key:?}").contains(&text[..8]));
        for bad in ["", "short", "AAAA", &"A".repeat(44)] {
            assert!(MasterKey::parse(bad).is_err(), "{bad}");
        }
    }
}
