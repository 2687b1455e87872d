//! Why a key cannot do what it is asked. Faults, never refusals.

use crate::domain::id::Kid;

use super::claims::MAX_TOKEN_BYTES;

/// Why a keyring cannot do what it is asked. Faults, never refusals.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// A sealed key does not open: the master key is another one, or the row was changed.
    #[error("signing key {0} does not open under this master key")]
    Unsealable(Kid),
    /// A key's private and public parts do not belong together, or its kid is not its thumbprint.
    #[error("signing key {0} is damaged: {1}")]
    Damaged(Kid, &'static str),
    /// A key's state or times are not those that its seal was made for.
    #[error("signing key {0} does not stand as its seal says: somebody changed its row")]
    Moved(Kid),
    /// No key is in the signing state.
    #[error("no signing key")]
    NoSigningKey,
    /// The library refused to sign.
    #[error("signing failed")]
    Signing,
    /// The library made no key.
    #[error("key generation failed")]
    Generation,
    /// A token grew past [`MAX_TOKEN_BYTES`].
    #[error("the token would be longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
}
