//! Where a key service is: `tcp://HOST:PORT` or `unix:///PATH`, as sops takes them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a key service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServiceAddress {
    /// `HOST:PORT`
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

/// It is no address of a key service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is not the address of a key service: {reason}")]
pub struct ServiceAddressError {
    address: String,
    reason: &'static str,
}

impl FromStr for ServiceAddress {
    type Err = ServiceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| Err(ServiceAddressError { address: text.to_owned(), reason });
        if let Some(rest) = text.strip_prefix("tcp://") {
            return match rest.trim_end_matches('/').rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(Self::Tcp(format!("{host}:{port}")))
                }
                _ => refuse("expected `tcp://HOST:PORT`"),
            };
        }
        match text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => refuse("the path of a socket starts at the root: `unix:///PATH`"),
            None => refuse("expected `tcp://HOST:PORT` or `unix:///PATH`"),
        }
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_sops_reads_it() {
        for (text, expected) in [
            ("tcp://127.0.0.1:5000", "tcp://127.0.0.1:5000"),
            ("tcp://keys.example.com:5000/", "tcp://keys.example.com:5000"),
            ("tcp://[::1]:5000", "tcp://[::1]:5000"),
            ("unix:///run/user/1000/keys.sock", "unix:///run/user/1000/keys.sock"),
            ("unix:/run/keys.sock", "unix:///run/keys.sock"),
        ] {
            assert_eq!(text.parse::<ServiceAddress>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "127.0.0.1:5000",
            "tcp://",
            "tcp://host",
            "tcp://:5000",
            "tcp://h:99999",
            "unix://keys.sock",
            "https://h:1",
        ] {
            assert!(text.parse::<ServiceAddress>().is_err(), "{text}");
        }
    }
}
