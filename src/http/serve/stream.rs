//! A connection's bytes with deadlines: for a request's head, for the idle time between requests,
//! and for a client that does not read.
//!
//! Owns the deadlines. Must not know what the bytes mean, except that a request's first byte ends
//! an idle time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::line::{Line, Phase};

/// How long a client may take for a request's head, from its first byte.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client may read nothing of what is written to it.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// A stream that fails once a deadline has passed.
pub(super) struct Timed<I> {
    io: I,
    line: Arc<Line>,
    idle_timeout: Duration,
    /// Since when the server has waited in the present phase: the first time that nothing arrived.
    since: Option<Instant>,
    /// Since when the client has read nothing of what is written.
    blocked_since: Option<Instant>,
    /// The connection's turn in which the last response was sent.
    answered_in: Option<u64>,
    /// Whether the bytes that arrived last end with a line feed.
    ends_line: bool,
    /// The timer fires no later than the next deadline. It is moved when it fires, not at each
    /// request.
    timer: Pin<Box<Sleep>>,
}

impl<I> Timed<I> {
    /// A stream that is idle from now on.
    pub(super) fn new(io: I, line: Arc<Line>, idle_timeout: Duration) -> Self {
        let timer = Box::pin(sleep_until(Instant::now() + idle_timeout));
        let (since, blocked_since, answered_in) = (None, None, None);
        Self {
            io,
            line,
            idle_timeout,
            since,
            blocked_since,
            answered_in,
            ends_line: false,
            timer,
        }
    }

    /// The stream without its deadlines.
    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// Whether the client has left unread a part of what is written.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// Handles bytes that arrived. The first byte of a request ends the idle time. A line break
    /// does not: old clients send one after a body.
    fn arrived(&mut self, bytes: &[u8]) {
        self.ends_line = bytes.last() == Some(&b'\n');
        let between = matches!(
            self.line.phase(),
            Phase::New | Phase::Idle | Phase::Answered
        );
        if between && bytes.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            self.line.set_phase(Phase::Head);
            self.since = None;
        }
    }

    /// In the same turn in which the response was sent, hyper reads again only if it already holds
    /// bytes that arrived after the request. These bytes begin the next request, and that request's
    /// time begins now. A line break does not begin a request: old clients send one after a body.
    fn look_behind_the_request(&mut self) {
        let is_same_turn = self.answered_in.take() == Some(self.line.turn());
        if is_same_turn && self.line.phase() == Phase::Idle && !self.ends_line {
            self.line.set_phase(Phase::Head);
            self.since = None;
        }
    }

    /// Nothing arrives. Returns an error once the client's time is over.
    fn wait_for_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timeout = match self.line.phase() {
            Phase::New | Phase::Idle => self.idle_timeout,
            Phase::Head => HEAD_TIMEOUT,
            Phase::Answered | Phase::Busy => return Poll::Pending,
        };
        let line = &self.line;
        let since = *self.since.get_or_insert_with(|| line.waits());
        self.expire(cx, since + timeout)
    }

    /// The client reads nothing. Returns an error once the client's time is over.
    fn wait_for_reader(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &self.line;
        let since = *self.blocked_since.get_or_insert_with(|| line.waits());
        let deadline = since + WRITE_TIMEOUT;
        let deadline = line.deadline().map_or(deadline, |end| end.min(deadline));
        self.expire(cx, deadline)
    }

    fn expire(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<()>> {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// The client read something. If it read during an idle time, the response is still being sent.
    fn taken(&mut self) {
        if self.blocked_since.take().is_some() && !self.line.awaits_body() {
            self.line.waits_no_more();
        }
        if self.line.phase() == Phase::Idle {
            self.line.set_phase(Phase::Answered);
        }
    }

    /// The client has taken all that was written. After a response, an idle time begins. The wait
    /// begins here, because hyper does not read again now if an earlier read is still pending.
    fn flushed(&mut self, cx: &mut Context<'_>) {
        if self.line.phase() == Phase::Answered {
            self.line.set_phase(Phase::Idle);
            self.since = None;
            self.answered_in = Some(self.line.turn());
            let _ = self.wait_for_request(cx);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Timed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(done) => {
                self.arrived(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(done)
            }
            Poll::Pending => {
                self.look_behind_the_request();
                self.wait_for_request(cx)
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> Timed<I> {
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.taken();
            return written;
        }
        ready!(self.wait_for_reader(cx))?;
        Poll::Pending
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Timed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.flushed(cx);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
