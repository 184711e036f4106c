//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv6Addr};

use crate::room::{Room, Seat};

/// One in how many connections may be of one peer.
const SHARE: usize = 4;

/// How many connections each peer has.
#[derive(Debug)]
pub(super) struct Peers {
    room: Room<IpAddr>,
    most: usize,
}

impl Peers {
    /// Peers that may have `connections` together.
    pub(super) fn new(connections: usize) -> Self {
        Self { room: Room::default(), most: connections.div_ceil(SHARE) }
    }

    /// A place for one more connection from an address, unless its peer has its share.
    pub(super) fn take(&self, address: IpAddr) -> Option<Seat<IpAddr>> {
        self.room.take(&peer(address), self.most)
    }
}

/// An address, or the network of it where everybody has a whole one.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_has_more_than_its_share_whatever_address_it_comes_from() {
        let peers = Peers::new(8);
        let take = |address: &str| peers.take(address.parse().expect("an address"));
        let held = [take("2001:db8::1"), take("2001:db8::2:3:4:5")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8::6").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(held);
        assert!(take("192.0.2.1").is_some());
    }
}
