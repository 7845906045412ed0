//! Who is at the other end: the peer of a connection, the client nginx names, and lists of addresses.
//!
//! Only an address that parses is ever used or logged; any other text a header may hold is dropped.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use policy::document;
use serde::{Deserialize, Deserializer};

/// Who connected to the data listener: the front server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over the Unix socket, whose file permissions say who may.
    Unix,
    /// Over TCP.
    Tcp(IpAddr),
    /// Over TCP, but the system does not say from where; trusted by nobody.
    Unknown,
}

/// Who asked the front server, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// This address.
    Address(IpAddr),
    /// It did not say, or not an address.
    Unknown,
}

/// An address, or all that share its first bits: `10.1.2.3`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Not an address or network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {0:?}: expected an IP address, or one with a prefix length like 10.0.0.0/8")]
pub struct InvalidNetwork(String);

// === impl Client ===

impl Client {
    /// The client as trusted servers tell it. `said` is what the last of them says: one address, or a list to which
    /// each server on the way has added whom it saw (`X-Forwarded-For`). It is read from the end, and only as far as
    /// it was written by somebody trusted; what comes before that may be invented.
    pub fn behind(peer: Peer, trusted: &[Network], said: Option<&[u8]>) -> Self {
        let listed = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        match peer {
            Peer::Tcp(address) if !address.to_canonical().is_loopback() && !listed(address) => {
                return Self::Address(address.to_canonical());
            }
            Peer::Unknown => return Self::Unknown,
            Peer::Tcp(_) | Peer::Unix => {}
        }
        let mut client = Self::Unknown;
        for entry in said.unwrap_or_default().rsplit(|&byte| byte == b',') {
            client = Self::parse(entry.trim_ascii());
            match client {
                Self::Address(address) if listed(address) => {}
                _ => return client,
            }
        }
        client
    }

    /// Reads one address.
    pub fn parse(header: &[u8]) -> Self {
        let address = std::str::from_utf8(header).ok().and_then(|text| text.parse().ok());
        address.map_or(Self::Unknown, |address: IpAddr| Self::Address(address.to_canonical()))
    }

    /// The bytes by which a client is recognized. An IPv6 client commands a whole /64, so that is all of it.
    pub fn bucket(self) -> Option<[u8; 8]> {
        match self {
            Self::Address(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                Some([0, 0, 0, 0, a, b, c, d])
            }
            Self::Address(IpAddr::V6(address)) => address.octets().first_chunk().copied(),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Unknown => Ok(()),
        }
    }
}

// === impl Network ===

impl Network {
    /// Whether the address is this one or in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.address.is_ipv4() {
            return false;
        }
        let unequal = bits(self.address) ^ bits(address);
        unequal.checked_shr(width(address) - self.prefix).unwrap_or(0) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = width(address);
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| invalid())?;
        match prefix <= width {
            true => Ok(Self { address, prefix }),
            false => Err(invalid()),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_shares_its_first_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("192.168.1.128/25", "192.168.1.129", "192.168.1.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::1"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
        assert!(contains("0.0.0.0/0", "8.8.8.8") && contains("::/0", "2001:db8::1"));
        assert!(!contains("::/0", "8.8.8.8"), "an IPv6 network holds no IPv4 address");
    }

    #[test]
    fn a_client_is_whom_the_last_trusted_server_saw() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).into();
        let tcp = |address: &str| Peer::Tcp(address.parse().unwrap());
        for (peer, said, client) in [
            (Peer::Unix, Some("192.0.2.1"), "192.0.2.1"),
            (Peer::Unix, Some("203.0.113.9, 192.0.2.1"), "192.0.2.1"),
            (Peer::Unix, Some("203.0.113.9, 192.0.2.1, 10.0.0.7"), "192.0.2.1"),
            (Peer::Unix, Some("192.0.2.1,10.0.0.8,2001:db8::1"), "192.0.2.1"),
            (Peer::Unix, Some("10.0.0.7"), "10.0.0.7"),
            (Peer::Unix, Some("nonsense, 10.0.0.7"), ""),
            (Peer::Unix, Some(""), ""),
            (Peer::Unix, None, ""),
            (tcp("127.0.0.1"), Some("192.0.2.1"), "192.0.2.1"),
            (tcp("::1"), Some("192.0.2.1"), "192.0.2.1"),
            (tcp("10.0.0.7"), Some("203.0.113.9, 192.0.2.1"), "192.0.2.1"),
            (tcp("::ffff:10.0.0.7"), Some("192.0.2.1"), "192.0.2.1"),
            (tcp("198.51.100.1"), Some("192.0.2.1"), "198.51.100.1"),
            (tcp("::ffff:198.51.100.1"), None, "198.51.100.1"),
            (Peer::Unknown, Some("192.0.2.1"), ""),
        ] {
            let seen = Client::behind(peer, &trusted, said.map(str::as_bytes));
            assert_eq!(seen.to_string(), client, "{peer:?} says {said:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "*", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_client_header_is_an_address_or_nothing() {
        assert_eq!(Client::parse(b"::ffff:192.0.2.7").to_string(), "192.0.2.7");
        for header in [&b""[..], b"unix:", b"192.0.2.7, 10.0.0.1", b"evil\n", b"\xff"] {
            assert_eq!(Client::parse(header), Client::Unknown);
        }
    }

    #[test]
    fn one_ipv6_customer_is_one_client() {
        let bucket = |text: &str| Client::parse(text.as_bytes()).bucket();
        assert_eq!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:1:ffff::2"));
        assert_ne!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:2::1"));
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
        assert_eq!(bucket("unix:"), None);
    }
}
