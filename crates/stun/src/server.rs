//! What a server answers to binding requests (RFC 8489 §6.3), and to those that find out how a NAT behaves (RFC 5780 §6.1).

use std::net::{IpAddr, SocketAddr};

use antiphon_util::{Path, Writer};

use crate::{
    Attribute, AttributeType, ChangeRequest, Class, ErrorCode, Integrity, IntegrityKeys, Limits, Message,
    MessageBuilder, MessageType, TooLong,
};

/// The two addresses and ports of a server that helps to discover the behaviour of NATs: it receives and sends on all four
/// combinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternate {
    /// Both addresses, of one family.
    pub addresses: [IpAddr; 2],
    /// Both ports.
    pub ports: [u16; 2],
}

impl Alternate {
    /// The other address and port than those of `local`; `None` where that is none of the four.
    fn other(&self, local: SocketAddr) -> Option<SocketAddr> {
        Some(SocketAddr::new(other_of(&self.addresses, local.ip())?, other_of(&self.ports, local.port())?))
    }
}

fn other_of<T: Copy + PartialEq>([a, b]: &[T; 2], one: T) -> Option<T> {
    if one == *a { Some(*b) } else { (one == *b).then_some(*a) }
}

/// An answer, appended to the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Where to send it from, and to.
    pub path: Path,
    /// Its length in bytes.
    pub len: usize,
}

/// Answers binding requests, with no memory of them: each gets one answer or none, and none that is larger than it must be.
///
/// ```
/// use antiphon_crypto::Provider;
/// use antiphon_stun::{Attribute, AttributeType, BindingServer, Message, MessageBuilder, MessageType, TransactionId};
/// use antiphon_util::{Path, Writer};
///
/// let mut request = Vec::new();
/// let mut writer = Writer::new(&mut request);
/// MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([7; 12])).finish()?;
///
/// let client = "203.0.113.7:40000".parse()?;
/// let path = Path::udp("192.0.2.1:3478".parse()?, client);
/// let mut answer = Vec::new();
/// BindingServer::default().respond(path, &request, &mut answer);
/// let answer = Message::try_from(&answer[..])?;
/// assert_eq!(answer.attribute(AttributeType::XOR_MAPPED_ADDRESS), Some(Attribute::XorMappedAddress(client)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct BindingServer {
    /// Both addresses and ports, where it takes part in discovery (RFC 5780); else CHANGE-REQUEST, RESPONSE-PORT and PADDING
    /// are refused as unknown.
    pub alternate: Option<Alternate>,
    /// SOFTWARE of answers; makes them larger.
    pub software: Option<String>,
    /// Bounds.
    pub limits: Limits,
}

impl BindingServer {
    /// Answers a datagram where it is a binding request; `None` where it is anything else.
    pub fn respond(&self, path: Path, datagram: &[u8], buf: &mut Vec<u8>) -> Option<Reply> {
        self.respond_to(path, &Message::try_from(datagram).ok()?, None, buf)
    }

    /// Answers a request that was judged already, by [`Authenticator::judge`](crate::Authenticator::judge) or
    /// [`verify_short_term`](crate::verify_short_term); the answer is signed with `signer`.
    pub fn respond_to(
        &self,
        path: Path,
        request: &Message<'_>,
        signer: Option<(&IntegrityKeys, Integrity)>,
        buf: &mut Vec<u8>,
    ) -> Option<Reply> {
        let is_wrong = request.has_fingerprint() && !request.verify_fingerprint();
        if request.kind() != MessageType::BINDING_REQUEST || is_wrong {
            return None;
        }
        let other = self.alternate.and_then(|alternate| alternate.other(path.local));
        let unknown = self.unknown(request, other.is_some());
        let (path, answered) = if !unknown.is_empty() {
            let list = |builder: &mut MessageBuilder<'_>| builder.unknown_attributes(unknown);
            (path, refuse(request, ErrorCode::UNKNOWN_ATTRIBUTE, signer, buf, list))
        } else {
            match other.map(|other| Discovery::of(request, path, other)) {
                None => (path, self.succeed(path.remote, request, None, signer, buf)),
                Some(Ok(wish)) => (wish.path, self.succeed(path.remote, request, Some(wish), signer, buf)),
                Some(Err(error)) => (path, refuse(request, error, signer, buf, |_| {})),
            }
        };
        Some(Reply { path, len: answered.ok()? })
    }

    fn unknown(&self, request: &Message<'_>, discovers: bool) -> Vec<AttributeType> {
        let understood = |kind: AttributeType| kind.is_of_binding() || discovers && is_of_discovery(kind);
        let mut unknown = Vec::new();
        for kind in request.unknown_required(understood) {
            if unknown.len() >= self.limits.unknown_attributes {
                break;
            }
            if !unknown.contains(&kind) {
                unknown.push(kind);
            }
        }
        unknown
    }

    fn succeed(
        &self,
        source: SocketAddr,
        request: &Message<'_>,
        discovery: Option<Discovery<'_>>,
        signer: Option<(&IntegrityKeys, Integrity)>,
        buf: &mut Vec<u8>,
    ) -> Result<usize, TooLong> {
        answer(request, Class::SuccessResponse, signer, buf, |builder| {
            builder.attribute(&Attribute::XorMappedAddress(source));
            if let Some(discovery) = discovery {
                builder.attribute(&Attribute::MappedAddress(source));
                builder.attribute(&Attribute::ResponseOrigin(discovery.path.local));
                builder.attribute(&Attribute::OtherAddress(discovery.other));
                if let Some(padding) = discovery.padding {
                    builder.attribute(&Attribute::Padding(padding));
                }
            }
            if let Some(software) = &self.software {
                builder.attribute(&Attribute::Software(software));
            }
        })
    }
}

/// Appends the error response to `request` and gives its length; `more` appends what belongs to the error.
///
/// # Errors
/// [`TooLong`] where it does not fit a message; nothing is appended then.
pub fn refuse(
    request: &Message<'_>,
    error: ErrorCode<'_>,
    signer: Option<(&IntegrityKeys, Integrity)>,
    buf: &mut Vec<u8>,
    more: impl FnOnce(&mut MessageBuilder<'_>),
) -> Result<usize, TooLong> {
    answer(request, Class::ErrorResponse, signer, buf, |builder| {
        builder.attribute(&Attribute::ErrorCode(error));
        more(builder);
    })
}

/// Appends a response to `request`, with FINGERPRINT where that has it, and gives its length.
///
/// # Errors
/// [`TooLong`] where it does not fit a message; nothing is appended then.
pub fn answer(
    request: &Message<'_>,
    class: Class,
    signer: Option<(&IntegrityKeys, Integrity)>,
    buf: &mut Vec<u8>,
    body: impl FnOnce(&mut MessageBuilder<'_>),
) -> Result<usize, TooLong> {
    let start = buf.len();
    let mut writer = Writer::new(buf);
    let kind = MessageType::new(request.kind().method, class);
    let mut builder = MessageBuilder::new(&mut writer, kind, request.id());
    body(&mut builder);
    if let Some((keys, integrity)) = signer {
        keys.sign(&mut builder, integrity);
    }
    if request.has_fingerprint() {
        builder.fingerprint();
    }
    builder.finish().inspect_err(|_| buf.truncate(start))
}

/// What a request of discovery wants (RFC 5780 §6.1).
#[derive(Debug, Clone, Copy)]
struct Discovery<'a> {
    /// The way that the answer takes.
    path: Path,
    /// The other address and port than those that the request came to.
    other: SocketAddr,
    /// Repeated in the answer. It is no longer than the request's, so that nobody's link is filled with it by a small one;
    /// **deviates** from the MTU that the RFC recommends.
    padding: Option<&'a [u8]>,
}

impl<'a> Discovery<'a> {
    fn of(request: &Message<'a>, path: Path, other: SocketAddr) -> Result<Self, ErrorCode<'static>> {
        let value = |kind| {
            let attribute = request.find(kind).map(|raw| raw.decode(request.id())).transpose();
            attribute.map_err(|_| ErrorCode::BAD_REQUEST)
        };
        let change = match value(AttributeType::CHANGE_REQUEST)? {
            Some(Attribute::ChangeRequest(change)) => change,
            _ => ChangeRequest::default(),
        };
        let padding = match value(AttributeType::PADDING)? {
            Some(Attribute::Padding(padding)) => Some(padding),
            _ => None,
        };
        let port = match value(AttributeType::RESPONSE_PORT)? {
            Some(Attribute::ResponsePort(port)) => Some(port),
            _ => None,
        };
        if padding.is_some() && port.is_some() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let local = SocketAddr::new(
            if change.address { other.ip() } else { path.local.ip() },
            if change.port { other.port() } else { path.local.port() },
        );
        let remote = SocketAddr::new(path.remote.ip(), port.unwrap_or(path.remote.port()));
        Ok(Self { path: Path { local, remote, ..path }, other, padding })
    }
}

fn is_of_discovery(kind: AttributeType) -> bool {
    matches!(kind, AttributeType::CHANGE_REQUEST | AttributeType::PADDING | AttributeType::RESPONSE_PORT)
}
