//! The numbers of attributes.

use std::fmt;

/// The number of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

/// STUN itself (RFC 8489 §14).
impl AttributeType {
    /// RFC 8489 §14.1
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// RFC 8489 §14.3
    pub const USERNAME: Self = Self(0x0006);
    /// RFC 8489 §14.5
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// RFC 8489 §14.8
    pub const ERROR_CODE: Self = Self(0x0009);
    /// RFC 8489 §14.13
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    /// RFC 8489 §14.9
    pub const REALM: Self = Self(0x0014);
    /// RFC 8489 §14.10
    pub const NONCE: Self = Self(0x0015);
    /// RFC 8489 §14.6
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    /// RFC 8489 §14.12
    pub const PASSWORD_ALGORITHM: Self = Self(0x001d);
    /// RFC 8489 §14.4
    pub const USERHASH: Self = Self(0x001e);
    /// RFC 8489 §14.2
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// RFC 8489 §14.11
    pub const PASSWORD_ALGORITHMS: Self = Self(0x8002);
    /// RFC 8489 §14.16
    pub const ALTERNATE_DOMAIN: Self = Self(0x8003);
    /// RFC 8489 §14.14
    pub const SOFTWARE: Self = Self(0x8022);
    /// RFC 8489 §14.15
    pub const ALTERNATE_SERVER: Self = Self(0x8023);
    /// RFC 8489 §14.7
    pub const FINGERPRINT: Self = Self(0x8028);
}

/// ICE (RFC 8445 §16.1), and what browsers add to its checks.
impl AttributeType {
    /// RFC 8445 §16.1
    pub const PRIORITY: Self = Self(0x0024);
    /// RFC 8445 §16.1
    pub const USE_CANDIDATE: Self = Self(0x0025);
    /// RFC 8445 §16.1
    pub const ICE_CONTROLLED: Self = Self(0x8029);
    /// RFC 8445 §16.1
    pub const ICE_CONTROLLING: Self = Self(0x802a);
    /// The number of a nomination, larger for a later one; libwebrtc, not registered.
    pub const NOMINATION: Self = Self(0xc001);
    /// The network that libwebrtc sends from; registered, described by no RFC.
    pub const GOOG_NETWORK_INFO: Self = Self(0xc057);
    /// The transaction id of the last check that libwebrtc received; not registered.
    pub const GOOG_LAST_ICE_CHECK_RECEIVED: Self = Self(0xc058);
    /// A DTLS datagram that rides in a check; libwebrtc, not registered.
    pub const DTLS_IN_STUN: Self = Self(0xc070);
    /// Which of them arrived; libwebrtc, not registered.
    pub const DTLS_IN_STUN_ACK: Self = Self(0xc071);
}

/// TURN (RFC 8656 §18), over TCP to the peer (RFC 6062), with mobility (RFC 8016) and authorization by others (RFC 7635).
impl AttributeType {
    /// RFC 8656 §18.1
    pub const CHANNEL_NUMBER: Self = Self(0x000c);
    /// RFC 8656 §18.2
    pub const LIFETIME: Self = Self(0x000d);
    /// RFC 8656 §18.3
    pub const XOR_PEER_ADDRESS: Self = Self(0x0012);
    /// RFC 8656 §18.4
    pub const DATA: Self = Self(0x0013);
    /// RFC 8656 §18.5
    pub const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    /// RFC 8656 §18.6
    pub const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    /// RFC 8656 §18.7
    pub const EVEN_PORT: Self = Self(0x0018);
    /// RFC 8656 §18.8
    pub const REQUESTED_TRANSPORT: Self = Self(0x0019);
    /// RFC 8656 §18.9
    pub const DONT_FRAGMENT: Self = Self(0x001a);
    /// RFC 7635 §6.2
    pub const ACCESS_TOKEN: Self = Self(0x001b);
    /// RFC 8656 §18.10
    pub const RESERVATION_TOKEN: Self = Self(0x0022);
    /// RFC 6062 §6.2.1
    pub const CONNECTION_ID: Self = Self(0x002a);
    /// RFC 8656 §18.11
    pub const ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8000);
    /// RFC 8656 §18.12
    pub const ADDRESS_ERROR_CODE: Self = Self(0x8001);
    /// RFC 8656 §18.13
    pub const ICMP: Self = Self(0x8004);
    /// RFC 7635 §6.1
    pub const THIRD_PARTY_AUTHORIZATION: Self = Self(0x802e);
    /// RFC 8016 §3.3
    pub const MOBILITY_TICKET: Self = Self(0x8030);
}

/// Discovery of NAT behaviour (RFC 5780 §7).
impl AttributeType {
    /// RFC 5780 §7.2
    pub const CHANGE_REQUEST: Self = Self(0x0003);
    /// RFC 5780 §7.6
    pub const PADDING: Self = Self(0x0026);
    /// RFC 5780 §7.5
    pub const RESPONSE_PORT: Self = Self(0x0027);
    /// RFC 5780 §7.1
    pub const CACHE_TIMEOUT: Self = Self(0x8027);
    /// RFC 5780 §7.3
    pub const RESPONSE_ORIGIN: Self = Self(0x802b);
    /// RFC 5780 §7.4
    pub const OTHER_ADDRESS: Self = Self(0x802c);
}

impl AttributeType {
    /// Whether a receiver that does not know it has to refuse the message (RFC 8489 §14).
    pub fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether [`RawAttribute::decode`](crate::RawAttribute::decode) gives it a type of its own.
    pub fn is_known(self) -> bool {
        self.name().is_some()
    }

    /// Whether it belongs to a binding request or its answer, between any two agents (RFC 8489) or in ICE (RFC 8445).
    pub fn is_of_binding(self) -> bool {
        matches!(
            self,
            Self::MAPPED_ADDRESS
                | Self::USERNAME
                | Self::MESSAGE_INTEGRITY
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::REALM
                | Self::NONCE
                | Self::MESSAGE_INTEGRITY_SHA256
                | Self::PASSWORD_ALGORITHM
                | Self::USERHASH
                | Self::XOR_MAPPED_ADDRESS
                | Self::PRIORITY
                | Self::USE_CANDIDATE
        ) || !self.is_comprehension_required() && self.is_known()
    }

    /// Whether it belongs to TURN (RFC 8656, RFC 6062, RFC 7635, RFC 8016) or to STUN below it.
    pub fn is_of_turn(self) -> bool {
        matches!(
            self,
            Self::CHANNEL_NUMBER
                | Self::LIFETIME
                | Self::XOR_PEER_ADDRESS
                | Self::DATA
                | Self::XOR_RELAYED_ADDRESS
                | Self::REQUESTED_ADDRESS_FAMILY
                | Self::EVEN_PORT
                | Self::REQUESTED_TRANSPORT
                | Self::DONT_FRAGMENT
                | Self::ACCESS_TOKEN
                | Self::RESERVATION_TOKEN
                | Self::CONNECTION_ID
        ) || self.is_of_binding()
    }

    /// Its registered name; `None` where this crate does not know it.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MAPPED_ADDRESS => "MAPPED-ADDRESS",
            Self::CHANGE_REQUEST => "CHANGE-REQUEST",
            Self::USERNAME => "USERNAME",
            Self::MESSAGE_INTEGRITY => "MESSAGE-INTEGRITY",
            Self::ERROR_CODE => "ERROR-CODE",
            Self::UNKNOWN_ATTRIBUTES => "UNKNOWN-ATTRIBUTES",
            Self::CHANNEL_NUMBER => "CHANNEL-NUMBER",
            Self::LIFETIME => "LIFETIME",
            Self::XOR_PEER_ADDRESS => "XOR-PEER-ADDRESS",
            Self::DATA => "DATA",
            Self::REALM => "REALM",
            Self::NONCE => "NONCE",
            Self::XOR_RELAYED_ADDRESS => "XOR-RELAYED-ADDRESS",
            Self::REQUESTED_ADDRESS_FAMILY => "REQUESTED-ADDRESS-FAMILY",
            Self::EVEN_PORT => "EVEN-PORT",
            Self::REQUESTED_TRANSPORT => "REQUESTED-TRANSPORT",
            Self::DONT_FRAGMENT => "DONT-FRAGMENT",
            Self::ACCESS_TOKEN => "ACCESS-TOKEN",
            Self::MESSAGE_INTEGRITY_SHA256 => "MESSAGE-INTEGRITY-SHA256",
            Self::PASSWORD_ALGORITHM => "PASSWORD-ALGORITHM",
            Self::USERHASH => "USERHASH",
            Self::XOR_MAPPED_ADDRESS => "XOR-MAPPED-ADDRESS",
            Self::RESERVATION_TOKEN => "RESERVATION-TOKEN",
            Self::PRIORITY => "PRIORITY",
            Self::USE_CANDIDATE => "USE-CANDIDATE",
            Self::PADDING => "PADDING",
            Self::RESPONSE_PORT => "RESPONSE-PORT",
            Self::CONNECTION_ID => "CONNECTION-ID",
            Self::ADDITIONAL_ADDRESS_FAMILY => "ADDITIONAL-ADDRESS-FAMILY",
            Self::ADDRESS_ERROR_CODE => "ADDRESS-ERROR-CODE",
            Self::PASSWORD_ALGORITHMS => "PASSWORD-ALGORITHMS",
            Self::ALTERNATE_DOMAIN => "ALTERNATE-DOMAIN",
            Self::ICMP => "ICMP",
            Self::SOFTWARE => "SOFTWARE",
            Self::ALTERNATE_SERVER => "ALTERNATE-SERVER",
            Self::CACHE_TIMEOUT => "CACHE-TIMEOUT",
            Self::FINGERPRINT => "FINGERPRINT",
            Self::ICE_CONTROLLED => "ICE-CONTROLLED",
            Self::ICE_CONTROLLING => "ICE-CONTROLLING",
            Self::RESPONSE_ORIGIN => "RESPONSE-ORIGIN",
            Self::OTHER_ADDRESS => "OTHER-ADDRESS",
            Self::THIRD_PARTY_AUTHORIZATION => "THIRD-PARTY-AUTHORIZATION",
            Self::MOBILITY_TICKET => "MOBILITY-TICKET",
            Self::NOMINATION => "NOMINATION",
            Self::GOOG_NETWORK_INFO => "GOOG-NETWORK-INFO",
            Self::GOOG_LAST_ICE_CHECK_RECEIVED => "GOOG-LAST-ICE-CHECK-RECEIVED",
            Self::DTLS_IN_STUN => "DTLS-IN-STUN",
            Self::DTLS_IN_STUN_ACK => "DTLS-IN-STUN-ACK",
            _ => return None,
        })
    }
}

/// Its name, or its number in hexadecimal.
impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
