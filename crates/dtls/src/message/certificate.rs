//! Certificate, CertificateRequest and CertificateVerify (RFC 5246 §7.4.2, §7.4.4, §7.4.8).

use antiphon_util::{ParseError, Reader, Writer};

use super::{u16s, write_u16s};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The sender's own first; in DER.
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Certificate {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let mut list = reader.vec24()?;
        let mut chain = Vec::new();
        while !list.is_empty() {
            chain.push(list.vec24()?.rest().to_vec());
        }
        Ok(Self { chain })
    }

    pub(crate) fn write(chain: &[Vec<u8>], writer: &mut Writer<'_>) {
        writer.vec24(|w| chain.iter().for_each(|certificate| w.vec24(|w| w.bytes(certificate))));
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateRequest {
    /// Kinds of keys: 1 is RSA, 64 is ECDSA.
    pub(crate) certificate_types: Vec<u8>,
    pub(crate) signature_schemes: Vec<u16>,
}

impl CertificateRequest {
    pub(crate) const RSA_SIGN: u8 = 1;
    pub(crate) const ECDSA_SIGN: u8 = 64;

    /// The names of acceptable authorities are passed over: a fingerprint says which certificate it has to be.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let certificate_types = reader.vec8()?.rest().to_vec();
        let signature_schemes = u16s(reader.vec16()?)?;
        reader.vec16()?;
        Ok(Self { certificate_types, signature_schemes })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.vec8(|w| w.bytes(&self.certificate_types));
        write_u16s(writer, &self.signature_schemes);
        writer.u16(0);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateVerify {
    pub(crate) scheme: u16,
    pub(crate) signature: Vec<u8>,
}

impl CertificateVerify {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self { scheme: reader.u16()?, signature: reader.vec16()?.rest().to_vec() })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.scheme);
        writer.vec16(|w| w.bytes(&self.signature));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survive_a_round_trip_and_no_cut() {
        let chain = vec![vec![1; 300], vec![2; 5]];
        let mut bytes = Vec::new();
        Certificate::write(&chain, &mut Writer::new(&mut bytes));
        assert_eq!(Certificate::parse(&mut Reader::new(&bytes)), Ok(Certificate { chain }));
        assert!((0..bytes.len()).all(|len| Certificate::parse(&mut Reader::new(&bytes[..len])).is_err()));

        let request =
            CertificateRequest { certificate_types: vec![64, 1], signature_schemes: vec![0x0403, 0x0804] };
        let mut bytes = Vec::new();
        request.write(&mut Writer::new(&mut bytes));
        assert_eq!(CertificateRequest::parse(&mut Reader::new(&bytes)), Ok(request));
        assert!(
            (0..bytes.len()).all(|len| CertificateRequest::parse(&mut Reader::new(&bytes[..len])).is_err())
        );

        let verify = CertificateVerify { scheme: 0x0403, signature: vec![5; 70] };
        let mut bytes = Vec::new();
        verify.write(&mut Writer::new(&mut bytes));
        assert_eq!(CertificateVerify::parse(&mut Reader::new(&bytes)), Ok(verify));
        assert!(
            (0..bytes.len()).all(|len| CertificateVerify::parse(&mut Reader::new(&bytes[..len])).is_err())
        );
    }
}
