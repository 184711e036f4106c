//! Which of the networks of this machine steps are connected with.

use super::documents::Network;

/// The network that docker makes for containers, and that Windows has for them.
const NAME: &str = "nat";
/// The type of networks whose addresses lead out by that of the machine.
const KIND: &str = "NAT";

/// Why steps cannot be connected with a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::backend::hcs) enum NoNetwork {
    /// There is none.
    #[error("this Windows has no network of the type NAT for its containers (see Get-HnsNetwork)")]
    Missing,
    /// There are several, and none has the name.
    #[error("this Windows has several networks of the type NAT ({names}), and none of them is called nat")]
    Ambiguous {
        /// Their names.
        names: String,
    },
    /// Nobody can be asked for one.
    #[error("no step is connected with a network here, because {reason}")]
    Unavailable {
        /// Why not, and what to do about it.
        reason: String,
    },
}

impl NoNetwork {
    /// What to do about it, a fragment. A network takes a range of addresses and stays when no build needs it, so a
    /// person makes it, and no build.
    pub(in crate::backend::hcs) fn advice(&self) -> &'static str {
        match self {
            Self::Missing | Self::Ambiguous { .. } => {
                "make one called nat with `Install-Module HNS; New-HnsNetwork -Type NAT -Name nat` or by starting \
                 docker, or build with --network=none"
            }
            Self::Unavailable { .. } => "or build with --network=none",
        }
    }
}

/// The network called `nat`, else the only one of that type.
pub(super) fn choose(networks: &[Network]) -> Result<&Network, NoNetwork> {
    let nat: Vec<&Network> =
        networks.iter().filter(|network| network.kind.eq_ignore_ascii_case(KIND)).collect();
    if let Some(found) = nat.iter().find(|network| network.name.eq_ignore_ascii_case(NAME)) {
        return Ok(found);
    }
    match nat[..] {
        [] => Err(NoNetwork::Missing),
        [only] => Ok(only),
        _ => {
            let mut names: Vec<&str> = nat.iter().map(|network| network.name.as_str()).collect();
            names.sort_unstable();
            Err(NoNetwork::Ambiguous { names: names.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::hcs::guid::Guid;

    fn networks(all: &[(&str, &str)]) -> Vec<Network> {
        let network = |(name, kind): &(&str, &str)| Network {
            id: Guid::of(name),
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
        };
        all.iter().map(network).collect()
    }

    #[test]
    fn the_network_called_nat_is_taken_else_the_only_one_of_its_type() {
        for (all, name) in [
            (vec![("Default Switch", "ICS"), ("other", "NAT"), ("nat", "NAT")], "nat"),
            (vec![("Nat", "nat"), ("other", "NAT")], "Nat"),
            (vec![("Default Switch", "ICS"), ("other", "NAT")], "other"),
            (vec![("nat", "Transparent"), ("other", "NAT")], "other"),
        ] {
            assert_eq!(choose(&networks(&all)).map(|found| found.name.as_str()), Ok(name), "{all:?}");
        }
    }

    #[test]
    fn where_there_is_none_or_more_than_one_it_is_said_how_to_make_it() {
        for (all, reason) in [
            (vec![], "has no network of the type NAT"),
            (vec![("nat", "ICS"), ("Ethernet", "Transparent")], "has no network of the type NAT"),
            (vec![("two", "NAT"), ("one", "NAT")], "(one, two), and none of them is called nat"),
        ] {
            let error = choose(&networks(&all)).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.advice().contains("New-HnsNetwork -Type NAT -Name nat"), "{}", error.advice());
            assert!(error.advice().ends_with("or build with --network=none"), "{}", error.advice());
        }
    }
}
