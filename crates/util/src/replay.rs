//! Replay protection (the sliding window of RFC 6347 §4.1.2.6 and RFC 3711 §3.3.2).

const WIDTH: u64 = 128;

/// Which packet numbers have been accepted: all above the highest are new, those within 128 below it are looked up,
/// older ones are refused.
///
/// Looking and recording are two steps, because only a packet that proved authentic may move the window.
#[derive(Debug, Clone, Default)]
pub struct ReplayWindow {
    /// One above the highest number recorded; 0 before the first.
    next: u64,
    /// Bit `i` stands for number `next - 1 - i`.
    seen: u128,
}

impl ReplayWindow {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number above the highest recorded.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether `number` has not been recorded and is not too old to tell.
    pub fn is_fresh(&self, number: u64) -> bool {
        match self.next.checked_sub(1).and_then(|highest| highest.checked_sub(number)) {
            None => true,
            Some(age) if age < WIDTH => self.seen & (1 << age) == 0,
            Some(_) => false,
        }
    }

    /// Records `number`, of a packet whose authenticity was verified; `false` where it was not fresh.
    pub fn record(&mut self, number: u64) -> bool {
        if !self.is_fresh(number) {
            return false;
        }
        let next = number.saturating_add(1);
        if next > self.next {
            let shift = next - self.next;
            self.seen = if shift < WIDTH { self.seen << shift } else { 0 };
            self.next = next;
        }
        self.seen |= 1 << (self.next - next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_fresh_once() {
        let mut window = ReplayWindow::new();
        for number in [0, 2, 1, 5, 4, 300, 299, 173] {
            assert!(window.is_fresh(number), "{number}");
            assert!(window.record(number));
            assert!(!window.is_fresh(number));
            assert!(!window.record(number));
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut window = ReplayWindow::new();
        assert!(window.record(1_000));
        assert!(window.is_fresh(1_000 - 127));
        assert!(!window.is_fresh(1_000 - 128));
        assert!(!window.is_fresh(0));
    }

    #[test]
    fn a_jump_forgets_and_the_neighbours_stay_fresh() {
        let mut window = ReplayWindow::new();
        assert!(window.record(7));
        assert!(window.record(7 + 128));
        assert!(window.is_fresh(8));
        assert!(!window.is_fresh(7));
        assert!(window.record((1 << 48) - 1));
        assert!(!window.is_fresh((1 << 48) - 1));
    }
}
