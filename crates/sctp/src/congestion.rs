//! Congestion control (RFC 9260 §7.2): told facts, asked for a window; it knows nothing of packets.

/// Slow start and congestion avoidance after NewReno.
///
/// Growth counts acknowledged bytes, so that one SACK for a burst opens the window as far as many SACKs would: the
/// limit of one packet a SACK in RFC 9260 §7.2.1 assumes a SACK for every second packet.
#[derive(Debug)]
pub(crate) struct NewReno {
    packet_size: usize,
    initial_window: usize,
    window: usize,
    slow_start_threshold: usize,
    /// Bytes acknowledged towards the next step of congestion avoidance.
    partial_bytes_acked: usize,
}

/// An acknowledgement of new data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    /// Bytes newly acknowledged.
    pub(crate) bytes: usize,
    /// Bytes in flight before it.
    pub(crate) in_flight_before: usize,
    /// Whether losses are being recovered from.
    pub(crate) in_recovery: bool,
}

impl NewReno {
    /// Initial window in packets (RFC 6928).
    const INITIAL_PACKETS: usize = 10;
    /// Least window after a loss, in packets (RFC 9260 §7.2.3).
    const MIN_PACKETS: usize = 4;

    pub(crate) fn new(packet_size: usize) -> Self {
        let initial_window = Self::INITIAL_PACKETS * packet_size;
        Self {
            packet_size,
            initial_window,
            window: initial_window,
            slow_start_threshold: usize::MAX,
            partial_bytes_acked: 0,
        }
    }

    /// Bytes that may be in flight.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    pub(crate) fn handle_ack(&mut self, acked: Acked) {
        // An idle or limited sender learns nothing about the path (RFC 9260 §7.2.1).
        let used = acked.in_flight_before + self.packet_size > self.window;
        if acked.in_recovery || !used {
            return;
        }
        if self.window < self.slow_start_threshold {
            self.window += acked.bytes;
            return;
        }
        self.partial_bytes_acked += acked.bytes;
        if self.partial_bytes_acked >= self.window {
            self.partial_bytes_acked -= self.window;
            self.window += self.packet_size;
        }
    }

    /// Losses were seen by acknowledgements, for the first time since the last recovery ended.
    pub(crate) fn handle_loss(&mut self) {
        self.slow_start_threshold = (self.window / 2).max(Self::MIN_PACKETS * self.packet_size);
        self.window = self.slow_start_threshold;
        self.partial_bytes_acked = 0;
    }

    /// The retransmission timer expired (RFC 9260 §7.2.3).
    pub(crate) fn handle_timeout(&mut self) {
        self.slow_start_threshold = (self.window / 2).max(Self::MIN_PACKETS * self.packet_size);
        self.window = self.packet_size;
        self.partial_bytes_acked = 0;
    }

    /// Nothing was sent for a retransmission time-out (RFC 9260 §7.2.1); what is known of the path ages.
    pub(crate) fn handle_idle(&mut self) {
        if self.window > self.initial_window {
            self.slow_start_threshold = self.slow_start_threshold.max(self.window / 4 * 3);
            self.window = (self.window / 2).max(self.initial_window);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(controller: &NewReno, bytes: usize) -> Acked {
        Acked { bytes, in_flight_before: controller.window(), in_recovery: false }
    }

    #[test]
    fn doubles_in_slow_start_whatever_the_number_of_acks() {
        let mut controller = NewReno::new(1000);
        controller.handle_ack(full(&controller, 10_000));
        assert_eq!(controller.window(), 20_000);
    }

    #[test]
    fn halves_on_loss_and_then_grows_by_a_packet_a_round_trip() {
        let mut controller = NewReno::new(1000);
        controller.handle_ack(full(&controller, 10_000));
        controller.handle_loss();
        assert_eq!(controller.window(), 10_000);
        for _ in 0..10 {
            controller.handle_ack(full(&controller, 1_000));
        }
        assert_eq!(controller.window(), 11_000);
    }

    #[test]
    fn a_timeout_leaves_one_packet_and_half_as_threshold() {
        let mut controller = NewReno::new(1000);
        controller.handle_timeout();
        assert_eq!(controller.window(), 1_000);
        let mut windows = Vec::new();
        for _ in 0..4 {
            controller.handle_ack(full(&controller, controller.window()));
            windows.push(controller.window());
        }
        assert_eq!(windows, [2_000, 4_000, 8_000, 9_000]);
    }

    #[test]
    fn does_not_grow_while_the_window_is_not_used() {
        let mut controller = NewReno::new(1000);
        controller.handle_ack(Acked { bytes: 2_000, in_flight_before: 2_000, in_recovery: false });
        assert_eq!(controller.window(), 10_000);
    }
}
