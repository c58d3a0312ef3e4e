//! Extensions of hellos (RFC 5246 §7.4.1.4); those that play no part here are passed over.

use antiphon_util::{ParseError, Reader, Writer};

use super::{u16s, write_u16s};

const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const USE_SRTP: u16 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;
const SUPPORTED_VERSIONS: u16 = 43;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// `use_srtp` (RFC 5764 §4.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UseSrtp {
    pub(crate) profiles: Vec<u16>,
    pub(crate) mki: Vec<u8>,
}

/// The extensions of a hello that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extensions {
    /// `supported_versions` of a ClientHello (RFC 8446 §4.2.1).
    pub(crate) supported_versions: Option<Vec<u16>>,
    /// `supported_groups` (RFC 8422 §5.1.1).
    pub(crate) groups: Option<Vec<u16>>,
    /// `ec_point_formats` (RFC 8422 §5.1.2).
    pub(crate) point_formats: Option<Vec<u8>>,
    /// `signature_algorithms` (RFC 5246 §7.4.1.4.1).
    pub(crate) signature_schemes: Option<Vec<u16>>,
    pub(crate) use_srtp: Option<UseSrtp>,
    /// `extended_master_secret` (RFC 7627 §5.1).
    pub(crate) extended_master_secret: bool,
    /// `renegotiation_info` (RFC 5746 §3.2).
    pub(crate) renegotiation_info: Option<Vec<u8>>,
    /// The types of all others, in order.
    pub(crate) unknown: Vec<u16>,
}

impl Extensions {
    /// Reads what follows the compression methods: nothing, or a vector of extensions, none twice.
    ///
    /// In a ServerHello some would have another form, but all that we offer have the same in both.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let mut extensions = Self::default();
        if reader.is_empty() {
            return Ok(extensions);
        }
        let mut types = Vec::new();
        let mut list = reader.vec16()?;
        while !list.is_empty() {
            let extension_type = list.u16()?;
            types.push(extension_type);
            extensions.parse_one(extension_type, list.vec16()?)?;
        }
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        if types.len() == count { Ok(extensions) } else { Err(ParseError::Value) }
    }

    fn parse_one(&mut self, extension_type: u16, mut body: Reader<'_>) -> Result<(), ParseError> {
        match extension_type {
            SUPPORTED_VERSIONS => self.supported_versions = Some(u16s(body.vec8()?)?),
            SUPPORTED_GROUPS => self.groups = Some(u16s(body.vec16()?)?),
            EC_POINT_FORMATS => self.point_formats = Some(body.vec8()?.rest().to_vec()),
            SIGNATURE_ALGORITHMS => self.signature_schemes = Some(u16s(body.vec16()?)?),
            USE_SRTP => {
                let profiles = u16s(body.vec16()?)?;
                self.use_srtp = Some(UseSrtp { profiles, mki: body.vec8()?.rest().to_vec() });
            }
            EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            RENEGOTIATION_INFO => self.renegotiation_info = Some(body.vec8()?.rest().to_vec()),
            other => {
                self.unknown.push(other);
                body.rest();
            }
        }
        body.finish()
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.vec16(|w| {
            if let Some(groups) = &self.groups {
                write_one(w, SUPPORTED_GROUPS, |w| write_u16s(w, groups));
            }
            if let Some(formats) = &self.point_formats {
                write_one(w, EC_POINT_FORMATS, |w| w.vec8(|w| w.bytes(formats)));
            }
            if let Some(schemes) = &self.signature_schemes {
                write_one(w, SIGNATURE_ALGORITHMS, |w| write_u16s(w, schemes));
            }
            if let Some(srtp) = &self.use_srtp {
                write_one(w, USE_SRTP, |w| {
                    write_u16s(w, &srtp.profiles);
                    w.vec8(|w| w.bytes(&srtp.mki));
                });
            }
            if self.extended_master_secret {
                write_one(w, EXTENDED_MASTER_SECRET, |_| {});
            }
            if let Some(versions) = &self.supported_versions {
                write_one(w, SUPPORTED_VERSIONS, |w| {
                    w.vec8(|w| versions.iter().for_each(|version| w.u16(*version)))
                });
            }
            if let Some(info) = &self.renegotiation_info {
                write_one(w, RENEGOTIATION_INFO, |w| w.vec8(|w| w.bytes(info)));
            }
        });
    }
}

fn write_one(writer: &mut Writer<'_>, extension_type: u16, body: impl FnOnce(&mut Writer<'_>)) {
    writer.u16(extension_type);
    writer.vec16(body);
}
