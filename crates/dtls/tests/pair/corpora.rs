//! Other projects' inputs, fed to a connection in each state: no panic, no loop, no event that only a peer could cause.

use std::path::{Path, PathBuf};

use antiphon_dtls::{Connection, Event};
use antiphon_testkit::origin;
use antiphon_util::Rng;

use crate::{configs, connected};

/// The folder `name` of the corpora: below `ANTIPHON_CORPORA`, or beside the repository. Says so where it is absent.
fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANTIPHON_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let folder = Some(root.join(name)).filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("corpora absent: {name} not replayed");
    }
    folder
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

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
    let Some(folder) = folder("dtls") else { return };
    let mut found = Vec::new();
    files(&folder, &mut found);
    assert!(found.len() > 100);
    let now = origin();
    let mut established = connected(6);
    for (index, path) in found.iter().enumerate() {
        let (client, server) = configs();
        let mut client = Connection::client(client, Rng::from_test_seed(index as u64));
        let mut server = Connection::server(server, Rng::from_test_seed(index as u64));
        client.start(now, None);
        server.start(now, None);
        for mut datagram in datagrams(&std::fs::read(path).unwrap()) {
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
