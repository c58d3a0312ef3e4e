//! The states of the whole, computed from those of its parts.

use antiphon_ice::IceState;

use crate::DtlsState;

/// The state of the whole connection (W3C `RTCPeerConnectionState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Nothing has begun.
    New,
    /// ICE or DTLS is at work.
    Connecting,
    /// Data can pass.
    Connected,
    /// The peer does not answer at the moment.
    Disconnected,
    /// ICE or DTLS has failed; stays so.
    Failed,
    /// Closed by the application.
    Closed,
}

/// W3C webrtc-pc §4.3.3, for one transport.
pub(crate) fn connection_state(closed: bool, ice: IceState, dtls: DtlsState) -> ConnectionState {
    match (closed, ice, dtls) {
        (true, ..) => ConnectionState::Closed,
        (_, IceState::Failed, _) | (_, _, DtlsState::Failed) => ConnectionState::Failed,
        (_, IceState::Disconnected, _) => ConnectionState::Disconnected,
        (_, IceState::New | IceState::Closed, DtlsState::New | DtlsState::Closed) => ConnectionState::New,
        (_, IceState::Connected | IceState::Completed, DtlsState::Connected | DtlsState::Closed) => {
            ConnectionState::Connected
        }
        _ => ConnectionState::Connecting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_transport_states_has_its_state() {
        use ConnectionState::*;
        let dtls = [
            DtlsState::New,
            DtlsState::Connecting,
            DtlsState::Connected,
            DtlsState::Closed,
            DtlsState::Failed,
        ];
        for (ice, expected) in [
            (IceState::New, [New, Connecting, Connecting, New, Failed]),
            (IceState::Checking, [Connecting, Connecting, Connecting, Connecting, Failed]),
            (IceState::Connected, [Connecting, Connecting, Connected, Connected, Failed]),
            (IceState::Completed, [Connecting, Connecting, Connected, Connected, Failed]),
            (IceState::Disconnected, [Disconnected, Disconnected, Disconnected, Disconnected, Failed]),
            (IceState::Failed, [Failed; 5]),
            (IceState::Closed, [New, Connecting, Connecting, New, Failed]),
        ] {
            assert_eq!(dtls.map(|dtls| connection_state(false, ice, dtls)), expected, "{ice:?}");
            assert_eq!(dtls.map(|dtls| connection_state(true, ice, dtls)), [Closed; 5]);
        }
    }
}
