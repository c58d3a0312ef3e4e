//! What verifying the check of a browser takes, and what an ICE agent does with it and with data. What `stun-crates` measures
//! beside other crates is not repeated here.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench"
)]

use std::hint::black_box;
use std::time::Instant;

use antiphon_benches::captured_check;
use antiphon_crypto::{HashAlgorithm, Provider};
use antiphon_ice::{Agent, Candidate, Config, Role};
use antiphon_stun::Message;
use antiphon_util::{Path, Received, Rng};
use criterion::{Criterion, criterion_group, criterion_main};

fn stun(criterion: &mut Criterion) {
    let (password, datagram) = captured_check();
    let key = Provider::default().hmac_key(HashAlgorithm::Sha1, password.as_bytes());
    let mut group = criterion.benchmark_group("stun");
    group.bench_function("parse and decode every attribute", |b| {
        b.iter(|| {
            let message = Message::try_from(black_box(&datagram[..])).unwrap();
            for attribute in message.attributes() {
                black_box(attribute.decode(message.id()).unwrap());
            }
        });
    });
    let message = Message::try_from(&datagram[..]).unwrap();
    group.bench_function("verify the fingerprint", |b| b.iter(|| black_box(&message).verify_fingerprint()));
    group.bench_function("verify the integrity", |b| b.iter(|| black_box(&message).verify_integrity(&key)));
    group.bench_function("bare HMAC-SHA1 of as many bytes", |b| {
        b.iter(|| key.sign(&[black_box(&datagram[..])]))
    });
    group.finish();
}

fn ice(criterion: &mut Criterion) {
    let now = Instant::now();
    let mut agents = connected(now);
    let path = agents[0].selected_path().unwrap();
    let mut datagram = [23; 1_200];
    let mut group = criterion.benchmark_group("ice");
    group.bench_function("hand on a datagram", |b| {
        b.iter(|| {
            let received = Received { path: black_box(path), ecn: None, datagram: &mut datagram };
            agents[0].handle_receive(now, received).is_some()
        });
    });
    group.bench_function("connect two agents", |b| b.iter(|| connected(black_box(now))));
    group.finish();
}

/// Two agents with one address each, over a network that takes no time.
fn connected(now: Instant) -> [Agent; 2] {
    let addresses = ["192.0.2.1:1000", "198.51.100.1:2000"].map(|text| text.parse().unwrap());
    let mut agents = [(Role::Controlling, 1), (Role::Controlled, 2)]
        .map(|(role, seed)| Agent::new(Config::new(Provider::default(), role), Rng::from_test_seed(seed)));
    let credentials = [1, 0].map(|peer: usize| agents.get(peer).unwrap().local_credentials().clone());
    let peers = addresses.iter().rev();
    for (((agent, credentials), own), peer) in agents.iter_mut().zip(credentials).zip(&addresses).zip(peers) {
        agent.add_local_address(now, *own);
        agent.set_remote_credentials(now, credentials);
        agent.add_remote_candidate(now, Candidate::host(*peer)).unwrap();
    }
    let mut buf = Vec::new();
    while !agents.iter().all(Agent::is_nominated) {
        let [left, right] = &mut agents;
        carry(now, left, right, &mut buf);
        carry(now, right, left, &mut buf);
    }
    agents
}

/// Hands everything that `from` sends to `to`.
fn carry(now: Instant, from: &mut Agent, to: &mut Agent, buf: &mut Vec<u8>) {
    while let Some(transmit) = from.poll_transmit(now, buf) {
        let path = Path::udp(transmit.path.remote, transmit.path.local);
        to.handle_receive(now, Received { path, ecn: None, datagram: buf });
        buf.clear();
    }
}

criterion_group!(benches, stun, ice);
criterion_main!(benches);
