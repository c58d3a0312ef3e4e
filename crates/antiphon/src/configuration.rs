//! How a connection is set up.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use antiphon_peer::{Certificate, Congestion, Consent, IceConfiguration, IceTransportPolicy, Limits};

use crate::connection::PeerConnection;
use crate::endpoint::Endpoint;
use crate::error::ConfigurationError;
use crate::ice_server::IceServer;
use crate::network::{AddressFilter, Network, Tcp};
use crate::turn::TlsRoots;

/// How a connection is set up: the W3C's `RTCConfiguration` and what a native program chooses besides.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configuration {
    /// Servers that help to find addresses under which the peer reaches us.
    pub ice_servers: Vec<IceServer>,
    /// Whom the certificates of `turns:` servers have to come from.
    pub tls_roots: TlsRoots,
    /// The addresses and ports of its own. At an endpoint these are none but what [`Network::bind_addresses`] spells out.
    pub network: Network,
    /// The endpoint whose sockets the connection shares.
    pub endpoint: Option<Endpoint>,
    /// The identity towards peers; `None` makes a new one.
    pub certificate: Option<Arc<Certificate>>,
    /// How ICE finds a path. Under [`IceTransportPolicy::Relay`] no socket is bound for the peer. At an endpoint the budget is the
    /// endpoint's.
    pub ice: IceConfiguration,
    /// How soon a peer that falls silent counts as lost.
    pub consent: Consent,
    /// How data channels find out how fast they may send.
    pub congestion: Congestion,
    /// Bounds on what a peer can make grow.
    pub limits: Limits,
    /// The longest that [`PeerConnection::shutdown`] takes to deliver what was accepted; default 10 s.
    pub shutdown_timeout: Duration,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            tls_roots: TlsRoots::System,
            network: Network::default(),
            endpoint: None,
            certificate: None,
            ice: IceConfiguration::default(),
            consent: Consent::default(),
            congestion: Congestion::default(),
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

    /// How ICE finds a path.
    pub fn ice(mut self, ice: IceConfiguration) -> Self {
        self.configuration.ice = ice;
        self
    }

    /// Which candidates are used (W3C `iceTransportPolicy`).
    pub fn ice_transport_policy(mut self, policy: IceTransportPolicy) -> Self {
        self.configuration.ice.transport_policy = policy;
        self
    }

    /// Whom the certificates of `turns:` servers have to come from.
    pub fn tls_roots(mut self, roots: TlsRoots) -> Self {
        self.configuration.tls_roots = roots;
        self
    }

    /// Gathers loopback addresses too.
    pub fn include_loopback(mut self, include: bool) -> Self {
        self.configuration.network.include_loopback = include;
        self
    }

    /// Binds to `address` in place of every address of the machine; may be repeated. `0.0.0.0` and `::` stand for all addresses
    /// of their family.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.configuration.network.bind_addresses.push(address);
        self
    }

    /// Uses only addresses that the filter permits.
    pub fn filter(mut self, filter: AddressFilter) -> Self {
        self.configuration.network.filter = Some(filter);
        self
    }

    /// Chooses ports from this range where none is given.
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.configuration.network.ports = ports;
        self
    }

    /// Offers TCP beside UDP.
    pub fn tcp(mut self, tcp: Tcp) -> Self {
        self.configuration.network.tcp = tcp;
        self
    }

    /// How often the interfaces of the machine are looked at.
    pub fn watch(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.configuration.network.watch = period.into();
        self
    }

    /// Shares the sockets of `endpoint`.
    pub fn endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.configuration.endpoint = Some(endpoint.clone());
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

    /// How data channels find out how fast they may send.
    pub fn congestion(mut self, congestion: Congestion) -> Self {
        self.configuration.congestion = congestion;
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
