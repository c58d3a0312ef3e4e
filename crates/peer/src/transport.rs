//! The one bundle of transports: ICE below, DTLS on the paths that ICE validated, SCTP on what DTLS opened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, Provider};
use antiphon_dtls::{self as dtls, CloseReason, Connection, SrtpProfile};
use antiphon_ice::{self as ice, Agent, Credentials, Validated};
use antiphon_sctp::{self as sctp, Association};
use antiphon_util::{Path, Received, Rng, Tally, Transmit};

use crate::negotiation::DtlsRole;
use crate::section::DataSection;
use crate::{Consent, DropReason, IceConfiguration, Limits};

/// What the largest record adds to an SCTP packet: header, explicit nonce and tag of AES-GCM (RFC 5288).
const RECORD_OVERHEAD: usize = 13 + 8 + 16;
/// Bytes of a datagram that is worth keeping until the remote description is known.
const EARLY_DATAGRAM_SIZE: usize = 2_048;

/// Above this a measured round-trip time is more likely that of a check that was lost, and what is set up over the path does
/// better with its own first timer (RFC 6347 §4.2.4.1).
const CREDIBLE_ROUND_TRIP: Duration = Duration::from_millis(600);

/// Bytes of a datagram of the handshake that rides in a check: with what the check needs it stays within the path's MTU.
/// Browsers have the same.
const EMBEDDED_SIZE: usize = 900;

/// Offered even where there is only data: some peers, aiortc among them, end a handshake that agrees on none. RFC 8827
/// §6.5 requires the last.
const SRTP_PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::Aes128CmHmacSha1_80];

/// How far the DTLS connection is (W3C `RTCDtlsTransportState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsState {
    /// It waits for a path or for the remote description.
    New,
    /// The handshake runs.
    Connecting,
    /// It is up.
    Connected,
    /// It ended in order, by either side.
    Closed,
    /// It failed.
    Failed,
}

/// Bytes and datagrams that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) datagrams_received: u64,
    pub(crate) bytes_received: u64,
}

/// The transports.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) ice: Agent,
    /// Datagrams that came before there was a DTLS connection.
    early: Vec<Vec<u8>>,
    dtls: Option<Connection>,
    dtls_state: DtlsState,
    pub(crate) association: Association,
    /// A sealed datagram that was too long for the run before.
    held: Vec<u8>,
    /// Datagrams of the handshake that rode in checks and were not named before there was a path.
    pub(crate) unnamed: VecDeque<Vec<u8>>,
    /// The path that the association sizes its packets for.
    probed: Option<Path>,
    /// What is still to be sent after the end, and where to.
    farewell: Option<(Path, VecDeque<Vec<u8>>)>,
    pub(crate) traffic: Traffic,
    provider: Provider,
    certificate: Arc<Certificate>,
    limits: Limits,
}

impl Transport {
    pub(crate) fn new(
        provider: Provider,
        certificate: Arc<Certificate>,
        limits: Limits,
        consent: Consent,
        ice: &IceConfiguration,
        congestion: sctp::Congestion,
        rng: &mut Rng,
    ) -> Self {
        let mut config = ice::Config::new(provider, ice::Role::Controlling);
        config.limits = limits.ice;
        config.consent_period = consent.period;
        config.disconnected_after = consent.disconnected_after;
        config.consent_expiry = consent.expiry;
        config.lite = ice.lite;
        config.renomination = ice.renomination;
        config.embeds = ice.embed_dtls;
        config.transport_policy = ice.transport_policy;
        config.local_addresses = ice.local_addresses.clone();
        config.remote_addresses = ice.remote_addresses.clone();
        config.address_rewrites = ice.address_rewrites.clone();
        config.nat64_prefix = ice.nat64_prefix;
        config.budget = ice.budget.clone();
        config.hide_related = ice.publish_mdns;
        let association = sctp::Config {
            provider,
            max_packet_size: limits.datagram_size.saturating_sub(RECORD_OVERHEAD),
            max_incoming_message: limits.message_size,
            receive_window: limits.receive_window,
            congestion,
            timing: timing(),
            limits: limits.sctp.clone(),
            ..sctp::Config::default()
        };
        Self {
            ice: Agent::new(config, rng.fork()),
            early: Vec::new(),
            dtls: None,
            dtls_state: DtlsState::New,
            association: Association::new(association, rng.fork()),
            held: Vec::new(),
            unnamed: VecDeque::new(),
            probed: None,
            farewell: None,
            traffic: Traffic::default(),
            provider,
            certificate,
            limits,
        }
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        self.ice.local_credentials()
    }

    /// Offer and answer are agreed: DTLS and SCTP take what the peer described. Later ones change nothing but the
    /// size of messages.
    pub(crate) fn negotiate(&mut self, now: Instant, remote: &DataSection, role: DtlsRole, rng: &mut Rng) {
        self.ice.set_remote_renomination(remote.ice_renomination);
        if remote.embedding.is_empty() {
            self.ice.close_embedding();
        } else {
            self.ice.agree_embedding();
        }
        self.ice.set_remote_credentials(now, remote.credentials.clone());
        let max_outgoing = self.max_outgoing_message(remote.max_message_size);
        self.association.set_max_outgoing_message(max_outgoing);
        if self.dtls.is_some() {
            return;
        }
        self.association.set_remote_port(remote.sctp_port);
        if let Some(init) = remote.sctp_init {
            self.association.set_described_init(init);
        }
        let mut config = dtls::Config::for_webrtc(
            self.provider,
            Arc::clone(&self.certificate),
            remote.fingerprints.clone(),
        );
        config.srtp_profiles = SRTP_PROFILES.to_vec();
        config.max_datagram_size = self.limits.datagram_size;
        config.limits = self.limits.dtls;
        self.dtls = Some(match role {
            DtlsRole::Client => Connection::client(config, rng.fork()),
            DtlsRole::Server => Connection::server(config, rng.fork()),
        });
    }

    /// Starts DTLS once there is a path, or at once where checks carry it; then hands it what came before.
    pub(crate) fn start(&mut self, now: Instant, drops: &mut Tally<DropReason>) {
        let has_path = self.ice.selected_path().is_some();
        if has_path {
            self.leave_checks(now);
        }
        let round_trip_time = self.round_trip_time();
        let (Some(dtls), DtlsState::New) = (&mut self.dtls, self.dtls_state) else { return };
        if !has_path && !self.ice.is_embedding() {
            return;
        }
        if !has_path {
            dtls.set_max_datagram_size(self.limits.datagram_size.min(EMBEDDED_SIZE));
        }
        dtls.start(now, round_trip_time);
        self.change_state(DtlsState::Connecting);
        for mut datagram in std::mem::take(&mut self.early) {
            self.handle_secure(now, &mut datagram, drops);
        }
    }

    /// Takes a datagram: ICE consumes STUN, DTLS gets what comes on validated paths (RFC 7983).
    pub(crate) fn handle_receive(
        &mut self,
        now: Instant,
        received: Received<'_>,
        drops: &mut Tally<DropReason>,
    ) {
        self.traffic.datagrams_received += 1;
        self.traffic.bytes_received += received.datagram.len() as u64;
        match self.ice.handle_receive(now, received).map(Validated::into_datagram) {
            Some(datagram) => {
                self.ice.note_received(datagram);
                self.handle_validated(now, datagram, drops);
            }
            None => {
                while let Some(mut datagram) = self.ice.poll_embedded() {
                    self.handle_validated(now, &mut datagram, drops);
                }
            }
        }
    }

    fn handle_validated(&mut self, now: Instant, datagram: &mut [u8], drops: &mut Tally<DropReason>) {
        match datagram.first() {
            Some(20..=63) if matches!(self.dtls_state, DtlsState::Connecting | DtlsState::Connected) => {
                self.handle_secure(now, datagram, drops);
            }
            Some(20..=63) if self.dtls_state == DtlsState::New => self.keep_early(datagram, drops),
            Some(20..=63) => drops.count(DropReason::Ended),
            Some(128..=191) => drops.count(DropReason::Media),
            _ => drops.count(DropReason::UnknownProtocol),
        }
    }

    fn keep_early(&mut self, datagram: &[u8], drops: &mut Tally<DropReason>) {
        if self.early.len() >= self.limits.early_datagrams || datagram.len() > EARLY_DATAGRAM_SIZE {
            return drops.count(DropReason::TooEarly);
        }
        self.early.push(datagram.to_vec());
    }

    fn handle_secure(&mut self, now: Instant, datagram: &mut [u8], drops: &mut Tally<DropReason>) {
        let Self { dtls: Some(dtls), association, .. } = self else {
            return drops.count(DropReason::TooEarly);
        };
        dtls.handle_datagram(now, datagram, |packet| association.handle_datagram(now, &packet));
    }

    /// What DTLS reports becomes the state; SCTP starts as soon as it is up. Tells whether there was anything.
    pub(crate) fn handle_dtls_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.dtls.as_mut().and_then(Connection::poll_event) {
            any = true;
            match event {
                dtls::Event::Connected => {
                    self.change_state(DtlsState::Connected);
                    if let Some(measured) = self.round_trip_time() {
                        self.association.set_round_trip_time(measured);
                    }
                    self.association.connect(now);
                }
                // There are no connection ids in WebRTC.
                dtls::Event::ConnectionIdsRequested(_) => {}
                dtls::Event::Closed(CloseReason::Local | CloseReason::Remote) => {
                    self.change_state(DtlsState::Closed);
                    self.end_association(now);
                }
                dtls::Event::Closed(reason) => {
                    tracing::debug!(%reason, "dtls failed");
                    self.change_state(DtlsState::Failed);
                    self.end_association(now);
                }
            }
        }
        any
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ice.handle_timeout(now);
        if self.farewell.is_some() || self.rests() {
            return;
        }
        if let Some(dtls) = self.dtls.as_mut().filter(|_| !self.ice.is_embedding()) {
            dtls.handle_timeout(now);
        }
        self.association.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.farewell.is_some() {
            return None;
        }
        let works = !self.rests();
        // Checks carry the handshake, and repeat it.
        let dtls = self.dtls.as_ref().filter(|_| works && !self.ice.is_embedding());
        let dtls = dtls.and_then(Connection::poll_timeout);
        let association = self.association.poll_timeout().filter(|_| works);
        [self.ice.poll_timeout(), dtls, association].into_iter().flatten().min()
    }

    /// The next datagram or run of datagrams: ICE before DTLS before SCTP.
    pub(crate) fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.next_transmit(now, buf)?;
        let datagrams = transmit.segment_size.map_or(1, |size| transmit.len.div_ceil(size));
        self.traffic.datagrams_sent += datagrams as u64;
        self.traffic.bytes_sent += transmit.len as u64;
        Some(transmit)
    }

    fn next_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((path, farewell)) = &mut self.farewell {
            let datagram = farewell.pop_front()?;
            buf.extend_from_slice(&datagram);
            return Some(Transmit { path: *path, ecn: None, len: datagram.len(), segment_size: None });
        }
        if self.ice.is_embedding() {
            self.embed_flight(now);
        }
        if let Some(transmit) = self.ice.poll_transmit(now, buf) {
            return Some(transmit);
        }
        let transmit = self.next_secure_transmit(now, buf)?;
        self.ice.count_transmit(now, &transmit);
        Some(transmit)
    }

    fn next_secure_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let path = self.ice.selected_path()?;
        if let Some(datagram) = self.unnamed.pop_front() {
            buf.extend_from_slice(&datagram);
            return Some(Transmit { path, ecn: None, len: datagram.len(), segment_size: None });
        }
        let dtls = self.dtls.as_mut()?;
        if let Some(len) = dtls.poll_transmit(now, buf) {
            return Some(Transmit { path, ecn: None, len, segment_size: None });
        }
        if self.dtls_state != DtlsState::Connected {
            return None;
        }
        if self.probed != Some(path) {
            self.probed = Some(path);
            self.association
                .set_probed_packet_sizes(&packet_sizes(&self.limits, dtls.peer_record_size_limit()));
        }
        let run = Run {
            datagrams: self.limits.run_datagrams.clamp(1, 64),
            size: self.limits.run_size.min(65_000),
            held: &mut self.held,
        };
        let (len, segment_size) = seal_run(now, dtls, &mut self.association, run, buf)?;
        Some(Transmit { path, ecn: None, len, segment_size })
    }

    /// Ends everything at once: SCTP ABORT and close_notify are left to be sent.
    pub(crate) fn close(&mut self, now: Instant) {
        if self.farewell.is_some() {
            return;
        }
        let path = self.ice.selected_path();
        let mut datagrams = VecDeque::new();
        if let Self { dtls: Some(dtls), association, .. } = self {
            association.abort(now, "Close called");
            let mut datagram = Vec::new();
            self.held.clear();
            let once = Run { datagrams: 1, size: 0, held: &mut self.held };
            if self.dtls_state == DtlsState::Connected
                && seal_run(now, dtls, association, once, &mut datagram).is_some()
            {
                datagrams.push_back(std::mem::take(&mut datagram));
            }
            dtls.close(now);
            while dtls.poll_transmit(now, &mut datagram).is_some() {
                datagrams.push_back(std::mem::take(&mut datagram));
            }
        }
        self.early.clear();
        self.unnamed.clear();
        self.ice.close();
        if self.dtls_state != DtlsState::Failed {
            self.change_state(DtlsState::Closed);
        }
        let nowhere = Path::udp(([0, 0, 0, 0], 0).into(), ([0, 0, 0, 0], 0).into());
        if path.is_none() {
            datagrams.clear();
        }
        self.farewell = Some((path.unwrap_or(nowhere), datagrams));
    }

    /// Hands the checks what DTLS has to send.
    fn embed_flight(&mut self, now: Instant) {
        let Some(dtls) = &mut self.dtls else { return };
        let mut flight = Vec::new();
        let mut datagram = Vec::new();
        while dtls.poll_transmit(now, &mut datagram).is_some() {
            flight.push(std::mem::take(&mut datagram));
        }
        if !flight.is_empty() {
            self.ice.embed(flight);
        }
    }

    /// There is a path: what rode in checks goes over it, and when the handshake is over nothing rides in them any more.
    fn leave_checks(&mut self, now: Instant) {
        if self.ice.is_embedding() {
            self.embed_flight(now);
            self.unnamed = self.ice.end_embedding().into();
            let round_trip_time = self.round_trip_time();
            if let Some(dtls) = &mut self.dtls {
                dtls.set_max_datagram_size(self.limits.datagram_size);
                dtls.restart_timers(now, round_trip_time);
            }
        }
        if !matches!(self.dtls_state, DtlsState::New | DtlsState::Connecting) {
            self.ice.close_embedding();
        }
    }

    /// Nothing carries the association any more; what was received can still be read.
    fn end_association(&mut self, now: Instant) {
        self.association.abort(now, "transport lost");
    }

    /// The round trip that ICE measured, where it can be believed.
    fn round_trip_time(&self) -> Option<Duration> {
        self.ice.round_trip_time().filter(|measured| *measured < CREDIBLE_ROUND_TRIP)
    }

    /// Whether DTLS and SCTP stand still, since nothing can be sent: no path works at the moment, or ICE has failed and awaits
    /// a restart.
    fn rests(&self) -> bool {
        self.ice.selected_path().is_none()
    }

    pub(crate) fn dtls_state(&self) -> DtlsState {
        self.dtls_state
    }

    fn change_state(&mut self, state: DtlsState) {
        tracing::debug!(from = ?self.dtls_state, to = ?state, "dtls state");
        self.dtls_state = state;
    }

    /// RFC 8841 §6.1: 0 stands for any size.
    pub(crate) fn max_outgoing_message(&self, told: u64) -> usize {
        let ours = self.limits.sent_message_size;
        match told {
            0 => ours,
            told => usize::try_from(told).map_or(ours, |told| told.min(ours)),
        }
    }
}

/// The association leaves it to ICE consent (RFC 7675) to find the peer gone, and does not back off so far that a
/// path that comes back stays unused; browsers do the same.
fn timing() -> sctp::Timing {
    sctp::Timing {
        rto_max: Duration::from_secs(3),
        max_retransmissions: u32::MAX,
        max_init_retransmissions: u32::MAX,
        ..sctp::Timing::default()
    }
}

/// UDP payloads that paths are known to carry, beyond the 1,200 bytes that are sent from the start: with IPv6's least MTU, in
/// tunnels, over PPPoE and Ethernet with IPv4 and IPv6, with jumbo frames, and within a machine, where four fill a run.
const DATAGRAM_SIZES: [usize; 10] = [1_232, 1_372, 1_392, 1_432, 1_452, 1_464, 1_472, 4_052, 8_952, 16_250];
/// What a peer takes that has not told what records it takes: the buffer that Chromium reads a record into has 2,048 bytes, and
/// a longer one ends the connection.
const UNTOLD_DATAGRAM_SIZE: usize = 1_500;

/// The packet sizes to probe for, where the peer told what records it takes, or did not.
fn packet_sizes(limits: &Limits, told: Option<usize>) -> Vec<usize> {
    let told = told.map_or(UNTOLD_DATAGRAM_SIZE, |limit| limit + RECORD_OVERHEAD);
    let most = told.min(limits.probed_datagram_size);
    let sizes = DATAGRAM_SIZES.into_iter().filter(|size| *size <= most);
    sizes.map(|size| size.saturating_sub(RECORD_OVERHEAD)).collect()
}

/// What a run is made with.
struct Run<'a> {
    datagrams: usize,
    size: usize,
    /// A sealed datagram that was too long for the run before.
    held: &'a mut Vec<u8>,
}

/// Appends a run of SCTP packets, each sealed right behind the one before, so that one call can send all of them. All
/// have the size of the first; a shorter one ends the run, a longer one is held for the next. Gives the bytes
/// appended, and that size where there are several.
fn seal_run(
    now: Instant,
    dtls: &mut Connection,
    association: &mut Association,
    run: Run<'_>,
    buf: &mut Vec<u8>,
) -> Option<(usize, Option<usize>)> {
    let start = buf.len();
    let headroom = dtls.headroom();
    let mut segment = run.held.len();
    buf.append(run.held);
    for _ in usize::from(segment > 0)..run.datagrams {
        let at = buf.len();
        let probe = association.is_probe_due();
        if segment > 0 && (probe || at - start + segment > run.size) {
            break;
        }
        buf.resize(at + headroom, 0);
        // A record that can't be sealed is lost, as a datagram may be; the connection then reports its end.
        if association.poll_transmit(now, buf).is_none() || dtls.seal_in_place(buf, at).is_err() {
            buf.truncate(at);
            break;
        }
        let len = buf.len() - at;
        if segment == 0 {
            segment = len;
            if probe {
                break;
            }
        } else if len > segment {
            run.held.extend(buf.drain(at..));
            break;
        } else if len < segment {
            break;
        }
    }
    let len = buf.len() - start;
    (len > 0).then_some((len, (len > segment).then_some(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_packets_are_for_peers_that_told_what_they_take() {
        let limits = Limits::default();
        let largest = |limits: &Limits, told| packet_sizes(limits, told).last().copied();
        assert_eq!(largest(&limits, None), Some(1_472 - RECORD_OVERHEAD));
        assert_eq!(largest(&limits, Some(16_384)), Some(16_250 - RECORD_OVERHEAD));
        assert_eq!(largest(&limits, Some(4_100)), Some(4_052 - RECORD_OVERHEAD));
        assert_eq!(
            largest(&Limits { probed_datagram_size: 1_400, ..limits.clone() }, None),
            Some(1_392 - RECORD_OVERHEAD)
        );
        assert_eq!(largest(&Limits { probed_datagram_size: 0, ..limits }, Some(16_384)), None);
    }
}
