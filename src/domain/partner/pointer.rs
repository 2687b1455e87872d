//! Pointers to claims (RFC 6901). Must not know which claims a token has.

use crate::domain::Invalid;

/// The longest pointer in bytes.
pub(crate) const MAX_POINTER_BYTES: usize = 128;

/// A JSON Pointer to a claim: `/repository_owner_id`, `/kubernetes.io/namespace`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimPointer(Box<str>);

impl ClaimPointer {
    /// Accepts 1–128 bytes without control characters that begin with a slash, in which `~` stands
    /// for `~0` and `/` for `~1`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let escapes = text.split('~').skip(1);
        let is_escaped = escapes
            .into_iter()
            .all(|rest| rest.starts_with('0') || rest.starts_with('1'));
        if !text.starts_with('/')
            || text.len() > MAX_POINTER_BYTES
            || text.chars().any(char::is_control)
            || !is_escaped
        {
            return Err(Invalid(
                "a claim is a JSON Pointer (RFC 6901) of at most 128 bytes, like /kubernetes.io/namespace",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_named_by_a_json_pointer() {
        for good in [
            "/sub",
            "/kubernetes.io/serviceaccount/uid",
            "/a~1b~0c",
            "/aud/0",
            "/é",
        ] {
            assert_eq!(ClaimPointer::parse(good).unwrap().as_str(), good);
        }
        let long = format!("/{}", "a".repeat(128));
        for bad in ["", "sub", "#/sub", "/a~2", "/a~", "/a\n", &long] {
            assert!(ClaimPointer::parse(bad).is_err(), "{bad:?}");
        }
    }
}
