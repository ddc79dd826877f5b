//! The address of a service, as an operator gives it.

use anyhow::{Context, Result, ensure};
use http::Uri;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long to wait until an address accepts a connection, before the next address of the name is
/// tried.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// `http://HOST[:PORT]`; the host is a name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    host: String,
    port: u16,
}

impl std::str::FromStr for BaseUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = "must be http://HOST:PORT, such as http://codejail:8000 or http://[::1]:8080";
        let uri: Uri = text.parse().context(wanted)?;
        let authority = uri.authority().context(wanted)?;
        ensure!(uri.scheme_str() == Some("http"), "{wanted}");
        ensure!(uri.path() == "/" && uri.query().is_none(), "{wanted}");
        ensure!(!authority.as_str().contains('@'), "{wanted}");
        let no_port = authority.as_str() == authority.host();
        ensure!(no_port || authority.port_u16().is_some(), "{wanted}");
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
        })
    }
}

impl BaseUrl {
    /// The first of its addresses that accepts a connection.
    ///
    /// # Errors
    /// The name has no address, or no address accepts.
    pub fn find(&self) -> Result<SocketAddr> {
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (name, self.port).to_socket_addrs();
        let addresses = addresses.with_context(|| format!("{}: no such host", self.host))?;
        let mut refusal = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(_) => return Ok(address),
                Err(error) => refusal = Some(anyhow::Error::new(error).context(address)),
            }
        }
        Err(refusal.with_context(|| format!("{}: no address", self.host))?)
    }

    /// The value of the `Host` header.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, host) in [
            ("http://codejail:8000", "codejail:8000"),
            ("http://codejail/", "codejail:80"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().host(), host);
        }
        for wrong in [
            "",
            "codejail",
            "codejail:8000",
            "https://codejail",
            "http://",
            "http://a:b",
            "http://a/path",
            "http://u@a",
            "http://a?q",
        ] {
            let error = wrong.parse::<BaseUrl>().unwrap_err();
            assert!(
                format!("{error:#}").contains("must be http://HOST:PORT"),
                "{wrong}: {error:#}"
            );
        }
    }
}
