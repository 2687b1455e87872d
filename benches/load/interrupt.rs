//! A run that is told to stop ends its servers and removes their data, as one that has finished.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::Fallible;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Heeds SIGINT and SIGTERM from now on; a second one ends the process at once.
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

/// Sleeps, unless the run is told to stop.
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

/// An error once the run was told to stop.
pub fn check() -> Fallible<()> {
    if STOPPED.load(Ordering::Relaxed) {
        Err("stopped".into())
    } else {
        Ok(())
    }
}
