//! Round trips, counted by what was delivered.

/// A round ends when a packet is acknowledged that was sent after the round began.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rounds {
    ends_at: u64,
}

impl Rounds {
    /// Takes an acknowledgement of a packet before which `prior` bytes were delivered, `delivered` being delivered now;
    /// whether a new round begins with it.
    pub(super) fn advance(&mut self, prior: u64, delivered: u64) -> bool {
        let starts = prior >= self.ends_at;
        if starts {
            self.ends_at = delivered;
        }
        starts
    }

    /// Begins a round now.
    pub(super) fn restart(&mut self, delivered: u64) {
        self.ends_at = delivered;
    }
}
