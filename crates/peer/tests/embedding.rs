//! The handshake of DTLS in the checks of ICE (SPED): what it saves, and what happens where it comes to nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_peer::{
    Configuration, DataChannelInit, DtlsState, IceConfiguration, Message, SdpType, SessionDescription,
};
use antiphon_testkit::{Link, for_each_seed};
use common::{Net, lossy};

/// From one end to the other.
const DELAY: Duration = Duration::from_millis(100);

fn configuration(provider: Provider, embed_dtls: bool) -> Configuration {
    let ice = IceConfiguration { embed_dtls, ..IceConfiguration::default() };
    Configuration { provider, ice, ..Configuration::default() }
}

/// Negotiates with descriptions that `change` has changed.
fn negotiate_changed(net: &mut Net, change: impl Fn(String) -> String) {
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap();
    let offer = SessionDescription { kind: SdpType::Offer, sdp: change(offer.sdp) };
    net.b().pc.set_remote_description(now, offer).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap();
    let answer = SessionDescription { kind: SdpType::Answer, sdp: change(answer.sdp) };
    net.a().pc.set_remote_description(now, answer).unwrap();
}

/// Times in units of the delay, from the answer on, until the client (the answerer) and the server have finished.
fn finished(provider: Provider, embed_dtls: bool) -> (u32, u32) {
    let configured = || configuration(provider, embed_dtls);
    let mut net = Net::configured(1, Link::with_delay(DELAY), configured(), configured());
    let start = net.now();
    negotiate_changed(&mut net, |sdp| sdp);
    net.until(|_, b| b.pc.dtls_state() == DtlsState::Connected);
    let client = net.now() - start;
    net.until(|a, _| a.pc.dtls_state() == DtlsState::Connected);
    let server = net.now() - start;
    let units = |time: Duration| time.div_duration_f64(DELAY).round() as u32;
    (units(client), units(server))
}

#[test]
fn a_handshake_in_checks_is_done_up_to_a_round_trip_earlier() {
    // A hello of one datagram, which rides in the first check.
    assert_eq!((finished(Provider::ring(), false), finished(Provider::ring(), true)), ((4, 5), (2, 3)));
    // One of two, as hybrids make it.
    let hybrid = Provider::aws_lc_rs();
    assert_eq!((finished(hybrid, false), finished(hybrid, true)), ((4, 5), (3, 4)));
}

#[test]
fn losses_cost_less_in_checks() {
    let total = |embed_dtls: bool| {
        let mut total = Duration::ZERO;
        for seed in 0..40 {
            let configured = || configuration(Provider::default(), embed_dtls);
            let mut net = Net::configured(seed, lossy(0.2), configured(), configured());
            let start = net.now();
            negotiate_changed(&mut net, |sdp| sdp);
            let connected = DtlsState::Connected;
            net.until(|a, b| a.pc.dtls_state() == connected && b.pc.dtls_state() == connected);
            total += net.now() - start;
        }
        total
    };
    let (embedded, behind) = (total(true), total(false));
    assert!(embedded < behind, "{embedded:?} {behind:?}");
}

#[test]
fn without_it_everything_works_as_with_it() {
    for_each_seed(10, |seed| {
        let mut net = Net::configured(
            seed,
            lossy(0.2),
            configuration(Provider::default(), seed % 3 == 1),
            configuration(Provider::default(), seed % 3 == 2),
        );
        let (ours, _) = net.connect();
        net.send_a(ours, "hello");
        net.until(|_, b| b.received.len() == 1);
        assert_eq!(net.b().messages(), [Message::text("hello")]);
    });
}

/// One end is told that the other takes datagrams out of checks, but it does not.
#[test]
fn a_peer_that_announces_it_and_does_not_do_it_is_reached_over_the_path() {
    for (a, b) in [(true, false), (false, true)] {
        let (a, b) = (configuration(Provider::default(), a), configuration(Provider::default(), b));
        let mut net = Net::configured(1, Link::with_delay(DELAY), a, b);
        let start = net.now();
        negotiate_changed(&mut net, |sdp| sdp.replace("trickle ice2\r\n", "trickle ice2 sped\r\n"));
        let connected = DtlsState::Connected;
        net.until(|a, b| a.pc.dtls_state() == connected && b.pc.dtls_state() == connected);
        assert_eq!((net.now() - start).div_duration_f64(DELAY).round() as u32, 5, "as without it");
    }
}
