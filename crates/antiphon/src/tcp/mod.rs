//! ICE over TCP (RFC 6544): each datagram behind its length (RFC 4571).

mod link;
mod listener;

pub(crate) use link::Links;
pub(crate) use listener::{Accepted, Listener, TcpCounters};
