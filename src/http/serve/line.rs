//! What a connection, its service and the table of connections know of each other.
//!
//! Owns a few words that they share without a lock. Must not know who acts on them.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Where a connection stands between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of a request has arrived.
    Idle,
    /// A part of a head has.
    Head,
    /// A request is being answered, or its body is read.
    Busy,
    /// The answer is made and may not have left yet.
    Answered,
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Line {
    opened: Instant,
    phase: AtomicU8,
    /// Milliseconds from `opened`, and one more, since which the server waits for the client and for nothing
    /// else; 0 while it does not.
    waiting: AtomicU64,
    /// The request's body is waited for.
    awaits_body: AtomicBool,
    /// How often the connection was looked at.
    turn: AtomicU64,
    last: AtomicBool,
    lingering: AtomicBool,
}

impl Line {
    /// Idle from now on.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(0),
            waiting: AtomicU64::new(1),
            awaits_body: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            last: AtomicBool::new(false),
            lingering: AtomicBool::new(false),
        }
    }

    /// Where it stands.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Answered,
        }
    }

    /// It stands there from now on.
    pub(super) fn set_phase(&self, phase: Phase) {
        let word = match phase {
            Phase::Idle => 0,
            Phase::Head => 1,
            Phase::Busy => 2,
            Phase::Answered => 3,
        };
        self.phase.store(word, Ordering::Relaxed);
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        self.set_phase(Phase::Busy);
        self.waits_no_more();
    }

    /// From now on the server waits for the client and for nothing else.
    pub(super) fn waits(&self) -> Instant {
        let now = Instant::now();
        let millis = now.saturating_duration_since(self.opened).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1);
        self.waiting.store(millis, Ordering::Relaxed);
        now
    }

    /// The server has something to do for it.
    pub(super) fn waits_no_more(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// The request's body has not arrived whole, and nothing can be done without it. What arrives of it by and
    /// by does not begin the wait anew.
    pub(super) fn waits_for_body(&self) {
        if !self.awaits_body.swap(true, Ordering::Relaxed) {
            self.waits();
        }
    }

    /// Nobody waits for the body any longer.
    pub(super) fn has_body(&self) {
        if self.awaits_body.swap(false, Ordering::Relaxed) {
            self.waits_no_more();
        }
    }

    /// Whether the client owes a request's body.
    pub(super) fn awaits_body(&self) -> bool {
        self.awaits_body.load(Ordering::Relaxed)
    }

    /// The connection is looked at once more.
    pub(super) fn take_turn(&self) {
        self.turn
            .store(self.turn().wrapping_add(1), Ordering::Relaxed);
    }

    /// Which look at the connection this is.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Since when the server waits for the client, when it does.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let millis = self.waiting.load(Ordering::Relaxed).checked_sub(1)?;
        self.opened.checked_add(Duration::from_millis(millis))
    }

    /// The next answer is the connection's last.
    pub(super) fn end_after_answer(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    /// Whether the next answer is the last.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    /// The client may still be sending what nobody will read: the answer must reach it all the same.
    pub(super) fn linger(&self) {
        self.lingering.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending.
    pub(super) fn lingers(&self) -> bool {
        self.lingering.load(Ordering::Relaxed)
    }
}
