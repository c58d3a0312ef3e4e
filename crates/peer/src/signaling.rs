//! The signalling state (RFC 8829 §3.2, W3C webrtc-pc `RTCSignalingState`).

use crate::SdpType;

/// Where the exchange of offer and answer stands.
///
/// ```text
///                 local offer                 remote answer
///        Stable ---------------> HaveLocalOffer ----------> Stable
///          |                       |  remote pranswer        ^
///          | remote offer          v                         | remote answer
///          v                     HaveRemotePranswer ---------+
///        HaveRemoteOffer --------------------------------> Stable
///                  |  local pranswer          local answer   ^
///                  v                                         | local answer
///        HaveLocalPranswer ----------------------------------+
/// ```
///
/// A rollback leads from either offer back to `Stable`; an offer may be replaced, a provisional answer repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalingState {
    /// No exchange is under way.
    Stable,
    /// A local offer awaits its answer.
    HaveLocalOffer,
    /// A remote offer awaits its answer.
    HaveRemoteOffer,
    /// A remote offer has been answered provisionally.
    HaveLocalPranswer,
    /// A local offer has been answered provisionally.
    HaveRemotePranswer,
    /// The connection is closed.
    Closed,
}

/// Whose description is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Local,
    Remote,
}

/// The state after a description has been set, or `None` where it must not be set.
pub(crate) fn transition(state: SignalingState, side: Side, kind: SdpType) -> Option<SignalingState> {
    use SdpType::{Answer, Offer, Pranswer, Rollback};
    use Side::{Local, Remote};
    use SignalingState::*;
    Some(match (state, side, kind) {
        (Stable | HaveLocalOffer, Local, Offer) => HaveLocalOffer,
        // A remote offer in HaveLocalOffer first rolls the local one back (W3C webrtc-pc; RFC 8829 §4.1.10.2 has the rollback).
        (Stable | HaveLocalOffer | HaveRemoteOffer, Remote, Offer) => HaveRemoteOffer,
        (HaveRemoteOffer | HaveLocalPranswer, Local, Pranswer) => HaveLocalPranswer,
        (HaveRemoteOffer | HaveLocalPranswer, Local, Answer) => Stable,
        (HaveLocalOffer | HaveRemotePranswer, Remote, Pranswer) => HaveRemotePranswer,
        (HaveLocalOffer | HaveRemotePranswer, Remote, Answer) => Stable,
        (HaveLocalOffer | HaveRemoteOffer, _, Rollback) => Stable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_state_and_description_leads_where_it_should() {
        use SignalingState::*;
        let states = [Stable, HaveLocalOffer, HaveRemoteOffer, HaveLocalPranswer, HaveRemotePranswer, Closed];
        let row = |side, kind| states.map(|state| transition(state, side, kind));
        let (local_offer, remote_offer) = (Some(HaveLocalOffer), Some(HaveRemoteOffer));
        let (local_pranswer, remote_pranswer) = (Some(HaveLocalPranswer), Some(HaveRemotePranswer));
        let stable = Some(Stable);
        // Columns: the states in the order above.
        assert_eq!(row(Side::Local, SdpType::Offer), [local_offer, local_offer, None, None, None, None]);
        assert_eq!(
            row(Side::Remote, SdpType::Offer),
            [remote_offer, remote_offer, remote_offer, None, None, None]
        );
        assert_eq!(
            row(Side::Local, SdpType::Pranswer),
            [None, None, local_pranswer, local_pranswer, None, None]
        );
        assert_eq!(
            row(Side::Remote, SdpType::Pranswer),
            [None, remote_pranswer, None, None, remote_pranswer, None]
        );
        assert_eq!(row(Side::Local, SdpType::Answer), [None, None, stable, stable, None, None]);
        assert_eq!(row(Side::Remote, SdpType::Answer), [None, stable, None, None, stable, None]);
        for side in [Side::Local, Side::Remote] {
            assert_eq!(row(side, SdpType::Rollback), [None, stable, stable, None, None, None]);
        }
    }
}
