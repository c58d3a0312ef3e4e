//! An SCTP association as data channels use it: one path, over DTLS, sans-IO.
//!
//! It covers the association of RFC 9260 (set-up with its collision table, data transfer, loss recovery, shutdown and
//! abort, heartbeats), partial reliability by FORWARD-TSN (RFC 3758), stream reset (RFC 6525), the I bit (RFC 7053),
//! interleaving of messages with stream schedulers (RFC 8260) and zero checksum (RFC 9653), carried in DTLS as RFC 8261
//! has it.
//!
//! Losses are found by time and probed for at the end of a flight (RACK and its tail-loss probe, RFC 8985), and undone
//! where they were none. How fast is sent is decided by BBR, CUBIC or NewReno, see [`CongestionControl`]; packets are
//! spaced at the rate that the controller tells. The receive window grows while what arrives is read.
//!
//! Larger packets are sent where probes show that the path carries them, and no more where they vanish (RFC 8899). Session
//! descriptions may take the place of the set-up (SNAP).
//!
//! # How to drive it
//!
//! An [`Association`] knows neither addresses nor sockets nor the clock. Its owner calls, in any order and any number
//! of times:
//!
//! * [`Association::handle_datagram`] with each packet that the DTLS layer opened,
//! * [`Association::poll_transmit`] until it gives `None`, after everything else of a turn has been handled: packets
//!   are built late, so that one acknowledgement answers a whole burst,
//! * [`Association::poll_event`] and [`Association::read`] for what happened and what arrived,
//! * [`Association::handle_timeout`] when [`Association::poll_timeout`] is due.
//!
//! Both ends may call [`Association::connect`] at once; the collision is the normal case of WebRTC.
//!
//! ```
//! use std::time::Instant;
//! use antiphon_sctp::{Association, Config, Message, PayloadProtocolId, SendOptions, StreamId};
//! use antiphon_util::Rng;
//! # #[allow(clippy::disallowed_methods)]
//! # fn main() {
//! let now = Instant::now();
//! let mut a = Association::new(Config::default(), Rng::from_test_seed(1));
//! let mut b = Association::new(Config::default(), Rng::from_test_seed(2));
//! a.connect(now);
//! let message = Message { stream: StreamId(1), ppid: PayloadProtocolId(51), payload: "hello".into() };
//! a.send(now, message, SendOptions::default()).unwrap();
//! let mut packet = Vec::new();
//! loop {
//!     packet.clear();
//!     if a.poll_transmit(now, &mut packet).is_some() {
//!         b.handle_datagram(now, &packet);
//!     } else if b.poll_transmit(now, &mut packet).is_some() {
//!         a.handle_datagram(now, &packet);
//!     } else {
//!         break;
//!     }
//! }
//! assert_eq!(b.read(now, StreamId(1)).unwrap().payload, "hello");
//! # }
//! ```
//!
//! # What it leaves out
//!
//! Multi-homing, authentication (RFC 4895; DTLS authenticates) and address reconfiguration. The data channel protocol (DCEP) belongs to the owner.

mod association;
mod config;
mod congestion;
mod event;
pub mod packet;
mod ranges;
mod rx;
mod stream_map;
mod tsn;
mod tx;
mod types;

pub use association::{Association, AssociationState, DescribedInit};
pub use config::{Config, Limits, Scheduling, Timing};
pub use congestion::{Congestion, CongestionControl};
pub use event::{CloseReason, DropReason, Event, ResetError, SendError, Statistics};
pub use types::{Message, PayloadProtocolId, Reliability, SendOptions, StreamId};
