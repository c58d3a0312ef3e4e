//! Two agents, or one and somebody else, in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod browser;
mod connecting;
mod hostile;
mod liveness;
mod net;
mod reflexive;
mod script;
mod tcp;
