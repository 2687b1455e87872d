//! A request's body: read within bounds of size, time and number, or read and discarded.
//!
//! Owns these bounds, and whether a connection can be kept after the response. Must not know what a
//! body says.

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
const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unwanted body may take to arrive. If it arrives in this time, the connection is
/// kept.
const UNWANTED_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes that all arriving bodies together may have, counted by the lengths that they
/// announce.
const MAX_ARRIVING: usize = 32 * 1024 * 1024;

/// A smaller body counts as this many bytes. This also bounds the number of arriving bodies: 8,192.
const MIN_COUNTED: usize = 4 * 1024;

/// The part of `MAX_ARRIVING` that larger bodies leave to bodies of one or two packets. Every
/// client that asks for a token sends such a small body.
const RESERVED_FOR_SMALL: usize = MAX_ARRIVING / 4;

type Received = Result<Collected<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// The bodies of one process that are still arriving.
#[derive(Debug, Default)]
pub struct Bodies {
    arriving: AtomicUsize,
}

/// A body's share of `MAX_ARRIVING`. It is given back when dropped.
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

/// The unread part of a request's body.
pub(crate) struct Arriving {
    body: Body,
    is_lost: bool,
}

impl Arriving {
    /// A body of which nothing has been read.
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            is_lost: false,
        }
    }

    /// Whether it is known that the request has no body.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_lost && self.body.is_end_stream()
    }

    /// Records that the end of the body cannot be known.
    pub(crate) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Reads the whole body.
    pub(crate) async fn read(
        &mut self,
        headers: &HeaderMap,
        bodies: &Bodies,
    ) -> Result<Bytes, Failure> {
        // The body counts as lost while it is being read, because the caller may drop this future.
        self.is_lost = true;
        let read = read_body(headers, std::mem::take(&mut self.body), bodies).await;
        self.is_lost = read.is_err();
        read
    }

    /// Whether the whole body has been read, so that the connection can be kept. The rule is the
    /// same for every response: a small unwanted body is read and discarded first.
    pub(crate) async fn finish(self, reads: Reads, expects: bool) -> bool {
        if self.is_lost {
            return false;
        }
        if self.body.is_end_stream() {
            return true;
        }
        // A gateway may announce a body that it does not send: another client's request could
        // follow in the place of that body. RFC 9110 §10.1.1: a client that sends `Expect` sends no
        // body if the response comes at once.
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
    // Most bodies arrive together with their heads. They need no reservation.
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
        // The client closed the connection or sent invalid HTTP: nobody reads the response.
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
