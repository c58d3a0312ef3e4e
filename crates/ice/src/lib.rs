//! The ICE agent, sans-IO.
