//! ServerKeyExchange and ClientKeyExchange over named curves (RFC 8422 §5.4, §5.7).

use antiphon_util::{ParseError, Reader, Writer};

const NAMED_CURVE: u8 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerKeyExchange {
    pub(crate) group: u16,
    pub(crate) public_value: Vec<u8>,
    pub(crate) scheme: u16,
    pub(crate) signature: Vec<u8>,
}

impl ServerKeyExchange {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        if reader.u8()? != NAMED_CURVE {
            return Err(ParseError::Value);
        }
        Ok(Self {
            group: reader.u16()?,
            public_value: reader.vec8()?.rest().to_vec(),
            scheme: reader.u16()?,
            signature: reader.vec16()?.rest().to_vec(),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(&Self::parameters(self.group, &self.public_value));
        writer.u16(self.scheme);
        writer.vec16(|w| w.bytes(&self.signature));
    }

    /// The part that is signed, behind the two random values.
    pub(crate) fn parameters(group: u16, public_value: &[u8]) -> Vec<u8> {
        let mut parameters = Vec::new();
        let mut writer = Writer::new(&mut parameters);
        writer.u8(NAMED_CURVE);
        writer.u16(group);
        writer.vec8(|w| w.bytes(public_value));
        parameters
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientKeyExchange {
    pub(crate) public_value: Vec<u8>,
}

impl ClientKeyExchange {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self { public_value: reader.vec8()?.rest().to_vec() })
    }

    pub(crate) fn write(public_value: &[u8], writer: &mut Writer<'_>) {
        writer.vec8(|w| w.bytes(public_value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survive_a_round_trip_and_no_cut() {
        let server = ServerKeyExchange {
            group: 29,
            public_value: vec![6; 32],
            scheme: 0x0403,
            signature: vec![7; 71],
        };
        let mut bytes = Vec::new();
        server.write(&mut Writer::new(&mut bytes));
        assert_eq!(ServerKeyExchange::parse(&mut Reader::new(&bytes)), Ok(server));
        assert!(
            (0..bytes.len()).all(|len| ServerKeyExchange::parse(&mut Reader::new(&bytes[..len])).is_err())
        );
        bytes[0] = 1;
        assert_eq!(ServerKeyExchange::parse(&mut Reader::new(&bytes)), Err(ParseError::Value));

        let mut bytes = Vec::new();
        ClientKeyExchange::write(&[8; 65], &mut Writer::new(&mut bytes));
        let expected = ClientKeyExchange { public_value: vec![8; 65] };
        assert_eq!(ClientKeyExchange::parse(&mut Reader::new(&bytes)), Ok(expected));
        assert!(
            (0..bytes.len()).all(|len| ClientKeyExchange::parse(&mut Reader::new(&bytes[..len])).is_err())
        );
    }
}
