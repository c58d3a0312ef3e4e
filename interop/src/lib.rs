//! Real peers, for tests of Antiphon with them: headless Chromium and Firefox, aiortc, GStreamer, libdatachannel and wrtc.
//!
//! * [`Remote`]: a peer that a test drives: it makes channels, offers, answers, sends, receives, echoes and closes.
//! * [`Chromium`], [`Firefox`]: a [`Browser`] of its own per test, driven through WebDriver; its page is `peers/peer.js`.
//! * [`Aiortc`], [`Gstreamer`]: a Python [`Process`] driven by lines of JSON; its program is `peers/peer.py` or
//!   `peers/gstreamer.py`.
//! * [`Node`]: the same with the libraries of Node; `peers/peer.mjs` runs the browsers' page.
//! * [`Coturn`]: its TURN server, and its clients.
//! * [`Lab`]: hosts and NATs, each in a network namespace of its own; `lab-peer` is what runs there.
//! * [`Network`]: a network namespace for a test whose peer needs more than loopback.
//!
//! Nothing takes a fixed port, and nothing is left running: a browser or process that is dropped is killed, with
//! everything it started. `cargo xtask test` installs the peers and runs the tests of this package.
#![allow(clippy::indexing_slicing, reason = "JSON values give null where there is nothing")]

mod browser;
mod chromium;
mod coturn;
mod firefox;
mod lab;
mod network;
mod page;
mod payload;
mod process;
mod remote;

pub use browser::Browser;
pub use chromium::Chromium;
pub use coturn::{Coturn, PASSWORD, SECRET, USER};
pub use firefox::Firefox;
pub use lab::{Lab, NatKind};
pub use network::Network;
pub use payload::Payload;
pub use process::{Aiortc, Gstreamer, Node, Process};
pub use remote::{ChannelInit, Driver, Remote};
