//! Keys of the store itself: 32 random bytes for one purpose, sealed under the master key.
//!
//! A store key is drawn at random and never derived from the master key. So what was made with it
//! stays valid under another master key. Must not know what a purpose is for.

use zeroize::Zeroizing;

use crate::entropy::{Entropy, NoEntropy};
use crate::store::StoreKey;

use super::seal::MasterKey;

/// Draws a key for `purpose` and seals it for the store.
pub(crate) fn generate(
    purpose: &str,
    key_id: char,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<StoreKey, NoEntropy> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    entropy.fill(bytes.as_mut_slice())?;
    let (purpose, key_id) = (purpose.to_owned(), key_id.to_string());
    let sealed = master
        .seal(bytes.as_slice(), &aad(&purpose, &key_id), entropy)
        .ok_or(NoEntropy)?;
    Ok(StoreKey {
        purpose,
        key_id,
        sealed,
    })
}

/// Opens a stored key; `None` if it is for another purpose or does not open.
pub(crate) fn open(
    stored: &StoreKey,
    purpose: &str,
    master: &MasterKey,
) -> Option<Zeroizing<Vec<u8>>> {
    if stored.purpose != purpose {
        return None;
    }
    master.unseal(&stored.sealed, &aad(purpose, &stored.key_id))
}

/// What the seal of a store key covers besides the key.
pub(super) fn aad(purpose: &str, key_id: &str) -> Vec<u8> {
    format!("{purpose}:{key_id}").into_bytes()
}
