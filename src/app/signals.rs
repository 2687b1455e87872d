//! The signals that a server receives. Must not know how the server reacts to them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a server. Each keeps one listener from start to end: a signal that arrives
/// while there is no listener would be lost.
pub(super) struct Stops([Option<Signal>; 3]);

impl Stops {
    /// Listens from now on. SIGUSR1 and SIGUSR2, which log rotation and supervisors send, end the
    /// process by default: they are received too, and do nothing.
    pub(super) fn listen() -> Self {
        // A handler that was installed once stays, also without a listener.
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(kind));
        }
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
        ];
        // If a handler cannot be installed, the signal's default action ends the process.
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// Waits for the next signal.
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

/// Receives SIGHUP from now on. Until this call, SIGHUP ends the process. `None` if the handler
/// cannot be installed.
pub(super) fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}
