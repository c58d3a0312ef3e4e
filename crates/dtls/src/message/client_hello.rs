//! ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1).

use antiphon_util::{ParseError, Reader, Writer};

use super::{Extensions, u16s, write_u16s};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientHello {
    pub(crate) version: u16,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: Vec<u8>,
    pub(crate) cookie: Vec<u8>,
    pub(crate) cipher_suites: Vec<u16>,
    pub(crate) compression_methods: Vec<u8>,
    pub(crate) extensions: Extensions,
}

impl ClientHello {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let version = reader.u16()?;
        let random = reader.array()?;
        let session_id = reader.vec8()?.rest().to_vec();
        if session_id.len() > 32 {
            return Err(ParseError::Length);
        }
        Ok(Self {
            version,
            random,
            session_id,
            cookie: reader.vec8()?.rest().to_vec(),
            cipher_suites: u16s(reader.vec16()?)?,
            compression_methods: reader.vec8()?.rest().to_vec(),
            extensions: Extensions::parse(reader)?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.version);
        writer.bytes(&self.random);
        writer.vec8(|w| w.bytes(&self.session_id));
        writer.vec8(|w| w.bytes(&self.cookie));
        write_u16s(writer, &self.cipher_suites);
        writer.vec8(|w| w.bytes(&self.compression_methods));
        self.extensions.write(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UseSrtp;

    #[test]
    fn survives_a_round_trip_and_no_cut() {
        let hello = ClientHello {
            version: 0xfefd,
            random: [7; 32],
            session_id: vec![1, 2],
            cookie: vec![3; 20],
            cipher_suites: vec![0xc02b, 0x1a1a],
            compression_methods: vec![0],
            extensions: Extensions {
                supported_versions: Some(vec![0xfefc, 0xfefd]),
                groups: Some(vec![29, 23]),
                point_formats: Some(vec![0]),
                signature_schemes: Some(vec![0x0403]),
                use_srtp: Some(UseSrtp { profiles: vec![7, 1], mki: vec![9] }),
                extended_master_secret: true,
                renegotiation_info: Some(vec![]),
                unknown: vec![],
            },
        };
        let mut bytes = Vec::new();
        hello.write(&mut Writer::new(&mut bytes));
        let mut reader = Reader::new(&bytes);
        assert_eq!(ClientHello::parse(&mut reader), Ok(hello.clone()));
        assert!(reader.is_empty());
        let mut bare = hello;
        bare.extensions = Extensions::default();
        let mut head = Vec::new();
        bare.write(&mut Writer::new(&mut head));
        let without_extensions = head.len() - 2;
        for len in 0..bytes.len() {
            let parsed = ClientHello::parse(&mut Reader::new(&bytes[..len]));
            assert_eq!(parsed.is_ok(), len == without_extensions, "{len}");
        }
    }

    #[test]
    fn an_extension_given_twice_is_refused() {
        let list = [0, 8, 0x0a, 0x0a, 0, 0, 0x0a, 0x0a, 0, 0];
        assert_eq!(Extensions::parse(&mut Reader::new(&list)), Err(ParseError::Value));
        let list = [0, 8, 0x0a, 0x0a, 0, 0, 0x1a, 0x1a, 0, 0];
        assert_eq!(
            Extensions::parse(&mut Reader::new(&list)).map(|known| known.unknown),
            Ok(vec![0x0a0a, 0x1a1a])
        );
    }
}
