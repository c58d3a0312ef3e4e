//! A server that sends its clients to another (RFC 8489 §10).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::authentication::error_code;
use crate::{Attribute, AttributeType, ErrorCode, Message};

/// How long a server that sent us away is not asked again.
const MEMORY: Duration = Duration::from_secs(300);

/// Where to ask instead, over the same transport and with the same credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// The other server.
    pub server: SocketAddr,
    /// The name that its certificate has to have, where TLS or DTLS is spoken; the original name where there is none.
    pub domain: Option<String>,
}

/// The servers that were asked, so that two of them do not send a client to and fro.
#[derive(Debug)]
pub struct Redirections {
    asked: Vec<(SocketAddr, Instant)>,
    limit: usize,
}

impl Redirections {
    /// Remembers at most `limit` servers, and follows nobody beyond them.
    pub fn new(limit: usize) -> Self {
        Self { asked: Vec::new(), limit }
    }

    /// Where `response`, which came from `asked`, sends us; `None` where it does not, or to a server that was asked within
    /// the last five minutes.
    pub fn follow(&mut self, now: Instant, asked: SocketAddr, response: &Message<'_>) -> Option<Redirection> {
        if error_code(response) != Some(ErrorCode::TRY_ALTERNATE.code) {
            return None;
        }
        self.asked.retain(|(_, at)| now.saturating_duration_since(*at) < MEMORY);
        if !self.knows(asked) {
            if self.asked.len() >= self.limit {
                return None;
            }
            self.asked.push((asked, now));
        }
        let servers = || {
            let named = response.attributes().filter(|one| one.kind == AttributeType::ALTERNATE_SERVER);
            named.filter_map(|one| match one.decode(response.id()) {
                Ok(Attribute::AlternateServer(server)) => Some(server),
                _ => None,
            })
        };
        let of_our_family = servers().find(|server| server.is_ipv4() == asked.is_ipv4());
        let server = of_our_family.or_else(|| servers().next()).filter(|server| !self.knows(*server))?;
        let domain = match response.attribute(AttributeType::ALTERNATE_DOMAIN) {
            Some(Attribute::AlternateDomain(domain)) => Some(domain.to_owned()),
            _ => None,
        };
        Some(Redirection { server, domain })
    }

    fn knows(&self, server: SocketAddr) -> bool {
        self.asked.iter().any(|(known, _)| *known == server)
    }
}
