//! Servers that help to gather candidates, named by URL (RFC 7064).

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_stun::{Host, Scheme, Uri};

use crate::error::IceServerError;

/// How long a name may take to resolve before gathering goes on without it.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that helps to gather candidates: W3C `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// One or more URLs of the server: `stun:host` or `stun:host:port`, where an IPv6 address stands in brackets.
    pub urls: Vec<String>,
    /// For TURN servers only.
    pub username: Option<String>,
    /// For TURN servers only.
    pub credential: Option<String>,
}

impl IceServer {
    /// A STUN server, which needs no credentials.
    pub fn stun(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }
}

impl From<&str> for IceServer {
    fn from(url: &str) -> Self {
        Self::stun(url)
    }
}

/// Where a STUN server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StunServer {
    host: Host,
    port: u16,
}

impl StunServer {
    /// All servers that `servers` name.
    pub(crate) fn parse_all(servers: &[IceServer]) -> Result<Vec<Self>, IceServerError> {
        servers.iter().flat_map(|server| &server.urls).map(|url| Self::parse(url)).collect()
    }

    fn parse(url: &str) -> Result<Self, IceServerError> {
        let uri: Uri = url.parse().map_err(|_| IceServerError::Syntax(url.to_owned()))?;
        if uri.scheme != Scheme::Stun {
            return Err(IceServerError::NotSupported(url.to_owned()));
        }
        Ok(Self { port: uri.port(), host: uri.host })
    }

    /// Its addresses, one of each family at most; none where the name does not resolve in time.
    async fn resolve(&self) -> Vec<SocketAddr> {
        let host = match &self.host {
            Host::Address(address) => return vec![SocketAddr::new(*address, self.port)],
            Host::Name(name) => name,
        };
        let lookup = tokio::net::lookup_host((host.as_str(), self.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                tracing::warn!(host, %error, "STUN server not found");
                return Vec::new();
            }
            Err(_) => {
                tracing::warn!(host, "STUN server not resolved in time");
                return Vec::new();
            }
        };
        let first = |ipv4: bool| found.iter().copied().find(|address| address.is_ipv4() == ipv4);
        [first(true), first(false)].into_iter().flatten().collect()
    }
}

/// The addresses of all `servers`.
pub(crate) async fn resolve_all(servers: Vec<StunServer>) -> Vec<SocketAddr> {
    let lookups: Vec<_> =
        servers.into_iter().map(|server| tokio::spawn(async move { server.resolve().await })).collect();
    let mut addresses = Vec::new();
    for lookup in lookups {
        for address in lookup.await.unwrap_or_default() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use antiphon_peer::ErrorName;

    use super::*;

    fn server(host: &str, port: u16) -> StunServer {
        let host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address);
        StunServer { host, port }
    }

    #[test]
    fn urls_name_host_and_port() {
        assert_eq!(StunServer::parse("stun:stun.example.org"), Ok(server("stun.example.org", 3478)));
        assert_eq!(StunServer::parse("STUN:192.0.2.1:19302"), Ok(server("192.0.2.1", 19302)));
        assert_eq!(StunServer::parse("stun:[2001:db8::1]:7"), Ok(server("2001:db8::1", 7)));
        assert_eq!(StunServer::parse("stun:[2001:db8::1]"), Ok(server("2001:db8::1", 3478)));
    }

    #[test]
    fn other_schemes_are_named_as_unsupported() {
        for url in ["turn:example.org", "turns:example.org?transport=tcp", "stuns:example.org"] {
            let error = StunServer::parse(url).unwrap_err();
            assert_eq!(
                (error.name(), error),
                (ErrorName::NotSupportedError, IceServerError::NotSupported(url.to_owned()))
            );
        }
    }

    #[test]
    fn malformed_urls_are_syntax_errors() {
        let urls = [
            "",
            "stun",
            "stun:",
            "stun://example.org",
            "stun:a:0",
            "stun:[x]:1",
            "http:example.org",
            "stun:a?b",
        ];
        for url in urls {
            assert_eq!(StunServer::parse(url), Err(IceServerError::Syntax(url.to_owned())), "{url}");
        }
    }

    #[tokio::test]
    async fn literal_addresses_resolve_to_themselves_once() {
        let servers = vec![server("192.0.2.1", 1), server("::1", 2), server("192.0.2.1", 1)];
        let expected: Vec<SocketAddr> = vec!["192.0.2.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(resolve_all(servers).await, expected);
    }
}
