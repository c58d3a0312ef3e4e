//! Handshake messages (RFC 5246 §7.4, RFC 6347 §4.2.2, RFC 8446 §4): one file each.

mod certificate;
mod certificate13;
mod client_hello;
mod extensions;
mod fragment;
mod key_exchange;
mod server_hello;

pub(crate) use certificate::{Certificate, CertificateRequest, CertificateVerify};
pub(crate) use certificate13::{Certificate13, CertificateRequest13};
pub(crate) use client_hello::{ClientHello, without_changeable};
pub(crate) use extensions::{ExtensionType, Extensions, KeyShare, Sender, UseSrtp};
pub(crate) use fragment::Fragment;
pub(crate) use key_exchange::{ClientKeyExchange, ServerKeyExchange};
pub(crate) use server_hello::{DOWNGRADE_FROM_1_3, HelloVerifyRequest, RETRY_RANDOM, ServerHello};

use antiphon_util::{ParseError, Reader, Writer};

/// A handshake message's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    pub(crate) const HELLO_REQUEST: Kind = Kind(0);
    pub(crate) const CLIENT_HELLO: Kind = Kind(1);
    pub(crate) const SERVER_HELLO: Kind = Kind(2);
    pub(crate) const HELLO_VERIFY_REQUEST: Kind = Kind(3);
    pub(crate) const NEW_SESSION_TICKET: Kind = Kind(4);
    pub(crate) const ENCRYPTED_EXTENSIONS: Kind = Kind(8);
    pub(crate) const REQUEST_CONNECTION_ID: Kind = Kind(9);
    pub(crate) const NEW_CONNECTION_ID: Kind = Kind(10);
    pub(crate) const CERTIFICATE: Kind = Kind(11);
    pub(crate) const SERVER_KEY_EXCHANGE: Kind = Kind(12);
    pub(crate) const CERTIFICATE_REQUEST: Kind = Kind(13);
    pub(crate) const SERVER_HELLO_DONE: Kind = Kind(14);
    pub(crate) const CERTIFICATE_VERIFY: Kind = Kind(15);
    pub(crate) const CLIENT_KEY_EXCHANGE: Kind = Kind(16);
    pub(crate) const FINISHED: Kind = Kind(20);
    pub(crate) const KEY_UPDATE: Kind = Kind(24);
    pub(crate) const MESSAGE_HASH: Kind = Kind(254);
}

/// A whole handshake message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) sequence: u16,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A message whose body `write` writes.
    pub(crate) fn new(kind: Kind, sequence: u16, write: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut body = Vec::new();
        write(&mut Writer::new(&mut body));
        Self { kind, sequence, body }
    }

    /// Reads the body as a whole.
    pub(crate) fn read<T>(
        &self,
        parse: impl FnOnce(&mut Reader<'_>) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        let mut reader = Reader::new(&self.body);
        let value = parse(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// All two-byte numbers left in `reader`.
fn u16s(mut reader: Reader<'_>) -> Result<Vec<u16>, ParseError> {
    let mut values = Vec::with_capacity(reader.remaining() / 2);
    while !reader.is_empty() {
        values.push(reader.u16()?);
    }
    Ok(values)
}

fn write_u16s(writer: &mut Writer<'_>, values: &[u16]) {
    writer.vec16(|w| values.iter().for_each(|value| w.u16(*value)));
}
