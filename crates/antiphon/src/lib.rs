//! A native WebRTC peer for tokio.
