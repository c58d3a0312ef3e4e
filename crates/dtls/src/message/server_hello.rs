//! ServerHello (RFC 5246 §7.4.1.3, RFC 8446 §4.1.3), HelloRetryRequest (RFC 8446 §4.1.4), which has its form, and HelloVerifyRequest (RFC 6347 §4.2.1).

use antiphon_util::{ParseError, Reader, Writer};

use super::{Extensions, Sender};

/// The random value that makes a ServerHello a HelloRetryRequest (RFC 8446 §4.1.3).
pub(crate) const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Ends the random value of a server that could have spoken 1.3 and was not asked to (RFC 8446 §4.1.3).
pub(crate) const DOWNGRADE_FROM_1_3: [u8; 8] = *b"DOWNGRD\x01";

/// Ends the random value of a server that could have spoken 1.2 and was not asked to (RFC 8446 §4.1.3).
pub(crate) const DOWNGRADE_FROM_1_2: [u8; 8] = *b"DOWNGRD\x00";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) version: u16,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: Vec<u8>,
    pub(crate) cipher_suite: u16,
    pub(crate) compression_method: u8,
    pub(crate) extensions: Extensions,
}

impl ServerHello {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let (version, random) = (reader.u16()?, reader.array()?);
        let sender = if random == RETRY_RANDOM { Sender::Retry } else { Sender::Server };
        Ok(Self {
            version,
            random,
            session_id: reader.vec8()?.rest().to_vec(),
            cipher_suite: reader.u16()?,
            compression_method: reader.u8()?,
            extensions: Extensions::parse(reader, sender)?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.version);
        writer.bytes(&self.random);
        writer.vec8(|w| w.bytes(&self.session_id));
        writer.u16(self.cipher_suite);
        writer.u8(self.compression_method);
        self.extensions.write(if self.is_retry() { Sender::Retry } else { Sender::Server }, writer);
    }

    /// Whether it is a HelloRetryRequest.
    pub(crate) fn is_retry(&self) -> bool {
        self.random == RETRY_RANDOM
    }

    /// Whether the server says that it could have spoken a later version than this one.
    pub(crate) fn is_downgrade(&self) -> bool {
        self.random.ends_with(&DOWNGRADE_FROM_1_3) || self.random.ends_with(&DOWNGRADE_FROM_1_2)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelloVerifyRequest {
    pub(crate) version: u16,
    pub(crate) cookie: Vec<u8>,
}

impl HelloVerifyRequest {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self { version: reader.u16()?, cookie: reader.vec8()?.rest().to_vec() })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.version);
        writer.vec8(|w| w.bytes(&self.cookie));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survive_a_round_trip_and_no_cut() {
        let hello = ServerHello {
            version: 0xfefd,
            random: [1; 32],
            session_id: vec![4; 32],
            cipher_suite: 0xc02b,
            compression_method: 0,
            extensions: Extensions {
                extended_master_secret: true,
                types: vec![crate::message::ExtensionType::EXTENDED_MASTER_SECRET],
                ..Extensions::default()
            },
        };
        let mut bytes = Vec::new();
        hello.write(&mut Writer::new(&mut bytes));
        assert_eq!(ServerHello::parse(&mut Reader::new(&bytes)), Ok(hello));
        for len in (0..bytes.len()).filter(|len| *len != bytes.len() - 6) {
            assert!(ServerHello::parse(&mut Reader::new(&bytes[..len])).is_err());
        }
        let request = HelloVerifyRequest { version: 0xfeff, cookie: vec![8; 20] };
        let mut bytes = Vec::new();
        request.write(&mut Writer::new(&mut bytes));
        assert_eq!(HelloVerifyRequest::parse(&mut Reader::new(&bytes)), Ok(request));
        for len in 0..bytes.len() {
            assert!(HelloVerifyRequest::parse(&mut Reader::new(&bytes[..len])).is_err());
        }
    }
}
