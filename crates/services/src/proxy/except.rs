//! Which hosts are reached straight: `NO_PROXY`, as Go reads it.
//!
//! ```text
//! example.com      it and what is below it        .example.com  *.example.com    what is below it
//! 10.1.2.3  10.0.0.0/8  fd00::/8                  *                              everything
//! vault:8200  10.1.2.3:8200                       that port only
//! ```

use std::net::IpAddr;

/// What is reached straight.
#[derive(Debug, Default)]
pub(super) struct Except(Vec<Entry>);

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Everything,
    Network {
        address: IpAddr,
        bits: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// `below` begins with a dot.
    Domain {
        below: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Except {
    pub(super) fn read(list: &str) -> Self {
        Self(list.split(',').filter_map(|text| Entry::read(&text.trim().to_ascii_lowercase())).collect())
    }

    /// `host` is without brackets.
    pub(super) fn names(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.0.iter().any(|entry| entry.names(&host, address, port))
    }
}

impl Entry {
    /// What is none is passed over, as everywhere.
    fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse())
            && bits <= width(address)
        {
            return Some(Self::Network { address, bits });
        }
        let (host, port) = match text.parse::<IpAddr>() {
            Ok(_) => (text, None),
            Err(_) => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port.parse().ok()?)),
                None => (text, None),
            },
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address { address: address.to_canonical(), port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Self::Domain { below: host.to_owned(), itself: false, port }),
            None => Some(Self::Domain { below: format!(".{host}"), itself: true, port }),
        }
    }

    fn names(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_port = |only: &Option<u16>| only.is_none_or(|only| only == port);
        match self {
            Self::Everything => true,
            Self::Network { address: network, bits } => {
                address.is_some_and(|address| prefix(address, *bits) == prefix(*network, *bits))
            }
            Self::Address { address: only, port } => address == Some(*only) && is_port(port),
            Self::Domain { below, itself, port } => {
                (host.ends_with(below) || *itself && host == &below[1..]) && is_port(port)
            }
        }
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Kind and first bits of an address.
fn prefix(address: IpAddr, bits: u32) -> (bool, u128) {
    let number = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    (address.is_ipv4(), number.checked_shr(width(address).saturating_sub(bits)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go answers to each was asked of golang.org/x/net/http/httpproxy.
    #[test]
    fn hosts_are_excepted_as_go_excepts_them() {
        for (list, host, port, straight) in [
            ("example.com", "example.com", 443, true),
            ("example.com", "vault.example.com", 443, true),
            ("example.com", "notexample.com", 443, false),
            (".example.com", "example.com", 443, false),
            (".example.com", "vault.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("*.example.com", "a.vault.example.com", 443, true),
            ("EXAMPLE.com , x", "Vault.Example.COM", 443, true),
            ("vault:8200", "vault", 8200, true),
            ("vault:8200", "vault", 443, false),
            ("vault:x,vault", "vault", 443, true),
            ("*", "anything", 1, true),
            ("a*", "ab", 1, false),
            ("10.0.0.0/8", "10.2.3.4", 443, true),
            ("10.0.0.0/8", "11.2.3.4", 443, false),
            ("0.0.0.0/0", "11.2.3.4", 443, true),
            ("0.0.0.0/0", "fd00::1", 443, false),
            ("fd00::/8", "fd12::1", 443, true),
            ("fd00::/8", "fe12::1", 443, false),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3:8200", "10.1.2.3", 443, false),
            ("10.1.2.3:8200", "10.1.2.3", 8200, true),
            ("[fd00::1]:8200", "fd00::1", 8200, true),
            ("fd00::1", "fd00::1", 8200, true),
            ("10.1.2", "10.1.2.3", 443, false),
            ("10.0.0.0/33", "10.1.2.3", 443, false),
            (",,", "x", 443, false),
            ("", "", 443, false),
        ] {
            assert_eq!(Except::read(list).names(host, port), straight, "{list}: {host}:{port}");
        }
    }
}
