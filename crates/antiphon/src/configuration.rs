//! How a connection is set up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon_peer::{Certificate, Consent, Limits};

use crate::connection::PeerConnection;
use crate::error::ConfigurationError;
use crate::ice_server::IceServer;

/// How a connection is set up: the W3C's `RTCConfiguration` and what a native program chooses besides.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configuration {
    /// Servers that help to find addresses under which the peer reaches us.
    pub ice_servers: Vec<IceServer>,
    /// Whether loopback addresses are gathered beside others. Without any other address they are gathered anyway.
    pub include_loopback: bool,
    /// The addresses to bind, one socket each; a port of 0 lets the system choose. Empty: every address of the machine.
    pub bind_addresses: Vec<SocketAddr>,
    /// The identity towards peers; `None` makes a new one.
    pub certificate: Option<Arc<Certificate>>,
    /// How soon a peer that falls silent counts as lost.
    pub consent: Consent,
    /// Bounds on what a peer can make grow.
    pub limits: Limits,
    /// The longest that [`PeerConnection::shutdown`] takes to deliver what was accepted; default 10 s.
    pub shutdown_timeout: Duration,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            include_loopback: false,
            bind_addresses: Vec::new(),
            certificate: None,
            consent: Consent::default(),
            limits: Limits::default(),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Builds a [`PeerConnection`] step by step.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    configuration: Configuration,
}

impl Builder {
    /// Adds a server, for example `"stun:stun.example.org:3478"`.
    pub fn ice_server(mut self, server: impl Into<IceServer>) -> Self {
        self.configuration.ice_servers.push(server.into());
        self
    }

    /// Gathers loopback addresses too.
    pub fn include_loopback(mut self, include: bool) -> Self {
        self.configuration.include_loopback = include;
        self
    }

    /// Binds to `address` in place of every address of the machine; may be repeated.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.configuration.bind_addresses.push(address);
        self
    }

    /// The identity towards peers.
    pub fn certificate(mut self, certificate: Arc<Certificate>) -> Self {
        self.configuration.certificate = Some(certificate);
        self
    }

    /// How soon a peer that falls silent counts as lost.
    pub fn consent(mut self, consent: Consent) -> Self {
        self.configuration.consent = consent;
        self
    }

    /// Bounds on what a peer can make grow.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.configuration.limits = limits;
        self
    }

    /// The longest that [`PeerConnection::shutdown`] takes.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.configuration.shutdown_timeout = timeout;
        self
    }

    /// Binds the sockets and starts the connection.
    ///
    /// # Errors
    /// As [`PeerConnection::new`].
    pub async fn build(self) -> Result<PeerConnection, ConfigurationError> {
        PeerConnection::new(self.configuration).await
    }
}
