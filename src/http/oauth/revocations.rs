//! `GET /api/v1/token/revoked` and `/oauth/revoked-tokens`: the revocation list (contract §4) and the
//! feed of what came after a version, compressed with gzip for clients that accept it. A client may
//! wait for news.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tokio::time::timeout;

use crate::document::Document;
use crate::domain::refusal::Refusal;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply::{self, HeldTime, Kept};
use crate::http::route::REQUEST_TIMEOUT;
use crate::http::serve::OwnLine;
use crate::http::state::State;
use crate::service::revocations::HoldEnd;
use crate::telemetry::metrics::{self, Shed};

use super::verifier::note_report;

/// A list smaller than this many bytes is sent uncompressed: it fits into one packet.
const MIN_GZIP_BYTES: usize = 1_024;

/// The longest that a request waits for news, in seconds: less than the half minute after which many
/// proxies give up.
pub(crate) const MAX_WAIT: i64 = 25;

/// The largest version (RFC 8259 §6: the largest integer that every reader of JSON keeps).
pub(crate) const MAX_VERSION: i64 = (1 << 53) - 1;

/// How many entity tags of a waiting request are kept in memory.
const MAX_TAGS: usize = 8;

/// When a request that could not wait should come again, in seconds: as often as clients poll that
/// never wait, or at once if this process stops and another one answers.
const CROWDED_RETRY: &str = "15";
/// See [`CROWDED_RETRY`].
const DRAINING_RETRY: &str = "1";

/// What a client asks for.
struct Question {
    /// The version that it holds. `None` asks for the list of contract §4.
    since: Option<i64>,
    /// How long it waits for news.
    wait: Option<Duration>,
    /// The entity tags that it holds.
    tags: Vec<String>,
    prefers_gzip: bool,
    /// The connection, which may have to make room while the request waits.
    line: Option<OwnLine>,
}

/// The list from memory, or 304 if the client has it. With `since`, what came after that version.
/// With `wait`, not before there is news or the time is over.
pub(crate) async fn get_revocations(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let question = Question::of(&incoming)?;
    note_report(&state, &incoming.headers, question.wait);
    // What is not needed any more must not be held in memory.
    drop(incoming);
    if let Some(since) = question.since
        && since > state.list.version()
    {
        state.list.await_look().await?;
    }
    let began = Instant::now();
    let end = question.hold(&state).await;
    let held = began.elapsed();
    let answering = question.answer(&state);
    let answered = timeout(REQUEST_TIMEOUT, answering).await;
    let mut response = answered.unwrap_or(Err(Failure::TooSlow))?;
    let retry = match end {
        Some(HoldEnd::Crowded) => Some(CROWDED_RETRY),
        Some(HoldEnd::Draining) => Some(DRAINING_RETRY),
        Some(HoldEnd::News | HoldEnd::TimeOver) | None => None,
    };
    let headers = response.headers_mut();
    if let Some(retry) = retry {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
    }
    if end == Some(HoldEnd::Crowded) {
        metrics::shed(Shed::HeldPolls);
    }
    if end == Some(HoldEnd::Draining) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.extensions_mut().insert(HeldTime(held));
    Ok(response)
}

impl Question {
    fn of(incoming: &Incoming) -> Result<Self, Failure> {
        let (mut since, mut wait) = (None, None);
        let query = &incoming.query;
        match incoming.query_parameters(&["since", "wait"]) {
            Ok(parameters) => {
                since = number(parameters.one("since")?, 0..=MAX_VERSION, NO_VERSION)?;
                wait = number(parameters.one("wait")?, 1..=MAX_WAIT, NO_WAIT)?;
            }
            // A query that asks for nothing may hold anything.
            Err(Refusal::InvalidRequest(_))
                if !query.contains("since") && !query.contains("wait") => {}
            Err(refusal) => return Err(refusal.into()),
        }
        let tags = reply::asked_tags(&incoming.headers).map(str::to_owned);
        let (tags, wait) = match wait {
            Some(wait) if !incoming.is_head => (
                tags.take(MAX_TAGS).collect(),
                Some(Duration::from_secs(wait.unsigned_abs())),
            ),
            _ => (tags.collect(), None),
        };
        Ok(Self {
            since,
            wait,
            tags,
            prefers_gzip: prefers_gzip(&incoming.headers),
            line: incoming.line.clone(),
        })
    }

    /// Waits for news, if the client has said what it holds.
    async fn hold(&self, state: &State) -> Option<HoldEnd> {
        let wait = self.wait?;
        if self.since.is_none() && self.tags.is_empty() {
            return None;
        }
        let holding = async {
            match self.since {
                Some(since) => state.list.hold_since(since, wait).await,
                None => state.list.hold_for_tags(&self.tags, wait).await,
            }
        };
        match &self.line {
            // Without it, nothing could end the wait.
            None => Some(holding.await),
            Some(line) => line.hold(holding).await.or(Some(HoldEnd::Crowded)),
        }
    }

    async fn answer(&self, state: &State) -> Result<Response, Failure> {
        let Some(since) = self.since else {
            let listing = state.list.current();
            let packed = || async { Ok(state.list.gzipped(&listing).await?) };
            return self.send(&listing.document, packed).await;
        };
        let delta = state.list.delta(since).await?;
        let packed = || async { Ok(delta.gzipped().await?) };
        self.send(&delta.document, packed).await
    }

    /// Sends a document plain or compressed. A client that has it in either form needs no new copy.
    /// The tag of the 304 says which form that is (RFC 9110 §15.4.5).
    async fn send(
        &self,
        document: &Document,
        packed: impl AsyncFnOnce() -> Result<Arc<Document>, Failure>,
    ) -> Result<Response, Failure> {
        let is_packed = self.prefers_gzip && document.body.len() >= MIN_GZIP_BYTES;
        let (plain, gzip) = (&document.etag, &document.gzip_etag());
        let forms = if is_packed {
            [gzip, plain]
        } else {
            [plain, gzip]
        };
        let mut response = if let Some(tag) = forms.iter().find(|tag| self.has(tag)) {
            reply::described(None, tag, Kept::Revalidated)
        } else if is_packed {
            let packed = packed().await?;
            let mut response =
                reply::described(Some(packed.body.clone()), &packed.etag, Kept::Revalidated);
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            reply::described(Some(document.body.clone()), plain, Kept::Revalidated)
        };
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        Ok(response)
    }

    fn has(&self, etag: &str) -> bool {
        self.tags.iter().any(|tag| tag == "*" || tag == etag)
    }
}

const NO_VERSION: Refusal = Refusal::InvalidRequest(
    "The since parameter must be a version of the list: a number from 0 to 9007199254740991.",
);
const NO_WAIT: Refusal =
    Refusal::InvalidRequest("The wait parameter must be a number of seconds from 1 to 25.");

/// A number in this range, if there is any. Anything else gets the refusal.
fn number(
    text: Option<&str>,
    range: RangeInclusive<i64>,
    otherwise: Refusal,
) -> Result<Option<i64>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.filter(|_| is_number).map(Some).ok_or(otherwise)
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
