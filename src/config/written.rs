//! A value as the operator wrote it. Must not know its key.

/// A value as it was written. It may be a secret, so this type has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Written {
    /// A text, number or truth value.
    One(String),
    /// An array of such values.
    Many(Vec<String>),
}
