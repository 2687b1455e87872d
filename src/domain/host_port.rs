//! A host and a port, as URLs name them.

use std::fmt;

use url::{Host, Url};

use super::Invalid;

/// A host and a port. Two ways to write one host are one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: Host<String>,
    port: u16,
}

impl HostPort {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid("targets such as keys.example:443, 10.0.0.7:8443 or [fd00::7]:443");
        let (host, port) = text.rsplit_once(':').ok_or(fault)?;
        let is_written = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port: u16 = port.parse().map_err(|_| fault)?;
        let host = Host::parse(host).map_err(|_| fault)?;
        // A URL's host may have an asterisk, but here it would look like a pattern.
        if !is_written || port == 0 || host.to_string().contains('*') {
            return Err(fault);
        }
        Ok(Self { host, port })
    }

    /// The target of this URL; `None` if it has no host or no port.
    pub(crate) fn of_url(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// The host.
    pub(crate) fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_target_is_equal_however_it_is_written() {
        for (one, other) in [
            ("Keys.Example:443", "keys.example:443"),
            ("127.0.0.1:443", "0x7f000001:443"),
            ("127.0.0.1:443", "127.1:443"),
            ("[::1]:443", "[0:0:0:0:0:0:0:1]:443"),
        ] {
            assert_eq!(
                HostPort::parse(one),
                HostPort::parse(other),
                "{one} {other}"
            );
        }
        let url = Url::parse("https://2130706433/keys").unwrap();
        assert_eq!(
            HostPort::of_url(&url),
            HostPort::parse("127.0.0.1:443").ok()
        );
        assert_eq!(
            HostPort::parse("[::1]:8443").unwrap().to_string(),
            "[::1]:8443"
        );
        for bad in [
            "",
            "keys.example",
            "keys.example:",
            ":443",
            "keys.example:0",
            "keys.example:65536",
            "keys.example:+1",
            "::1:443",
            "a b:443",
            "https://a.example:443",
            "a/b:443",
            "*:443",
        ] {
            assert!(HostPort::parse(bad).is_err(), "{bad}");
        }
    }
}
