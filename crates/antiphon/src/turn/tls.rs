//! TLS and DTLS to TURN servers, and of our own.

use std::io;
use std::sync::Arc;

use antiphon_crypto::{Certificate, Provider};
use antiphon_dtls::ChainVerifier;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Whom a `turns:` server's certificate has to come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsRoots {
    /// Those that the system trusts.
    #[default]
    System,
    /// The certificates in this PEM text, and no others.
    Pem(String),
}

/// Certificates or keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM text has no certificate or no key, or one that cannot be read.
    #[error("no usable certificate or key in the PEM text")]
    Pem,
    /// The system has no roots.
    #[error("the system trusts nobody")]
    NoRoots,
    /// The key is of a kind that TLS signs with and DTLS does not.
    #[error("the key does not serve for DTLS")]
    NotForDtls,
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error(transparent)]
    Rustls(#[from] tokio_rustls::rustls::Error),
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl TlsRoots {
    /// How clients speak TLS that trust these roots.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.store()?)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// How clients speak DTLS that trust these roots, to the server of this name: its certificate is verified as with TLS.
    pub(crate) fn dtls_client(&self, name: ServerName<'static>) -> Result<antiphon_dtls::Config, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.store()?), provider)
            .build()
            .map_err(|_| TlsError::NoRoots)?;
        let told = match &name {
            ServerName::DnsName(name) => Some(name.as_ref().trim_end_matches('.').to_owned()),
            _ => None,
        };
        let verifier = ChainVerifier::new(move |chain| {
            let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
            let Some((own, others)) = chain.split_first() else { return false };
            let verified = verifier.verify_server_cert(own, others, &name, &[], UnixTime::now());
            if let Err(error) = &verified {
                tracing::debug!(?name, %error, "certificate of a TURN server refused");
            }
            verified.is_ok()
        });
        Ok(antiphon_dtls::Config::for_client(Provider::default(), told, verifier))
    }

    fn store(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match self {
            TlsRoots::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            TlsRoots::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    roots.add(certificate.map_err(|_| TlsError::Pem)?)?;
                }
            }
        }
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(roots)
    }
}

/// The certificate chain and the key of a server.
#[derive(Clone)]
pub struct TlsIdentity {
    pub(crate) tls: Arc<ServerConfig>,
    /// `None` where the key is of a kind that our DTLS does not sign with.
    pub(crate) dtls: Option<Arc<Certificate>>,
}

impl TlsIdentity {
    /// Reads both from PEM text.
    ///
    /// # Errors
    /// Where they are missing, malformed, or do not go together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.map_err(|_| TlsError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsError::Pem)?;
        let ders = chain.iter().map(|certificate| certificate.to_vec()).collect();
        let dtls = Certificate::from_der(Provider::default(), ders, key.secret_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { tls: Arc::new(tls), dtls: dtls.ok().map(Arc::new) })
    }
}

/// Does not print the key.
impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity")
    }
}
