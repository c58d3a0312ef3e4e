//! Servers that help to gather candidates, named by URL (RFC 7064).

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_stun::{Credential, Host, Scheme, Uri, UriTransport};

use crate::error::IceServerError;
use crate::srv;
use crate::turn::Target;

/// How long a name may take to resolve before gathering goes on without it.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that helps to gather candidates: W3C `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// One or more URLs of the server: `stun:host`, `turn:host:port`, `turn:host?transport=tcp`, `turns:host`, where an IPv6
    /// address stands in brackets. `turn:` is UDP unless the URL says otherwise, `turns:` is TLS, or DTLS with
    /// `?transport=udp` (RFC 7350).
    pub urls: Vec<String>,
    /// For TURN servers only.
    pub username: Option<String>,
    /// For TURN servers only.
    pub credential: Option<String>,
}

impl IceServer {
    /// A TURN server and who we are to it.
    pub fn turn(url: impl Into<String>, username: impl Into<String>, credential: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], username: Some(username.into()), credential: Some(credential.into()) }
    }

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

/// The servers of a configuration by what they do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    pub(crate) stun: Vec<StunServer>,
    pub(crate) turn: Vec<Target>,
}

impl Servers {
    pub(crate) fn parse(servers: &[IceServer]) -> Result<Self, IceServerError> {
        let mut found = Self::default();
        for server in servers {
            for url in &server.urls {
                let uri: Uri = url.parse().map_err(|_| IceServerError::Syntax(url.clone()))?;
                match uri.scheme {
                    Scheme::Stun => found.stun.push(StunServer {
                        service: service(&uri, UriTransport::Udp),
                        port: uri.port(),
                        host: uri.host,
                    }),
                    Scheme::Stuns => return Err(IceServerError::NotSupported(url.clone())),
                    Scheme::Turn | Scheme::Turns => found.turn.push(target(url, uri, server)?),
                }
            }
        }
        Ok(found)
    }
}

fn target(url: &str, uri: Uri, server: &IceServer) -> Result<Target, IceServerError> {
    let secure = uri.scheme.is_secure();
    let default = if secure { UriTransport::Tcp } else { UriTransport::Udp };
    let transport = uri.transport.unwrap_or(default);
    let (Some(username), Some(password)) = (server.username.clone(), server.credential.clone()) else {
        return Err(IceServerError::Credentials(url.to_owned()));
    };
    Credential::new(&username, &password).map_err(|_| IceServerError::Credentials(url.to_owned()))?;
    Ok(Target {
        url: url.to_owned(),
        port: uri.port(),
        service: service(&uri, transport),
        host: uri.host,
        transport,
        secure,
        username,
        password,
    })
}

/// What to ask SRV records for, where the URI names no port (RFC 8489 §8.1, RFC 5928 §3).
fn service(uri: &Uri, transport: UriTransport) -> Option<&'static str> {
    if uri.explicit_port.is_some() || matches!(uri.host, Host::Address(_)) {
        return None;
    }
    Some(match (uri.scheme, transport) {
        (Scheme::Stun, _) => "_stun._udp",
        (Scheme::Stuns, _) => "_stuns._tcp",
        (Scheme::Turn, UriTransport::Udp) => "_turn._udp",
        (Scheme::Turn, UriTransport::Tcp) => "_turn._tcp",
        (Scheme::Turns, UriTransport::Udp) => "_turns._udp",
        (Scheme::Turns, UriTransport::Tcp) => "_turns._tcp",
    })
}

/// Where a STUN server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StunServer {
    host: Host,
    port: u16,
    service: Option<&'static str>,
}

impl StunServer {
    /// All STUN servers that `servers` name.
    pub(crate) fn parse_all(servers: &[IceServer]) -> Result<Vec<Self>, IceServerError> {
        Ok(Servers::parse(servers)?.stun)
    }

    /// Its addresses, one of each family at most; none where the name does not resolve in time.
    async fn resolve(&self) -> Vec<SocketAddr> {
        resolve(&self.host, self.port, self.service).await
    }
}

/// The addresses of a server, one of each family at most; none where the name does not resolve in time. Where its records name
/// hosts for `service`, it is the first of them that has an address; without any, it is `host` at `port`.
pub(crate) async fn resolve(host: &Host, port: u16, service: Option<&str>) -> Vec<SocketAddr> {
    let name = match host {
        Host::Address(address) => return vec![SocketAddr::new(*address, port)],
        Host::Name(name) => name,
    };
    let hosts = async {
        match service {
            Some(service) => srv::hosts(service, name).await,
            None => Vec::new(),
        }
    };
    let mut hosts = tokio::time::timeout(RESOLVE_TIMEOUT, hosts).await.unwrap_or_default();
    if hosts.is_empty() {
        hosts.push((name.clone(), port));
    }
    for (host, port) in hosts {
        let found = look_up(&host, port).await;
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

async fn look_up(host: &str, port: u16) -> Vec<SocketAddr> {
    let lookup = tokio::net::lookup_host((host, port));
    let found: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            tracing::warn!(host, %error, "server not found");
            return Vec::new();
        }
        Err(_) => {
            tracing::warn!(host, "server not resolved in time");
            return Vec::new();
        }
    };
    let first = |ipv4: bool| found.iter().copied().find(|address| address.is_ipv4() == ipv4);
    [first(true), first(false)].into_iter().flatten().collect()
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
        StunServer { host, port, service: None }
    }

    fn parse(url: &str) -> Result<StunServer, IceServerError> {
        let mut servers = Servers::parse(&[IceServer::stun(url)])?;
        Ok(servers.stun.remove(0))
    }

    #[test]
    fn urls_name_host_and_port() {
        let by_records = StunServer { service: Some("_stun._udp"), ..server("stun.example.org", 3478) };
        assert_eq!(parse("stun:stun.example.org"), Ok(by_records));
        assert_eq!(parse("stun:stun.example.org:3478"), Ok(server("stun.example.org", 3478)));
        assert_eq!(parse("STUN:192.0.2.1:19302"), Ok(server("192.0.2.1", 19302)));
        assert_eq!(parse("stun:[2001:db8::1]:7"), Ok(server("2001:db8::1", 7)));
        assert_eq!(parse("stun:[2001:db8::1]"), Ok(server("2001:db8::1", 3478)));
    }

    #[test]
    fn schemes_without_a_way_are_named_as_unsupported() {
        let url = "stuns:example.org";
        let error = Servers::parse(&[IceServer::stun(url)]).unwrap_err();
        assert_eq!(
            (error.name(), error),
            (ErrorName::NotSupportedError, IceServerError::NotSupported(url.to_owned()))
        );
    }

    #[test]
    fn relays_have_a_transport_and_credentials() {
        let urls = [
            ("turn:example.org", UriTransport::Udp, false, 3478),
            ("turn:example.org?transport=tcp", UriTransport::Tcp, false, 3478),
            ("turns:example.org", UriTransport::Tcp, true, 5349),
            ("turns:example.org?transport=udp", UriTransport::Udp, true, 5349),
            ("turns:example.org:443?transport=tcp", UriTransport::Tcp, true, 443),
        ];
        for (url, transport, secure, port) in urls {
            let servers = Servers::parse(&[IceServer::turn(url, "user", "secret")]).unwrap();
            let target = &servers.turn[0];
            assert_eq!((target.transport, target.secure, target.port), (transport, secure, port), "{url}");
            assert_eq!(target.service.is_none(), url.contains(":443"), "{url}");
            let error = Servers::parse(&[IceServer::stun(url)]).unwrap_err();
            assert_eq!(error.name(), ErrorName::InvalidAccessError, "{url}");
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
            assert_eq!(parse(url), Err(IceServerError::Syntax(url.to_owned())), "{url}");
        }
    }

    #[tokio::test]
    async fn literal_addresses_resolve_to_themselves_once() {
        let servers = vec![server("192.0.2.1", 1), server("::1", 2), server("192.0.2.1", 1)];
        let expected: Vec<SocketAddr> = vec!["192.0.2.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(resolve_all(servers).await, expected);
    }
}
