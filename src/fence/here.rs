//! Which addresses are those of this machine, and of the links that it is on.
//!
//! Networks give their machines addresses that are those of the internet too, with IPv6 as a rule. What is on the same link
//! is reached without the firewall that keeps others from it.

use std::{io, net::IpAddr};

/// The addresses of this machine's interfaces, with what of each is on the link.
#[derive(Debug, Default)]
pub(super) struct Here(Vec<Prefix>);

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    bits: u32,
}

impl Here {
    /// Asks for the interfaces that there are now.
    pub(super) fn look() -> io::Result<Self> {
        let prefixes = interfaces()?.into_iter().map(|(address, mask)| Prefix::of(address, mask));
        Ok(Self(prefixes.collect()))
    }

    /// Whether an address is one of them.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|prefix| prefix.holds(address))
    }
}

impl Prefix {
    /// What is on the link of an interface; its address alone where no mask says so, or one that means everything.
    fn of(address: IpAddr, mask: Option<IpAddr>) -> Self {
        let (bits, all) = match (address, mask) {
            (IpAddr::V4(_), Some(IpAddr::V4(mask))) => (mask.to_bits().leading_ones(), 32),
            (IpAddr::V6(_), Some(IpAddr::V6(mask))) => (mask.to_bits().leading_ones(), 128),
            (IpAddr::V4(_), _) => (0, 32),
            (IpAddr::V6(_), _) => (0, 128),
        };
        Self { address, bits: if bits == 0 { all } else { bits } }
    }

    fn holds(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// The address of each interface, and the mask of what is on its link.
#[cfg(unix)]
fn interfaces() -> io::Result<Vec<(IpAddr, Option<IpAddr>)>> {
    use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, sys::socket::SockaddrStorage};

    let ip = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    };
    let found = getifaddrs()?.filter_map(|interface| {
        // What is at the other end of a tunnel is on no link.
        let is_tunnel = interface.flags.contains(InterfaceFlags::IFF_POINTOPOINT);
        let mask = interface.netmask.filter(|_| !is_tunnel).and_then(ip);
        Some((interface.address.and_then(ip)?, mask))
    });
    Ok(found.collect())
}

/// Nothing is known of them.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it is the same everywhere")]
fn interfaces() -> io::Result<Vec<(IpAddr, Option<IpAddr>)>> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_on_a_link_of_this_machine_is_here() {
        let prefix = |address: &str, mask: &str| {
            Prefix::of(ip(address), Some(mask).filter(|mask| !mask.is_empty()).map(ip))
        };
        let here = Here(vec![
            prefix("198.200.7.130", "255.255.255.128"),
            prefix("2a01:4f8:1:2::5", "ffff:ffff:ffff:ffff::"),
            // A tunnel, and masks that mean everything.
            prefix("8.8.8.8", ""),
            prefix("9.9.9.9", "0.0.0.0"),
            prefix("2a01:4f9::9", "::"),
        ]);
        for text in [
            "198.200.7.130",
            "198.200.7.255",
            "2a01:4f8:1:2::5",
            "2a01:4f8:1:2:ffff::1",
            "8.8.8.8",
            "9.9.9.9",
            "2a01:4f9::9",
        ] {
            assert!(here.holds(ip(text)), "{text}");
        }
        for text in ["198.200.7.1", "198.200.8.130", "2a01:4f8:1:3::5", "8.8.8.9", "9.9.9.8", "2a01:4f9::8"] {
            assert!(!here.holds(ip(text)), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_interfaces_of_this_machine_are_found() {
        let here = Here::look().expect("interfaces");
        assert!(here.holds(ip("127.0.0.1")) && here.holds(ip("127.9.9.9")), "{here:?}");
        assert!(!here.holds(ip("1.1.1.1")) && !here.holds(ip("2606:4700::1111")), "{here:?}");
    }
}
