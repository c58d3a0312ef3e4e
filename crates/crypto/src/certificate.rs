//! Our own certificate and the certificate of a peer.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyIdMethod, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::signature::{PrivateKeyDer, Signer};
use crate::{Fingerprint, HashAlgorithm, KeyKind, Provider, PublicKey, SignatureScheme};

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The text is not PEM.
    #[error("malformed pem")]
    Pem,
    /// There is no certificate.
    #[error("no certificate")]
    NoCertificate,
    /// There is no private key.
    #[error("no private key")]
    NoKey,
    /// The bytes are no X.509 certificate in DER.
    #[error("malformed certificate")]
    Malformed,
    /// The key is malformed or of a kind that the provider does not support.
    #[error("unsupported key")]
    UnsupportedKey,
    /// The private key is not the one that belongs to the certificate.
    #[error("key and certificate do not belong together")]
    Mismatch,
    /// The provider failed to make a key.
    #[error("key generation failed")]
    Generation,
}

/// A certificate of ours, with its private key.
pub struct Certificate {
    provider: Provider,
    chain: Vec<Vec<u8>>,
    signer: Box<dyn Signer>,
}

impl Certificate {
    /// A self-signed certificate with a fresh ECDSA P-256 key, naming nobody, for peers that compare fingerprints; it
    /// does not expire.
    ///
    /// # Errors
    /// [`CertificateError::Generation`] where the provider fails.
    pub fn generate(provider: Provider) -> Result<Self, CertificateError> {
        let signer = provider.backend().generate_signer().ok_or(CertificateError::Generation)?;
        let seed = provider.random_seed();
        // RFC 5280 §4.1.2.2: the serial number is positive and has at most 20 bytes.
        let mut serial = seed.get(..16).unwrap_or_default().to_vec();
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "WebRTC");
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_identifier_method = KeyIdMethod::PreSpecified(serial);
        let certificate =
            params.self_signed(&SelfSigner(&*signer)).map_err(|_| CertificateError::Generation)?;
        Ok(Self { provider, chain: vec![certificate.der().to_vec()], signer })
    }

    /// A certificate (with the certificates that vouch for it behind it, if any) and its private key (PKCS#8, SEC1 or
    /// PKCS#1) from one PEM text.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(provider: Provider, pem: &str) -> Result<Self, CertificateError> {
        let (mut chain, mut key) = (Vec::new(), None);
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            let (kind, der) = section.map_err(|_| CertificateError::Pem)?;
            match kind {
                SectionKind::Certificate => chain.push(der),
                SectionKind::PrivateKey | SectionKind::EcPrivateKey | SectionKind::RsaPrivateKey => {
                    key = Some(der)
                }
                _ => {}
            }
        }
        Self::from_der(provider, chain, &key.ok_or(CertificateError::NoKey)?)
    }

    /// A certificate, first in `chain`, and its private key (PKCS#8, SEC1 or PKCS#1) in DER.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_der(provider: Provider, chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        let leaf = PeerCertificate::parse(leaf).map_err(|error| match error {
            PeerCertificateError::Malformed => CertificateError::Malformed,
            PeerCertificateError::UnsupportedKey => CertificateError::UnsupportedKey,
        })?;
        let signer =
            load_signer(provider, leaf.public_key().kind(), key).ok_or(CertificateError::UnsupportedKey)?;
        if signer.public_key() == leaf.public_key().as_bytes() {
            Ok(Self { provider, chain, signer })
        } else {
            Err(CertificateError::Mismatch)
        }
    }

    /// The fingerprint of the certificate.
    ///
    /// With [`HashAlgorithm::Sha1`], which is too weak for this, it is the one of SHA-256.
    pub fn fingerprint(&self, algorithm: HashAlgorithm) -> Fingerprint {
        fingerprint(self.provider, self.der(), algorithm)
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// The certificate and behind it those that vouch for it, in DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The kind of its key.
    pub fn key_kind(&self) -> KeyKind {
        self.signer.kind()
    }

    /// Signs `message`, or gives `None` where the key does not sign with `scheme`.
    pub fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.sign(scheme, message)
    }

    /// The schemes its key signs with, in order of preference.
    pub fn signature_schemes(&self) -> &'static [SignatureScheme] {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureScheme::{Ecdsa, RsaPkcs1, RsaPss};
        match self.key_kind() {
            KeyKind::EcdsaP256 => &[Ecdsa(Sha256)],
            KeyKind::EcdsaP384 => &[Ecdsa(Sha384)],
            KeyKind::Rsa => &[
                RsaPss(Sha256),
                RsaPkcs1(Sha256),
                RsaPss(Sha384),
                RsaPkcs1(Sha384),
                RsaPss(Sha512),
                RsaPkcs1(Sha512),
            ],
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.fingerprint(HashAlgorithm::Sha256)).finish()
    }
}

/// Why bytes cannot serve as the certificate of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerCertificateError {
    /// They are no X.509 certificate in DER.
    #[error("malformed certificate")]
    Malformed,
    /// The key is of a kind that is not supported.
    #[error("unsupported key")]
    UnsupportedKey,
}

/// The certificate of a peer: its bytes, whose fingerprint is compared, and its key, which proves possession.
///
/// Names, dates and the issuer's signature play no part: the fingerprint says which certificate it has to be.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    der: Vec<u8>,
    key: PublicKey,
}

impl PeerCertificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// See [`PeerCertificateError`].
    pub fn parse(der: &[u8]) -> Result<Self, PeerCertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| PeerCertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(PeerCertificateError::Malformed);
        }
        let key =
            PublicKey::from_info(certificate.public_key()).ok_or(PeerCertificateError::UnsupportedKey)?;
        Ok(Self { der: der.to_vec(), key })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Its fingerprint; with [`HashAlgorithm::Sha1`], which is too weak for this, the one of SHA-256.
    pub fn fingerprint(&self, provider: Provider, algorithm: HashAlgorithm) -> Fingerprint {
        fingerprint(provider, &self.der, algorithm)
    }
}

fn fingerprint(provider: Provider, der: &[u8], algorithm: HashAlgorithm) -> Fingerprint {
    let algorithm = match algorithm {
        HashAlgorithm::Sha1 => HashAlgorithm::Sha256,
        strong => strong,
    };
    Fingerprint::new(algorithm, provider.digest(algorithm, &[der]))
}

/// Loads a private key that is to fit a certificate with a key of `kind`, trying each form in which it may stand.
fn load_signer(provider: Provider, kind: KeyKind, key: &[u8]) -> Option<Box<dyn Signer>> {
    let load = |key: PrivateKeyDer<'_>| provider.backend().load_signer(kind, &key);
    load(PrivateKeyDer::Pkcs8(key)).or_else(|| match kind {
        KeyKind::Rsa => load(PrivateKeyDer::Pkcs1(key)),
        KeyKind::EcdsaP256 => load(PrivateKeyDer::Pkcs8(&sec1_as_pkcs8(&P256_ALGORITHM, key)?)),
        KeyKind::EcdsaP384 => load(PrivateKeyDer::Pkcs8(&sec1_as_pkcs8(&P384_ALGORITHM, key)?)),
    })
}

/// `AlgorithmIdentifier { id-ecPublicKey, prime256v1 }` (RFC 5480 §2.1.1).
const P256_ALGORITHM: [u8; 21] =
    [0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// `AlgorithmIdentifier { id-ecPublicKey, secp384r1 }` (RFC 5480 §2.1.1).
const P384_ALGORITHM: [u8; 18] =
    [0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];

/// Wraps an `ECPrivateKey` (RFC 5915) into a `PrivateKeyInfo`; `None` where it is longer than any such key.
///
/// The optional curve parameter inside, which PKCS#8 keys must not repeat for every backend, is cut out.
fn sec1_as_pkcs8(algorithm: &[u8], sec1: &[u8]) -> Option<Vec<u8>> {
    let stripped = der_sequence_without(0xa0, sec1)?;
    let mut body = vec![2, 1, 0];
    body.extend_from_slice(algorithm);
    body.extend(der(0x04, &stripped)?);
    der(0x30, &body)
}

/// The DER sequence `sequence` without its elements of tag `unwanted`; `None` where it is not one.
fn der_sequence_without(unwanted: u8, sequence: &[u8]) -> Option<Vec<u8>> {
    let (tag, mut rest, behind) = der_element(sequence)?;
    if tag != 0x30 || !behind.is_empty() {
        return None;
    }
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let (tag, content, behind) = der_element(rest)?;
        if tag != unwanted {
            kept.extend(der(tag, content)?);
        }
        rest = behind;
    }
    der(0x30, &kept)
}

/// Tag, content and what follows of a DER element whose content has less than 256 bytes.
fn der_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len, rest) = match *bytes {
        [tag, 0x81, len, ref rest @ ..] => (tag, len, rest),
        [tag, len @ ..=0x7f, ref rest @ ..] => (tag, len, rest),
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(len.into())?;
    Some((tag, content, behind))
}

fn der(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(content.len()).ok()?;
    let mut element = if len < 0x80 { vec![tag, len] } else { vec![tag, 0x81, len] };
    element.extend_from_slice(content);
    Some(element)
}

/// Lets rcgen sign with our key.
struct SelfSigner<'a>(&'a dyn Signer);

impl rcgen::PublicKeyData for SelfSigner<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SelfSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
        self.0.sign(scheme, message).ok_or(rcgen::Error::RemoteKeyError)
    }
}
