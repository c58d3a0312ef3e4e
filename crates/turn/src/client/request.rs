//! Requests on their way.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_stun::{
    AddressFamily, Attribute, Authentication, Class, ClientTransaction, Message, MessageBuilder, MessageType,
    Method, Signature, Step, TransactionId, TransportProtocol,
};
use antiphon_util::{Rng, Writer};

use super::config::{Config, EvenPort, Families, Relaying};
use super::event::Refusal;

/// What is asked of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Allocate,
    /// `None` for as long as the server likes.
    Refresh(Option<Duration>),
    /// From a new address of ours.
    Move,
    /// The end of the allocation.
    Delete,
    Permissions(Vec<IpAddr>),
    Channel(u16, SocketAddr),
    Connect(SocketAddr),
    BindConnection(u32),
}

impl Kind {
    fn method(&self) -> Method {
        match self {
            Kind::Allocate => Method::ALLOCATE,
            Kind::Refresh(_) | Kind::Move | Kind::Delete => Method::REFRESH,
            Kind::Permissions(_) => Method::CREATE_PERMISSION,
            Kind::Channel(..) => Method::CHANNEL_BIND,
            Kind::Connect(_) => Method::CONNECT,
            Kind::BindConnection(_) => Method::CONNECTION_BIND,
        }
    }

    /// Appends the request to `out`.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        id: TransactionId,
        config: &Config,
        authentication: &Authentication,
        ticket: Option<&[u8]>,
    ) -> Signature {
        let mut writer = Writer::new(out);
        let kind = MessageType::new(self.method(), Class::Request);
        let mut builder = MessageBuilder::new(&mut writer, kind, id);
        match self {
            Kind::Allocate => write_allocate(&mut builder, config),
            Kind::Refresh(lifetime) => {
                if let Some(lifetime) = lifetime {
                    builder.attribute(&Attribute::Lifetime(*lifetime));
                }
            }
            Kind::Move => {
                if let Some(ticket) = ticket {
                    builder.attribute(&Attribute::MobilityTicket(ticket));
                }
            }
            Kind::Delete => builder.attribute(&Attribute::Lifetime(Duration::ZERO)),
            Kind::Permissions(peers) => {
                for peer in peers {
                    builder.attribute(&Attribute::XorPeerAddress(SocketAddr::new(*peer, 0)));
                }
            }
            Kind::Channel(number, peer) => {
                builder.attribute(&Attribute::ChannelNumber(*number));
                builder.attribute(&Attribute::XorPeerAddress(*peer));
            }
            Kind::Connect(peer) => builder.attribute(&Attribute::XorPeerAddress(*peer)),
            Kind::BindConnection(id) => builder.attribute(&Attribute::ConnectionId(*id)),
        }
        let signature = authentication.sign(&mut builder);
        builder.fingerprint();
        let fits = builder.finish().is_ok();
        debug_assert!(fits, "credentials are bounded and the rest is short");
        signature
    }
}

/// RFC 8656 §7.1
fn write_allocate(builder: &mut MessageBuilder<'_>, config: &Config) {
    let transport = match config.relaying {
        Relaying::Udp => TransportProtocol::UDP,
        Relaying::Tcp => TransportProtocol::TCP,
    };
    builder.attribute(&Attribute::RequestedTransport(transport));
    if let Some(lifetime) = config.lifetime {
        builder.attribute(&Attribute::Lifetime(lifetime));
    }
    if config.dont_fragment {
        builder.attribute(&Attribute::DontFragment);
    }
    match (config.reservation, config.even_port, config.families) {
        (Some(token), ..) => builder.attribute(&Attribute::ReservationToken(&token)),
        (None, Some(even), families) => {
            builder.attribute(&Attribute::EvenPort { reserve_next: even == EvenPort::ReserveNext });
            if families == Families::Ipv6 {
                builder.attribute(&Attribute::RequestedAddressFamily(AddressFamily::IPV6));
            }
        }
        (None, None, Families::Ipv6) => {
            builder.attribute(&Attribute::RequestedAddressFamily(AddressFamily::IPV6));
        }
        (None, None, Families::Both) => {
            builder.attribute(&Attribute::AdditionalAddressFamily(AddressFamily::IPV6));
        }
        (None, None, Families::Ipv4) => {}
    }
    if config.mobility {
        builder.attribute(&Attribute::MobilityTicket(&[]));
    }
}

/// A request that awaits its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// As it is sent, every time alike.
    pub(super) message: Vec<u8>,
    pub(super) signature: Signature,
    /// How often it was made anew with other credentials.
    pub(super) renewals: u32,
    transaction: ClientTransaction,
    /// A refusal that is not protected: the last word, if no other comes soon.
    unprotected: Option<(Refusal, Instant)>,
}

/// How long an answer that is protected may come after one that is not.
const PATIENCE: Duration = Duration::from_secs(1);

impl Request {
    pub(super) fn new(
        now: Instant,
        rng: &mut Rng,
        config: &Config,
        authentication: &Authentication,
        kind: Kind,
        ticket: Option<&[u8]>,
    ) -> Self {
        let id = TransactionId::random(rng);
        let mut message = Vec::new();
        let signature = kind.write(&mut message, id, config, authentication, ticket);
        let transaction = ClientTransaction::new(now, id, config.timing);
        Self { kind, message, signature, renewals: 0, transaction, unprotected: None }
    }

    pub(super) fn is_answered_by(&self, message: &Message<'_>) -> bool {
        self.transaction.id() == message.id()
            && self.kind.method() == message.kind().method
            && self.transaction.requests() > 0
    }

    /// What is to be done at `now`.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        match &self.unprotected {
            Some((_, until)) if *until <= now => Step::TimedOut,
            _ => self.transaction.step(now),
        }
    }

    pub(super) fn due(&self) -> Instant {
        let transaction = self.transaction.due();
        self.unprotected.as_ref().map_or(transaction, |(_, until)| transaction.min(*until))
    }

    /// Whether only its failure is left.
    pub(super) fn is_exhausted(&self, now: Instant) -> bool {
        self.transaction.is_exhausted() || self.unprotected.as_ref().is_some_and(|(_, until)| *until <= now)
    }

    /// Keeps a refusal that anybody could have sent.
    pub(super) fn doubt(&mut self, now: Instant, refusal: Refusal) {
        self.unprotected.get_or_insert((refusal, now + PATIENCE));
    }

    /// The refusal that nothing better came after.
    pub(super) fn into_refusal(self) -> (Kind, Option<Refusal>) {
        (self.kind, self.unprotected.map(|(refusal, _)| refusal))
    }
}
