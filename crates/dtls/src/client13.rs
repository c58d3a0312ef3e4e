//! The client of DTLS 1.3 behind the ServerHello (RFC 8446 §2, RFC 9147 §5).
//!
//! ```text
//!                     <--  ServerHello, EncryptedExtensions, CertificateRequest, Certificate, CertificateVerify, Finished
//!  Certificate, CertificateVerify, Finished
//!                     -->
//!                     <--  ACK
//! ```

use antiphon_crypto::{Group, PeerCertificate, Secret};

use crate::client::Client;
use crate::connection::State;
use crate::core::Core;
use crate::flight::Repetition;
use crate::handshake13::{self, Progress, install_opener, install_sealer};
use crate::message::{CertificateRequest13, ExtensionType, Extensions, Kind, Message, Sender};
use crate::secrets::Side;
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, Version};

/// What the client awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Client13 {
    AwaitEncryptedExtensions(Box<AwaitEncryptedExtensions>),
    AwaitCertificate(Box<AwaitCertificate>),
    AwaitCertificateVerify(Box<AwaitCertificateVerify>),
    AwaitFinished(Box<AwaitFinished>),
}

impl Client13 {
    /// The hellos are exchanged.
    pub(crate) fn begin(
        core: &mut Core,
        suite: CipherSuite,
        client_random: [u8; 32],
        shared: (Group, &Secret),
        transcript: Transcript,
    ) -> Result<Self, HandshakeError> {
        // The ServerHello acknowledges our hello.
        core.flight.clear();
        let progress = Progress::begin(core, Side::Client, suite, client_random, shared, transcript)?;
        Ok(Client13::AwaitEncryptedExtensions(Box::new(AwaitEncryptedExtensions { progress })))
    }

    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Client13::AwaitEncryptedExtensions(state), Kind::ENCRYPTED_EXTENSIONS) => {
                state.encrypted_extensions(core, message)?
            }
            (Client13::AwaitCertificate(state), Kind::CERTIFICATE_REQUEST) => {
                state.certificate_request(message)?
            }
            (Client13::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Client13::AwaitCertificateVerify(state), Kind::CERTIFICATE_VERIFY) => {
                state.verify(core, message)?
            }
            (Client13::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Client(Client::Dtls13(next)))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitEncryptedExtensions {
    progress: Progress,
}

impl AwaitEncryptedExtensions {
    fn encrypted_extensions(self, core: &mut Core, message: &Message) -> Result<Client13, HandshakeError> {
        let Self { mut progress } = self;
        let extensions = message.read(|reader| Extensions::parse(reader, Sender::Server))?;
        check_encrypted_extensions(core, &extensions)?;
        core.apply_record_size_limit(Version::Dtls13, &extensions)?;
        progress.srtp_profile = core.chosen_srtp(&extensions)?;
        progress.transcript.add(message);
        Ok(Client13::AwaitCertificate(Box::new(AwaitCertificate { progress, requested: None })))
    }
}

/// RFC 8446 §4.2: what was not offered is unsolicited, and what was belongs into certain messages.
fn check_encrypted_extensions(core: &Core, extensions: &Extensions) -> Result<(), HandshakeError> {
    const ALLOWED: [ExtensionType; 4] = [
        ExtensionType::SERVER_NAME,
        ExtensionType::SUPPORTED_GROUPS,
        ExtensionType::USE_SRTP,
        ExtensionType::RECORD_SIZE_LIMIT,
    ];
    let is_1_2 = core.offers(Version::Dtls12);
    let is_offered = |extension_type: &ExtensionType| match *extension_type {
        ExtensionType::SUPPORTED_VERSIONS
        | ExtensionType::KEY_SHARE
        | ExtensionType::SIGNATURE_ALGORITHMS => true,
        ExtensionType::CONNECTION_ID => core.config.connection_id.is_some(),
        ExtensionType::EC_POINT_FORMATS
        | ExtensionType::EXTENDED_MASTER_SECRET
        | ExtensionType::RENEGOTIATION_INFO => is_1_2,
        _ => false,
    };
    match extensions.types.iter().find(|extension_type| !ALLOWED.contains(extension_type)) {
        None if core.is_name_unasked(extensions) => Err(HandshakeError::UnsolicitedExtension),
        None => Ok(()),
        Some(misplaced) if is_offered(misplaced) => Err(HandshakeError::IllegalParameter),
        Some(_) => Err(HandshakeError::UnsolicitedExtension),
    }
}

/// A certificate that the server asked for.
#[derive(Debug)]
struct Requested {
    context: Vec<u8>,
    signature_schemes: Vec<u16>,
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    progress: Progress,
    requested: Option<Requested>,
}

impl AwaitCertificate {
    fn certificate_request(mut self, message: &Message) -> Result<Client13, HandshakeError> {
        if self.requested.is_some() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        let request = message.read(CertificateRequest13::parse)?;
        let signature_schemes =
            request.extensions.signature_schemes.ok_or(HandshakeError::MissingExtension)?;
        // RFC 8446 §4.3.2: in a handshake it is empty.
        if !request.context.is_empty() {
            return Err(HandshakeError::IllegalParameter);
        }
        self.requested = Some(Requested { context: request.context, signature_schemes });
        self.progress.transcript.add(message);
        Ok(Client13::AwaitCertificate(Box::new(self)))
    }

    fn certificate(mut self, core: &Core, message: &Message) -> Result<Client13, HandshakeError> {
        // RFC 8446 §4.4.2.4: a server always shows one.
        let peer = self.progress.read_certificate(core, message)?.ok_or(HandshakeError::Malformed)?;
        let Self { progress, requested } = self;
        Ok(Client13::AwaitCertificateVerify(Box::new(AwaitCertificateVerify { progress, requested, peer })))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitCertificateVerify {
    progress: Progress,
    requested: Option<Requested>,
    peer: PeerCertificate,
}

impl AwaitCertificateVerify {
    fn verify(mut self, core: &Core, message: &Message) -> Result<Client13, HandshakeError> {
        self.progress.read_certificate_verify(core, &self.peer, message)?;
        let Self { progress, requested, peer } = self;
        Ok(Client13::AwaitFinished(Box::new(AwaitFinished { progress, requested, peer })))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitFinished {
    progress: Progress,
    requested: Option<Requested>,
    peer: PeerCertificate,
}

impl AwaitFinished {
    /// The server is who it should be: sends our last flight, behind which our data may follow at once.
    fn finished(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let Self { mut progress, requested, peer } = self;
        progress.read_finished(core, message)?;
        let secrets = progress.application_secrets(core)?;
        core.acks.clear();
        core.flight.begin(Repetition::Timed);
        if let Some(requested) = requested {
            let scheme = handshake13::signature_scheme(core, &requested.signature_schemes);
            progress.send_certificate(core, &requested.context, scheme.is_some());
            if let Some(scheme) = scheme {
                progress.send_certificate_verify(core, scheme)?;
            }
        }
        progress.send_finished(core)?;
        install_sealer(core, &secrets)?;
        install_opener(core, &secrets)?;
        Ok(State::Connected(progress.into_session(secrets, Some(peer))))
    }
}
