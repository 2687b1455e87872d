//! Why a key cannot do what was asked. These are faults, never refusals.

use crate::domain::id::Kid;

use super::claims::MAX_TOKEN_BYTES;

/// Why a keyring cannot do what was asked. These are faults, never refusals.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// A sealed key does not open: the master key is another one, or the row was changed.
    #[error("signing key {0} does not open under this master key")]
    Unsealable(Kid),
    /// A key's private and public parts do not belong together, or its kid is not its thumbprint.
    #[error("signing key {0} is damaged: {1}")]
    Damaged(Kid, &'static str),
    /// A key's state or times are not the ones that its seal covers.
    #[error("signing key {0} does not stand as its seal says: somebody changed its row")]
    Moved(Kid),
    /// No key is in the signing state.
    #[error("no signing key")]
    NoSigningKey,
    /// The library failed to sign.
    #[error("signing failed")]
    Signing,
    /// The library failed to make a key.
    #[error("key generation failed")]
    Generation,
    /// A token is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token would be longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
}
