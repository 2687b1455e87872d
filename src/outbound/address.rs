//! Which addresses belong to the public Internet. Everything else might be a part of the operator's
//! own network that only this server reaches, such as the metadata service of a cloud.
//!
//! Pure: decides by the address alone, from the registries of special-purpose addresses (RFC 6890)
//! as of IANA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a connection to this address leads to the public Internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The blocks of IPv4 that are not globally reachable, with the lengths of their prefixes.
const REFUSED_V4: [(Ipv4Addr, u32); 15] = [
    // "This network" (RFC 791 §3.2).
    (Ipv4Addr::UNSPECIFIED, 8),
    // Private (RFC 1918).
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared by the customers of a carrier (RFC 6598). Some clouds have their metadata there.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback (RFC 1122 §3.2.1.3).
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local (RFC 3927), with the metadata of clouds at 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments (RFC 6890).
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737).
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Relays to IPv6, which are out of use (RFC 7526).
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks (RFC 2544).
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast (RFC 5771).
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved (RFC 1112 §4), with the broadcast address.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// An address of a public range that only machines of its cloud reach: the metadata and DNS of Azure.
const AZURE_PLATFORM: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let is_in = |(block, prefix): &(Ipv4Addr, u32)| {
        let shift = 32 - prefix;
        bits >> shift == u32::from(*block) >> shift
    };
    address != AZURE_PLATFORM && !REFUSED_V4.iter().any(is_in)
}

/// The blocks of global unicast IPv6 that are not globally reachable, with the lengths of their
/// prefixes.
const REFUSED_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments (RFC 2928), with Teredo (RFC 4380), which hides an IPv4 address.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 (RFC 3056), which hides an IPv4 address and is out of use.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// The well-known prefix of NAT64 (RFC 6052 §2.1): the last 32 bits are an IPv4 address.
const NAT64: u128 = 0x0064_ff9b_u128 << 96;

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = held_v4(address) {
        return is_public_v4(v4);
    }
    let bits = u128::from(address);
    let is_in = |(block, prefix): &(Ipv6Addr, u32)| {
        let shift = 128 - prefix;
        bits >> shift == u128::from(*block) >> shift
    };
    // Only 2000::/3 is global unicast (RFC 4291 §2.4). Loopback, link-local, unique local and
    // multicast addresses, and the NAT64 prefixes of local networks (RFC 8215), are outside of it.
    bits >> 125 == 1 && !REFUSED_V6.iter().any(is_in)
}

/// The IPv4 address that a connection to this one leads to: of an IPv4-mapped address (RFC 4291
/// §2.5.5.2) and one of NAT64.
fn held_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(v4) = address.to_ipv4_mapped() {
        return Some(v4);
    }
    let [.., a, b, c, d] = address.octets();
    let is_nat64 = u128::from(address) >> 32 == NAT64 >> 32;
    is_nat64.then_some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let refused = [
            // The first and the last address of each block.
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.0",
            "192.0.2.255",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::808:808",
            "100::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2001:db8:ffff::",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "4000::1",
            "1fff::1",
        ];
        for text in refused {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2606:4700::1111",
            "2001:200::1",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::1",
            "3ffe::1",
            "3fff:1000::",
            "2000::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
