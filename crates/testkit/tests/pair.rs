//! Two endpoints without addresses.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::time::{Duration, Instant};

use antiphon_testkit::{DatagramEndpoint, Fate, Link, Loss, Pair, for_each_seed};

/// Sends the numbers below `count` one after another, each until it is acknowledged.
#[derive(Default)]
struct StopAndWait {
    count: u8,
    acknowledged: u8,
    retransmit: Option<Instant>,
    answer: Option<u8>,
    got: Vec<u8>,
}

impl StopAndWait {
    fn sender(count: u8) -> Self {
        Self { count, ..Self::default() }
    }
}

impl DatagramEndpoint for StopAndWait {
    fn handle_datagram(&mut self, _: Instant, datagram: &mut [u8]) {
        match *datagram {
            [b'd', number] => {
                if usize::from(number) == self.got.len() {
                    self.got.push(number);
                }
                self.answer = Some(number);
            }
            [b'a', number] if number == self.acknowledged => {
                self.acknowledged += 1;
                self.retransmit = None;
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.retransmit.is_some_and(|due| due <= now) {
            self.retransmit = None;
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        if let Some(number) = self.answer.take() {
            buf.extend([b'a', number]);
            return Some(2);
        }
        if self.acknowledged == self.count || self.retransmit.is_some() {
            return None;
        }
        self.retransmit = Some(now + Duration::from_millis(200));
        buf.extend([b'd', self.acknowledged]);
        Some(2)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.retransmit
    }
}

fn all() -> Vec<u8> {
    (0..100).collect()
}

#[test]
fn everything_arrives_over_a_bad_link() {
    for_each_seed(20, |seed| {
        let link = Link { duplicate: 0.1, loss: Loss::bursty(0.2, 3.0), ..Link::mobile() };
        let mut pair = Pair::new(seed, link, StopAndWait::sender(100), StopAndWait::default());
        let done = pair.run_until(Duration::from_secs(600), |pair| pair.left().acknowledged == 100);
        assert!(done, "{}", pair.chart());
        assert_eq!(pair.right().got, all());
        assert!(pair.chart().count(Fate::Lost) > 10);
    });
}

#[test]
fn each_direction_has_its_own_link() {
    let mut pair = Pair::new(0, Link::default(), StopAndWait::sender(100), StopAndWait::default());
    pair.set_leftward_link(Link::cut());
    assert!(!pair.run_until(Duration::from_secs(10), |pair| pair.left().acknowledged > 0));
    assert_eq!(pair.right().got, [0]);
    pair.set_leftward_link(Link::with_delay(Duration::from_millis(5)));
    pair.set_rightward_link(Link::with_delay(Duration::from_millis(10)));
    pair.run_for(Duration::from_millis(200));
    let before = pair.left().acknowledged;
    pair.run_for(Duration::from_millis(150));
    assert_eq!(pair.left().acknowledged - before, 10);
}

#[test]
fn one_direction_is_intercepted_and_spoofed() {
    let mut pair = Pair::new(0, Link::default(), StopAndWait::sender(1), StopAndWait::default());
    pair.intercept(|rightward, packet| !rightward || packet.number > 2);
    pair.run_for(Duration::from_millis(300));
    assert!(pair.right().got.is_empty(), "{}", pair.chart());
    pair.inject_leftward(b"a\0");
    pair.run_for(Duration::from_millis(10));
    assert_eq!((pair.left().acknowledged, pair.right().got.len()), (1, 0));
}
