//! Attributes, raw and typed (RFC 8489 §14 and the registered extensions).

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_util::{ParseError, Reader, Writer};

use crate::values::{TEXT_LIMIT, text};
use crate::{
    AddressFamily, AttributeType, AttributeTypes, ChangeRequest, DtlsAcks, ErrorCode, Icmp,
    PasswordAlgorithm, PasswordAlgorithms, TransactionId, TransportProtocol, address,
};

/// Bytes of USERNAME at most (RFC 8489 §14.3).
pub(crate) const USERNAME_LIMIT: usize = 508;

/// Bytes of ALTERNATE-DOMAIN at most (RFC 8489 §14.16).
const DOMAIN_LIMIT: usize = 255;

/// An attribute whose length has been checked and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its number.
    pub kind: AttributeType,
    /// Its value without the padding.
    pub value: &'a [u8],
}

/// An attribute with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// Where the request came from, open to rewriting middleboxes.
    MappedAddress(SocketAddr),
    /// Whose credential the integrity uses; at most 508 bytes.
    Username(&'a str),
    /// HMAC-SHA1 over what stands before it; checked by [`Message::verify_integrity`](crate::Message::verify_integrity).
    MessageIntegrity(&'a [u8; 20]),
    /// HMAC-SHA256 over what stands before it, or its first 16 bytes or more; checked by
    /// [`Message::verify_integrity_sha256`](crate::Message::verify_integrity_sha256).
    MessageIntegritySha256(&'a [u8]),
    /// Why the request failed.
    ErrorCode(ErrorCode<'a>),
    /// What the server did not understand.
    UnknownAttributes(AttributeTypes<'a>),
    /// The domain of a long-term credential.
    Realm(&'a str),
    /// The server's nonce of a long-term credential.
    Nonce(&'a str),
    /// How the key was made of the password.
    PasswordAlgorithm(PasswordAlgorithm<'a>),
    /// How the server can make the key of the password.
    PasswordAlgorithms(PasswordAlgorithms<'a>),
    /// SHA-256 of user name and realm, in place of USERNAME.
    Userhash(&'a [u8; 32]),
    /// Where the request came from.
    XorMappedAddress(SocketAddr),
    /// Name and version of the sender's software.
    Software(&'a str),
    /// A server to ask instead.
    AlternateServer(SocketAddr),
    /// The name that the other server's certificate has.
    AlternateDomain(&'a str),
    /// CRC-32 of what stands before it; checked by [`Message::verify_fingerprint`](crate::Message::verify_fingerprint).
    Fingerprint(u32),

    /// The priority of a peer-reflexive candidate that the check may reveal.
    Priority(u32),
    /// The controlling agent nominates the pair.
    UseCandidate,
    /// The sender believes that it is controlled, with its tie-breaker.
    IceControlled(u64),
    /// The sender believes that it is controlling, with its tie-breaker.
    IceControlling(u64),
    /// The number of a nomination; a larger one comes later.
    Nomination(u32),
    /// The network that libwebrtc sends from.
    GoogNetworkInfo {
        /// Its number within the sender, 0 where unknown.
        network: u16,
        /// 0 (free) to 999 (unknown); lower is preferred.
        cost: u16,
    },
    /// The transaction id of the last check that the sender received.
    GoogLastIceCheckReceived(&'a [u8]),
    /// A DTLS datagram that rides in a check.
    DtlsInStun(&'a [u8]),
    /// Which DTLS datagrams arrived in checks.
    DtlsInStunAck(DtlsAcks<'a>),

    /// The number of a channel.
    ChannelNumber(u16),
    /// How long an allocation lives; whole seconds.
    Lifetime(Duration),
    /// A peer behind the relay.
    XorPeerAddress(SocketAddr),
    /// What a peer sent, or is to be sent.
    Data(&'a [u8]),
    /// The address on the relay.
    XorRelayedAddress(SocketAddr),
    /// The family that the relayed address is to have.
    RequestedAddressFamily(AddressFamily),
    /// The port of the relayed address is to be even.
    EvenPort {
        /// The next port is to be kept for another allocation.
        reserve_next: bool,
    },
    /// What the relayed address is to speak.
    RequestedTransport(TransportProtocol),
    /// The relay is to set DF in the IP header.
    DontFragment,
    /// Names a port kept earlier.
    ReservationToken(&'a [u8; 8]),
    /// The client wants an address of this family too.
    AdditionalAddressFamily(AddressFamily),
    /// Why there is no address of a family.
    AddressErrorCode {
        /// Which family.
        family: AddressFamily,
        /// Why.
        error: ErrorCode<'a>,
    },
    /// What an ICMP message said.
    Icmp(Icmp),
    /// A connection between relay and peer.
    ConnectionId(u32),
    /// What an authorization server gave the client for this server.
    AccessToken(&'a [u8]),
    /// The name of this server at the authorization server.
    ThirdPartyAuthorization(&'a str),
    /// Moves the allocation to the address it comes from; empty where one is asked for.
    MobilityTicket(&'a [u8]),

    /// Where the answer is to come from.
    ChangeRequest(ChangeRequest),
    /// Makes the datagram long.
    Padding(&'a [u8]),
    /// The port that the answer is to go to.
    ResponsePort(u16),
    /// How long the server remembers the mapping; whole seconds.
    CacheTimeout(Duration),
    /// Where the answer comes from.
    ResponseOrigin(SocketAddr),
    /// The server's other address and port.
    OtherAddress(SocketAddr),

    /// An attribute that this crate does not know.
    Unknown(RawAttribute<'a>),
}

impl<'a> RawAttribute<'a> {
    /// Reads the value; `id` is the message's, which addresses are mixed with.
    ///
    /// # Errors
    /// Where the value has a length or content that its definition excludes.
    pub fn decode(&self, id: TransactionId) -> Result<Attribute<'a>, ParseError> {
        let mut reader = Reader::new(self.value);
        let r = &mut reader;
        let xored = |r: &mut Reader<'a>| Ok(address::xor(address::parse(r)?, id));
        let attribute = match self.kind {
            AttributeType::MAPPED_ADDRESS => Attribute::MappedAddress(address::parse(r)?),
            AttributeType::USERNAME => Attribute::Username(text(r, USERNAME_LIMIT)?),
            AttributeType::MESSAGE_INTEGRITY => Attribute::MessageIntegrity(whole(r)?),
            AttributeType::MESSAGE_INTEGRITY_SHA256 => Attribute::MessageIntegritySha256(sha256_tag(r)?),
            AttributeType::ERROR_CODE => Attribute::ErrorCode(ErrorCode::parse(r)?),
            AttributeType::UNKNOWN_ATTRIBUTES => Attribute::UnknownAttributes(AttributeTypes::parse(r)?),
            AttributeType::REALM => Attribute::Realm(text(r, TEXT_LIMIT)?),
            AttributeType::NONCE => Attribute::Nonce(text(r, TEXT_LIMIT)?),
            AttributeType::PASSWORD_ALGORITHM => Attribute::PasswordAlgorithm(PasswordAlgorithm::parse(r)?),
            AttributeType::PASSWORD_ALGORITHMS => {
                Attribute::PasswordAlgorithms(PasswordAlgorithms::parse(r)?)
            }
            AttributeType::USERHASH => Attribute::Userhash(whole(r)?),
            AttributeType::XOR_MAPPED_ADDRESS => Attribute::XorMappedAddress(xored(r)?),
            AttributeType::SOFTWARE => Attribute::Software(text(r, TEXT_LIMIT)?),
            AttributeType::ALTERNATE_SERVER => Attribute::AlternateServer(address::parse(r)?),
            AttributeType::ALTERNATE_DOMAIN => Attribute::AlternateDomain(text(r, DOMAIN_LIMIT)?),
            AttributeType::FINGERPRINT => Attribute::Fingerprint(r.u32()?),

            AttributeType::PRIORITY => Attribute::Priority(r.u32()?),
            AttributeType::USE_CANDIDATE => Attribute::UseCandidate,
            AttributeType::ICE_CONTROLLED => Attribute::IceControlled(r.u64()?),
            AttributeType::ICE_CONTROLLING => Attribute::IceControlling(r.u64()?),
            AttributeType::NOMINATION => Attribute::Nomination(r.u32()?),
            AttributeType::GOOG_NETWORK_INFO => {
                Attribute::GoogNetworkInfo { network: r.u16()?, cost: r.u16()? }
            }
            AttributeType::GOOG_LAST_ICE_CHECK_RECEIVED => Attribute::GoogLastIceCheckReceived(r.rest()),
            AttributeType::DTLS_IN_STUN => Attribute::DtlsInStun(r.rest()),
            AttributeType::DTLS_IN_STUN_ACK => Attribute::DtlsInStunAck(DtlsAcks::parse(r)?),

            AttributeType::CHANNEL_NUMBER => Attribute::ChannelNumber(then_reserved::<2, _>(r, Reader::u16)?),
            AttributeType::LIFETIME => Attribute::Lifetime(seconds(r)?),
            AttributeType::XOR_PEER_ADDRESS => Attribute::XorPeerAddress(xored(r)?),
            AttributeType::DATA => Attribute::Data(r.rest()),
            AttributeType::XOR_RELAYED_ADDRESS => Attribute::XorRelayedAddress(xored(r)?),
            AttributeType::REQUESTED_ADDRESS_FAMILY => Attribute::RequestedAddressFamily(family(r)?),
            AttributeType::EVEN_PORT => Attribute::EvenPort { reserve_next: r.u8()? & 0x80 != 0 },
            AttributeType::REQUESTED_TRANSPORT => {
                Attribute::RequestedTransport(TransportProtocol(then_reserved::<3, _>(r, Reader::u8)?))
            }
            AttributeType::DONT_FRAGMENT => Attribute::DontFragment,
            AttributeType::RESERVATION_TOKEN => Attribute::ReservationToken(whole(r)?),
            AttributeType::ADDITIONAL_ADDRESS_FAMILY => Attribute::AdditionalAddressFamily(family(r)?),
            AttributeType::ADDRESS_ERROR_CODE => {
                let family = AddressFamily(r.u8()?);
                r.u8()?;
                Attribute::AddressErrorCode { family, error: ErrorCode::parse_tail(r)? }
            }
            AttributeType::ICMP => Attribute::Icmp(Icmp::parse(r)?),
            AttributeType::CONNECTION_ID => Attribute::ConnectionId(r.u32()?),
            AttributeType::ACCESS_TOKEN => Attribute::AccessToken(r.rest()),
            AttributeType::THIRD_PARTY_AUTHORIZATION => {
                Attribute::ThirdPartyAuthorization(text(r, TEXT_LIMIT)?)
            }
            AttributeType::MOBILITY_TICKET => Attribute::MobilityTicket(r.rest()),

            AttributeType::CHANGE_REQUEST => Attribute::ChangeRequest(ChangeRequest::from_bits(r.u32()?)),
            AttributeType::PADDING => Attribute::Padding(r.rest()),
            AttributeType::RESPONSE_PORT => Attribute::ResponsePort(then_reserved::<2, _>(r, Reader::u16)?),
            AttributeType::CACHE_TIMEOUT => Attribute::CacheTimeout(seconds(r)?),
            AttributeType::RESPONSE_ORIGIN => Attribute::ResponseOrigin(address::parse(r)?),
            AttributeType::OTHER_ADDRESS => Attribute::OtherAddress(address::parse(r)?),
            _ => {
                r.rest();
                Attribute::Unknown(*self)
            }
        };
        reader.finish()?;
        Ok(attribute)
    }
}

impl Attribute<'_> {
    /// Its number.
    pub fn kind(&self) -> AttributeType {
        match self {
            Attribute::MappedAddress(_) => AttributeType::MAPPED_ADDRESS,
            Attribute::Username(_) => AttributeType::USERNAME,
            Attribute::MessageIntegrity(_) => AttributeType::MESSAGE_INTEGRITY,
            Attribute::MessageIntegritySha256(_) => AttributeType::MESSAGE_INTEGRITY_SHA256,
            Attribute::ErrorCode(_) => AttributeType::ERROR_CODE,
            Attribute::UnknownAttributes(_) => AttributeType::UNKNOWN_ATTRIBUTES,
            Attribute::Realm(_) => AttributeType::REALM,
            Attribute::Nonce(_) => AttributeType::NONCE,
            Attribute::PasswordAlgorithm(_) => AttributeType::PASSWORD_ALGORITHM,
            Attribute::PasswordAlgorithms(_) => AttributeType::PASSWORD_ALGORITHMS,
            Attribute::Userhash(_) => AttributeType::USERHASH,
            Attribute::XorMappedAddress(_) => AttributeType::XOR_MAPPED_ADDRESS,
            Attribute::Software(_) => AttributeType::SOFTWARE,
            Attribute::AlternateServer(_) => AttributeType::ALTERNATE_SERVER,
            Attribute::AlternateDomain(_) => AttributeType::ALTERNATE_DOMAIN,
            Attribute::Fingerprint(_) => AttributeType::FINGERPRINT,

            Attribute::Priority(_) => AttributeType::PRIORITY,
            Attribute::UseCandidate => AttributeType::USE_CANDIDATE,
            Attribute::IceControlled(_) => AttributeType::ICE_CONTROLLED,
            Attribute::IceControlling(_) => AttributeType::ICE_CONTROLLING,
            Attribute::Nomination(_) => AttributeType::NOMINATION,
            Attribute::GoogNetworkInfo { .. } => AttributeType::GOOG_NETWORK_INFO,
            Attribute::GoogLastIceCheckReceived(_) => AttributeType::GOOG_LAST_ICE_CHECK_RECEIVED,
            Attribute::DtlsInStun(_) => AttributeType::DTLS_IN_STUN,
            Attribute::DtlsInStunAck(_) => AttributeType::DTLS_IN_STUN_ACK,

            Attribute::ChannelNumber(_) => AttributeType::CHANNEL_NUMBER,
            Attribute::Lifetime(_) => AttributeType::LIFETIME,
            Attribute::XorPeerAddress(_) => AttributeType::XOR_PEER_ADDRESS,
            Attribute::Data(_) => AttributeType::DATA,
            Attribute::XorRelayedAddress(_) => AttributeType::XOR_RELAYED_ADDRESS,
            Attribute::RequestedAddressFamily(_) => AttributeType::REQUESTED_ADDRESS_FAMILY,
            Attribute::EvenPort { .. } => AttributeType::EVEN_PORT,
            Attribute::RequestedTransport(_) => AttributeType::REQUESTED_TRANSPORT,
            Attribute::DontFragment => AttributeType::DONT_FRAGMENT,
            Attribute::ReservationToken(_) => AttributeType::RESERVATION_TOKEN,
            Attribute::AdditionalAddressFamily(_) => AttributeType::ADDITIONAL_ADDRESS_FAMILY,
            Attribute::AddressErrorCode { .. } => AttributeType::ADDRESS_ERROR_CODE,
            Attribute::Icmp(_) => AttributeType::ICMP,
            Attribute::ConnectionId(_) => AttributeType::CONNECTION_ID,
            Attribute::AccessToken(_) => AttributeType::ACCESS_TOKEN,
            Attribute::ThirdPartyAuthorization(_) => AttributeType::THIRD_PARTY_AUTHORIZATION,
            Attribute::MobilityTicket(_) => AttributeType::MOBILITY_TICKET,

            Attribute::ChangeRequest(_) => AttributeType::CHANGE_REQUEST,
            Attribute::Padding(_) => AttributeType::PADDING,
            Attribute::ResponsePort(_) => AttributeType::RESPONSE_PORT,
            Attribute::CacheTimeout(_) => AttributeType::CACHE_TIMEOUT,
            Attribute::ResponseOrigin(_) => AttributeType::RESPONSE_ORIGIN,
            Attribute::OtherAddress(_) => AttributeType::OTHER_ADDRESS,
            Attribute::Unknown(raw) => raw.kind,
        }
    }

    /// Writes the value alone, without number, length and padding.
    pub(crate) fn write_value(&self, writer: &mut Writer<'_>, id: TransactionId) {
        match *self {
            Attribute::MappedAddress(at)
            | Attribute::AlternateServer(at)
            | Attribute::ResponseOrigin(at)
            | Attribute::OtherAddress(at) => address::write(writer, at),
            Attribute::XorMappedAddress(at)
            | Attribute::XorPeerAddress(at)
            | Attribute::XorRelayedAddress(at) => address::write(writer, address::xor(at, id)),
            Attribute::Username(text)
            | Attribute::Realm(text)
            | Attribute::Nonce(text)
            | Attribute::Software(text)
            | Attribute::AlternateDomain(text)
            | Attribute::ThirdPartyAuthorization(text) => writer.bytes(text.as_bytes()),
            Attribute::MessageIntegrity(tag) => writer.bytes(tag),
            Attribute::Userhash(hash) => writer.bytes(hash),
            Attribute::ReservationToken(token) => writer.bytes(token),
            Attribute::MessageIntegritySha256(bytes)
            | Attribute::UnknownAttributes(AttributeTypes(bytes))
            | Attribute::PasswordAlgorithms(PasswordAlgorithms(bytes))
            | Attribute::GoogLastIceCheckReceived(bytes)
            | Attribute::DtlsInStun(bytes)
            | Attribute::DtlsInStunAck(DtlsAcks(bytes))
            | Attribute::Data(bytes)
            | Attribute::AccessToken(bytes)
            | Attribute::MobilityTicket(bytes)
            | Attribute::Padding(bytes)
            | Attribute::Unknown(RawAttribute { value: bytes, .. }) => writer.bytes(bytes),
            Attribute::ErrorCode(error) => error.write(writer),
            Attribute::AddressErrorCode { family, error } => {
                writer.u16(u16::from(family.0) << 8);
                error.write_tail(writer);
            }
            Attribute::PasswordAlgorithm(algorithm) => algorithm.write(writer),
            Attribute::Icmp(icmp) => icmp.write(writer),
            Attribute::Priority(value)
            | Attribute::Fingerprint(value)
            | Attribute::Nomination(value)
            | Attribute::ConnectionId(value) => writer.u32(value),
            Attribute::ChangeRequest(change) => writer.u32(change.bits()),
            Attribute::Lifetime(time) | Attribute::CacheTimeout(time) => {
                writer.u32(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
            }
            Attribute::UseCandidate | Attribute::DontFragment => {}
            Attribute::IceControlled(value) | Attribute::IceControlling(value) => writer.u64(value),
            Attribute::GoogNetworkInfo { network, cost } => {
                writer.u16(network);
                writer.u16(cost);
            }
            Attribute::ChannelNumber(value) | Attribute::ResponsePort(value) => {
                writer.u32(u32::from(value) << 16);
            }
            Attribute::RequestedAddressFamily(AddressFamily(value))
            | Attribute::AdditionalAddressFamily(AddressFamily(value))
            | Attribute::RequestedTransport(TransportProtocol(value)) => writer.u32(u32::from(value) << 24),
            Attribute::EvenPort { reserve_next } => writer.u8(u8::from(reserve_next) << 7),
        }
    }
}

/// The whole rest, which has `N` bytes.
fn whole<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<&'a [u8; N], ParseError> {
    reader.rest().try_into().map_err(|_| ParseError::Length)
}

/// 16 to 32 bytes, a multiple of four of them (RFC 8489 §14.6).
fn sha256_tag<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ParseError> {
    let tag = reader.rest();
    if is_sha256_tag(tag.len()) { Ok(tag) } else { Err(ParseError::Length) }
}

/// Whether MESSAGE-INTEGRITY-SHA256 may have `len` bytes (RFC 8489 §14.6).
pub(crate) fn is_sha256_tag(len: usize) -> bool {
    (16..=32).contains(&len) && len.is_multiple_of(4)
}

fn seconds(reader: &mut Reader<'_>) -> Result<Duration, ParseError> {
    Ok(Duration::from_secs(reader.u32()?.into()))
}

fn family(reader: &mut Reader<'_>) -> Result<AddressFamily, ParseError> {
    then_reserved::<3, _>(reader, Reader::u8).map(AddressFamily)
}

/// A value and `N` reserved bytes, whatever they are.
fn then_reserved<'a, const N: usize, T>(
    reader: &mut Reader<'a>,
    value: impl FnOnce(&mut Reader<'a>) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    let value = value(reader)?;
    reader.array::<N>()?;
    Ok(value)
}
