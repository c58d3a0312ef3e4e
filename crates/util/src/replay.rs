//! Replay protection (the sliding window of RFC 6347 §4.1.2.6 and RFC 3711 §3.3.2).

const WIDTH: u64 = 256;

const HALF: u64 = WIDTH / 2;

/// Which packet numbers have been accepted: all above the highest are new, those within 256 below it are looked up,
/// older ones are refused.
///
/// Looking and recording are two steps, because only a packet that proved authentic may move the window.
#[derive(Debug, Clone, Default)]
pub struct ReplayWindow {
    /// One above the highest number recorded; 0 before the first.
    next: u64,
    /// Bit `i` stands for number `next - 1 - i`; the lower half first.
    seen: [u128; 2],
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
            Some(age) if age < WIDTH => !self.has(age),
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
            self.advance(next - self.next);
            self.next = next;
        }
        let age = self.next - next;
        let [low, high] = &mut self.seen;
        if age < HALF {
            *low |= 1 << age
        } else {
            *high |= 1 << (age - HALF)
        }
        true
    }

    fn has(&self, age: u64) -> bool {
        let [low, high] = self.seen;
        if age < HALF { low & 1 << age != 0 } else { high & 1 << (age - HALF) != 0 }
    }

    /// Makes everything recorded older by `by`, which is above 0.
    fn advance(&mut self, by: u64) {
        let [low, high] = self.seen;
        self.seen = match by {
            _ if by < HALF => [low << by, high << by | low >> (HALF - by)],
            _ if by < WIDTH => [0, low << (by - HALF)],
            _ => [0, 0],
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_fresh_once() {
        let mut window = ReplayWindow::new();
        for number in [0, 2, 1, 5, 4, 300, 299, 173, 172, 171, 45, 556, 428, 429, 301] {
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
        assert!(window.is_fresh(1_000 - 255));
        assert!(!window.is_fresh(1_000 - 256));
        assert!(!window.is_fresh(0));
    }

    #[test]
    fn a_jump_forgets_and_the_neighbours_stay_fresh() {
        let mut window = ReplayWindow::new();
        assert!(window.record(7));
        assert!(window.record(7 + 256));
        assert!(window.is_fresh(8));
        assert!(!window.is_fresh(7));
        assert!(window.record((1 << 48) - 1));
        assert!(!window.is_fresh((1 << 48) - 1));
    }
}
