//! Why connections end, records are dropped and calls are refused.

/// A TLS alert (RFC 5246 §7.2, RFC 8446 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(
    /// Its registered number.
    pub u8,
);

impl Alert {
    /// close_notify: the sender will send nothing more.
    pub const CLOSE_NOTIFY: Alert = Alert(0);
    /// unexpected_message.
    pub const UNEXPECTED_MESSAGE: Alert = Alert(10);
    /// record_overflow: a record is longer than was agreed.
    pub const RECORD_OVERFLOW: Alert = Alert(22);
    /// handshake_failure: nothing acceptable in common.
    pub const HANDSHAKE_FAILURE: Alert = Alert(40);
    /// bad_certificate.
    pub const BAD_CERTIFICATE: Alert = Alert(42);
    /// unknown_ca: nobody trusted vouches for the certificate.
    pub const UNKNOWN_CA: Alert = Alert(48);
    /// unsupported_certificate.
    pub const UNSUPPORTED_CERTIFICATE: Alert = Alert(43);
    /// illegal_parameter.
    pub const ILLEGAL_PARAMETER: Alert = Alert(47);
    /// decode_error.
    pub const DECODE_ERROR: Alert = Alert(50);
    /// decrypt_error: a signature or a Finished is wrong.
    pub const DECRYPT_ERROR: Alert = Alert(51);
    /// protocol_version.
    pub const PROTOCOL_VERSION: Alert = Alert(70);
    /// internal_error.
    pub const INTERNAL_ERROR: Alert = Alert(80);
    /// user_canceled: the sender will send close_notify.
    pub const USER_CANCELED: Alert = Alert(90);
    /// no_renegotiation.
    pub const NO_RENEGOTIATION: Alert = Alert(100);
    /// missing_extension: a message lacks what its version demands.
    pub const MISSING_EXTENSION: Alert = Alert(109);
    /// unsupported_extension.
    pub const UNSUPPORTED_EXTENSION: Alert = Alert(110);
    /// certificate_required: the client showed none.
    pub const CERTIFICATE_REQUIRED: Alert = Alert(116);
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// [`Connection::close`](crate::Connection::close) was called.
    #[error("closed")]
    Local,
    /// The peer sent close_notify.
    #[error("closed by the peer")]
    Remote,
    /// The peer sent a fatal alert that proved authentic.
    #[error("fatal alert {} of the peer", .0.0)]
    FatalAlert(Alert),
    /// The handshake failed on our side.
    #[error("handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The handshake did not finish in time, or nothing came of the peer behind it, not even the acknowledgement of our last
    /// flight. An alert that came before the keys proves nothing and ends nothing, but the last one tells what may have been
    /// wrong.
    #[error("handshake timed out")]
    Timeout {
        /// The last alert that arrived without protection.
        unauthenticated_alert: Option<Alert>,
    },
    /// As many records failed to open as the AEAD tolerates under one key (RFC 9147 §4.5.3).
    #[error("too many forged records")]
    IntegrityLimit,
    /// The key has sealed all records it may seal.
    #[error("record numbers used up")]
    Exhausted,
}

/// Why a handshake failed on our side, sorted by fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A handshake message cannot be read.
    #[error("malformed handshake message")]
    Malformed,
    /// The peer sent a message that is not allowed at its place.
    #[error("unexpected handshake message")]
    UnexpectedMessage,
    /// The peer chose or sent what it must not.
    #[error("illegal parameter")]
    IllegalParameter,
    /// The peer answered an extension that was not offered.
    #[error("unsolicited extension")]
    UnsolicitedExtension,
    /// A message of the peer lacks an extension that its version demands.
    #[error("missing extension")]
    MissingExtension,
    /// A server that speaks a later version than it chose says that our offer was tampered with (RFC 8446 §4.1.3).
    #[error("version downgraded by an attacker")]
    Downgrade,
    /// The peer's signature is wrong.
    #[error("wrong signature")]
    BadSignature,
    /// The peer's Finished is wrong.
    #[error("wrong finished")]
    BadFinished,
    /// The peer showed no certificate.
    #[error("no certificate")]
    NoCertificate,
    /// A client of 1.3 showed no certificate.
    #[error("certificate required")]
    CertificateRequired,
    /// The peer's certificate cannot be read.
    #[error("malformed certificate")]
    BadCertificate,
    /// The peer's certificate is not the announced one.
    #[error("fingerprint mismatch")]
    FingerprintMismatch,
    /// The peer's chain of certificates was not accepted.
    #[error("certificate not trusted")]
    UntrustedCertificate,
    /// The peer's key is of an unsupported kind.
    #[error("unsupported certificate")]
    UnsupportedCertificate,
    /// The peer speaks no version that we speak.
    #[error("no common version")]
    NoCommonVersion,
    /// No suite, group or signature scheme is common.
    #[error("no common parameters")]
    NoCommonParameters,
    /// The peer lacks the extended master secret (RFC 7627), which is required.
    #[error("no extended master secret")]
    NoExtendedMasterSecret,
    /// The peer asked for another cookie too often.
    #[error("too many cookie requests")]
    TooManyCookieRequests,
    /// A record of the peer holds more than 2¹⁴ bytes.
    #[error("record overflow")]
    RecordOverflow,
    /// The provider failed.
    #[error("internal error")]
    Internal,
}

impl HandshakeError {
    /// The alert that tells the peer.
    pub(crate) fn alert(self) -> Alert {
        match self {
            HandshakeError::Malformed => Alert::DECODE_ERROR,
            HandshakeError::UnexpectedMessage | HandshakeError::TooManyCookieRequests => {
                Alert::UNEXPECTED_MESSAGE
            }
            HandshakeError::IllegalParameter | HandshakeError::Downgrade => Alert::ILLEGAL_PARAMETER,
            HandshakeError::MissingExtension => Alert::MISSING_EXTENSION,
            HandshakeError::UnsolicitedExtension => Alert::UNSUPPORTED_EXTENSION,
            HandshakeError::BadSignature | HandshakeError::BadFinished => Alert::DECRYPT_ERROR,
            HandshakeError::BadCertificate | HandshakeError::FingerprintMismatch => Alert::BAD_CERTIFICATE,
            HandshakeError::UntrustedCertificate => Alert::UNKNOWN_CA,
            HandshakeError::UnsupportedCertificate => Alert::UNSUPPORTED_CERTIFICATE,
            HandshakeError::CertificateRequired => Alert::CERTIFICATE_REQUIRED,
            HandshakeError::NoCommonVersion => Alert::PROTOCOL_VERSION,
            HandshakeError::NoCommonParameters
            | HandshakeError::NoExtendedMasterSecret
            | HandshakeError::NoCertificate => Alert::HANDSHAKE_FAILURE,
            HandshakeError::RecordOverflow => Alert::RECORD_OVERFLOW,
            HandshakeError::Internal => Alert::INTERNAL_ERROR,
        }
    }
}

impl From<antiphon_util::ParseError> for HandshakeError {
    fn from(_: antiphon_util::ParseError) -> Self {
        HandshakeError::Malformed
    }
}

/// Why a received record, or a part of it, was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// It is no DTLS record, or is cut short.
    MalformedRecord,
    /// It belongs to an epoch that does not exist (any more).
    UnknownEpoch,
    /// It was received before, or is too old to tell.
    Replayed,
    /// Its tag is wrong.
    Forged,
    /// Its content type is not allowed in its epoch.
    UnexpectedContent,
    /// It is an alert that proves nothing, since it came before the keys.
    UnauthenticatedAlert,
    /// It is a handshake fragment that cannot be read.
    MalformedFragment,
    /// It is a handshake fragment beyond a limit, or at odds with others of its message.
    RefusedFragment,
    /// It is a handshake fragment of a message that was handled before.
    RepeatedFragment,
    /// It is a handshake message in an epoch in which it must not come.
    MisplacedFragment,
    /// It arrived before its keys and the limit on such records is reached.
    TooEarly,
    /// It names another connection.
    ConnectionId,
    /// It is an acknowledgement that cannot be read, or that nothing vouches for.
    Acknowledgement,
    /// It is a request for renegotiation, which is refused.
    Renegotiation,
    /// It arrived before the start or after the end of the connection.
    NotOpen,
}

/// Why a record was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The handshake has not finished, or the connection has ended.
    #[error("not connected")]
    NotConnected,
    /// The buffer lacks the reserved bytes in front of the plaintext, or the plaintext is above 2¹⁴ bytes.
    #[error("wrong length")]
    Length,
    /// The key has sealed all records it may seal; the connection has ended.
    #[error("record numbers used up")]
    Exhausted,
}

/// No keying material is exported before the handshake has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not connected")]
pub struct ExportError;
