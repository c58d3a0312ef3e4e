//! A resolver and responder of multicast DNS hears another one, whose messages may be damaged on the way, and whatever else: it
//! never panics, sends no more in a second than its limits say, tells of no more names than it may ask for, and comes to rest.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_ice::{MDNS_PORT, Mdns, MdnsEvent, MdnsLimits};
use antiphon_util::Rng;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Action {
    Publish { ip: [u8; 4] },
    PublishV6 { ip: [u8; 16] },
    Withdraw { ip: [u8; 4] },
    Resolve { which: u8 },
    ResolveText { name: String },
    Ask { which: u8 },
    Carry { damage: Option<(u16, u8)>, port: u16 },
    Raw { port: u16, bytes: Vec<u8> },
    Pass { milliseconds: u16 },
}

struct Scene {
    ours: Mdns,
    other: Mdns,
    now: Instant,
    /// Names that the other one has published, and ours.
    names: Vec<String>,
    told: usize,
    sent: usize,
    seconds: u64,
}

fuzz_target!(|actions: Vec<Action>| {
    let mut rng = Rng::from_test_seed(1);
    let limits = MdnsLimits::default();
    let mut scene = Scene {
        ours: Mdns::new(limits, rng.fork()),
        other: Mdns::new(limits, rng.fork()),
        now: Instant::now(),
        names: Vec::new(),
        told: 0,
        sent: 0,
        seconds: 1,
    };
    for action in actions.iter().take(200) {
        scene.act(action);
        scene.check(limits);
    }
    scene.pass(Duration::from_secs(100));
    scene.check(limits);
    assert_eq!(scene.ours.poll_timeout(), None);
    assert!(scene.told <= limits.resolved_names);
});

impl Scene {
    fn act(&mut self, action: &Action) {
        match action {
            Action::Publish { ip } => self.publish(IpAddr::from(*ip)),
            Action::PublishV6 { ip } => self.publish(IpAddr::from(*ip)),
            Action::Withdraw { ip } => self.ours.withdraw(self.now, IpAddr::from(*ip)),
            Action::Resolve { which } => {
                if let Some(name) = self.names.get(usize::from(*which) % 64).cloned() {
                    self.resolve(&name);
                }
            }
            Action::ResolveText { name } => self.resolve(name),
            Action::Ask { which } => {
                if let Some(name) = self.names.get(usize::from(*which) % 64) {
                    let _ = self.other.resolve(self.now, name);
                }
            }
            Action::Carry { damage, port } => self.carry(*damage, *port),
            Action::Raw { port, bytes } => self.ours.handle_datagram(self.now, from(*port), bytes),
            Action::Pass { milliseconds } => self.pass(Duration::from_millis((*milliseconds).into())),
        }
    }

    fn publish(&mut self, ip: IpAddr) {
        for mdns in [&mut self.ours, &mut self.other] {
            let name = mdns.publish(ip).map(str::to_owned);
            self.names.extend(name.filter(|_| self.names.len() < 64));
        }
    }

    fn resolve(&mut self, name: &str) {
        if self.ours.resolve(self.now, name).is_ok() {
            assert!(name.to_ascii_lowercase().ends_with(".local"));
        }
    }

    /// Gives ours the next message of the other.
    fn carry(&mut self, damage: Option<(u16, u8)>, port: u16) {
        let mut message = Vec::new();
        if self.other.poll_transmit(&mut message).is_none() {
            return;
        }
        if let Some((at, value)) = damage {
            let at = usize::from(at) % message.len();
            message[at] = value;
        }
        self.ours.handle_datagram(self.now, from(port), &message);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.seconds += time.as_secs() + 1;
        let mut steps = 0;
        while let Some(due) = self.ours.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.ours.handle_timeout(self.now);
            steps += 1;
            assert!(steps < 100, "it does not come to rest");
        }
        self.now = end;
        self.other.handle_timeout(end);
    }

    /// Hands what ours sends to the other and counts it.
    fn check(&mut self, limits: MdnsLimits) {
        let mut message = Vec::new();
        while let Some((_, len)) = self.ours.poll_transmit(&mut message) {
            assert!(len == message.len() && (12..=9_000).contains(&len));
            self.other.handle_datagram(self.now, from(MDNS_PORT), &message);
            message.clear();
            self.sent += 1;
        }
        let most = u64::from(limits.messages_per_second) * (self.seconds + 1);
        assert!(self.sent as u64 <= most, "{} in {} s", self.sent, self.seconds);
        while let Some(event) = self.ours.poll_event() {
            let (MdnsEvent::Resolved { name, .. } | MdnsEvent::Unresolved { name }) = event;
            assert!(name.to_ascii_lowercase().ends_with(".local"));
            self.told += 1;
        }
        while self.other.poll_event().is_some() {}
    }
}

fn from(port: u16) -> SocketAddr {
    // Mostly from where messages of multicast DNS have to come.
    let port = if port.is_multiple_of(4) { port } else { MDNS_PORT };
    ([192, 0, 2, 9], port).into()
}
