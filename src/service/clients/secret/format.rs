//! The layout of secrets. Owns what a generated secret looks like and how a presented one is
//! classified.
//!
//! `sw_` + tag key id (1 character) + 43 base62 (256 random bits) + 11 base62 (64-bit tag) + 6
//! base62 (CRC-32). A double-click selects all of it, no character needs an escape, and secret
//! scanners can find it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::Invalid;
use crate::domain::credential::Tag;
use crate::domain::id::AgentId;
use crate::entropy::{Entropy, NoEntropy};
use crate::keys::tag::{SecretMac, TagKey};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "sw_";
const RANDOM: usize = 43;
const TAG: usize = 11;
const CRC: usize = 6;
const LENGTH: usize = PREFIX.len() + 1 + RANDOM + TAG + CRC;

/// How many characters of a generated secret may be shown: enough to distinguish credentials.
const SHOWN: usize = 8;

/// A secret in clear. `Debug` shows nothing, comparison does not compile, and the memory is wiped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Accepts 1–4,096 bytes without NUL.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 4_096 || text.bytes().any(|b| b == 0) {
            return Err(Invalid("a secret is 1 to 4096 bytes without NUL"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The same as [`Self::parse`], for a secret that somebody gives to an agent. A secret of only
    /// white space and control characters is a mistake, such as a variable that was not set. An
    /// agent that has such a secret from before keeps it.
    pub fn parse_given(text: &str) -> Result<Self, Invalid> {
        if !text.is_empty() && text.chars().all(|c| c.is_whitespace() || c.is_control()) {
            return Err(Invalid("a secret is more than white space"));
        }
        Self::parse(text)
    }

    /// The secret in clear, for its owner and for hashing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first characters. Only for a generated secret: of another secret they may be half a
    /// word.
    pub fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The class of a presented secret, before anything is read or hashed.
#[derive(Debug)]
pub enum Presented {
    /// A secret that this store generated for this client id. It may have been rotated away.
    Generated(TaggedSecret),
    /// A secret that has the form of this store's secrets but does not belong to this client id.
    Forged,
    /// A foreign secret, that is, one of any other form: only an imported credential can match it.
    Other,
}

/// What a generated secret is known by once its tag has turned out right.
#[derive(Debug)]
pub struct TaggedSecret {
    /// The tag, as a credential stores it.
    pub tag: Tag,
    /// The MAC of the random part. It stands for every byte of the secret: the rest of a generated
    /// secret follows from the MAC, and a secret with any other rest is forged.
    pub mac: SecretMac,
}

/// Draws a secret for `agent_id` under `key`.
pub(crate) fn generate(
    key: &TagKey,
    agent_id: &AgentId,
    entropy: &dyn Entropy,
) -> Result<(Secret, Tag), NoEntropy> {
    let random = draw_base62(entropy)?;
    let mac = key.mac(agent_id.as_str().as_bytes(), random.as_bytes());
    let tag = base62::<TAG>(mac.tag());
    let mut text = Zeroizing::new(String::with_capacity(LENGTH));
    text.push_str(PREFIX);
    text.push(key.key_id);
    text.push_str(&random);
    text.extend(tag.map(char::from));
    let crc = base62::<CRC>(u64::from(crc32(text.as_bytes())));
    text.extend(crc.map(char::from));
    Ok((Secret(text), stored_tag(key, tag)))
}

/// Classifies `secret` for `client_id`. Costs one HMAC at most and reads nothing.
pub(crate) fn inspect(keys: &[TagKey], client_id: &[u8], secret: &str) -> Presented {
    let shaped = secret.len() == LENGTH
        && secret.starts_with(PREFIX)
        && secret[PREFIX.len()..]
            .bytes()
            .all(|b| b.is_ascii_alphanumeric());
    let Some(key_id) = secret.as_bytes().get(PREFIX.len()).filter(|_| shaped) else {
        return Presented::Other;
    };
    let Some(key) = keys
        .iter()
        .find(|k| u32::from(k.key_id) == u32::from(*key_id))
    else {
        return Presented::Other;
    };
    let (body, crc) = secret.split_at(LENGTH - CRC);
    let (head, tag) = body.split_at(LENGTH - CRC - TAG);
    let random = &head[PREFIX.len() + 1..];
    let mac = key.mac(client_id, random.as_bytes());
    let expected = base62::<TAG>(mac.tag());
    let tag_is_right: bool = expected.ct_eq(tag.as_bytes()).into();
    if tag_is_right && crc.as_bytes() == base62::<CRC>(u64::from(crc32(body.as_bytes()))) {
        let tag = stored_tag(key, expected);
        Presented::Generated(TaggedSecret { tag, mac })
    } else {
        Presented::Forged
    }
}

/// 43 characters, each equally likely: 256 bits.
fn draw_base62(entropy: &dyn Entropy) -> Result<Zeroizing<String>, NoEntropy> {
    let mut text = Zeroizing::new(String::with_capacity(RANDOM));
    let mut bytes = Zeroizing::new([0u8; 64]);
    while text.len() < RANDOM {
        entropy.fill(bytes.as_mut_slice())?;
        for byte in bytes.iter() {
            // Six bits. The two values beyond the alphabet are discarded, so that every character
            // is equally likely.
            if let Some(c) = ALPHABET.get(usize::from(byte & 63))
                && text.len() < RANDOM
            {
                text.push(char::from(*c));
            }
        }
    }
    Ok(text)
}

/// The tag with the id of its key before it.
fn stored_tag(key: &TagKey, tag: [u8; TAG]) -> Tag {
    let mut text = String::with_capacity(1 + TAG);
    text.push(key.key_id);
    text.extend(tag.map(char::from));
    Tag(text.into())
}

/// `value` in base62, most significant first, padded to `N` characters.
fn base62<const N: usize>(mut value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(value % 62).unwrap_or(0);
        *digit = ALPHABET[index];
        value /= 62;
    }
    digits
}

/// CRC-32 (ISO 3309, as in zip and gzip). With it, a scanner can check a found secret offline.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// `body` with the checksum that belongs to it.
#[cfg(test)]
pub(super) fn with_crc(body: &str) -> String {
    let crc = base62::<CRC>(u64::from(crc32(body.as_bytes())));
    body.chars().chain(crc.map(char::from)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::keys::seal::MasterKey;
    use crate::keys::{store_key, tag};

    fn tag_key(id: char) -> TagKey {
        let entropy = SeededEntropy::new(u64::from(u32::from(id)));
        let master = MasterKey::generate(&entropy).unwrap();
        TagKey::open(
            &store_key::generate(tag::PURPOSE, id, &master, &entropy).unwrap(),
            &master,
        )
        .unwrap()
    }

    #[test]
    fn the_crc_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_generated_secret_is_known_for_its_agent_and_for_no_other() {
        let keys = [tag_key('a')];
        let id = AgentId::parse("agent-1").unwrap();
        let (secret, tag) = generate(&keys[0], &id, &SeededEntropy::new(7)).unwrap();
        assert_eq!(secret.expose().len(), 64);
        assert!(
            matches!(inspect(&keys, b"agent-1", secret.expose()), Presented::Generated(known) if known.tag == tag)
        );
        assert!(matches!(
            inspect(&keys, b"agent-2", secret.expose()),
            Presented::Forged
        ));
        assert!(matches!(
            inspect(&[tag_key('b')], b"agent-1", secret.expose()),
            Presented::Other
        ));
        assert!(!format!("{secret:?}").contains("sw_"));
    }

    #[test]
    fn a_change_of_any_character_is_forged() {
        let keys = [tag_key('a')];
        let id = AgentId::parse("agent-1").unwrap();
        let (secret, _) = generate(&keys[0], &id, &SeededEntropy::new(7)).unwrap();
        for i in 4..64 {
            let mut changed = secret.expose().to_owned().into_bytes();
            changed[i] = if changed[i] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                matches!(inspect(&keys, b"agent-1", &changed), Presented::Forged),
                "character {i}"
            );
        }
    }

    #[test]
    fn a_secret_is_drawn_anew_each_time_and_has_256_bits() {
        let entropy = SeededEntropy::new(3);
        let key = tag_key('a');
        let id = AgentId::parse("a").unwrap();
        let secrets: std::collections::HashSet<String> = (0..1_000)
            .map(|_| generate(&key, &id, &entropy).unwrap().0.expose().to_owned())
            .collect();
        assert_eq!(secrets.len(), 1_000);
        // 62^43 lies just above 2^256.
        assert!(43.0 * 62f64.log2() > 256.0);
    }

    proptest! {
        #[test]
        fn no_presented_secret_panics(id in ".*", secret in ".*") {
            let _ = inspect(&[tag_key('a')], id.as_bytes(), &secret);
        }

        #[test]
        fn nothing_shaped_like_a_secret_panics(secret in "sw_a[0-9A-Za-zé]{59,60}") {
            prop_assert!(!matches!(inspect(&[tag_key('a')], b"id", &secret), Presented::Generated(_)));
        }
    }
}
