//! A request's body while it arrives.
//!
//! Owns nothing: it tells the connection's line when the client owes the rest, and that the request
//! is the last. Must not know what a body says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::line::Line;

/// A request's body. The connection waits for the body as it waits for a request, and may be ended
/// to make room until the body has arrived.
pub(super) struct Upload {
    body: Incoming,
    line: Arc<Line>,
}

impl Upload {
    /// A body of which nothing has arrived.
    pub(super) fn new(body: Incoming, line: Arc<Line>) -> Self {
        Self { body, line }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.line.waits_for_body(),
            // RFC 9112 §7.1.2: another reader of the same bytes may end a trailer's lines at a bare
            // LF, and take for a request what was read as a trailer here. So nothing may follow.
            Poll::Ready(Some(Ok(part))) if part.is_trailers() => {
                self.line.end_after_answer();
                self.line.has_body();
            }
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(_) => self.line.has_body(),
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

impl Drop for Upload {
    fn drop(&mut self) {
        self.line.has_body();
    }
}
