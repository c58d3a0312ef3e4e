//! ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1, RFC 9147 §5.3).

use antiphon_util::{ParseError, Reader, Writer};

use super::{ExtensionType, Extensions, Sender, u16s, write_u16s};

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
            extensions: Extensions::parse(reader, Sender::Client)?,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.version);
        writer.bytes(&self.random);
        writer.vec8(|w| w.bytes(&self.session_id));
        writer.vec8(|w| w.bytes(&self.cookie));
        write_u16s(writer, &self.cipher_suites);
        writer.vec8(|w| w.bytes(&self.compression_methods));
        self.extensions.write(Sender::Client, writer);
    }
}

/// The body of a ClientHello without what a second one may change (RFC 8446 §4.1.2).
pub(crate) fn without_changeable(body: &[u8]) -> Result<Vec<u8>, ParseError> {
    const CHANGEABLE: [ExtensionType; 5] = [
        ExtensionType::KEY_SHARE,
        ExtensionType::COOKIE,
        ExtensionType::EARLY_DATA,
        ExtensionType::PRE_SHARED_KEY,
        ExtensionType::PADDING,
    ];
    let mut reader = Reader::new(body);
    let mut kept = reader.bytes(2 + 32)?.to_vec();
    for vector in [reader.vec8()?, reader.vec8()?, reader.vec16()?, reader.vec8()?] {
        Writer::new(&mut kept).vec16(|w| w.bytes(vector.peek()));
    }
    let mut list = if reader.is_empty() { reader } else { reader.vec16()? };
    while !list.is_empty() {
        let (extension_type, value) = (list.u16()?, list.vec16()?);
        if !CHANGEABLE.contains(&ExtensionType(extension_type)) {
            let mut writer = Writer::new(&mut kept);
            writer.u16(extension_type);
            writer.vec16(|w| w.bytes(value.peek()));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{KeyShare, UseSrtp};

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
                key_shares: Some(vec![KeyShare { group: 29, value: vec![5; 32] }]),
                cookie: Some(vec![6; 9]),
                record_size_limit: Some(512),
                connection_id: Some(vec![1, 2, 3]),
                groups: Some(vec![29, 23]),
                point_formats: Some(vec![0]),
                signature_schemes: Some(vec![0x0403]),
                use_srtp: Some(UseSrtp { profiles: vec![7, 1], mki: vec![9] }),
                extended_master_secret: true,
                renegotiation_info: Some(vec![]),
                server_name: None,
                types: [10, 11, 13, 14, 23, 28, 54, 43, 44, 0xff01, 51].map(ExtensionType).to_vec(),
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
        let parse = |list: &[u8]| Extensions::parse(&mut Reader::new(list), Sender::Client);
        assert_eq!(parse(&[0, 8, 0x0a, 0x0a, 0, 0, 0x0a, 0x0a, 0, 0]), Err(ParseError::Value));
        assert_eq!(
            parse(&[0, 8, 0x0a, 0x0a, 0, 0, 0x1a, 0x1a, 0, 0]).map(|known| known.types),
            Ok(vec![ExtensionType(0x0a0a), ExtensionType(0x1a1a)])
        );
    }

    #[test]
    fn a_second_hello_may_change_its_shares_and_its_cookie_alone() {
        let hello = |groups: Vec<u16>, cookie: Option<Vec<u8>>, share: u8| {
            let extensions = Extensions {
                groups: Some(groups),
                cookie,
                key_shares: Some(vec![KeyShare { group: 29, value: vec![share; 32] }]),
                ..Extensions::default()
            };
            let hello = ClientHello {
                version: 0xfefd,
                random: [7; 32],
                session_id: vec![],
                cookie: vec![],
                cipher_suites: vec![0x1301],
                compression_methods: vec![0],
                extensions,
            };
            let mut body = Vec::new();
            hello.write(&mut Writer::new(&mut body));
            without_changeable(&body).unwrap()
        };
        assert_eq!(hello(vec![29], None, 1), hello(vec![29], Some(vec![1]), 2));
        assert_ne!(hello(vec![29], None, 1), hello(vec![29, 23], None, 1));
    }
}
