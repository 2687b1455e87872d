//! A connection's bytes with deadlines: for a head, for idling between requests, for a client that reads.
//!
//! Owns the times. Must not know what the bytes mean, but that a request's first byte ends an idle time.

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

/// How long a client may take nothing of what is written to it.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// A stream that fails once a deadline has passed.
pub(super) struct Timed<I> {
    io: I,
    line: Arc<Line>,
    idle_timeout: Duration,
    /// Since when the present phase is waited in: from the first time that nothing arrived.
    since: Option<Instant>,
    /// Since when nothing of what is written was taken.
    blocked_since: Option<Instant>,
    /// The connection's turn in which the last answer left.
    answered_in: Option<u64>,
    /// Whether what arrived last ends a line.
    ends_line: bool,
    /// Set to no later than the next deadline. It is moved when it fires, not at each request.
    timer: Pin<Box<Sleep>>,
}

impl<I> Timed<I> {
    /// Idle from now on.
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

    /// Whether the client has not taken all that was written.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// What arrived: the first byte of a request ends the idle time. Old clients end a body with a line
    /// break that is none.
    fn arrived(&mut self, bytes: &[u8]) {
        self.ends_line = bytes.last() == Some(&b'\n');
        let between = matches!(self.line.phase(), Phase::Idle | Phase::Answered);
        if between && bytes.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            self.line.set_phase(Phase::Head);
            self.since = None;
        }
    }

    /// hyper asks for more in the very turn in which the answer left only when it holds something that arrived
    /// behind the request: the beginning of the next one, whose time begins now. Old clients end a body with a
    /// line break that is none.
    fn look_behind_the_request(&mut self) {
        let is_same_turn = self.answered_in.take() == Some(self.line.turn());
        if is_same_turn && self.line.phase() == Phase::Idle && !self.ends_line {
            self.line.set_phase(Phase::Head);
            self.since = None;
        }
    }

    /// Nothing arrives: an error once the client has had its time.
    fn wait_for_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timeout = match self.line.phase() {
            Phase::Idle => self.idle_timeout,
            Phase::Head => HEAD_TIMEOUT,
            Phase::Answered | Phase::Busy => return Poll::Pending,
        };
        let line = &self.line;
        let since = *self.since.get_or_insert_with(|| line.waits());
        self.expire(cx, since + timeout)
    }

    /// Nothing is taken: an error once the client has had its time.
    fn wait_for_reader(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &self.line;
        let since = *self.blocked_since.get_or_insert_with(|| line.waits());
        self.expire(cx, since + WRITE_TIMEOUT)
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

    /// Something was taken: what is written in an idle time is still the answer.
    fn taken(&mut self) {
        if self.blocked_since.take().is_some() && !self.line.awaits_body() {
            self.line.waits_no_more();
        }
        if self.line.phase() == Phase::Idle {
            self.line.set_phase(Phase::Answered);
        }
    }

    /// All that was written has been taken: behind an answer an idle time begins. Nobody asks for the next
    /// request now whom an earlier reading will wake.
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
