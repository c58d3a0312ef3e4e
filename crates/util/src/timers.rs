//! Named timers.

use std::time::Instant;

/// When each timer of a small enum is due.
///
/// `K` lists the timers; the owner handles expiry in one `match` over [`Timers::expired`].
#[derive(Debug, Clone)]
pub struct Timers<K> {
    due: Vec<(K, Instant)>,
}

impl<K: Copy + PartialEq> Timers<K> {
    /// No timer is set.
    pub fn new() -> Self {
        Self { due: Vec::new() }
    }

    /// Sets `timer` to `at`, whether or not it was set.
    pub fn set(&mut self, timer: K, at: Instant) {
        match self.due.iter_mut().find(|(k, _)| *k == timer) {
            Some((_, due)) => *due = at,
            None => self.due.push((timer, at)),
        }
    }

    /// Stops `timer`.
    pub fn stop(&mut self, timer: K) {
        self.due.retain(|(k, _)| *k != timer);
    }

    /// Stops all timers.
    pub fn clear(&mut self) {
        self.due.clear();
    }

    /// When `timer` is due, if it is set.
    pub fn get(&self, timer: K) -> Option<Instant> {
        self.due.iter().find(|(k, _)| *k == timer).map(|(_, at)| *at)
    }

    /// Whether `timer` is set.
    pub fn is_set(&self, timer: K) -> bool {
        self.get(timer).is_some()
    }

    /// The earliest instant at which a timer is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.iter().map(|(_, at)| *at).min()
    }

    /// Takes the timer that has been due longest at `now`; call it until it gives `None`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let at = self
            .due
            .iter()
            .enumerate()
            .filter(|(_, (_, at))| *at <= now)
            .min_by_key(|(_, (_, at))| *at)
            .map(|(index, _)| index)?;
        Some(self.due.swap_remove(at).0)
    }
}

impl<K: Copy + PartialEq> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant serves as the origin")]
    fn expire_in_order_of_time_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set('a', at(30));
        timers.set('b', at(10));
        timers.set('c', at(20));
        timers.set('a', at(5));
        timers.stop('c');
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.expired(at(4)), None);
        assert_eq!(timers.expired(at(10)), Some('a'));
        assert_eq!(timers.expired(at(10)), Some('b'));
        assert_eq!(timers.expired(at(10)), None);
        assert_eq!(timers.next(), None);
    }
}
