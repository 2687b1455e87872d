//! A request's body: read within bounds of size, time and number, or read and forgotten.
//!
//! Owns these bounds, and whether a connection can be kept after the answer. Must not know what a body says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};

use crate::telemetry::metrics::{self, Shed};

use super::accepts::Reads;
use super::error::Failure;

/// The largest request body, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a body that nobody wants may take to arrive. When it has, the connection is kept.
const UNWANTED_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bytes the bodies that are still arriving may come to, by what they announce.
const MAX_ARRIVING: usize = 32 * 1024 * 1024;

/// As how many bytes a body counts at least, and so how many there may be: 8,192.
const MIN_COUNTED: usize = 4 * 1024;

/// What larger bodies leave to those of one packet or two, which all clients send that ask for a token.
const RESERVED_FOR_SMALL: usize = MAX_ARRIVING / 4;

type Received = Result<Collected<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// The bodies of one process that are still arriving.
#[derive(Debug, Default)]
pub struct Bodies {
    arriving: AtomicUsize,
}

/// A body's part of the bound, given back when dropped.
struct Reservation<'b> {
    bodies: &'b Bodies,
    bytes: usize,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.bodies
            .arriving
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Bodies {
    fn reserve(&self, announced: usize) -> Option<Reservation<'_>> {
        let bytes = announced.max(MIN_COUNTED);
        let most = if bytes == MIN_COUNTED {
            MAX_ARRIVING
        } else {
            MAX_ARRIVING - RESERVED_FOR_SMALL
        };
        let add = |now: usize| now.checked_add(bytes).filter(|sum| *sum <= most);
        self.arriving
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Reservation {
            bodies: self,
            bytes,
        })
    }
}

/// A request's body, as far as nobody has read it.
pub(crate) struct Arriving {
    body: Body,
    is_lost: bool,
}

impl Arriving {
    /// All of it is still to be read.
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            is_lost: false,
        }
    }

    /// Where it ends cannot be known.
    pub(crate) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// The whole body.
    pub(crate) async fn read(
        &mut self,
        headers: &HeaderMap,
        bodies: &Bodies,
    ) -> Result<Bytes, Failure> {
        // For as long as the reading is under way: it may be given up.
        self.is_lost = true;
        let read = read_body(headers, std::mem::take(&mut self.body), bodies).await;
        self.is_lost = read.is_err();
        read
    }

    /// Whether the whole body has been read, so that the connection can be kept. One rule for every answer,
    /// whatever its reason: a small body that nobody wanted is read and forgotten first.
    pub(crate) async fn finish(self, reads: Reads, expects: bool) -> bool {
        if self.is_lost {
            return false;
        }
        if self.body.is_end_stream() {
            return true;
        }
        // Somebody else's request could follow in place of a body that a gateway announces and does not send.
        // RFC 9110 §10.1.1: whoever asks first sends nothing to one who answers at once.
        let is_large =
            usize::try_from(self.body.size_hint().lower()).map_or(true, |least| least > MAX_BODY);
        if reads == Reads::Relayed || expects || is_large {
            return false;
        }
        let mut rest = Limited::new(self.body, MAX_BODY);
        let reading = async {
            while let Some(frame) = rest.frame().await {
                if frame.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(UNWANTED_BODY_TIMEOUT, reading)
            .await
            .unwrap_or(false)
    }
}

async fn read_body(headers: &HeaderMap, body: Body, bodies: &Bodies) -> Result<Bytes, Failure> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(Failure::TooLarge);
    }
    let mut receiving = std::pin::pin!(Limited::new(body, MAX_BODY).collect());
    // Most bodies are here with their heads, and cost no place.
    if let Some(received) = receiving.as_mut().now_or_never() {
        return of_received(received);
    }
    let Some(_place) = bodies.reserve(announced.unwrap_or(MAX_BODY)) else {
        metrics::shed(Shed::Bodies);
        return Err(Failure::Crowded);
    };
    tokio::time::timeout(BODY_TIMEOUT, receiving)
        .await
        .map_or(Err(Failure::SlowBody), of_received)
}

fn of_received(received: Received) -> Result<Bytes, Failure> {
    match received {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        // The client broke off or sent no valid HTTP: nobody reads the answer.
        Err(_) => Err(Failure::BrokenBody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_stall_are_bounded_and_leave_room_for_small_ones() {
        let bodies = Bodies::default();
        let large: Vec<Reservation<'_>> = std::iter::from_fn(|| bodies.reserve(MAX_BODY)).collect();
        assert_eq!(large.len(), 384);
        let small: Vec<Reservation<'_>> = std::iter::from_fn(|| bodies.reserve(200)).collect();
        assert_eq!(small.len(), RESERVED_FOR_SMALL / MIN_COUNTED);
        drop(large);
        assert!(bodies.reserve(MAX_BODY).is_some());
        drop(small);
        assert_eq!(bodies.arriving.load(Ordering::Relaxed), 0);
    }
}
