//! Certificate and CertificateRequest of TLS 1.3 (RFC 8446 §4.4.2, §4.3.2); CertificateVerify is as it was.

use antiphon_util::{ParseError, Reader, Writer};

use super::{Extensions, Sender};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate13 {
    /// Repeats that of the request; empty in a handshake.
    pub(crate) context: Vec<u8>,
    /// The sender's own first; in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// Whether one of them carries an extension; none was asked for.
    pub(crate) has_extensions: bool,
}

impl Certificate13 {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let context = reader.vec8()?.rest().to_vec();
        let mut list = reader.vec24()?;
        let (mut chain, mut has_extensions) = (Vec::new(), false);
        while !list.is_empty() {
            let certificate = list.vec24()?.rest();
            if certificate.is_empty() {
                return Err(ParseError::Length);
            }
            chain.push(certificate.to_vec());
            has_extensions |= !list.vec16()?.is_empty();
        }
        Ok(Self { context, chain, has_extensions })
    }

    pub(crate) fn write(context: &[u8], chain: &[Vec<u8>], writer: &mut Writer<'_>) {
        writer.vec8(|w| w.bytes(context));
        writer.vec24(|w| {
            for certificate in chain {
                w.vec24(|w| w.bytes(certificate));
                w.u16(0);
            }
        });
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateRequest13 {
    pub(crate) context: Vec<u8>,
    pub(crate) extensions: Extensions,
}

impl CertificateRequest13 {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let context = reader.vec8()?.rest().to_vec();
        Ok(Self { context, extensions: Extensions::parse(reader, Sender::Server)? })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.vec8(|w| w.bytes(&self.context));
        self.extensions.write(Sender::Server, writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survive_a_round_trip_and_no_cut() {
        let chain = vec![vec![1; 300], vec![2; 5]];
        let mut bytes = Vec::new();
        Certificate13::write(&[7], &chain, &mut Writer::new(&mut bytes));
        let expected = Certificate13 { context: vec![7], chain, has_extensions: false };
        assert_eq!(Certificate13::parse(&mut Reader::new(&bytes)), Ok(expected));
        assert!((0..bytes.len()).all(|len| Certificate13::parse(&mut Reader::new(&bytes[..len])).is_err()));

        let extensions = Extensions { signature_schemes: Some(vec![0x0403]), ..Extensions::default() };
        let request = CertificateRequest13 { context: vec![], extensions };
        let mut bytes = Vec::new();
        request.write(&mut Writer::new(&mut bytes));
        let parsed = CertificateRequest13::parse(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(parsed.extensions.signature_schemes, request.extensions.signature_schemes);
        assert!(
            (2..bytes.len()).all(|len| CertificateRequest13::parse(&mut Reader::new(&bytes[..len])).is_err())
        );
    }
}
