//! An SCTP association over DTLS, sans-IO.
