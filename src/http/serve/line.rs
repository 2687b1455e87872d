//! The state that a connection, its service and the table of connections share.
//!
//! Owns a few values that are shared without a lock. Must not know who acts on them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the first request has arrived.
    New,
    /// No byte of the next request has arrived.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// A request is being answered, or its body is being read.
    Busy,
    /// The response is made, but may not have been sent yet.
    Answered,
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Line {
    opened: Instant,
    phase: AtomicU8,
    /// Since when the server has waited for the client and for nothing else: milliseconds from
    /// `opened`, plus one. 0 while the server does not wait for the client.
    waiting: AtomicU64,
    /// Whether the server waits for the rest of the request's body.
    awaits_body: AtomicBool,
    /// How often the connection was polled.
    turn: AtomicU64,
    /// When the response must have been taken: milliseconds from `opened`, plus one. 0 without such
    /// a time.
    deadline: AtomicU64,
    last: AtomicBool,
    lingering: AtomicBool,
    /// Since when a request is held that waits for news: milliseconds from `opened`, plus one. 0
    /// while there is none.
    held: AtomicU64,
    /// Tells the held request to be answered now.
    recalled: Notify,
}

impl Line {
    /// A connection that waits for its first request from now on.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(0),
            waiting: AtomicU64::new(1),
            awaits_body: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            last: AtomicBool::new(false),
            lingering: AtomicBool::new(false),
            held: AtomicU64::new(0),
            recalled: Notify::new(),
        }
    }

    /// The present phase.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::New,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Busy,
            _ => Phase::Answered,
        }
    }

    /// Sets the phase.
    pub(super) fn set_phase(&self, phase: Phase) {
        let word = match phase {
            Phase::New => 0,
            Phase::Idle => 1,
            Phase::Head => 2,
            Phase::Busy => 3,
            Phase::Answered => 4,
        };
        self.phase.store(word, Ordering::Relaxed);
    }

    /// Records that a request begins.
    pub(super) fn begin(&self) {
        self.set_phase(Phase::Busy);
        self.waits_no_more();
    }

    /// Records that from now on the server waits for the client and for nothing else.
    pub(super) fn waits(&self) -> Instant {
        let now = Instant::now();
        self.waiting.store(self.millis(now), Ordering::Relaxed);
        now
    }

    /// Records that the server has work to do for this connection.
    pub(super) fn waits_no_more(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// Records that the request's body has not arrived completely, and that the server can do
    /// nothing without the rest. Further bytes of the body do not begin the wait anew.
    pub(super) fn waits_for_body(&self) {
        if !self.awaits_body.swap(true, Ordering::Relaxed) {
            self.waits();
        }
    }

    /// Records that the server no longer waits for the body.
    pub(super) fn has_body(&self) {
        if self.awaits_body.swap(false, Ordering::Relaxed) {
            self.waits_no_more();
        }
    }

    /// Whether the server waits for the rest of the request's body.
    pub(super) fn awaits_body(&self) -> bool {
        self.awaits_body.load(Ordering::Relaxed)
    }

    /// Whether the server waits for the connection's first request, or for the rest of a request of
    /// which a part has arrived.
    pub(super) fn is_incomplete(&self) -> bool {
        self.awaits_body() || matches!(self.phase(), Phase::New | Phase::Head)
    }

    /// Counts one more poll of the connection.
    pub(super) fn take_turn(&self) {
        self.turn
            .store(self.turn().wrapping_add(1), Ordering::Relaxed);
    }

    /// The number of the present poll.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Since when the server has waited for the client, if it waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.instant(self.waiting.load(Ordering::Relaxed))
    }

    /// Since when a request is held, if one is.
    pub(super) fn held_since(&self) -> Option<Instant> {
        self.instant(self.held.load(Ordering::Relaxed))
    }

    /// Has the held request answered now, if there is one.
    pub(super) fn recall(&self) {
        self.recalled.notify_waiters();
    }

    /// Sets when the response must have been taken; `None` if it may take any time.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        let millis = deadline.map_or(0, |at| self.millis(at));
        self.deadline.store(millis, Ordering::Relaxed);
    }

    /// When the response must have been taken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.instant(self.deadline.load(Ordering::Relaxed))
    }

    /// Milliseconds from `opened`, plus one.
    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.opened).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn instant(&self, millis: u64) -> Option<Instant> {
        self.opened
            .checked_add(Duration::from_millis(millis.checked_sub(1)?))
    }

    /// Makes the next response the connection's last.
    pub(super) fn end_after_answer(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    /// Whether the next response is the connection's last.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    /// Records that the client may still be sending bytes that nobody will read. The response must
    /// reach the client all the same.
    pub(super) fn linger(&self) {
        self.lingering.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending.
    pub(super) fn lingers(&self) -> bool {
        self.lingering.load(Ordering::Relaxed)
    }
}

/// A request's own connection, for a request that waits until there is news. Such a connection may be
/// ended to make room for others, as if it were idle.
#[derive(Clone, Debug)]
pub(crate) struct OwnLine(Arc<Line>);

impl OwnLine {
    /// The connection with this state.
    pub(super) fn new(line: &Arc<Line>) -> Self {
        Self(Arc::clone(line))
    }

    /// Runs this future, unless the connection must make room meanwhile: then `None`.
    pub(crate) async fn hold<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        let line = &*self.0;
        let mut recalled = pin!(line.recalled.notified());
        // From here on a recall is heard.
        recalled.as_mut().enable();
        let _mark = HeldMark::set(line);
        tokio::select! {
            biased;
            done = waiting => Some(done),
            () = recalled => None,
        }
    }
}

/// Marks a connection as held until it is dropped.
struct HeldMark<'l>(&'l Line);

impl<'l> HeldMark<'l> {
    fn set(line: &'l Line) -> Self {
        let millis = line.millis(Instant::now());
        line.held.store(millis, Ordering::Relaxed);
        Self(line)
    }
}

impl Drop for HeldMark<'_> {
    fn drop(&mut self) {
        self.0.held.store(0, Ordering::Relaxed);
    }
}
