//! Lets a signal stop the run in order: it ends its servers and removes their data, like a finished
//! run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::Fallible;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Handles SIGINT and SIGTERM from now on. A second signal ends the process at once.
pub fn watch() -> Fallible<()> {
    let listen = || {
        crate::block_on(async {
            let (mut int, mut term) = (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            );
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                if STOPPED.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        })
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || -> Fallible<()> { listen() })?;
    Ok(())
}

/// Sleeps for `time`. Fails as soon as a signal has stopped the run.
pub fn pause(time: Duration) -> Fallible<()> {
    let begun = Instant::now();
    loop {
        check()?;
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// Fails if a signal has stopped the run.
pub fn check() -> Fallible<()> {
    if STOPPED.load(Ordering::Relaxed) {
        Err("stopped".into())
    } else {
        Ok(())
    }
}
