//! Proportional rate reduction (RFC 9937): spreads the reduction of the window over the recovery.

/// One recovery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prr {
    /// Bytes in flight when it began.
    flight: usize,
    delivered: usize,
    sent: usize,
}

impl Prr {
    pub(super) fn new(flight: usize) -> Self {
        Self { flight: flight.max(1), delivered: 0, sent: 0 }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// The window after an acknowledgement of `acked` bytes; `clean` where it reports no further loss.
    pub(super) fn window(
        &mut self,
        acked: usize,
        clean: bool,
        in_flight: usize,
        threshold: usize,
        packet_size: usize,
    ) -> usize {
        self.delivered += acked;
        let count = if in_flight > threshold {
            let share = (self.delivered as u128 * threshold as u128).div_ceil(self.flight as u128);
            usize::try_from(share).unwrap_or(usize::MAX).saturating_sub(self.sent)
        } else {
            let mut count = self.delivered.saturating_sub(self.sent).max(acked);
            if clean {
                count += packet_size;
            }
            count.min(threshold - in_flight)
        };
        // The first retransmission always goes.
        let count = if self.sent == 0 { count.max(packet_size) } else { count };
        in_flight + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_as_many_as_the_threshold_over_the_recovery() {
        // RFC 9937: 20 packets in flight, one lost, threshold 10: about every second ack sends one.
        let mut prr = Prr::new(19_000);
        let (mut in_flight, mut sent) = (19_000, 0);
        for _ in 0..19 {
            in_flight -= 1_000;
            let window = prr.window(1_000, true, in_flight, 10_000, 1_000);
            while in_flight < window {
                in_flight += 1_000;
                sent += 1;
                prr.sent(1_000);
            }
        }
        assert!((9..=11).contains(&sent), "{sent}");
        assert!((9_000..=11_000).contains(&in_flight), "{in_flight}");
    }

    #[test]
    fn many_losses_bring_the_flight_back_to_the_threshold_and_not_beyond() {
        let mut prr = Prr::new(20_000);
        let mut in_flight = 4_000;
        for _ in 0..20 {
            in_flight -= 1_000;
            let window = prr.window(1_000, true, in_flight, 10_000, 1_000);
            assert!(window <= 10_000);
            prr.sent(window - in_flight);
            in_flight = window;
        }
        assert_eq!(in_flight, 10_000);
    }
}
