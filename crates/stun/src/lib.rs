//! STUN (RFC 8489): messages, attributes, integrity and client transactions.
//!
//! * [`Message`] is a borrowed view of a received message: parsing walks the attributes once, checks every length and
//!   allocates nothing. [`Message::attributes`] iterates over the datagram; [`RawAttribute::decode`] gives the typed
//!   [`Attribute`], and unknown attributes keep their bytes.
//! * [`MessageBuilder`] appends a message to a [`Writer`](antiphon_util::Writer), attribute by attribute, with
//!   MESSAGE-INTEGRITY (HMAC-SHA1, RFC 8489 §14.5) and FINGERPRINT (§14.7) at the end.
//! * [`ClientTransaction`] says when a request is to be sent again and when it has failed (§6.2.1).
//!
//! Attributes of RFC 8489 and RFC 8445 that a binding request and its answers carry are typed, and the network
//! information that libwebrtc adds. There is no socket, no clock and no credential lookup here; TURN's attributes,
//! long-term credentials and MESSAGE-INTEGRITY-SHA256 are read as unknown attributes.
//!
//! ```
//! use antiphon_crypto::{HashAlgorithm, Provider};
//! use antiphon_stun::{Attribute, Message, MessageBuilder, MessageType, TransactionId};
//! use antiphon_util::Writer;
//!
//! let key = Provider::default().hmac_key(HashAlgorithm::Sha1, b"the remote password");
//! let mut datagram = Vec::new();
//! let mut writer = Writer::new(&mut datagram);
//! let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([7; 12]));
//! builder.attribute(&Attribute::Username("remote:local"));
//! builder.attribute(&Attribute::Priority(1_853_824_767));
//! builder.message_integrity(&key);
//! builder.fingerprint();
//! builder.finish()?;
//!
//! let message = Message::try_from(&datagram[..])?;
//! assert!(message.verify_integrity(&key) && message.verify_fingerprint());
//! for attribute in message.attributes() {
//!     if let Attribute::Username(name) = attribute.decode(message.id())? {
//!         assert_eq!(name, "remote:local");
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod attribute;
mod attribute_type;
mod authentication;
mod authenticator;
mod builder;
mod client;
mod credential;
mod error_code;
mod header;
mod limits;
mod message;
mod nonce;
mod opaque_string;
mod redirection;
mod server;
mod stream;
mod transaction;
mod uri;
mod values;

pub use attribute::{Attribute, RawAttribute};
pub use attribute_type::AttributeType;
pub use authentication::{Authentication, AuthenticationError, Signature, Verdict};
pub use authenticator::{Authenticated, Authenticator, Refusal, UserId};
pub use builder::{MessageBuilder, TooLong};
pub use client::{Client, ClientConfig, ClientError, ClientEvent, RequestError, RequestId};
pub use credential::{Credential, Integrity, IntegrityKeys, userhash, verify_response, verify_short_term};
pub use error_code::ErrorCode;
pub use header::{Class, MessageType, Method, TransactionId};
pub use limits::Limits;
pub use message::{Attributes, Message, is_message};
pub use nonce::SecurityFeatures;
pub use opaque_string::{OpaqueStringError, opaque_string};
pub use redirection::{Redirection, Redirections};
pub use server::{Alternate, BindingServer, Reply, answer, refuse};
pub use stream::{FrameDecoder, FrameError, Framing};
pub use transaction::{ClientTransaction, Step, Timing};
pub use uri::{Host, Scheme, Uri, UriError, UriTransport};
pub use values::{
    AddressFamily, AttributeTypes, ChangeRequest, DtlsAcks, Icmp, PasswordAlgorithm, PasswordAlgorithms,
    TransportProtocol,
};

/// The value that makes a STUN message of RFC 5389 and later recognizable (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_a442;

/// Bytes of the header in front of the attributes.
pub const HEADER_LEN: usize = 20;

/// The CRC-32 that FINGERPRINT carries, before its xor.
fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}
