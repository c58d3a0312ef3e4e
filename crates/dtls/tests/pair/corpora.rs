//! Other projects' inputs, fed to a connection in each state: no panic, no loop, no event that only a peer could cause.

use antiphon_dtls::{Connection, Event, Version};
use antiphon_testkit::{corpus, origin};
use antiphon_util::Rng;

use crate::{configs, connected};

/// The datagrams of BoringSSL's fuzzer format: parts with a 16-bit tag, then datagrams with a 24-bit length each. Whatever
/// does not fit is one datagram.
fn datagrams(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![bytes.to_vec()];
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [a, b, c, behind @ ..] = rest {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (datagram, behind) = behind.split_at_checked(len).unwrap_or((behind, &[]));
        all.push(datagram.to_vec());
        rest = behind;
    }
    all
}

#[test]
fn inputs_that_broke_others_do_no_harm() {
    let Some(found) = corpus("dtls") else { return };
    assert!(found.len() > 100);
    let now = origin();
    let mut established = connected(6, Version::Dtls13);
    for (index, (path, bytes)) in found.iter().enumerate() {
        let (client, server) = configs();
        let mut client = Connection::client(client, Rng::from_test_seed(index as u64));
        let mut server = Connection::server(server, Rng::from_test_seed(index as u64));
        client.start(now, None);
        server.start(now, None);
        for mut datagram in datagrams(bytes) {
            let connections = [&mut client, &mut server, &mut established.left_mut().connection];
            for connection in connections {
                connection.handle_datagram(now, &mut datagram.clone(), |_| panic!("data of nobody"));
            }
            established
                .right_mut()
                .connection
                .handle_datagram(now, &mut datagram, |_| panic!("data of nobody"));
        }
        let mut sent = Vec::new();
        while server.poll_transmit(now, &mut sent).is_some() || client.poll_transmit(now, &mut sent).is_some()
        {
        }
        assert!(sent.len() < 20_000, "{path:?}");
        assert!(
            client.poll_event() != Some(Event::Connected) && server.poll_event() != Some(Event::Connected)
        );
    }
    println!("{} inputs", found.len());
    crate::assert_usable(&mut established);
}
