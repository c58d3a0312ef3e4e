//! The sans-IO WebRTC peer connection.
