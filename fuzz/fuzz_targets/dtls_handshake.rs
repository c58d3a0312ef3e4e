//! A handshake between two ends over a network that does what a list of actions says: whoever is connected shares the keys
//! with the other end, and no data comes out that was not sent.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, CookieExchange, KeyUpdate, Version};
use antiphon_util::Rng;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

static CERTIFICATE: LazyLock<Arc<Certificate>> =
    LazyLock::new(|| Arc::new(Certificate::generate(Provider::default()).unwrap()));

#[derive(Arbitrary, Debug)]
enum Action {
    /// Delivers the datagram at this place of those under way.
    Deliver {
        at: u8,
    },
    /// Delivers it and leaves it under way.
    Duplicate {
        at: u8,
    },
    Lose {
        at: u8,
    },
    /// Changes a byte of it.
    Tamper {
        at: u8,
        offset: u16,
        to: u8,
    },
    Cut {
        at: u8,
        len: u16,
    },
    Inject {
        to_server: bool,
        datagram: Vec<u8>,
    },
    Wait {
        milliseconds: u16,
    },
    Send {
        from_server: bool,
        plaintext: Vec<u8>,
    },
    UpdateKeys {
        server: bool,
        both: bool,
    },
    Close {
        server: bool,
    },
}

/// What one end speaks.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Versions {
    Both,
    Newest,
    Older,
}

/// What differs between the ends.
#[derive(Arbitrary, Debug)]
struct Side {
    versions: Versions,
    connection_id: Option<[u8; 3]>,
}

#[derive(Arbitrary, Debug)]
struct Plan {
    demands_cookie: bool,
    datagram_size: u16,
    client: Side,
    server: Side,
    actions: Vec<Action>,
}

fn config(plan: &Plan, side: &Side) -> Config {
    let announced = vec![CERTIFICATE.fingerprint(HashAlgorithm::Sha256)];
    let mut config = Config::for_webrtc(Provider::default(), CERTIFICATE.clone(), announced);
    config.max_datagram_size = plan.datagram_size.into();
    config.versions = match side.versions {
        Versions::Both => Version::ALL.to_vec(),
        Versions::Newest => vec![Version::Dtls13],
        Versions::Older => vec![Version::Dtls12],
    };
    config.connection_id = side.connection_id.map(Vec::from);
    if plan.demands_cookie {
        config.cookie = CookieExchange::Demanded;
    }
    config
}

struct Run {
    now: Instant,
    /// Client, server.
    ends: [Connection; 2],
    /// Where each datagram goes, and the datagram.
    under_way: Vec<(usize, Vec<u8>)>,
    /// What each has sent.
    sent: [Vec<Vec<u8>>; 2],
}

impl Run {
    fn flush(&mut self) {
        for from in 0..2 {
            let mut datagram = Vec::new();
            while self.under_way.len() < 64
                && self.ends[from].poll_transmit(self.now, &mut datagram).is_some()
            {
                self.under_way.push((1 - from, std::mem::take(&mut datagram)));
            }
        }
    }

    fn deliver(&mut self, to: usize, mut datagram: Vec<u8>) {
        let sent = &self.sent[1 - to];
        self.ends[to].handle_datagram(self.now, &mut datagram, |plaintext| {
            assert!(sent.iter().any(|sent| **sent == *plaintext), "data of nobody");
        });
    }

    fn act(&mut self, action: Action) {
        let count = self.under_way.len().max(1);
        match action {
            Action::Deliver { at } if !self.under_way.is_empty() => {
                let (to, datagram) = self.under_way.remove(usize::from(at) % count);
                self.deliver(to, datagram);
            }
            Action::Duplicate { at } if !self.under_way.is_empty() => {
                let (to, datagram) = self.under_way[usize::from(at) % count].clone();
                self.deliver(to, datagram);
            }
            Action::Lose { at } if !self.under_way.is_empty() => {
                self.under_way.remove(usize::from(at) % count);
            }
            Action::Tamper { at, offset, to } if !self.under_way.is_empty() => {
                let (_, datagram) = &mut self.under_way[usize::from(at) % count];
                let len = datagram.len().max(1);
                if let Some(byte) = datagram.get_mut(usize::from(offset) % len) {
                    *byte = to;
                }
            }
            Action::Cut { at, len } if !self.under_way.is_empty() => {
                self.under_way[usize::from(at) % count].1.truncate(len.into());
            }
            Action::Inject { to_server, datagram } => self.deliver(to_server.into(), datagram),
            Action::Wait { milliseconds } => {
                self.now += Duration::from_millis(milliseconds.into());
                self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
            }
            Action::Send { from_server, plaintext } => {
                let from = usize::from(from_server);
                let mut record = vec![0; self.ends[from].headroom()];
                record.extend_from_slice(&plaintext);
                if self.ends[from].seal_in_place(&mut record, 0).is_ok() {
                    self.sent[from].push(plaintext);
                    self.under_way.push((1 - from, record));
                }
            }
            Action::UpdateKeys { server, both } => {
                let update = if both { KeyUpdate::Both } else { KeyUpdate::Own };
                self.ends[usize::from(server)].update_keys(update);
            }
            Action::Close { server } => self.ends[usize::from(server)].close(self.now),
            _ => {}
        }
    }
}

fuzz_target!(|plan: Plan| {
    let now = Instant::now();
    let mut run = Run {
        now,
        ends: [
            Connection::client(config(&plan, &plan.client), Rng::from_test_seed(1)),
            Connection::server(config(&plan, &plan.server), Rng::from_test_seed(2)),
        ],
        under_way: Vec::new(),
        sent: [Vec::new(), Vec::new()],
    };
    run.ends.iter_mut().for_each(|end| end.start(now, Some(Duration::from_millis(20))));
    run.flush();
    for action in plan.actions {
        run.act(action);
        run.flush();
        if run.ends.iter().all(Connection::is_connected) {
            let exported = [0, 1].map(|end: usize| {
                let mut out = [0; 32];
                run.ends[end].export_keying_material(b"label", None, &mut out).unwrap();
                out
            });
            assert_eq!(exported[0], exported[1]);
        }
    }
});
