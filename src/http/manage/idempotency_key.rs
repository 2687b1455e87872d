//! The header field `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
//!
//! Must not know what a key is for.

use crate::domain::idempotency::IdempotencyKey;

use super::fields::Fields;

/// The header field, as errors and the document name it.
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The key of the request, if it has one. A faulty key is noted as an error.
pub(super) fn read_key(fields: &mut Fields<'_>) -> Option<IdempotencyKey> {
    let mut lines = fields.headers().get_all(IDEMPOTENCY_KEY).iter();
    let (first, is_repeated) = (lines.next()?, lines.next().is_some());
    if is_repeated {
        fields.note(IDEMPOTENCY_KEY, "is given more than once");
        return None;
    }
    // A text that is not ASCII is refused as an empty one is.
    let key = IdempotencyKey::parse(first.to_str().unwrap_or_default());
    key.map_err(|rule| fields.note(IDEMPOTENCY_KEY, rule.0))
        .ok()
}
