//! ServerHello (RFC 5246 §7.4.1.3) and HelloVerifyRequest (RFC 6347 §4.2.1).

use antiphon_util::{ParseError, Reader, Writer};

use super::Extensions;

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
        Ok(Self {
            version: reader.u16()?,
            random: reader.array()?,
            session_id: reader.vec8()?.rest().to_vec(),
            cipher_suite: reader.u16()?,
            compression_method: reader.u8()?,
            extensions: Extensions::parse(reader)?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.version);
        writer.bytes(&self.random);
        writer.vec8(|w| w.bytes(&self.session_id));
        writer.u16(self.cipher_suite);
        writer.u8(self.compression_method);
        self.extensions.write(writer);
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
            extensions: Extensions { extended_master_secret: true, ..Extensions::default() },
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
