//! URIs of STUN and TURN servers (RFC 7064, RFC 7065).
//!
//! ```text
//! stun:host[:port]   stuns:host[:port]   turn:host[:port][?transport=udp|tcp]   turns:host[:port][?transport=tcp]
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Bytes of a host name at most (RFC 1123 §2.1).
const NAME_LIMIT: usize = 255;

/// What a server does and whether the way to it is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// STUN over UDP or TCP.
    Stun,
    /// STUN over TLS or DTLS.
    Stuns,
    /// TURN over UDP or TCP.
    Turn,
    /// TURN over TLS or DTLS.
    Turns,
}

impl Scheme {
    /// Whether the server relays.
    pub fn is_turn(self) -> bool {
        matches!(self, Scheme::Turn | Scheme::Turns)
    }

    /// Whether TLS or DTLS is spoken.
    pub fn is_secure(self) -> bool {
        matches!(self, Scheme::Stuns | Scheme::Turns)
    }

    /// The port where the URI names none (RFC 7064 §3.2, RFC 7065 §3.2).
    pub fn default_port(self) -> u16 {
        if self.is_secure() { 5349 } else { 3478 }
    }

    fn as_str(self) -> &'static str {
        match self {
            Scheme::Stun => "stun",
            Scheme::Stuns => "stuns",
            Scheme::Turn => "turn",
            Scheme::Turns => "turns",
        }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name to be resolved, in the case it was written in.
    Name(String),
}

/// What a TURN server is to be reached over (RFC 7065 §3.1); below TLS where the scheme is secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UriTransport {
    /// UDP, or DTLS over it.
    Udp,
    /// TCP, or TLS over it.
    Tcp,
}

impl UriTransport {
    fn as_str(self) -> &'static str {
        match self {
            UriTransport::Udp => "udp",
            UriTransport::Tcp => "tcp",
        }
    }
}

/// The URI of a STUN or TURN server.
///
/// ```
/// use antiphon_stun::{Scheme, Uri, UriTransport};
///
/// let uri: Uri = "turns:turn.example.org?transport=tcp".parse()?;
/// assert_eq!((uri.scheme, uri.port()), (Scheme::Turns, 5349));
/// assert_eq!(uri.transport, Some(UriTransport::Tcp));
/// assert_eq!(uri.to_string(), "turns:turn.example.org?transport=tcp");
/// # Ok::<(), antiphon_stun::UriError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// What it does.
    pub scheme: Scheme,
    /// Where it is.
    pub host: Host,
    /// The port that the URI names; see [`Uri::port`].
    pub explicit_port: Option<u16>,
    /// What to reach it over; only of TURN.
    pub transport: Option<UriTransport>,
}

/// Why a text is no URI of a STUN or TURN server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme than `stun`, `stuns`, `turn` and `turns`, or none.
    #[error("no scheme of a STUN or TURN server")]
    Scheme,
    /// Neither an address nor a name.
    #[error("invalid host")]
    Host,
    /// No number from 1 to 65,535.
    #[error("invalid port")]
    Port,
    /// Something else than `?transport=udp` or `?transport=tcp`, or that of a STUN server.
    #[error("invalid query")]
    Query,
}

impl Uri {
    /// The port named, or that of the scheme.
    pub fn port(&self) -> u16 {
        self.explicit_port.unwrap_or(self.scheme.default_port())
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let schemes = [Scheme::Stun, Scheme::Stuns, Scheme::Turn, Scheme::Turns];
        let scheme = schemes.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or(UriError::Scheme)?;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let (host, explicit_port) = authority_from(authority)?;
        let transport = query.map(|query| transport_from(scheme, query)).transpose()?;
        Ok(Self { scheme, host, explicit_port, transport })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match &self.host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Name(name) => f.write_str(name)?,
        }
        if let Some(port) = self.explicit_port {
            write!(f, ":{port}")?;
        }
        self.transport.map_or(Ok(()), |transport| write!(f, "?transport={}", transport.as_str()))
    }
}

fn authority_from(authority: &str) -> Result<(Host, Option<u16>), UriError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or(UriError::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| UriError::Host)?;
            let port = rest.strip_prefix(':');
            if port.is_none() && !rest.is_empty() {
                return Err(UriError::Host);
            }
            (Host::Address(address.into()), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host_from(host)?, Some(port)),
            None => (host_from(authority)?, None),
        },
    };
    Ok((host, port.map(port_from).transpose()?))
}

/// A name of letters, digits, `-`, `_` and `.`, where letters of other scripts are left to the resolver.
fn host_from(host: &str) -> Result<Host, UriError> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let is_of_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if host.is_empty() || host.len() > NAME_LIMIT || !host.chars().all(is_of_name) {
        return Err(UriError::Host);
    }
    Ok(Host::Name(host.to_owned()))
}

fn port_from(digits: &str) -> Result<u16, UriError> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| *port != 0 && is_number);
    port.ok_or(UriError::Port)
}

fn transport_from(scheme: Scheme, query: &str) -> Result<UriTransport, UriError> {
    let value = query.strip_prefix("transport=").filter(|_| scheme.is_turn()).ok_or(UriError::Query)?;
    let transports = [UriTransport::Udp, UriTransport::Tcp];
    let named = transports.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(value));
    named.ok_or(UriError::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Uri, UriError> {
        text.parse()
    }

    #[test]
    fn the_examples_of_the_rfcs_are_read_and_written() {
        for (text, port, transport) in [
            ("stun:example.org", 3478, None),
            ("stuns:example.org", 5349, None),
            ("stun:example.org:8000", 8000, None),
            ("turn:example.org", 3478, None),
            ("turns:example.org", 5349, None),
            ("turn:example.org:8000", 8000, None),
            ("turn:example.org?transport=udp", 3478, Some(UriTransport::Udp)),
            ("turn:example.org?transport=tcp", 3478, Some(UriTransport::Tcp)),
            ("turns:example.org?transport=tcp", 5349, Some(UriTransport::Tcp)),
            ("turn:[2001:db8::1]:7?transport=tcp", 7, Some(UriTransport::Tcp)),
            ("stun:192.0.2.1:19302", 19_302, None),
            ("stun:[2001:db8::1]", 3478, None),
        ] {
            let uri = parse(text).unwrap();
            assert_eq!((uri.port(), uri.transport), (port, transport), "{text}");
            assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn schemes_and_transports_are_read_in_any_case() {
        let uri = parse("TURNS:Example.org?transport=TCP").unwrap();
        assert_eq!(uri.to_string(), "turns:Example.org?transport=tcp");
        assert!(uri.scheme.is_turn() && uri.scheme.is_secure());
        assert_eq!(parse("stun:192.0.2.1").unwrap().host, Host::Address([192, 0, 2, 1].into()));
    }

    #[test]
    fn what_is_no_uri_is_refused_with_its_place() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("stun", UriError::Scheme),
            ("http:example.org", UriError::Scheme),
            ("stun:", UriError::Host),
            ("stun::3478", UriError::Host),
            ("stun://example.org", UriError::Host),
            ("stun:user@example.org", UriError::Host),
            ("stun:a b", UriError::Host),
            ("stun:a/b", UriError::Host),
            ("stun:a%41", UriError::Host),
            ("stun:[::1", UriError::Host),
            ("stun:[x]:1", UriError::Host),
            ("stun:[::1]1", UriError::Host),
            ("stun:[192.0.2.1]", UriError::Host),
            ("stun:a:", UriError::Port),
            ("stun:a:0", UriError::Port),
            ("stun:a:65536", UriError::Port),
            ("stun:a:x", UriError::Port),
            ("stun:a:+1", UriError::Port),
            ("stun:[::1]:", UriError::Port),
            ("stun:a?transport=udp", UriError::Query),
            ("stun:a?b", UriError::Query),
            ("turn:a?", UriError::Query),
            ("turn:a?transport=sctp", UriError::Query),
            ("turn:a?transport=udp&x=y", UriError::Query),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let name = |len| format!("stun:{}", "a".repeat(len));
        assert!(parse(&name(255)).is_ok());
        assert_eq!(parse(&name(256)), Err(UriError::Host));
        assert_eq!(parse(&name(2_550)), Err(UriError::Host));
    }
}
