//! Two agents, or one and somebody else, in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod browser;
mod changing;
mod connecting;
mod embedding;
mod hostile;
mod lab;
mod lite;
mod liveness;
mod mdns;
mod net;
mod policies;
mod reflexive;
mod restarting;
mod script;
mod tcp;
