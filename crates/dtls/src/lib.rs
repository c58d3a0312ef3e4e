//! DTLS for WebRTC, sans-IO.
