//! Code points of the IANA registries, and what they stand for here.

use antiphon_crypto::{AeadAlgorithm, Group, HashAlgorithm, KeyKind, SignatureScheme};

/// DTLS 1.0; stands in the header of the first records and in HelloVerifyRequest.
pub(crate) const DTLS_1_0: u16 = 0xfeff;

/// DTLS 1.2.
pub(crate) const DTLS_1_2: u16 = 0xfefd;

/// DTLS 1.3.
pub(crate) const DTLS_1_3: u16 = 0xfefc;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// DTLS 1.3 (RFC 9147).
    Dtls13,
    /// DTLS 1.2 (RFC 6347).
    Dtls12,
}

impl Version {
    /// All versions, the best first.
    pub const ALL: [Version; 2] = [Version::Dtls13, Version::Dtls12];

    pub(crate) fn code(self) -> u16 {
        match self {
            Version::Dtls13 => DTLS_1_3,
            Version::Dtls12 => DTLS_1_2,
        }
    }
}

/// How the server proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    Ecdsa,
    Rsa,
    /// The suite leaves it open, as all of 1.3 do.
    Any,
}

impl Authentication {
    pub(crate) fn suits(self, kind: KeyKind) -> bool {
        match self {
            Authentication::Ecdsa => matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384),
            Authentication::Rsa => kind == KeyKind::Rsa,
            Authentication::Any => true,
        }
    }
}

/// A cipher suite: of DTLS 1.3 (RFC 8446 §B.4), or of 1.2 with ephemeral elliptic-curve key exchange and AEAD (RFC 5289,
/// RFC 7905).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// TLS_AES_128_GCM_SHA256, of 1.3.
    Aes128Gcm,
    /// TLS_AES_256_GCM_SHA384, of 1.3.
    Aes256Gcm,
    /// TLS_CHACHA20_POLY1305_SHA256, of 1.3.
    ChaCha20,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
    EcdheEcdsaAes128Gcm,
    /// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
    EcdheRsaAes128Gcm,
    /// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384.
    EcdheEcdsaAes256Gcm,
    /// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384.
    EcdheRsaAes256Gcm,
    /// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256.
    EcdheEcdsaChaCha20,
    /// TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256.
    EcdheRsaChaCha20,
}

impl CipherSuite {
    /// All suites in order of preference: AES-128-GCM is the cheapest where the processor has AES.
    pub const ALL: [CipherSuite; 9] = [
        CipherSuite::Aes128Gcm,
        CipherSuite::Aes256Gcm,
        CipherSuite::ChaCha20,
        CipherSuite::EcdheEcdsaAes128Gcm,
        CipherSuite::EcdheRsaAes128Gcm,
        CipherSuite::EcdheEcdsaAes256Gcm,
        CipherSuite::EcdheRsaAes256Gcm,
        CipherSuite::EcdheEcdsaChaCha20,
        CipherSuite::EcdheRsaChaCha20,
    ];

    /// The version it belongs to.
    pub fn version(self) -> Version {
        match self.authentication() {
            Authentication::Any => Version::Dtls13,
            Authentication::Ecdsa | Authentication::Rsa => Version::Dtls12,
        }
    }

    /// Its registered number.
    pub fn code(self) -> u16 {
        match self {
            CipherSuite::Aes128Gcm => 0x1301,
            CipherSuite::Aes256Gcm => 0x1302,
            CipherSuite::ChaCha20 => 0x1303,
            CipherSuite::EcdheEcdsaAes128Gcm => 0xc02b,
            CipherSuite::EcdheRsaAes128Gcm => 0xc02f,
            CipherSuite::EcdheEcdsaAes256Gcm => 0xc02c,
            CipherSuite::EcdheRsaAes256Gcm => 0xc030,
            CipherSuite::EcdheEcdsaChaCha20 => 0xcca9,
            CipherSuite::EcdheRsaChaCha20 => 0xcca8,
        }
    }

    pub(crate) fn authentication(self) -> Authentication {
        match self {
            CipherSuite::Aes128Gcm | CipherSuite::Aes256Gcm | CipherSuite::ChaCha20 => Authentication::Any,
            CipherSuite::EcdheEcdsaAes128Gcm
            | CipherSuite::EcdheEcdsaAes256Gcm
            | CipherSuite::EcdheEcdsaChaCha20 => Authentication::Ecdsa,
            CipherSuite::EcdheRsaAes128Gcm
            | CipherSuite::EcdheRsaAes256Gcm
            | CipherSuite::EcdheRsaChaCha20 => Authentication::Rsa,
        }
    }

    pub(crate) fn aead(self) -> AeadAlgorithm {
        match self {
            CipherSuite::Aes128Gcm | CipherSuite::EcdheEcdsaAes128Gcm | CipherSuite::EcdheRsaAes128Gcm => {
                AeadAlgorithm::Aes128Gcm
            }
            CipherSuite::Aes256Gcm | CipherSuite::EcdheEcdsaAes256Gcm | CipherSuite::EcdheRsaAes256Gcm => {
                AeadAlgorithm::Aes256Gcm
            }
            CipherSuite::ChaCha20 | CipherSuite::EcdheEcdsaChaCha20 | CipherSuite::EcdheRsaChaCha20 => {
                AeadAlgorithm::ChaCha20Poly1305
            }
        }
    }

    /// The hash of the key schedule and of the transcript.
    pub(crate) fn hash(self) -> HashAlgorithm {
        match self.aead() {
            AeadAlgorithm::Aes256Gcm => HashAlgorithm::Sha384,
            AeadAlgorithm::Aes128Gcm | AeadAlgorithm::ChaCha20Poly1305 => HashAlgorithm::Sha256,
        }
    }
}

/// An SRTP protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// SRTP_AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM.
    AeadAes256Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80.
    Aes128CmHmacSha1_80,
    /// SRTP_AES128_CM_HMAC_SHA1_32.
    Aes128CmHmacSha1_32,
}

impl SrtpProfile {
    pub(crate) fn code(self) -> u16 {
        match self {
            SrtpProfile::Aes128CmHmacSha1_80 => 1,
            SrtpProfile::Aes128CmHmacSha1_32 => 2,
            SrtpProfile::AeadAes128Gcm => 7,
            SrtpProfile::AeadAes256Gcm => 8,
        }
    }
}

pub(crate) fn group_code(group: Group) -> u16 {
    match group {
        Group::P256 => 23,
        Group::P384 => 24,
        Group::X25519 => 29,
        Group::P256MlKem768 => 0x11eb,
        Group::X25519MlKem768 => 0x11ec,
    }
}

pub(crate) fn scheme_code(scheme: SignatureScheme) -> u16 {
    use HashAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    let hash = match scheme {
        SignatureScheme::Ecdsa(hash) | SignatureScheme::RsaPkcs1(hash) | SignatureScheme::RsaPss(hash) => {
            match hash {
                Sha1 => 2,
                Sha256 => 4,
                Sha384 => 5,
                Sha512 => 6,
            }
        }
    };
    match scheme {
        SignatureScheme::Ecdsa(_) => hash << 8 | 3,
        SignatureScheme::RsaPkcs1(_) => hash << 8 | 1,
        SignatureScheme::RsaPss(_) => 0x0800 | hash,
    }
}

pub(crate) fn scheme_of_code(code: u16) -> Option<SignatureScheme> {
    SignatureScheme::ALL.into_iter().find(|scheme| scheme_code(*scheme) == code)
}

/// Whether 1.3 lets a key of `kind` sign its handshake with `scheme`: each curve has its hash, and PKCS#1 v1.5 serves in
/// certificates alone (RFC 8446 §4.2.3).
pub(crate) fn signs_in_1_3(scheme: SignatureScheme, kind: KeyKind) -> bool {
    match scheme {
        SignatureScheme::Ecdsa(HashAlgorithm::Sha256) => kind == KeyKind::EcdsaP256,
        SignatureScheme::Ecdsa(HashAlgorithm::Sha384) => kind == KeyKind::EcdsaP384,
        SignatureScheme::RsaPss(_) => kind == KeyKind::Rsa,
        SignatureScheme::Ecdsa(_) | SignatureScheme::RsaPkcs1(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_have_the_registered_codes() {
        let codes = SignatureScheme::ALL.map(scheme_code);
        assert_eq!(codes, [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        assert!(
            SignatureScheme::ALL
                .into_iter()
                .all(|scheme| scheme_of_code(scheme_code(scheme)) == Some(scheme))
        );
        assert_eq!(scheme_of_code(0x0a0a), None);
    }
}
