//! What a peer can make grow, bounded.

/// Bounds of a [`Client`](crate::Client) and a [`BindingServer`](crate::BindingServer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests of a client that await their answers or whose outcome nobody took.
    pub requests: usize,
    /// How often a server may answer one request with a challenge.
    pub challenges: u32,
    /// Attribute numbers that a 420 names.
    pub unknown_attributes: usize,
    /// Servers that a client remembers to have been sent away from.
    pub redirections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 64, challenges: 4, unknown_attributes: 8, redirections: 8 }
    }
}
