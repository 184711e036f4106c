//! Which addresses are those of the internet, and not of this machine, its networks or whoever hosts it.
//!
//! Source: IANA, "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Registry".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where Azure tells its machines about themselves, which no registry of special addresses has.
///
/// Source: Microsoft Learn, "What is IP address 168.63.129.16?".
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// The address that is reached in the end: that of IPv4 where one of IPv6 only stands for it.
pub(super) fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(long) = address else { return address };
    // What a translator makes of an IPv4 address.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = long.segments() {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        return Ipv4Addr::new(a, b, c, d).into();
    }
    long.to_canonical()
}

/// Whether an address can be reached by anybody.
pub(super) fn is_public(address: IpAddr) -> bool {
    match reached(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = matches!(
        address.octets(),
        // This network, private networks, what a machine has for itself, many at once, and nobody yet.
        [0 | 10 | 127 | 224..=255, ..] | [172, 16..=31, ..] | [192, 168, ..]
        // Shared by the customers of a provider, and on a link, where clouds tell machines about themselves.
        | [100, 64..=127, ..] | [169, 254, ..]
        // Protocols, documentation and measuring.
        | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _]
    );
    !is_special && address != AZURE
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Protocols, documentation, and tunnels that lead to some IPv4 address.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_is_told_of_what_stands_for_it() {
        for (address, expected) in [
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("64:ff9b::1.2.3.4", "1.2.3.4"),
            ("2a00::1", "2a00::1"),
            ("1.2.3.4", "1.2.3.4"),
        ] {
            let [address, expected] = [address, expected].map(|text| text.parse().expect("an address"));
            assert_eq!(reached(address), expected);
        }
    }

    #[test]
    fn only_what_anybody_can_reach_is_public() {
        let is_public = |text: &str| is_public(text.parse().expect("an address"));
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(text), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.8.9.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "100.64.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.19.0.1",
            "168.63.129.16",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(text), "{text}");
        }
    }
}
