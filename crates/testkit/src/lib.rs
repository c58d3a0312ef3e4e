//! A simulated network in simulated time, for the tests of every crate of Antiphon.
//!
//! * [`Simulation`]: nodes with addresses, links between them, and a clock that jumps to the next thing due. Ten
//!   minutes of network cost milliseconds, and the same seed gives the same run.
//! * [`Pair`]: the same for two endpoints that know no addresses (DTLS, SCTP), one link in each direction.
//! * [`Link`]: delay, jitter, loss (random or in bursts), reordering, duplication, rate and queue, MTU.
//! * [`Nat`]: address translation with the mapping and filtering of RFC 4787, one behind another too, and NAT64; firewalls.
//! * [`for_each_seed`]: runs a test with many seeds and prints the one that failed; `ANTIPHON_SEED` sets it.
//! * [`left_out`]: whether a run does without a real peer that a test needs.
//! * [`Chart`]: what happened to every datagram, as a sequence chart in text; [`Pcap`]: the same for Wireshark.
//!
//! The endpoint under test gets a small wrapper that implements [`Node`] (or [`DatagramEndpoint`]): the four verbs are
//! handed on, and [`Node::settle`] takes its events out.
//!
//! ```
//! use antiphon_testkit::{DatagramEndpoint, Link, Loss, Pair};
//! use std::time::{Duration, Instant};
//!
//! /// Says "ping" every 100 ms until somebody answers.
//! #[derive(Default)]
//! struct Pinger { due: Option<Instant>, say: Option<&'static [u8]>, answered: bool }
//!
//! impl DatagramEndpoint for Pinger {
//!     fn handle_datagram(&mut self, _: Instant, datagram: &mut [u8]) {
//!         match &*datagram {
//!             b"ping" => self.say = Some(b"pong"),
//!             _ => (self.answered, self.due) = (true, None),
//!         }
//!     }
//!     fn handle_timeout(&mut self, now: Instant) {
//!         if self.due.is_some_and(|due| due <= now) {
//!             self.say = Some(b"ping");
//!             self.due = Some(now + Duration::from_millis(100));
//!         }
//!     }
//!     fn poll_transmit(&mut self, _: Instant, buf: &mut Vec<u8>) -> Option<usize> {
//!         let said = self.say.take()?;
//!         buf.extend_from_slice(said);
//!         Some(said.len())
//!     }
//!     fn poll_timeout(&mut self) -> Option<Instant> { self.due }
//! }
//!
//! antiphon_testkit::for_each_seed(20, |seed| {
//!     let link = Link { delay: Duration::from_millis(40), loss: Loss::random(0.3), ..Link::default() };
//!     let mut pair = Pair::new(seed, link, Pinger::default(), Pinger::default());
//!     pair.left_mut().due = Some(pair.now());
//!     assert!(pair.run_until(Duration::from_secs(60), |pair| pair.left().answered), "{}", pair.chart());
//! });
//! ```
//!
//! What it leaves out: congestion shared between links, routing, IP fragmentation (what exceeds the MTU is dropped, as
//! with the don't-fragment bit set). What is sent on a TCP path is carried whole and in order, without a connection's opening
//! and end.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test kit fails loudly")]

mod chart;
mod clock;
mod corpora;
mod link;
mod loss;
mod nat;
mod network;
mod pair;
mod pcap;
mod peers;
mod routing;
mod seed;
mod simulation;

pub use chart::{Chart, Fate, Passage};
pub use clock::origin;
pub use corpora::{corpus, corpus_folder};
pub use link::Link;
pub use loss::Loss;
pub use nat::{Nat, NatBehaviour};
pub use network::Packet;
pub use pair::{DatagramEndpoint, Pair};
pub use pcap::{Encapsulation, Pcap};
pub use peers::left_out;
pub use routing::nat64_address;
pub use seed::for_each_seed;
pub use simulation::{Node, NodeId, Simulation};
