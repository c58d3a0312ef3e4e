//! Extensions of hellos and of the messages of 1.3 that have them (RFC 5246 §7.4.1.4, RFC 8446 §4.2); those that play no
//! part here are passed over.

use antiphon_util::{ParseError, Reader, Writer};

use super::{u16s, write_u16s};

/// The registered number of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExtensionType(pub(crate) u16);

impl ExtensionType {
    pub(crate) const SERVER_NAME: Self = Self(0);
    pub(crate) const SUPPORTED_GROUPS: Self = Self(10);
    pub(crate) const EC_POINT_FORMATS: Self = Self(11);
    pub(crate) const SIGNATURE_ALGORITHMS: Self = Self(13);
    pub(crate) const USE_SRTP: Self = Self(14);
    pub(crate) const PADDING: Self = Self(21);
    pub(crate) const EXTENDED_MASTER_SECRET: Self = Self(23);
    pub(crate) const RECORD_SIZE_LIMIT: Self = Self(28);
    pub(crate) const PRE_SHARED_KEY: Self = Self(41);
    pub(crate) const EARLY_DATA: Self = Self(42);
    pub(crate) const SUPPORTED_VERSIONS: Self = Self(43);
    pub(crate) const COOKIE: Self = Self(44);
    pub(crate) const KEY_SHARE: Self = Self(51);
    pub(crate) const CONNECTION_ID: Self = Self(54);
    pub(crate) const RENEGOTIATION_INFO: Self = Self(0xff01);
}

/// `use_srtp` (RFC 5764 §4.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UseSrtp {
    pub(crate) profiles: Vec<u16>,
    pub(crate) mki: Vec<u8>,
}

/// An entry of `key_share` (RFC 8446 §4.2.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyShare {
    pub(crate) group: u16,
    /// Empty in a HelloRetryRequest.
    pub(crate) value: Vec<u8>,
}

/// Who sends a message: some extensions have another form in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
    /// The server, in a HelloRetryRequest.
    Retry,
}

/// The extensions of a message that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extensions {
    /// `server_name` (RFC 6066 §3), as a client writes it; it is not read.
    pub(crate) server_name: Option<String>,
    /// `supported_versions` (RFC 8446 §4.2.1); of a server the one chosen.
    pub(crate) supported_versions: Option<Vec<u16>>,
    /// `supported_groups` (RFC 8422 §5.1.1, RFC 8446 §4.2.7).
    pub(crate) groups: Option<Vec<u16>>,
    /// `key_share` (RFC 8446 §4.2.8); of a server one entry.
    pub(crate) key_shares: Option<Vec<KeyShare>>,
    /// `cookie` (RFC 8446 §4.2.2).
    pub(crate) cookie: Option<Vec<u8>>,
    /// `ec_point_formats` (RFC 8422 §5.1.2).
    pub(crate) point_formats: Option<Vec<u8>>,
    /// `signature_algorithms` (RFC 5246 §7.4.1.4.1, RFC 8446 §4.2.3).
    pub(crate) signature_schemes: Option<Vec<u16>>,
    pub(crate) use_srtp: Option<UseSrtp>,
    /// `extended_master_secret` (RFC 7627 §5.1).
    pub(crate) extended_master_secret: bool,
    /// `record_size_limit` (RFC 8449 §4).
    pub(crate) record_size_limit: Option<u16>,
    /// `connection_id` (RFC 9146 §3).
    pub(crate) connection_id: Option<Vec<u8>>,
    /// `renegotiation_info` (RFC 5746 §3.2).
    pub(crate) renegotiation_info: Option<Vec<u8>>,
    /// The types of all that were read, in order.
    pub(crate) types: Vec<ExtensionType>,
}

impl Extensions {
    /// Reads what follows the compression methods: nothing, or a vector of extensions, none twice.
    pub(crate) fn parse(reader: &mut Reader<'_>, sender: Sender) -> Result<Self, ParseError> {
        let mut extensions = Self::default();
        if reader.is_empty() {
            return Ok(extensions);
        }
        let mut list = reader.vec16()?;
        while !list.is_empty() {
            let extension_type = ExtensionType(list.u16()?);
            extensions.types.push(extension_type);
            extensions.parse_one(extension_type, sender, list.vec16()?)?;
        }
        let mut types = extensions.types.clone();
        types.sort_unstable();
        types.dedup();
        if types.len() == extensions.types.len() { Ok(extensions) } else { Err(ParseError::Value) }
    }

    /// Whether only extensions of `allowed` were read.
    pub(crate) fn are_among(&self, allowed: &[ExtensionType]) -> bool {
        self.types.iter().all(|extension_type| allowed.contains(extension_type))
    }

    fn parse_one(
        &mut self,
        extension_type: ExtensionType,
        sender: Sender,
        mut body: Reader<'_>,
    ) -> Result<(), ParseError> {
        match extension_type {
            ExtensionType::SUPPORTED_VERSIONS if sender == Sender::Client => {
                self.supported_versions = Some(u16s(body.vec8()?)?);
            }
            ExtensionType::SUPPORTED_VERSIONS => self.supported_versions = Some(vec![body.u16()?]),
            ExtensionType::SUPPORTED_GROUPS => self.groups = Some(u16s(body.vec16()?)?),
            ExtensionType::KEY_SHARE => self.key_shares = Some(key_shares(sender, &mut body)?),
            ExtensionType::COOKIE => self.cookie = Some(not_empty(body.vec16()?.rest())?),
            ExtensionType::EC_POINT_FORMATS => self.point_formats = Some(not_empty(body.vec8()?.rest())?),
            ExtensionType::SIGNATURE_ALGORITHMS => self.signature_schemes = Some(u16s(body.vec16()?)?),
            ExtensionType::USE_SRTP => {
                let profiles = u16s(body.vec16()?)?;
                self.use_srtp = Some(UseSrtp { profiles, mki: body.vec8()?.rest().to_vec() });
            }
            ExtensionType::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            ExtensionType::RECORD_SIZE_LIMIT => self.record_size_limit = Some(body.u16()?),
            ExtensionType::CONNECTION_ID => self.connection_id = Some(body.vec8()?.rest().to_vec()),
            ExtensionType::RENEGOTIATION_INFO => {
                self.renegotiation_info = Some(body.vec8()?.rest().to_vec());
            }
            _ => {
                body.rest();
            }
        }
        body.finish()
    }

    pub(crate) fn write(&self, sender: Sender, writer: &mut Writer<'_>) {
        writer.vec16(|w| {
            if let Some(name) = &self.server_name {
                // A list of one name, of the type host_name.
                write_one(w, ExtensionType::SERVER_NAME, |w| {
                    w.vec16(|w| {
                        w.u8(0);
                        w.vec16(|w| w.bytes(name.as_bytes()));
                    });
                });
            }
            if let Some(groups) = &self.groups {
                write_one(w, ExtensionType::SUPPORTED_GROUPS, |w| write_u16s(w, groups));
            }
            if let Some(formats) = &self.point_formats {
                write_one(w, ExtensionType::EC_POINT_FORMATS, |w| w.vec8(|w| w.bytes(formats)));
            }
            if let Some(schemes) = &self.signature_schemes {
                write_one(w, ExtensionType::SIGNATURE_ALGORITHMS, |w| write_u16s(w, schemes));
            }
            if let Some(srtp) = &self.use_srtp {
                write_one(w, ExtensionType::USE_SRTP, |w| {
                    write_u16s(w, &srtp.profiles);
                    w.vec8(|w| w.bytes(&srtp.mki));
                });
            }
            if self.extended_master_secret {
                write_one(w, ExtensionType::EXTENDED_MASTER_SECRET, |_| {});
            }
            if let Some(limit) = self.record_size_limit {
                write_one(w, ExtensionType::RECORD_SIZE_LIMIT, |w| w.u16(limit));
            }
            if let Some(id) = &self.connection_id {
                write_one(w, ExtensionType::CONNECTION_ID, |w| w.vec8(|w| w.bytes(id)));
            }
            if let Some(versions) = &self.supported_versions {
                write_one(w, ExtensionType::SUPPORTED_VERSIONS, |w| match sender {
                    Sender::Client => w.vec8(|w| versions.iter().for_each(|version| w.u16(*version))),
                    _ => versions.iter().for_each(|version| w.u16(*version)),
                });
            }
            if let Some(cookie) = &self.cookie {
                write_one(w, ExtensionType::COOKIE, |w| w.vec16(|w| w.bytes(cookie)));
            }
            if let Some(info) = &self.renegotiation_info {
                write_one(w, ExtensionType::RENEGOTIATION_INFO, |w| w.vec8(|w| w.bytes(info)));
            }
            if let Some(shares) = &self.key_shares {
                write_one(w, ExtensionType::KEY_SHARE, |w| write_key_shares(w, sender, shares));
            }
        });
    }
}

fn not_empty(bytes: &[u8]) -> Result<Vec<u8>, ParseError> {
    if bytes.is_empty() { Err(ParseError::Length) } else { Ok(bytes.to_vec()) }
}

fn key_shares(sender: Sender, body: &mut Reader<'_>) -> Result<Vec<KeyShare>, ParseError> {
    let share = |reader: &mut Reader<'_>| {
        Ok(KeyShare { group: reader.u16()?, value: not_empty(reader.vec16()?.rest())? })
    };
    match sender {
        Sender::Client => {
            let (mut list, mut shares) = (body.vec16()?, Vec::new());
            while !list.is_empty() {
                shares.push(share(&mut list)?);
            }
            Ok(shares)
        }
        Sender::Server => Ok(vec![share(body)?]),
        Sender::Retry => Ok(vec![KeyShare { group: body.u16()?, value: Vec::new() }]),
    }
}

fn write_key_shares(writer: &mut Writer<'_>, sender: Sender, shares: &[KeyShare]) {
    let write = |w: &mut Writer<'_>| {
        for share in shares {
            w.u16(share.group);
            if sender != Sender::Retry {
                w.vec16(|w| w.bytes(&share.value));
            }
        }
    };
    if sender == Sender::Client { writer.vec16(write) } else { write(writer) }
}

fn write_one(writer: &mut Writer<'_>, extension_type: ExtensionType, body: impl FnOnce(&mut Writer<'_>)) {
    writer.u16(extension_type.0);
    writer.vec16(body);
}
