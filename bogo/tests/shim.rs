//! The shim as the runner starts it: its answers to flags, and a client and a server of it with a runner in between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn shim(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon-bogo"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn output(arguments: &[&str]) -> Output {
    shim(arguments).wait_with_output().unwrap()
}

/// A shim and the runner's end of its connection.
fn connected(arguments: &[&str], shim_id: u64) -> (Child, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, id) = (listener.local_addr().unwrap().port().to_string(), shim_id.to_string());
    let child = shim(&[&["-dtls", "-port", &port, "-shim-id", &id], arguments].concat());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut announced = [0; 8];
    stream.read_exact(&mut announced).unwrap();
    assert_eq!(u64::from_le_bytes(announced), shim_id);
    (child, stream)
}

/// The next datagram of a shim, as it stands on the wire with its frame.
fn read_datagram(stream: &mut TcpStream) -> Vec<u8> {
    let mut frame = vec![0; 5];
    stream.read_exact(&mut frame).unwrap();
    let Some((b'P', len)) = frame.split_first().map(|(opcode, len)| (*opcode, len)) else {
        panic!("{frame:?} begins no datagram");
    };
    let len = u32::from_be_bytes(len.try_into().unwrap());
    stream.take(len.into()).read_to_end(&mut frame).unwrap();
    frame
}

#[test]
fn the_shim_has_no_handshaker() {
    let output = output(&["-some-flag", "-is-handshaker-supported"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"No\n"[..]));
}

#[test]
fn what_is_not_there_is_not_implemented() {
    for arguments in [&["-dtls", "-psk", "secret"][..], &["-server"], &["-dtls", "-resume-count", "1"]] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(89), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn a_case_that_fails_says_why() {
    let (child, stream) = connected(&["-server"], 1);
    drop(stream);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "handshake timed out\n");
}

#[test]
fn a_client_and_a_server_meet_and_lost_datagrams_come_again() {
    // With this group the hello fits into one datagram in either version.
    for version in [&["-curves", "29", "-no-tls12"], &["-curves", "29", "-no-tls13"]] {
        let (client, mut of_client) =
            connected(&[&version[..], &["-shim-writes-first", "-shim-shuts-down"]].concat(), 1);
        let (server, mut of_server) = connected(&[&version[..], &["-server"]].concat(), u64::MAX);
        let lost = read_datagram(&mut of_client);
        of_client
            .write_all(&[&b"T"[..], &Duration::from_secs(1).as_nanos().to_be_bytes()[8..]].concat())
            .unwrap();
        let mut acknowledgement = [0];
        of_client.read_exact(&mut acknowledgement).unwrap();
        assert_eq!(&acknowledgement, b"t");
        let again = read_datagram(&mut of_client);
        assert_eq!(again.len(), lost.len());
        of_server.write_all(&again).unwrap();

        let mut back = (of_server.try_clone().unwrap(), of_client.try_clone().unwrap());
        let relay = std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
        std::io::copy(&mut of_client, &mut of_server).unwrap();
        of_server.shutdown(std::net::Shutdown::Write).unwrap();
        relay.join().unwrap().unwrap();
        drop((of_client, of_server));
        for child in [client, server] {
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            assert_eq!(output.status.code(), Some(0));
        }
    }
}

#[test]
fn every_exception_has_a_reason() {
    let exceptions: Value = serde_json::from_str(include_str!("../exceptions.json")).unwrap();
    let disabled = exceptions.get("DisabledTests").and_then(Value::as_object).unwrap();
    assert!(disabled.len() > 10);
    for (case, reason) in disabled {
        let reason = reason.as_str().unwrap();
        let (kind, why) = reason.split_once(": ").unwrap();
        assert!(["does not apply", "differs"].contains(&kind) && why.len() > 5, "{case}: {reason}");
    }
}
