//! Clocks of a process's own, ahead of the machine's or behind it: libfaketime stands between the two. Only the
//! time of day is another; how much time has passed is told as it is.

use std::path::{Path, PathBuf};

use super::server::Site;

/// What a machine that has no such library lacks.
pub const LIBFAKETIME: &str = "needs libfaketime, which the system's package of that name brings";

/// Where the packages of the systems put it.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/usr/local/lib64/faketime",
];

/// The clock of whatever wears it.
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// So many seconds ahead of the machine's clock; `None` where libfaketime is absent.
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

    /// Sets it, under processes that run too.
    pub fn set(&self, ahead: i64) {
        // Whoever looks meanwhile finds the old time or the new one, and no empty file.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{ahead:+}\n")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }
}

impl Site {
    /// Gives this clock to all that is started from now on.
    pub fn wear(&mut self, clock: &FakeClock) {
        self.set("LD_PRELOAD", clock.library.to_str().unwrap());
        self.set("FAKETIME_TIMESTAMP_FILE", clock.file.to_str().unwrap());
        self.set("FAKETIME_NO_CACHE", "1");
        self.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.set("NO_FAKE_STAT", "1");
    }
}
