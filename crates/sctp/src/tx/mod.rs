//! The sending side: what waits, what is in flight, and when it is sent again.

mod outstanding;
mod queue;
mod rto;
mod sender;

pub(crate) use queue::SendQueue;
pub(crate) use rto::RetransmissionTimeout;
pub(crate) use sender::{InvalidSack, Sender};
