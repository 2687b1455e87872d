//! `GET /api/v1/token/revoked` and `/oauth/revoked-tokens`: the revocation list (contract §4),
//! compressed with gzip for clients that accept it.

use std::sync::Arc;

use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply::{self, Kept};
use crate::http::state::State;

/// A list smaller than this many bytes is sent uncompressed: it fits into one packet.
const MIN_GZIP_BYTES: usize = 1_024;

/// The list from memory, or 304 if the client has it.
pub(crate) async fn get_revocations(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let listing = state.list.current();
    let document = &listing.document;
    let headers = &incoming.headers;
    let mut response = if document.body.len() >= MIN_GZIP_BYTES && prefers_gzip(headers) {
        // A client that has the list in either form needs no new copy. The tag of the 304 says
        // which form that is (RFC 9110 §15.4.5).
        let held = [document.gzip_etag(), document.etag.clone()];
        if let Some(tag) = held.iter().find(|tag| reply::matches_etag(headers, tag)) {
            reply::described(None, tag, Kept::Revalidated)
        } else {
            let packed = state.list.gzipped(&listing).await?;
            let mut response =
                reply::described(Some(packed.body.clone()), &packed.etag, Kept::Revalidated);
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
    } else if reply::matches_etag(headers, &document.etag)
        || !reply::matches_etag(headers, &document.gzip_etag())
    {
        reply::document(headers, document, Kept::Revalidated)
    } else {
        reply::described(None, &document.gzip_etag(), Kept::Revalidated)
    };
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// RFC 9110 §12.5.3: whether the client prefers gzip. It does if it accepts gzip by name or by `*`,
/// with a weight at least that of `identity`. If the header field is missing or unreadable, the
/// list is sent uncompressed.
fn prefers_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for part in headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
    {
        for coding in part.split(',') {
            let mut parameters = coding.split(';').map(str::trim);
            let name = parameters.next().unwrap_or_default();
            let weight = parameters
                .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                .map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let Some(weight) = weight else { continue };
            match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(weight),
                "identity" => identity = Some(weight),
                "*" => any = Some(weight),
                _ => {}
            }
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_to_those_who_ask_for_it() {
        for (accepts, gzip) in [
            (&["gzip, deflate, br"][..], true),
            (&["deflate, GZIP;q=0.5"], true),
            (&["x-gzip"], true),
            (&["*"], true),
            (&["br", "gzip"], true),
            (&["gzip;q=1.0, identity; q=0.5, *;q=0"], true),
            (&["identity;q=1, gzip;q=0.5"], false),
            (&["gzip;q=0"], false),
            (&["*;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["gzip;q=x"], false),
            (&["identity"], false),
            (&["gzipped"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accepts {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(prefers_gzip(&headers), gzip, "{accepts:?}");
        }
    }
}
