//! The runner's flags.

use std::str::FromStr;
use std::time::Duration;

use antiphon_crypto::Group;
use antiphon_dtls::{SrtpProfile, Version};

use crate::Failure;

/// What the runner wants.
#[derive(Debug)]
pub(crate) enum Request {
    /// To know whether there is a second program that takes a handshake over.
    Handshaker,
    /// A case to be run.
    Case(Box<Flags>),
}

/// How the peer proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Not at all: a server asks for no certificate, and a client takes any.
    None,
    /// It shows a certificate.
    Certificate,
    /// Whatever it shows is refused.
    Refused,
}

/// What an exporter is asked for.
#[derive(Debug, Default)]
pub(crate) struct Export {
    pub(crate) len: usize,
    pub(crate) label: String,
    pub(crate) context: String,
    pub(crate) has_context: bool,
}

/// What a case asks of us.
#[derive(Debug)]
pub(crate) struct Flags {
    pub(crate) port: u16,
    pub(crate) is_ipv6: bool,
    pub(crate) shim_id: u64,
    pub(crate) is_server: bool,
    is_dtls: bool,
    pub(crate) certificate_file: Option<String>,
    pub(crate) key_file: Option<String>,
    pub(crate) verification: Verification,
    min_version: u16,
    max_version: u16,
    excluded_versions: Vec<u16>,
    pub(crate) groups: Vec<Group>,
    pub(crate) srtp_profiles: Vec<SrtpProfile>,
    pub(crate) max_datagram_size: Option<usize>,
    pub(crate) max_message_size: Option<usize>,
    pub(crate) initial_timeout: Option<Duration>,
    pub(crate) writes_first: bool,
    pub(crate) shuts_down: bool,
    pub(crate) updates_keys_before_read: bool,
    pub(crate) export: Export,
    pub(crate) expected_version: Option<u16>,
    pub(crate) expected_group: Option<Group>,
    pub(crate) expects_no_certificate: bool,
}

impl Flags {
    fn new() -> Self {
        Self {
            port: 0,
            is_ipv6: false,
            shim_id: 0,
            is_server: false,
            is_dtls: false,
            certificate_file: None,
            key_file: None,
            verification: Verification::None,
            min_version: version_code(Version::Dtls12),
            max_version: version_code(Version::Dtls13),
            excluded_versions: Vec::new(),
            groups: Vec::new(),
            srtp_profiles: Vec::new(),
            max_datagram_size: None,
            max_message_size: None,
            initial_timeout: None,
            writes_first: false,
            shuts_down: false,
            updates_keys_before_read: false,
            export: Export::default(),
            expected_version: None,
            expected_group: None,
            expects_no_certificate: false,
        }
    }

    /// Reads the command line. What it does not know is not implemented.
    pub(crate) fn parse(arguments: &[String]) -> Result<Request, Failure> {
        if arguments.iter().any(|flag| flag == "-is-handshaker-supported") {
            return Ok(Request::Handshaker);
        }
        let mut flags = Self::new();
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if !flags.set(flag)? {
                let value =
                    rest.next().ok_or_else(|| Failure::failed(format_args!("{flag} has no value")))?;
                flags.set_value(flag, value)?;
            }
        }
        if !flags.is_dtls {
            return Err(Failure::Unimplemented("TLS and QUIC".into()));
        }
        Ok(Request::Case(Box::new(flags)))
    }

    /// Sets what `flag` says; gives false where it has a value.
    fn set(&mut self, flag: &str) -> Result<bool, Failure> {
        match flag {
            "-ipv6" => self.is_ipv6 = true,
            "-server" => self.is_server = true,
            "-dtls" => self.is_dtls = true,
            // A credential may be introduced by a flag of its own; more than one cannot be had.
            "-new-x509-credential" if self.certificate_file.is_none() => {}
            "-require-any-client-certificate" => self.require(Verification::Certificate),
            "-verify-fail" => self.require(Verification::Refused),
            "-no-tls13" => self.excluded_versions.push(version_code(Version::Dtls13)),
            "-no-tls12" => self.excluded_versions.push(version_code(Version::Dtls12)),
            "-shim-writes-first" => self.writes_first = true,
            "-shim-shuts-down" => self.shuts_down = true,
            "-key-update-before-read" => self.updates_keys_before_read = true,
            "-use-export-context" => self.export.has_context = true,
            "-expect-no-peer-cert" => self.expects_no_certificate = true,
            // 1.0 and 1.1 are never spoken, the extended master secret always is, and there are no sessions.
            "-no-tls11"
            | "-no-tls1"
            | "-expect-extended-master-secret"
            | "-no-ticket"
            | "-expect-no-session" => {}
            // How a caller goes about it makes no difference where nothing blocks and nothing calls back.
            "-async"
            | "-implicit-handshake"
            | "-use-old-client-cert-callback"
            | "-use-custom-verify-callback" => {}
            // Certificates are verified by -verify-fail and -require-any-client-certificate alone.
            "-verify-peer" => {}
            "-port"
            | "-shim-id"
            | "-cert-file"
            | "-key-file"
            | "-trust-cert"
            | "-min-version"
            | "-max-version"
            | "-expect-version"
            | "-curves"
            | "-expect-curve-id"
            | "-srtp-profiles"
            | "-mtu"
            | "-max-cert-list"
            | "-initial-timeout-duration-ms"
            | "-export-keying-material"
            | "-export-label"
            | "-export-context" => {
                return Ok(false);
            }
            unknown => return Err(Failure::Unimplemented(unknown.into())),
        }
        Ok(true)
    }

    fn set_value(&mut self, flag: &str, value: &str) -> Result<(), Failure> {
        match flag {
            "-port" => self.port = number(flag, value)?,
            "-shim-id" => self.shim_id = number(flag, value)?,
            "-cert-file" => self.certificate_file = Some(value.into()),
            "-key-file" => self.key_file = Some(value.into()),
            "-min-version" => self.min_version = number(flag, value)?,
            "-max-version" => self.max_version = number(flag, value)?,
            "-expect-version" => self.expected_version = Some(number(flag, value)?),
            "-curves" => self.groups.push(group(number(flag, value)?)?),
            "-expect-curve-id" => self.expected_group = Some(group(number(flag, value)?)?),
            "-srtp-profiles" => {
                self.srtp_profiles = value.split(':').map(srtp_profile).collect::<Result<_, _>>()?
            }
            "-mtu" => self.max_datagram_size = Some(number(flag, value)?),
            "-max-cert-list" => self.max_message_size = Some(number(flag, value)?),
            "-initial-timeout-duration-ms" => {
                self.initial_timeout = Some(Duration::from_millis(number(flag, value)?));
            }
            "-export-keying-material" => self.export.len = number(flag, value)?,
            "-export-label" => self.export.label = value.into(),
            "-export-context" => self.export.context = value.into(),
            // Fingerprints are compared; who vouches for a certificate does not matter.
            "-trust-cert" => {}
            unknown => return Err(Failure::Unimplemented(unknown.into())),
        }
        Ok(())
    }

    /// Of two demands on the peer's certificate the stricter counts.
    fn require(&mut self, verification: Verification) {
        if self.verification != Verification::Refused {
            self.verification = verification;
        }
    }

    /// The versions left by the flags that bound and exclude them.
    pub(crate) fn versions(&self) -> Vec<Version> {
        // Versions of DTLS count downwards.
        let is_wanted = |code| code <= self.min_version && code >= self.max_version;
        let is_left = |version: &Version| {
            is_wanted(version_code(*version)) && !self.excluded_versions.contains(&version_code(*version))
        };
        Version::ALL.into_iter().filter(is_left).collect()
    }
}

/// The number of a version on the wire.
pub(crate) fn version_code(version: Version) -> u16 {
    match version {
        Version::Dtls13 => 0xfefc,
        Version::Dtls12 => 0xfefd,
    }
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| Failure::failed(format_args!("{flag} {value}: no such number")))
}

fn group(code: u16) -> Result<Group, Failure> {
    match code {
        23 => Ok(Group::P256),
        24 => Ok(Group::P384),
        29 => Ok(Group::X25519),
        0x11eb => Ok(Group::P256MlKem768),
        0x11ec => Ok(Group::X25519MlKem768),
        _ => Err(Failure::Unimplemented(format!("group {code}"))),
    }
}

fn srtp_profile(name: &str) -> Result<SrtpProfile, Failure> {
    match name {
        "SRTP_AES128_CM_SHA1_80" => Ok(SrtpProfile::Aes128CmHmacSha1_80),
        "SRTP_AES128_CM_SHA1_32" => Ok(SrtpProfile::Aes128CmHmacSha1_32),
        "SRTP_AEAD_AES_128_GCM" => Ok(SrtpProfile::AeadAes128Gcm),
        "SRTP_AEAD_AES_256_GCM" => Ok(SrtpProfile::AeadAes256Gcm),
        _ => Err(Failure::Unimplemented(format!("SRTP profile {name}"))),
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, Failure> {
        Flags::parse(&line.split(' ').map(ToString::to_string).collect::<Vec<_>>())
    }

    fn case(line: &str) -> Flags {
        match parse(line) {
            Ok(Request::Case(flags)) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_of_a_case_are_read() {
        let flags = case(
            "-port 4000 -shim-id 7 -ipv6 -server -dtls -cert-file c -key-file k -curves 4588 -curves 29",
        );
        assert_eq!((flags.port, flags.shim_id, flags.is_ipv6, flags.is_server), (4000, 7, true, true));
        assert_eq!((flags.certificate_file.as_deref(), flags.key_file.as_deref()), (Some("c"), Some("k")));
        assert_eq!(flags.groups, [Group::X25519MlKem768, Group::X25519]);
        assert_eq!(flags.versions(), Version::ALL);
    }

    #[test]
    fn versions_are_bounded_and_excluded() {
        assert_eq!(case("-dtls -no-tls13").versions(), [Version::Dtls12]);
        assert_eq!(case("-dtls -min-version 65276").versions(), [Version::Dtls13]);
        assert_eq!(case("-dtls -max-version 65277").versions(), [Version::Dtls12]);
        assert_eq!(case("-dtls -max-version 65279").versions(), []);
        assert_eq!(case("-dtls -no-tls13 -no-tls12 -no-tls1").versions(), []);
    }

    #[test]
    fn a_refused_certificate_stays_refused() {
        for line in [
            "-dtls -verify-fail -require-any-client-certificate",
            "-dtls -require-any-client-certificate -verify-fail",
        ] {
            assert_eq!(case(line).verification, Verification::Refused);
        }
    }

    #[test]
    fn what_is_unknown_is_not_implemented() {
        for line in
            ["-dtls -resume-count 1", "-port 1 -shim-id 2", "-dtls -curves 25", "-dtls -new-psk-credential"]
        {
            assert!(matches!(parse(line), Err(Failure::Unimplemented(_))), "{line}");
        }
        for line in ["-dtls -port", "-dtls -port many", "-dtls -mtu -1"] {
            assert!(matches!(parse(line), Err(Failure::Failed(_))), "{line}");
        }
    }
}
