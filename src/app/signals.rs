//! The signals that a server hears. Must not know what it does about them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a server. One listener for its whole life: a signal that came while nobody listened
/// would be lost.
pub(super) struct Stops([Option<Signal>; 3]);

impl Stops {
    pub(super) fn listen() -> Self {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
        ];
        // Without a handler the system's own ends the process.
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        let [term, int, quit] = &mut self.0;
        tokio::select! {
            () = received(term) => {}
            () = received(int) => {}
            () = received(quit) => {}
        }
    }
}

pub(super) async fn received(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// SIGHUP from now on: before this it ends the process. `None` where there are no such signals.
pub(super) fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}
