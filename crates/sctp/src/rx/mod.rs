//! The receiving side: which TSNs arrived, reassembly, order, and what waits to be read.

mod ack;
mod ahead;
mod inbox;
mod interleaved;
mod order;
mod receiver;
mod window;

pub(crate) use inbox::Inbox;
pub(crate) use receiver::{Received, Receiver, ReceiverConfig};

use bytes::Bytes;

use crate::packet::{Data, IData};
use crate::{PayloadProtocolId, StreamId};

/// What is charged against the receive window for a message or fragment beside its bytes, so that many small ones
/// are bounded in memory too.
pub(crate) const OVERHEAD: usize = 64;

/// To which message a fragment belongs, as far as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MessageKey {
    stream: StreamId,
    /// Message identifier, or stream sequence number where the message came as DATA.
    mid: u32,
    unordered: bool,
}

impl MessageKey {
    fn of(data: &IData<'_>) -> Self {
        Self { stream: data.stream, mid: data.mid, unordered: data.unordered }
    }
}

/// A whole message, with not much more memory than it has bytes.
fn trimmed(mut bytes: Vec<u8>) -> Bytes {
    if bytes.capacity() > 2 * bytes.len() {
        bytes.shrink_to_fit();
    }
    bytes.into()
}

/// A DATA chunk's header without its TSN.
#[derive(Debug, Clone, Copy)]
struct FragmentHeader {
    key: MessageKey,
    ppid: PayloadProtocolId,
    beginning: bool,
    ending: bool,
}

impl FragmentHeader {
    fn of(data: &Data<'_>) -> Self {
        Self {
            key: MessageKey {
                stream: data.stream,
                // Of no meaning where the message is unordered (RFC 9260 §3.3.1).
                mid: if data.unordered { 0 } else { data.ssn.into() },
                unordered: data.unordered,
            },
            ppid: data.ppid,
            beginning: data.beginning,
            ending: data.ending,
        }
    }
}
