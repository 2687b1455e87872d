//! A response's body that is made while it is sent.
//!
//! Owns how long such a response may take in all. Must not know what a body says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::line::{Line, Phase};

/// How long such a response may take, however its client reads. A client that reads nothing has far
/// less time.
pub(super) const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(1);

/// A response's body whose length is not known. Until its end the connection counts as busy: between
/// two parts the server works, and does not wait for the client.
pub(super) struct Download {
    body: Body,
    line: Arc<Line>,
    timer: Pin<Box<Sleep>>,
}

impl Download {
    /// A body of which nothing was sent.
    pub(super) fn new(body: Body, line: Arc<Line>) -> Self {
        let deadline = Instant::now() + DOWNLOAD_TIMEOUT;
        line.set_phase(Phase::Busy);
        line.set_deadline(Some(deadline));
        Self {
            body,
            line,
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    fn end(&self) {
        self.line.set_phase(Phase::Answered);
        self.line.set_deadline(None);
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.end();
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.timer.as_mut().poll(cx).is_ready() {
            let too_late = io::Error::from(io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(axum::Error::new(too_late))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.end();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
