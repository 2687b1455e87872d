//! Which client address a request counts for, if proxies stand in front.
//!
//! The header field is believed only if a trusted proxy sent it, and only as far as trusted proxies
//! wrote it. The entries are read from the last to the first. The first address that is not a
//! proxy's is the client's. The client may have written everything before that address.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

use crate::domain::network::Networks;

/// Which proxies are trusted, and in which header field they write the client's address.
#[derive(Debug)]
pub struct ClientAddresses {
    proxies: Networks,
    header: Option<HeaderName>,
}

impl ClientAddresses {
    /// Without a header field, or without proxies, the peer's address is the client's.
    pub fn new(proxies: Networks, header: Option<&str>) -> Self {
        Self {
            proxies,
            header: header.and_then(|name| name.parse().ok()),
        }
    }

    /// The client's address. If the peer is a proxy, this is the last address in the header field
    /// that is not a proxy's.
    pub fn of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let Some(header) = &self.header else {
            return peer;
        };
        if !self.proxies.contains(peer) {
            return peer;
        }
        let mut client = peer;
        for value in headers.get_all(header).iter().rev() {
            for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
                // An unreadable entry makes all entries before it unusable.
                let Some(address) = read(entry) else {
                    return client;
                };
                client = address.to_canonical();
                if !self.proxies.contains(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// Reads an address, with or without a port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::domain::network::Network;

    fn of(peer: &str, values: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        let clients = ClientAddresses::new(Networks(proxies.to_vec()), Some("x-forwarded-for"));
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        clients.of(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        for (peer, values, client) in [
            ("10.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            (
                "10.0.0.1",
                &["198.51.100.9,192.0.2.1 , 10.9.9.9"],
                "192.0.2.1",
            ),
            (
                "10.0.0.1",
                &["198.51.100.9", "192.0.2.1", "10.9.9.9"],
                "192.0.2.1",
            ),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["192.0.2.1:5000"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            // All are proxies: the client's address is that of the farthest proxy.
            ("10.0.0.1", &["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(of(peer, values), client, "{peer} {values:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(of("192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
        // An entry that a client wrote before an unreadable one is never reached.
        assert_eq!(
            of("10.0.0.1", &["198.51.100.9, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(of("10.0.0.1", &["198.51.100.9, "]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["\u{e9}"]), "10.0.0.1");
    }
}
