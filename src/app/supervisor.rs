//! What systemd is told about a server: that it serves, reads its configuration again, or stops
//! (`sd_notify`).
//!
//! Owns the messages and the socket to which they go. Must not know when a server is ready.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The variable in which systemd names the socket.
pub(crate) const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// How long one message may wait for room in the socket.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The one who started this process, and wants to know how it is. Nobody, unless systemd or a
/// similar program named a socket.
pub(crate) struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// The listener behind the value of [`SOCKET_VARIABLE`]: a path, or with `@` in front the name of
    /// an abstract socket.
    pub(crate) fn at(socket: Option<&OsStr>) -> Self {
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Self(None);
        };
        match address(name) {
            Ok(address) => Self(Some(address)),
            Err(error) => {
                tracing::warn!(%error, "{SOCKET_VARIABLE} names no socket that can be told anything");
                Self(None)
            }
        }
    }

    /// The server serves, or serves by the configuration that it has read.
    pub(super) fn tell_ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The server reads its configuration. [`Self::tell_ready`] follows.
    pub(super) fn tell_reloading(&self) {
        // `Type=notify-reload` takes a reload for done only if READY follows a later time than this.
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = now.tv_sec.saturating_mul(1_000_000);
        let micros = seconds.saturating_add(now.tv_nsec / 1_000);
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration"
        ));
    }

    /// The server stops, and takes up to `drain` for it.
    pub(super) fn tell_stopping(&self, drain: Duration) {
        let micros = drain.as_micros();
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\nSTATUS=finishing what is in flight"
        ));
    }

    fn tell(&self, message: &str) {
        let Some(address) = &self.0 else { return };
        if let Err(error) = send(address, message.as_bytes()) {
            tracing::warn!(%error, "systemd was not told: {message}");
        }
    }
}

fn send(address: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.send_to_addr(message, address)?;
    Ok(())
}

/// `sd_notify(3)`: a name that begins with `/` is a path, and one that begins with `@` is abstract.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        [b'@', name @ ..] => abstract_address(name),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_unless_a_socket_was_named() {
        for name in [None, Some(""), Some("sealwright"), Some("vsock:2:1")] {
            let supervisor = Supervisor::at(name.map(OsStr::new));
            assert!(supervisor.0.is_none(), "{name:?}");
            supervisor.tell_ready();
        }
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        Supervisor::at(Some(path.as_os_str())).tell_ready();
        assert_eq!(received(&listener), "READY=1\nSTATUS=serving");
        if cfg!(target_os = "linux") {
            let name = format!("sealwright-{}", std::process::id());
            let address = abstract_address(name.as_bytes()).unwrap();
            let listener = UnixDatagram::bind_addr(&address).unwrap();
            let supervisor = Supervisor::at(Some(OsStr::new(&format!("@{name}"))));
            supervisor.tell_stopping(Duration::from_secs(35));
            assert!(received(&listener).starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\n"));
        }
    }

    #[test]
    fn a_listener_that_is_gone_fails_nothing() {
        Supervisor::at(Some(OsStr::new("/nowhere/notify"))).tell_ready();
    }

    fn received(listener: &UnixDatagram) -> String {
        let mut message = [0; 512];
        let length = listener.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}
