//! The header fields that tell a client what is left of its agent's monthly quota
//! (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` and `RateLimit`.
//!
//! Owns their text. Must not know how tokens are counted. There is no `Retry-After`: an honest
//! client would wait for a month, and ask again at once if its timer cannot hold so long a time.

use axum::http::HeaderValue;
use axum::http::header::HeaderName;
use axum::response::Response;

use crate::domain::quota::QuotaWindow;

static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The greatest integer of a structured field (RFC 9651 §3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// Tells what is left after a token. A plan without limit has no window and is not told.
pub(super) fn tell(response: &mut Response, window: Option<&QuotaWindow>) {
    let Some(window) = window else { return };
    let [limit, remaining] = [window.limit, window.remaining].map(|count| count.min(MAX_INTEGER));
    let policy = format!("\"month\";q={limit};w={}", window.length);
    let left = format!("\"month\";r={remaining};t={}", window.resets_in);
    let headers = response.headers_mut();
    for (name, value) in [(&RATE_LIMIT_POLICY, policy), (&RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name.clone(), value);
        }
    }
}
