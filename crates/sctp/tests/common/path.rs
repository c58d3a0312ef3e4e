//! Associations over a bottleneck in simulated time, and what they made of it.

#![allow(unreachable_pub, dead_code, reason = "shared by a test and an example")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

use std::time::{Duration, Instant};

use antiphon_sctp::{
    Association, Config, Congestion, CongestionControl, Event, Message, PayloadProtocolId, SendOptions,
    Statistics, StreamId,
};
use antiphon_testkit::{DatagramEndpoint, Link, Loss, Pair};
use antiphon_util::Rng;

/// A path, and what is sent over it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Bits a second of the bottleneck, from left to right.
    pub rate: u64,
    pub round_trip: Duration,
    /// Bytes that wait at the bottleneck.
    pub queue: usize,
    pub loss: Loss,
    /// One association each; all send from left to right.
    pub flows: Vec<Congestion>,
    pub time: Duration,
    /// A message of 100 bytes on a channel of its own, so often, beside the bulk of the first flow.
    pub messages: Option<Duration>,
    /// Changes the configuration of both ends.
    pub configure: fn(&mut Config),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Bytes of user data that arrived after the first second, as a share of what the path carries after headers, by
    /// flow.
    pub shares: Vec<f64>,
    /// Delay that the queue added to packets after the start-up, which takes thirty round trips, sorted.
    pub queueing: Vec<Duration>,
    /// From send to read of the small messages after the first second, sorted.
    pub latencies: Vec<Duration>,
    pub sender: Vec<Statistics>,
}

/// Bytes that DTLS and the trace of the flow add to a packet.
const RECORD: usize = 37;
/// Bytes of IP and UDP.
const NETWORK: usize = 28;
const BULK: StreamId = StreamId(2);
const SMALL: StreamId = StreamId(4);

pub fn bbr() -> Congestion {
    Congestion { control: CongestionControl::Bbr, ..Congestion::default() }
}

pub fn cubic() -> Congestion {
    Congestion { control: CongestionControl::Cubic, ..Congestion::default() }
}

pub fn new_reno() -> Congestion {
    Congestion { control: CongestionControl::NewReno, ..Congestion::default() }
}

impl Scenario {
    /// One flow over a path of so many Mbit/s and ms with a queue of 256 KB, without loss.
    pub fn new(megabits: u64, milliseconds: u64, flow: Congestion) -> Self {
        Self {
            rate: megabits * 1_000_000,
            round_trip: Duration::from_millis(milliseconds),
            queue: 256 * 1024,
            loss: Loss::None,
            flows: vec![flow],
            time: Duration::from_secs(30),
            messages: None,
            configure: |_| {},
        }
    }

    pub fn run(&self, seed: u64) -> Outcome {
        let back = Link::with_delay(self.round_trip / 2);
        let forth = Link { rate: Some(self.rate), queue: Some(self.queue), loss: self.loss, ..back };
        let mut rng = Rng::from_test_seed(seed);
        let mut sides = [Side::Sender, Side::Receiver].map(|side| Host::new(self, side, &mut rng));
        let now = antiphon_testkit::origin();
        for flow in 0..self.flows.len() {
            for side in &mut sides {
                side.origin = Some(now);
                side.flows[flow].association.connect(now);
            }
        }
        let [left, right] = sides;
        let mut pair = Pair::new(seed, back, left, right);
        pair.set_rightward_link(forth);
        pair.run_for(self.time);
        self.evaluate(pair)
    }

    fn evaluate(&self, mut pair: Pair<Host, Host>) -> Outcome {
        let packet = Config::default().max_packet_size & !3;
        let payload = (packet - 12 - 16) as f64 / (packet + RECORD + NETWORK) as f64;
        let seconds = self.time.as_secs_f64() - 1.0;
        let capacity = self.rate as f64 / 8.0 * payload * seconds;
        let right = pair.right_mut();
        right.queueing.sort_unstable();
        right.latencies.sort_unstable();
        Outcome {
            shares: right.flows.iter().map(|flow| flow.received as f64 / capacity).collect(),
            queueing: std::mem::take(&mut right.queueing),
            latencies: std::mem::take(&mut right.latencies),
            sender: pair.left().flows.iter().map(|flow| flow.association.statistics()).collect(),
        }
    }
}

impl Outcome {
    pub fn share(&self) -> f64 {
        self.shares.iter().sum()
    }

    /// Fairness among the flows (Jain), 1 where all have the same.
    pub fn fairness(&self) -> f64 {
        let squares: f64 = self.shares.iter().map(|share| share * share).sum();
        self.share().powi(2) / (self.shares.len() as f64 * squares)
    }
}

/// The value below which so many per cent of the sorted values lie, in milliseconds.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |value| value.as_secs_f64() * 1_000.0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Sender,
    Receiver,
}

/// All associations of one side. A datagram begins with the number of its flow and ends with the instant at which it was
/// sent.
struct Host {
    side: Side,
    origin: Option<Instant>,
    flows: Vec<Flow>,
    turn: usize,
    scenario: Scenario,
    next_message: Option<Instant>,
    queueing: Vec<Duration>,
    latencies: Vec<Duration>,
    bulk: bytes::Bytes,
}

struct Flow {
    association: Association,
    connected: bool,
    received: u64,
}

impl Host {
    fn new(scenario: &Scenario, side: Side, rng: &mut Rng) -> Self {
        let flow = |congestion: &Congestion, rng: &mut Rng| {
            let mut config = Config { congestion: *congestion, ..Config::default() };
            (scenario.configure)(&mut config);
            let mut association = Association::new(config, rng.fork());
            association.set_stream_weight(SMALL, 1_024);
            Flow { association, connected: false, received: 0 }
        };
        Self {
            side,
            origin: None,
            flows: scenario.flows.iter().map(|congestion| flow(congestion, rng)).collect(),
            turn: 0,
            scenario: scenario.clone(),
            next_message: None,
            queueing: Vec::new(),
            latencies: Vec::new(),
            bulk: vec![7; 64 * 1024].into(),
        }
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| now - origin)
    }

    fn send(&mut self, now: Instant) {
        for flow in self.flows.iter_mut().filter(|flow| flow.connected) {
            while flow.association.buffered_amount(BULK) < 1 << 20 {
                let message =
                    Message { stream: BULK, ppid: PayloadProtocolId(53), payload: self.bulk.clone() };
                flow.association.send(now, message, SendOptions::default()).unwrap();
            }
        }
        let Some(interval) = self.scenario.messages else { return };
        if self.next_message.is_none_or(|at| at <= now) && self.flows[0].connected {
            self.next_message = Some(now + interval);
            let mut payload = vec![0; 100];
            payload[..8].copy_from_slice(&(self.elapsed(now).as_nanos() as u64).to_be_bytes());
            let message = Message { stream: SMALL, ppid: PayloadProtocolId(53), payload: payload.into() };
            self.flows[0].association.send(now, message, SendOptions::default()).unwrap();
        }
    }

    fn read(&mut self, now: Instant) {
        let elapsed = self.elapsed(now);
        let counts = elapsed > Duration::from_secs(1);
        for flow in &mut self.flows {
            while let Some(message) = flow.association.read(now, BULK) {
                if counts {
                    flow.received += message.payload.len() as u64;
                }
            }
            while let Some(message) = flow.association.read(now, SMALL) {
                let sent = u64::from_be_bytes(message.payload[..8].try_into().unwrap());
                if counts {
                    self.latencies.push(elapsed - Duration::from_nanos(sent));
                }
            }
        }
    }
}

impl DatagramEndpoint for Host {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        let (packet, trace) = datagram.split_at(datagram.len() - RECORD);
        let flow = usize::from(trace[0]);
        let sent = Duration::from_nanos(u64::from_be_bytes(trace[1..9].try_into().unwrap()));
        let elapsed = self.elapsed(now);
        if self.side == Side::Receiver && elapsed > 30 * self.scenario.round_trip {
            let bytes = (datagram.len() + NETWORK) as u64;
            let line = Duration::from_nanos(bytes * 8_000_000_000 / self.scenario.rate);
            self.queueing.push((elapsed - sent).saturating_sub(self.scenario.round_trip / 2 + line));
        }
        self.flows[flow].association.handle_datagram(now, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.flows.iter_mut().for_each(|flow| flow.association.handle_timeout(now));
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        for _ in 0..self.flows.len() {
            let flow = self.turn;
            self.turn = (self.turn + 1) % self.flows.len();
            if let Some(len) = self.flows[flow].association.poll_transmit(now, buf) {
                buf.push(flow as u8);
                buf.extend((self.elapsed(now).as_nanos() as u64).to_be_bytes());
                buf.extend([0; RECORD - 9]);
                return Some(len + RECORD);
            }
        }
        None
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let flows = self.flows.iter().filter_map(|flow| flow.association.poll_timeout());
        flows.chain(self.next_message).min()
    }

    fn settle(&mut self, now: Instant) {
        for flow in &mut self.flows {
            while let Some(event) = flow.association.poll_event() {
                flow.connected |= matches!(event, Event::Connected { .. });
            }
        }
        match self.side {
            Side::Sender => self.send(now),
            Side::Receiver => self.read(now),
        }
    }
}
