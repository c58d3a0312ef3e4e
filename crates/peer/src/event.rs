//! What a connection reports.

use antiphon_ice::GatheringState;

use crate::{ChannelId, ConnectionState, DtlsState, IceCandidate, IceConnectionState, SignalingState};

/// Something that happened; names follow the events of the W3C's `RTCPeerConnection` and `RTCDataChannel`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An offer has to be made for what the application asked for.
    NegotiationNeeded,
    /// A candidate to tell the peer; `None` once after the last.
    IceCandidate(Option<IceCandidate>),
    /// The signalling state changed.
    SignalingStateChange(SignalingState),
    /// The gathering state changed.
    IceGatheringStateChange(GatheringState),
    /// The ICE connection state changed.
    IceConnectionStateChange(IceConnectionState),
    /// The state of the DTLS transport changed (`RTCDtlsTransport`'s `statechange`); `Closed` where the peer closed the
    /// connection, long before ICE misses it.
    DtlsStateChange(DtlsState),
    /// The state of the whole changed.
    ConnectionStateChange(ConnectionState),
    /// The peer opened a channel; it comes before any other event of the channel.
    DataChannel(ChannelId),
    /// A channel can be used.
    ChannelOpen(ChannelId),
    /// A message can be received from a channel; receive until there is none.
    ChannelReadable(ChannelId),
    /// The buffered amount of a channel fell to its threshold.
    ChannelBufferedAmountLow(ChannelId),
    /// A message was refused as [`Full`](crate::SendError::Full), and there is room again, on any channel.
    Writable,
    /// The peer closes a channel; what it sent before can still be received, and holds up the close until it is.
    ChannelClosing(ChannelId),
    /// A channel is closed; the last event of the channel.
    ChannelClosed(ChannelId),
}
