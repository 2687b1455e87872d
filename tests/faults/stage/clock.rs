//! Gives a process its own clock, ahead of the machine's or behind it, by libfaketime. Only the
//! time of day differs. The monotonic clock is the machine's.

use std::path::{Path, PathBuf};

use super::server::Site;

/// Why a test cannot run on a machine without the library.
pub const LIBFAKETIME: &str = "needs libfaketime, which the system's package of that name brings";

/// The folders where the packages of the systems put the library.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/usr/local/lib64/faketime",
];

/// The clock of the processes that are started with it.
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock that is `ahead` seconds ahead of the machine's. `None` if libfaketime is absent.
    pub fn new(site: &Site, name: &str, ahead: i64) -> Option<Self> {
        let mut libraries = FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join("libfaketimeMT.so.1"));
        let library = libraries.find(|library| library.is_file())?;
        let clock = Self {
            library,
            file: site.folder().join(format!("clock-{name}")),
        };
        clock.set(ahead);
        Some(clock)
    }

    /// Sets the clock, also for processes that are already running.
    pub fn set(&self, ahead: i64) {
        // A process that reads the file meanwhile gets the old time or the new one, never an empty
        // file.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{ahead:+}\n")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }
}

impl Site {
    /// Gives this clock to all processes that are started from now on.
    pub fn wear(&mut self, clock: &FakeClock) {
        self.set("LD_PRELOAD", clock.library.to_str().unwrap());
        self.set("FAKETIME_TIMESTAMP_FILE", clock.file.to_str().unwrap());
        self.set("FAKETIME_NO_CACHE", "1");
        self.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.set("NO_FAKE_STAT", "1");
    }
}
