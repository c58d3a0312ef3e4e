//! Real peers, for tests of Antiphon with them: headless Chromium and aiortc.
//!
//! * [`Remote`]: a peer that a test drives: it makes channels, offers, answers, sends, receives, echoes and closes.
//! * [`Chromium`]: a browser of its own per test, driven through WebDriver; its page is `peers/peer.js`.
//! * [`Aiortc`]: a Python process driven by lines of JSON; its program is `peers/peer.py`.
//!
//! Nothing takes a fixed port, and nothing is left running: a browser or process that is dropped is killed, with
//! everything it started. `cargo xtask test` installs both peers and runs the tests of this package.
#![allow(clippy::indexing_slicing, reason = "JSON values give null where there is nothing")]

mod aiortc;
mod chromium;
mod page;
mod payload;
mod remote;

pub use aiortc::Aiortc;
pub use chromium::Chromium;
pub use payload::Payload;
pub use remote::{ChannelInit, Driver, Remote};
