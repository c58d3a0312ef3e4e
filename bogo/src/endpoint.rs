//! The connection that a case asks for.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, CookieExchange, PeerAuthentication, Timing};
use antiphon_util::Rng;

use crate::Failure;
use crate::flags::{Flags, Verification};

/// The runner's first timer, unless a case says otherwise; it doubles up to a minute.
const INITIAL_TIMEOUT: Duration = Duration::from_millis(400);
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(60);

/// The timer of a client's last flight after which the runner expects it to give up.
const LAST_TIMER: u32 = 13;

/// The runner asks no server to give up.
const DEADLINE_OF_SERVERS: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a handshake message, unless a case says otherwise, and how many pieces the runner cuts them into.
const MESSAGE_SIZE: usize = 100 * 1024;
const PIECES: usize = 4096;

/// Makes the connection.
pub(crate) fn connection(flags: &Flags) -> Result<Connection, Failure> {
    let provider = Provider::default();
    let rng = Rng::from_seed(provider.random_seed());
    let config = config(flags, provider)?;
    Ok(if flags.is_server { Connection::server(config, rng) } else { Connection::client(config, rng) })
}

fn config(flags: &Flags, provider: Provider) -> Result<Config, Failure> {
    let certificate = Arc::new(certificate(flags, provider)?);
    let other = Certificate::generate(provider).map_err(Failure::failed)?;
    let mut config =
        Config::for_webrtc(provider, certificate, vec![other.fingerprint(HashAlgorithm::Sha256)]);
    config.cookie = CookieExchange::Skipped;
    config.peer_authentication = match flags.verification {
        Verification::None => PeerAuthentication::DangerousNone,
        Verification::Certificate => PeerAuthentication::DangerousAnyCertificate,
        // Nobody has the certificate that was announced.
        Verification::Refused => PeerAuthentication::Fingerprint,
    };
    config.versions = flags.versions();
    config.srtp_profiles = flags.srtp_profiles.clone();
    if !flags.groups.is_empty() {
        config.groups = flags.groups.clone();
    }
    if let Some(size) = flags.max_datagram_size {
        config.max_datagram_size = size;
    }
    config.limits.message_size = flags.max_message_size.unwrap_or(MESSAGE_SIZE);
    config.limits.reassembly_bytes = 2 * MESSAGE_SIZE;
    config.limits.pieces = PIECES;
    let initial = flags.initial_timeout.unwrap_or(INITIAL_TIMEOUT);
    let timers = (0..LAST_TIMER).map(|doublings| (initial * 2u32.pow(doublings)).min(MAXIMUM_TIMEOUT));
    config.timing = Timing {
        initial,
        minimum: Duration::from_millis(1),
        maximum: MAXIMUM_TIMEOUT,
        deadline: if flags.is_server { DEADLINE_OF_SERVERS } else { timers.sum() },
    };
    Ok(config)
}

/// The certificate named by the flags, or one of our own making.
fn certificate(flags: &Flags, provider: Provider) -> Result<Certificate, Failure> {
    let (Some(certificate), Some(key)) = (&flags.certificate_file, &flags.key_file) else {
        return Certificate::generate(provider).map_err(Failure::failed);
    };
    let pem = format!("{}\n{}", fs::read_to_string(certificate)?, fs::read_to_string(key)?);
    Certificate::from_pem(provider, &pem).map_err(|error| Failure::Unimplemented(error.to_string()))
}
