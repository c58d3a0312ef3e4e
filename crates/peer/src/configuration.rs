//! What a connection is made with.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, Provider};
use antiphon_ice::{AddressPolicy, AddressRewrite, CheckBudget, MdnsLimits, TransportPolicy};
use antiphon_sctp::Congestion;

/// What a connection is made with; every field has a default.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Makes the keys of all layers.
    pub provider: Provider,
    /// Our certificate; `None` makes a fresh one, which takes some tens of microseconds.
    pub certificate: Option<Arc<Certificate>>,
    /// Bounds on what a peer can make grow.
    pub limits: Limits,
    /// How soon a peer that falls silent counts as lost.
    pub consent: Consent,
    /// How ICE finds a path.
    pub ice: IceConfiguration,
    /// How data channels find out how fast they may send; default BBR.
    pub congestion: Congestion,
}

/// How ICE finds a path.
#[derive(Debug, Clone)]
pub struct IceConfiguration {
    /// Which candidates are used (W3C `iceTransportPolicy`); default all.
    pub transport_policy: TransportPolicy,
    /// Whether candidates are gathered before a local description calls for them (W3C `iceCandidatePoolSize`, of which any size
    /// but 0 is 1, as one transport carries everything); default 0.
    pub candidate_pool_size: u8,
    /// Whether we only answer checks, as servers may that everybody can reach; default not.
    pub lite: bool,
    /// Whether a better path that turns up later is used, where the peer agrees; default not.
    pub renomination: bool,
    /// Whether the handshake of DTLS rides in checks where the peer agrees (SPED, draft-hancke-webrtc-sped), which saves a
    /// round trip; default yes.
    pub embed_dtls: bool,
    /// Which local addresses are used; default all.
    pub local_addresses: AddressPolicy,
    /// Which addresses of the peer's are used; default all.
    pub remote_addresses: AddressPolicy,
    /// Addresses of ours that others reach under another one; default none.
    pub address_rewrites: Vec<AddressRewrite>,
    /// How IPv4 is reached from a host with nothing but IPv6; default not.
    pub nat64_prefix: Option<Ipv6Addr>,
    /// What may be sent to addresses that don't answer; clones of one budget bound connections together.
    pub budget: CheckBudget,
    /// Whether names of multicast DNS in the peer's candidates are resolved; default yes.
    pub resolve_mdns: bool,
    /// Whether host candidates are told by names of multicast DNS in place of their addresses; default not.
    pub publish_mdns: bool,
    /// Bounds on those names.
    pub mdns_limits: MdnsLimits,
}

impl Default for IceConfiguration {
    fn default() -> Self {
        Self {
            transport_policy: TransportPolicy::All,
            candidate_pool_size: 0,
            lite: false,
            renomination: false,
            embed_dtls: true,
            local_addresses: AddressPolicy::default(),
            remote_addresses: AddressPolicy::default(),
            address_rewrites: Vec::new(),
            nat64_prefix: None,
            budget: CheckBudget::default(),
            resolve_mdns: true,
            publish_mdns: false,
            mdns_limits: MdnsLimits::default(),
        }
    }
}

/// How it is noticed that the peer has vanished (RFC 7675).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// The mean time between two checks; default 5 s.
    pub period: Duration,
    /// How long a check may be unanswered before the connection is disconnected; default 5 s.
    pub disconnected_after: Duration,
    /// How long after the last answer the connection fails; default 30 s.
    pub expiry: Duration,
}

impl Default for Consent {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(5),
            disconnected_after: Duration::from_secs(5),
            expiry: Duration::from_secs(30),
        }
    }
}

/// Bounds of a connection and of each of its layers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Of descriptions.
    pub sdp: antiphon_sdp::Limits,
    /// Of the ICE agent.
    pub ice: antiphon_ice::Limits,
    /// Of the DTLS connection.
    pub dtls: antiphon_dtls::Limits,
    /// Of the SCTP association.
    pub sctp: antiphon_sctp::Limits,
    /// Data channels at a time; default 4,096, at most 65,535.
    pub channels: usize,
    /// Bytes of a channel's label, and of its protocol; default 65,535, which is also the most (RFC 8832 §5.1).
    pub label_length: usize,
    /// Events that wait to be taken before the layers' events are left with them; default 4,096.
    pub events: usize,
    /// DTLS datagrams kept until the remote description is known; default 8.
    pub early_datagrams: usize,
    /// Bytes of a UDP payload that every path is taken to carry; default 1,200.
    pub datagram_size: usize,
    /// Bytes of a UDP payload that is sent at most, where probes show that the path carries it (RFC 8899) and the peer takes it;
    /// default 16,250.
    pub probed_datagram_size: usize,
    /// Datagrams of one run that leaves with a single call; default and most 64.
    pub run_datagrams: usize,
    /// Bytes of such a run; default and most 65,000.
    pub run_size: usize,
    /// Bytes of the largest message accepted, as told to the peer; default 262,144.
    pub message_size: usize,
    /// Bytes of the largest message sent, where the peer takes any size; default 1,073,741,823.
    pub sent_message_size: usize,
    /// Bytes of messages that may wait to be read before the peer is slowed down; default 4 MiB.
    pub receive_window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sdp: antiphon_sdp::Limits::default(),
            ice: antiphon_ice::Limits::default(),
            dtls: antiphon_dtls::Limits::default(),
            sctp: antiphon_sctp::Limits::default(),
            channels: 4_096,
            label_length: 65_535,
            events: 4_096,
            early_datagrams: 8,
            datagram_size: 1_200,
            probed_datagram_size: 16_250,
            run_datagrams: 64,
            run_size: 65_000,
            message_size: 262_144,
            sent_message_size: 1_073_741_823,
            receive_window: 4 * 1024 * 1024,
        }
    }
}
