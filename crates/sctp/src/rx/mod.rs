//! The receiving side: which TSNs arrived, reassembly, order, and what waits to be read.

mod ack;
mod ahead;
mod inbox;
mod receiver;

pub(crate) use inbox::Inbox;
pub(crate) use receiver::{Received, Receiver};

use crate::packet::Data;
use crate::{PayloadProtocolId, StreamId};

/// What is charged against the receive window for a message or fragment beside its bytes, so that many small ones
/// are bounded in memory too.
pub(crate) const OVERHEAD: usize = 64;

/// To which message a fragment belongs, as far as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MessageKey {
    stream: StreamId,
    ssn: u16,
    unordered: bool,
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
                ssn: if data.unordered { 0 } else { data.ssn },
                unordered: data.unordered,
            },
            ppid: data.ppid,
            beginning: data.beginning,
            ending: data.ending,
        }
    }
}
