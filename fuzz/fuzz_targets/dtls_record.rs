//! Datagrams of anybody, fed to an established connection and to both ends before the handshake: no data comes out, and the
//! established connection lives on.
#![no_main]

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection};
use antiphon_util::Rng;
use libfuzzer_sys::fuzz_target;

static CERTIFICATE: LazyLock<Arc<Certificate>> =
    LazyLock::new(|| Arc::new(Certificate::generate(Provider::default()).unwrap()));

fn config() -> Config {
    let announced = vec![CERTIFICATE.fingerprint(HashAlgorithm::Sha256)];
    Config::for_webrtc(Provider::default(), CERTIFICATE.clone(), announced)
}

struct Established {
    now: Instant,
    client: Connection,
    server: Connection,
}

impl Established {
    fn new() -> Self {
        let now = Instant::now();
        let mut client = Connection::client(config(), Rng::from_test_seed(1));
        let mut server = Connection::server(config(), Rng::from_test_seed(2));
        client.start(now, None);
        server.start(now, None);
        while !(client.is_connected() && server.is_connected()) {
            pass(now, &mut client, &mut server);
            pass(now, &mut server, &mut client);
        }
        Self { now, client, server }
    }
}

fn pass(now: Instant, from: &mut Connection, to: &mut Connection) {
    let mut datagram = Vec::new();
    while from.poll_transmit(now, &mut datagram).is_some() {
        to.handle_datagram(now, &mut std::mem::take(&mut datagram), |_| panic!("data of nobody"));
    }
}

thread_local! {
    static ESTABLISHED: RefCell<Established> = RefCell::new(Established::new());
}

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    ESTABLISHED.with_borrow_mut(|Established { now, client, server }| {
        let mut new_client = Connection::client(config(), Rng::from_test_seed(3));
        let mut new_server = Connection::server(config(), Rng::from_test_seed(4));
        new_client.start(*now, None);
        new_server.start(*now, None);
        for datagram in &datagrams {
            for connection in [&mut *client, &mut *server, &mut new_client, &mut new_server] {
                connection.handle_datagram(*now, &mut datagram.clone(), |_| panic!("data of nobody"));
                while connection.poll_transmit(*now, &mut Vec::new()).is_some() {}
            }
        }
        new_client.handle_timeout(*now + Duration::from_secs(60));
        assert!(new_client.is_closed());

        let mut record = vec![0; client.headroom()];
        record.extend_from_slice(b"still here");
        client.seal_in_place(&mut record, 0).unwrap();
        let mut received = Vec::new();
        server.handle_datagram(*now, &mut record, |plaintext| received.extend_from_slice(&plaintext));
        assert_eq!(received, b"still here");
    });
});
