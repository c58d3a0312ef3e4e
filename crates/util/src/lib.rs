//! What every protocol crate of Antiphon needs and no protocol owns.
//!
//! * [`Reader`] and [`Writer`]: the only way bytes of the network are read and written. Nothing here
//!   indexes, panics or loops without consuming.
//! * [`Path`], [`Received`], [`Transmit`]: a datagram's addresses on the way in and out.
//! * [`Timers`]: a table from a timer's name to the instant it is due.
//! * [`Serial16`], [`Serial32`]: sequence numbers that wrap (RFC 1982).
//! * [`ReplayWindow`]: which packet numbers have been accepted.
//! * [`Rng`]: a generator handed in at construction, so that a test repeats from its seed.
//! * [`ClockAnchor`]: relates the monotonic clock to the calendar.
//! * [`Tally`]: counts by reason.
//!
//! It names no protocol, reads no clock and depends on nothing of ours.

mod clock;
mod net;
mod reader;
mod replay;
mod rng;
mod serial;
mod tally;
mod timers;
mod writer;

pub use clock::ClockAnchor;
pub use net::{Ecn, Path, Protocol, Received, Transmit};
pub use reader::{ParseError, Reader};
pub use replay::ReplayWindow;
pub use rng::Rng;
pub use serial::{Serial16, Serial32};
pub use tally::Tally;
pub use timers::Timers;
pub use writer::Writer;
