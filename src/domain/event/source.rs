//! Where a request came from, as precisely as events may tell it.
//!
//! Must not know which header or connection gave the address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::Invalid;

/// How precisely events tell the address of a client (`audit.source`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourcePrecision {
    /// The network: the first 24 bits of an IPv4 address, the first 48 bits of an IPv6 address.
    #[default]
    Prefix,
    /// The whole address.
    Full,
    /// Nothing.
    None,
}

impl SourcePrecision {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Full => "full",
            Self::None => "none",
        }
    }

    /// The precision with this name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "prefix" => Ok(Self::Prefix),
            "full" => Ok(Self::Full),
            "none" => Ok(Self::None),
            _ => Err(Invalid("prefix, full or none")),
        }
    }

    /// What an event tells of this address. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn cut(self, address: IpAddr) -> Option<EventSource> {
        let address = address.to_canonical();
        match (self, address) {
            (Self::None, _) => None,
            (Self::Full, _) => Some(EventSource::Address(address)),
            (Self::Prefix, IpAddr::V4(v4)) => Some(EventSource::Network4(fitted(&v4.octets()))),
            (Self::Prefix, IpAddr::V6(v6)) => Some(EventSource::Network6(fitted(&v6.octets()))),
        }
    }
}

/// The source that an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventSource {
    /// A whole address, never an IPv4-mapped one.
    Address(IpAddr),
    /// The first 24 bits of an IPv4 address.
    Network4([u8; 3]),
    /// The first 48 bits of an IPv6 address.
    Network6([u8; 6]),
}

impl EventSource {
    /// The bytes that stores hold: 3 or 6 of a network, 4 or 16 of an address.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(v4)) => v4.octets().to_vec(),
            Self::Address(IpAddr::V6(v6)) => v6.octets().to_vec(),
            Self::Network4(bytes) => bytes.to_vec(),
            Self::Network6(bytes) => bytes.to_vec(),
        }
    }

    /// The source with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let fault = |_| Invalid("a stored source is 3, 4, 6 or 16 bytes");
        match bytes.len() {
            3 => bytes.try_into().map(Self::Network4).map_err(fault),
            6 => bytes.try_into().map(Self::Network6).map_err(fault),
            4 => <[u8; 4]>::try_from(bytes)
                .map(|b| Self::Address(b.into()))
                .map_err(fault),
            _ => <[u8; 16]>::try_from(bytes)
                .map(|b| Self::Address(b.into()))
                .map_err(fault),
        }
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Network4(bytes) => write!(f, "{}/24", Ipv4Addr::from(fitted(bytes))),
            Self::Network6(bytes) => write!(f, "{}/48", Ipv6Addr::from(fitted::<16>(bytes))),
        }
    }
}

/// The first bytes, followed by zeros if there are too few.
fn fitted<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut fitted = [0; N];
    for (to, from) in fitted.iter_mut().zip(bytes) {
        *to = *from;
    }
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SourcePrecision::{Full, None, Prefix};
    use super::*;

    #[test]
    fn an_address_is_cut_to_its_network() {
        for (precision, address, expected) in [
            (Prefix, "192.0.2.77", Some("192.0.2.0/24")),
            (Full, "192.0.2.77", Some("192.0.2.77")),
            (None, "192.0.2.77", Option::None),
            (Prefix, "::ffff:192.0.2.77", Some("192.0.2.0/24")),
            (Full, "::ffff:192.0.2.77", Some("192.0.2.77")),
            (Prefix, "2001:db8:1:2:3:4:5:6", Some("2001:db8:1::/48")),
            (Full, "2001:db8:1:0:0:0:0:6", Some("2001:db8:1::6")),
            (Prefix, "::1", Some("::/48")),
            (Prefix, "0.0.0.0", Some("0.0.0.0/24")),
        ] {
            let cut = precision.cut(address.parse().unwrap());
            assert_eq!(
                cut.map(|source| source.to_string()).as_deref(),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn a_precision_is_found_by_its_word() {
        for precision in [Prefix, Full, None] {
            assert_eq!(SourcePrecision::parse(precision.as_str()), Ok(precision));
        }
        assert!(SourcePrecision::parse("Prefix").is_err());
        assert_eq!(SourcePrecision::default(), Prefix);
    }

    proptest! {
        #[test]
        fn a_source_is_stored_in_the_bytes_that_it_tells(address in any::<IpAddr>()) {
            for precision in [Prefix, Full] {
                let source = precision.cut(address).unwrap();
                prop_assert_eq!(EventSource::from_bytes(&source.to_bytes()), Ok(source));
            }
            prop_assert!([4, 16].contains(&Full.cut(address).unwrap().to_bytes().len()));
        }

        #[test]
        fn other_lengths_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let fits = [3, 4, 6, 16].contains(&bytes.len());
            prop_assert_eq!(EventSource::from_bytes(&bytes).is_ok(), fits);
        }
    }
}
