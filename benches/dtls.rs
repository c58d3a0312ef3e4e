//! What a record and a handshake cost, beside the bare primitives.
#![allow(missing_docs, reason = "criterion's macro makes an undocumented function")]
#![allow(clippy::unwrap_used, reason = "a benchmark may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "a benchmark is its own driver")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_crypto::{AeadAlgorithm, Certificate, Group, HashAlgorithm, Provider, SignatureScheme};
use antiphon_dtls::{CipherSuite, Config, Connection};
use antiphon_util::Rng;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const LEN: usize = 1_163;

fn connections(
    provider: Provider,
    certificate: &Arc<Certificate>,
    suite: CipherSuite,
    group: Group,
) -> (Connection, Connection) {
    let announced = vec![certificate.fingerprint(HashAlgorithm::Sha256)];
    let mut config = Config::for_webrtc(provider, certificate.clone(), announced);
    config.versions = vec![suite.version()];
    config.cipher_suites = vec![suite];
    config.groups = vec![group];
    let client = Connection::client(config.clone(), Rng::from_test_seed(1));
    let server = Connection::server(config, Rng::from_test_seed(2));
    (client, server)
}

fn handshake(now: Instant, client: &mut Connection, server: &mut Connection, datagram: &mut Vec<u8>) {
    client.start(now, Some(Duration::from_secs(1)));
    server.start(now, Some(Duration::from_secs(1)));
    while !(client.is_connected() && server.is_connected()) {
        pass(now, client, server, datagram);
        pass(now, server, client, datagram);
    }
}

fn pass(now: Instant, from: &mut Connection, to: &mut Connection, datagram: &mut Vec<u8>) {
    datagram.clear();
    while from.poll_transmit(now, datagram).is_some() {
        to.handle_datagram(now, datagram, |_| {});
        datagram.clear();
    }
}

/// One record sealed and opened: bare, and as a connection does it.
fn records(criterion: &mut Criterion) {
    let provider = Provider::default();
    let certificate = Arc::new(Certificate::generate(provider).unwrap());
    let mut group = criterion.benchmark_group("seal and open 1,163 bytes");
    group.throughput(Throughput::Bytes(LEN as u64));
    // A key of 1.3 seals 2²⁴ records: the time is short enough to stay below.
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    for (algorithm, suite) in [
        (AeadAlgorithm::Aes128Gcm, CipherSuite::EcdheEcdsaAes128Gcm),
        (AeadAlgorithm::Aes256Gcm, CipherSuite::EcdheEcdsaAes256Gcm),
        (AeadAlgorithm::ChaCha20Poly1305, CipherSuite::EcdheEcdsaChaCha20),
        (AeadAlgorithm::Aes128Gcm, CipherSuite::Aes128Gcm),
        (AeadAlgorithm::Aes256Gcm, CipherSuite::Aes256Gcm),
        (AeadAlgorithm::ChaCha20Poly1305, CipherSuite::ChaCha20),
    ] {
        let key = vec![7; algorithm.key_len()];
        let mut seal = provider.sealing_key(algorithm, &key, [0; 12], 0..u64::MAX).unwrap();
        let open = provider.opening_key(algorithm, &key, [0; 12]).unwrap();
        let mut data = vec![0; LEN + 16];
        group.bench_function(format!("bare {algorithm:?} beside {suite:?}"), |bencher| {
            bencher.iter(|| {
                let number = seal.next_number().unwrap();
                let (plaintext, tag) = data.split_at_mut(LEN);
                tag.copy_from_slice(&seal.seal_in_place(&[0; 13], plaintext).unwrap());
                open.open_in_place(number, &[0; 13], &mut data).unwrap().len()
            });
        });
        let (mut client, mut server) = connections(provider, &certificate, suite, Group::X25519);
        let (now, mut record) = (Instant::now(), Vec::with_capacity(2_048));
        handshake(now, &mut client, &mut server, &mut record);
        let mut len = 0;
        group.bench_function(format!("record {suite:?}"), |bencher| {
            bencher.iter(|| {
                record.resize(client.headroom() + LEN, 0);
                client.seal_in_place(&mut record, 0).unwrap();
                server.handle_datagram(now, &mut record, |plaintext| len += plaintext.len());
            });
        });
    }
    group.finish();
}

/// Both ends of a handshake, with new connections and kept certificates; beside it the sum of what both have to compute.
fn handshakes(criterion: &mut Criterion) {
    let provider = Provider::default();
    let certificate = Arc::new(Certificate::generate(provider).unwrap());
    let now = Instant::now();
    let mut group = criterion.benchmark_group("handshake of both ends");
    group.sample_size(50);
    for (name, suite, kx) in [
        ("DTLS 1.2, X25519, P-256", CipherSuite::EcdheEcdsaAes128Gcm, Group::X25519),
        ("DTLS 1.3, X25519, P-256", CipherSuite::Aes128Gcm, Group::X25519),
        ("DTLS 1.3, X25519MLKEM768, P-256", CipherSuite::Aes128Gcm, Group::X25519MlKem768),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || connections(provider, &certificate, suite, kx),
                |(mut client, mut server)| {
                    handshake(now, &mut client, &mut server, &mut Vec::with_capacity(2_048));
                    (client, server)
                },
                BatchSize::SmallInput,
            );
        });
    }
    let key = antiphon_crypto::PeerCertificate::parse(certificate.der()).unwrap().public_key().clone();
    let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
    group.bench_function("bare primitives", |bencher| {
        bencher.iter(|| {
            let (ours, theirs) = (
                provider.key_agreement(Group::X25519).unwrap(),
                provider.key_agreement(Group::X25519).unwrap(),
            );
            let (our_value, their_value) = (ours.public_value().to_vec(), theirs.public_value().to_vec());
            assert!(*ours.agree(&their_value).unwrap() == *theirs.agree(&our_value).unwrap());
            (0..2).all(|_| {
                let signature = certificate.sign(scheme, b"message").unwrap();
                provider.verify(&key, scheme, b"message", &signature)
            })
        });
    });
    group.bench_function("certificate", |bencher| bencher.iter(|| Certificate::generate(provider).unwrap()));
    group.finish();
}

criterion_group!(benches, records, handshakes);
criterion_main!(benches);
