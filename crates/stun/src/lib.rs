//! STUN (RFC 8489, with the behaviour of RFC 5389 where a peer needs it), for clients, servers, ICE and TURN, without sockets
//! and without a clock.
//!
//! | you want to | use |
//! | --- | --- |
//! | read a message | [`Message`]: borrowed from the datagram, checked in one pass, no allocation; [`Message::attributes`], [`RawAttribute::decode`], [`Message::attribute`] |
//! | write one | [`MessageBuilder`], attribute by attribute, behind what is in the buffer already |
//! | authenticate it | [`MessageBuilder::message_integrity`] and [`Message::verify_integrity`] (HMAC-SHA1), [`Message::verify_integrity_sha256`], [`Message::verify_fingerprint`] |
//! | make keys of passwords | [`Credential`], [`IntegrityKeys`], [`opaque_string`] |
//! | ask a server | [`Client`]: repeats, gives up, answers challenges for long-term credentials; [`Redirections`] |
//! | ask somebody else | [`ClientTransaction`] alone says when a request is to be sent again; [`Authentication`] signs |
//! | be a server | [`BindingServer`], with discovery of NAT behaviour (RFC 5780); [`Authenticator`]; [`answer`] and [`refuse`] |
//! | use TCP or TLS | [`FrameDecoder`] and [`Framing`], for ICE (RFC 4571) and for servers, with ChannelData between the messages |
//! | read a server's address | [`Uri`] (RFC 7064, RFC 7065) |
//!
//! All attributes, methods and errors of RFC 8489, RFC 8445 (ICE), RFC 8656, RFC 6062, RFC 7635 and RFC 8016 (TURN), RFC 5780
//! and of browsers have a type or a name; [`Attribute::Unknown`] keeps the bytes of any other.
//!
//! Left out: DNS discovery of servers, DTLS and TLS themselves, and RFC 3489, whose messages have no magic cookie.
//!
//! # Reading
//!
//! ```
//! use antiphon_stun::{Attribute, AttributeType, Message};
//!
//! # fn main() -> Result<(), antiphon_util::ParseError> {
//! let datagram = b"\x01\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x08\x00\x01\x8d\x3b\xe1\x12\xa6\x43";
//! let message = Message::try_from(&datagram[..])?;
//! if let Some(Attribute::XorMappedAddress(address)) = message.attribute(AttributeType::XOR_MAPPED_ADDRESS) {
//!     assert_eq!(address.to_string(), "192.0.2.1:44073");
//! }
//! for attribute in message.attributes() {
//!     println!("{}: {:?}", attribute.kind, attribute.decode(message.id()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Writing, signing, verifying
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
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Changing
//!
//! A message is not changed in place, since its integrity would no longer hold: what was read is written again, with other
//! attributes, and signed anew.
//!
//! ```
//! # use antiphon_stun::{Attribute, AttributeType, Message, MessageBuilder};
//! # use antiphon_util::{ParseError, Writer};
//! /// The message with another SOFTWARE.
//! fn renamed(datagram: &[u8], software: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let message = Message::try_from(datagram)?;
//!     let mut out = Vec::new();
//!     let mut writer = Writer::new(&mut out);
//!     let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
//!     for attribute in message.attributes().filter(|one| one.kind != AttributeType::SOFTWARE) {
//!         builder.attribute(&attribute.decode(message.id())?);
//!     }
//!     builder.attribute(&Attribute::Software(software));
//!     builder.finish()?;
//!     Ok(out)
//! }
//! # let datagram = b"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl\x80\x22\x00\x03old\x00";
//! # let new = renamed(datagram, "new")?;
//! # let message = Message::try_from(&new[..])?;
//! # assert_eq!(message.attribute(AttributeType::SOFTWARE), Some(Attribute::Software("new")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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
pub use client::{Client, ClientConfig, ClientDrop, ClientError, ClientEvent, RequestError, RequestId};
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
