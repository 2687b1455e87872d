//! A value as somebody wrote it. Must not know under which key.

/// A value as written. It may be a secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Written {
    /// A text, number or truth value.
    One(String),
    /// An array of them.
    Many(Vec<String>),
}
