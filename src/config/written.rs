//! A value as the operator wrote it. Must not know its key.

use zeroize::Zeroize;

/// A value as it was written. It may be a secret, so this type has no `Debug`, and its text is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum Written {
    /// A text, number or truth value.
    One(String),
    /// An array of such values.
    Many(Vec<String>),
}

impl Drop for Written {
    fn drop(&mut self) {
        match self {
            Self::One(text) => text.zeroize(),
            Self::Many(parts) => parts.zeroize(),
        }
    }
}
