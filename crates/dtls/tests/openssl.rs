//! Against OpenSSL's `s_server` and `s_client` over loopback, both directions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]
#![allow(clippy::disallowed_methods, reason = "the peer is a real program and lives in real time")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, Group, HashAlgorithm, Provider};
use antiphon_dtls::{CipherSuite, Config, Connection, CookieExchange, SrtpProfile};
use antiphon_testkit::left_out;
use antiphon_util::Rng;

const ECDSA: &str = include_str!("../../crypto/tests/data/prime256v1-pkcs8.pem");
const ECDSA_P384: &str = include_str!("../../crypto/tests/data/secp384r1-pkcs8.pem");
const RSA: &str = include_str!("../../crypto/tests/data/rsa-pkcs8.pem");

const PATIENCE: Duration = Duration::from_secs(30);
const EXPORT_LABEL: &str = "EXPERIMENTAL-antiphon";
const EXPORT_LEN: usize = 60;

const SUITES: [(&str, CipherSuite, &str); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::EcdheEcdsaAes128Gcm, ECDSA),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::EcdheEcdsaAes256Gcm, ECDSA),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::EcdheEcdsaChaCha20, ECDSA),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::EcdheRsaAes128Gcm, RSA),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::EcdheRsaAes256Gcm, RSA),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::EcdheRsaChaCha20, RSA),
];

/// A running `openssl`; ended on drop.
struct OpenSsl {
    child: Child,
    lines: Receiver<String>,
    /// All that it has said.
    said: Arc<Mutex<String>>,
    _certificate: tempfile::NamedTempFile,
}

impl OpenSsl {
    fn start(pem: &str, arguments: &[&str]) -> Self {
        let mut certificate = tempfile::NamedTempFile::new().unwrap();
        certificate.write_all(pem.as_bytes()).unwrap();
        let mut child = Command::new("openssl")
            .args(arguments)
            .args(["-dtls1_2", "-keymatexport", EXPORT_LABEL, "-keymatexportlen", &EXPORT_LEN.to_string()])
            .arg("-cert")
            .arg(certificate.path())
            .arg("-key")
            .arg(certificate.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        let (sender, lines) = channel();
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let (sender, said) = (sender.clone(), said.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n') {
                    let line = String::from_utf8_lossy(&line.unwrap_or_default()).into_owned();
                    said.lock().unwrap().push_str(&format!("{line}\n"));
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines, said, _certificate: certificate }
    }

    /// A server on a free port; gives it and its address.
    fn server(pem: &str, arguments: &[&str]) -> (Self, SocketAddr) {
        let server =
            Self::start(pem, &[&["s_server", "-accept", "127.0.0.1:0", "-Verify", "1"], arguments].concat());
        let line = server.wait_for_line("ACCEPT ");
        let address = line.trim_start_matches("ACCEPT ").trim().parse().unwrap();
        (server, address)
    }

    fn client(pem: &str, to: SocketAddr, arguments: &[&str]) -> Self {
        Self::start(pem, &[&["s_client", "-connect", &to.to_string()], arguments].concat())
    }

    fn wait_for_line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(_) => panic!("openssl did not say {part:?}:\n{}", self.said.lock().unwrap()),
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our end over a real socket.
struct Peer {
    connection: Connection,
    socket: UdpSocket,
    remote: Option<SocketAddr>,
    received: Vec<u8>,
}

impl Peer {
    fn new(connection: Connection, remote: Option<SocketAddr>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut peer = Self { connection, socket, remote, received: Vec::new() };
        peer.connection.start(Instant::now(), Some(Duration::from_millis(1)));
        peer
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn run_until(&mut self, openssl: &OpenSsl, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut datagram = [0; 65_536];
        while !done(self) {
            let now = Instant::now();
            if now > deadline || self.connection.is_closed() {
                let said = openssl.said.lock().unwrap();
                panic!("{:?} {:?}\n{said}", self.connection.poll_event(), self.connection.drops());
            }
            self.flush(now);
            if let Ok((len, from)) = self.socket.recv_from(&mut datagram) {
                self.remote = Some(from);
                let received = &mut self.received;
                self.connection.handle_datagram(Instant::now(), &mut datagram[..len], |plaintext| {
                    received.extend_from_slice(&plaintext);
                });
            }
            if self.connection.poll_timeout().is_some_and(|due| due <= Instant::now()) {
                self.connection.handle_timeout(Instant::now());
            }
            self.flush(Instant::now());
        }
    }

    fn flush(&mut self, now: Instant) {
        let mut datagram = Vec::new();
        while let (Some(remote), Some(_)) = (self.remote, self.connection.poll_transmit(now, &mut datagram)) {
            self.socket.send_to(&datagram, remote).unwrap();
            datagram.clear();
        }
    }

    fn send(&mut self, plaintext: &[u8]) {
        let mut record = vec![0; self.connection.headroom()];
        record.extend_from_slice(plaintext);
        self.connection.seal_in_place(&mut record, 0).unwrap();
        self.socket.send_to(&record, self.remote.unwrap()).unwrap();
    }
}

fn config(ours: &str, theirs: &str) -> Config {
    let provider = Provider::default();
    let certificate = |pem| Certificate::from_pem(provider, pem).unwrap();
    let announced = vec![certificate(theirs).fingerprint(HashAlgorithm::Sha256)];
    Config::for_webrtc(provider, Arc::new(certificate(ours)), announced)
}

fn rng() -> Rng {
    Rng::from_seed(Provider::default().random_seed())
}

/// Connected: the exported keys agree, data goes both ways, and `close` reaches the other side.
fn talk(peer: &mut Peer, openssl: &mut OpenSsl) {
    peer.run_until(openssl, |peer| peer.connection.is_connected());
    let line = openssl.wait_for_line("Keying material: ");
    let mut exported = [0; EXPORT_LEN];
    peer.connection.export_keying_material(EXPORT_LABEL.as_bytes(), None, &mut exported).unwrap();
    let hex: String = exported.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(line.split(": ").nth(1).unwrap().trim(), hex);

    openssl.type_line("from openssl");
    peer.run_until(openssl, |peer| peer.received.ends_with(b"from openssl\n"));
    peer.send(b"from antiphon\n");
    openssl.wait_for_line("from antiphon");
    peer.connection.close(Instant::now());
    peer.flush(Instant::now());
}

#[test]
fn our_client_speaks_every_suite_with_a_server() {
    if left_out("openssl") {
        return;
    }
    for (name, suite, pem) in SUITES {
        println!("{name}");
        let (mut openssl, address) = OpenSsl::server(pem, &["-cipher", name]);
        let mut peer = Peer::new(Connection::client(config(ECDSA, pem), rng()), Some(address));
        peer.run_until(&openssl, |peer| peer.connection.is_connected());
        assert_eq!(peer.connection.cipher_suite(), Some(suite));
        talk(&mut peer, &mut openssl);
    }
}

#[test]
fn our_server_speaks_every_suite_with_a_client() {
    if left_out("openssl") {
        return;
    }
    for (name, suite, pem) in SUITES {
        println!("{name}");
        let mut peer = Peer::new(Connection::server(config(pem, RSA), rng()), None);
        let mut openssl = OpenSsl::client(RSA, peer.address(), &["-cipher", name]);
        peer.run_until(&openssl, |peer| peer.connection.is_connected());
        assert_eq!(peer.connection.cipher_suite(), Some(suite));
        talk(&mut peer, &mut openssl);
    }
}

#[test]
fn every_group_and_kind_of_certificate_serves_in_both_roles() {
    if left_out("openssl") {
        return;
    }
    // OpenSSL holds the curve of a certificate against the groups on offer.
    let cases = [
        ("X25519", Group::X25519, RSA),
        ("P-256", Group::P256, ECDSA),
        ("P-384", Group::P384, ECDSA_P384),
        ("P-384", Group::P384, RSA),
    ];
    for (name, group, pem) in cases {
        println!("{name}");
        let (mut openssl, address) = OpenSsl::server(pem, &["-curves", name]);
        let mut one_group = config(pem, pem);
        one_group.groups = vec![group];
        let mut peer = Peer::new(Connection::client(one_group, rng()), Some(address));
        talk(&mut peer, &mut openssl);

        let mut peer = Peer::new(Connection::server(config(pem, pem), rng()), None);
        let mut openssl = OpenSsl::client(pem, peer.address(), &["-curves", name]);
        talk(&mut peer, &mut openssl);
    }
}

#[test]
fn small_fragments_are_put_together_on_both_sides() {
    if left_out("openssl") {
        return;
    }
    let mut small = config(RSA, RSA);
    small.max_datagram_size = 256;
    let (mut openssl, address) = OpenSsl::server(RSA, &["-mtu", "256"]);
    let mut peer = Peer::new(Connection::client(small.clone(), rng()), Some(address));
    talk(&mut peer, &mut openssl);

    let mut peer = Peer::new(Connection::server(small, rng()), None);
    let mut openssl = OpenSsl::client(RSA, peer.address(), &["-mtu", "256"]);
    talk(&mut peer, &mut openssl);
}

#[test]
fn the_cookie_is_brought_and_demanded() {
    if left_out("openssl") {
        return;
    }
    let (mut openssl, address) = OpenSsl::server(ECDSA, &["-listen"]);
    let mut peer = Peer::new(Connection::client(config(ECDSA, ECDSA), rng()), Some(address));
    talk(&mut peer, &mut openssl);

    let mut demanding = config(ECDSA, ECDSA);
    demanding.cookie = CookieExchange::Demanded;
    let mut peer = Peer::new(Connection::server(demanding, rng()), None);
    let mut openssl = OpenSsl::client(ECDSA, peer.address(), &[]);
    talk(&mut peer, &mut openssl);
}

#[test]
fn the_server_chooses_the_srtp_profile() {
    if left_out("openssl") {
        return;
    }
    const THEIRS: &str = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";
    let ours = vec![SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];
    let mut with_srtp = config(ECDSA, ECDSA);
    with_srtp.srtp_profiles = ours;

    let (mut openssl, address) = OpenSsl::server(ECDSA, &["-use_srtp", THEIRS]);
    let mut peer = Peer::new(Connection::client(with_srtp.clone(), rng()), Some(address));
    peer.run_until(&openssl, |peer| peer.connection.is_connected());
    assert_eq!(peer.connection.srtp_profile(), Some(SrtpProfile::Aes128CmHmacSha1_80));
    talk(&mut peer, &mut openssl);

    let mut peer = Peer::new(Connection::server(with_srtp, rng()), None);
    let mut openssl = OpenSsl::client(ECDSA, peer.address(), &["-use_srtp", THEIRS]);
    peer.run_until(&openssl, |peer| peer.connection.is_connected());
    assert_eq!(peer.connection.srtp_profile(), Some(SrtpProfile::AeadAes128Gcm));
    talk(&mut peer, &mut openssl);
}

#[test]
fn a_wrong_fingerprint_connects_neither_role() {
    if left_out("openssl") {
        return;
    }
    let (openssl, address) = OpenSsl::server(RSA, &[]);
    let mut peer = Peer::new(Connection::client(config(ECDSA, ECDSA), rng()), Some(address));
    let closed = |peer: &Peer| peer.connection.is_closed();
    peer.run_until(&openssl, closed);
    openssl.wait_for_line("alert bad certificate");

    let mut peer = Peer::new(Connection::server(config(ECDSA, ECDSA), rng()), None);
    let openssl = OpenSsl::client(RSA, peer.address(), &[]);
    peer.run_until(&openssl, closed);
    openssl.wait_for_line("alert bad certificate");
}
