//! The sending side: what waits, what is in flight, and when it is sent again.

mod flight;
mod messages;
mod outstanding;
mod path_mtu;
mod queue;
mod rack;
mod recovery;
mod rto;
mod scheduler;
mod sender;
mod sending;

pub(crate) use queue::SendQueue;
pub(crate) use rto::RetransmissionTimeout;
pub(crate) use sender::{InvalidSack, Sender, SenderConfig};
