//! Echo server and echo client as processes.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::process::Output;
use std::time::Duration;

use antiphon::{Bytes, DataChannel, DataChannelInit, Message, PeerConnection, SessionDescription};
use futures_util::future::join_all;
use support::{Server, example, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn client(url: &str, options: &[&str]) -> Output {
    let mut command = example("echo-client");
    command.arg(url).args(options);
    if !options.contains(&"--timeout") {
        command.args(["--timeout", "20"]);
    }
    soon("echo client", command.output()).await.unwrap()
}

async fn assert_succeeds(url: &str, options: &[&str]) {
    let output = client(url, options).await;
    assert!(output.status.success(), "{options:?}: {output:?}");
}

/// Asserts that the client fails for a reason that has `part` in it.
async fn assert_fails(url: &str, options: &[&str], part: &str) {
    let output = client(url, options).await;
    let reason = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{options:?}: {reason}");
    assert!(reason.contains(part), "{options:?}: {reason}");
}

/// Status and body of the response to `body`.
async fn post(url: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
    let (url, body) = (url.to_owned(), body.into());
    let response = tokio::task::spawn_blocking(move || {
        let mut response = ureq::post(&url).config().http_status_as_error(false).build().send(body).unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    });
    soon("response", response).await.unwrap()
}

/// A connection to the server at `url` with one channel, which is open.
async fn connect(url: &str) -> (PeerConnection, DataChannel) {
    let connection = PeerConnection::builder().include_loopback(true).build().await.unwrap();
    let channel = connection.create_data_channel("test", DataChannelInit::default()).unwrap();
    connection.set_local_description(None).await.unwrap();
    soon("candidates", connection.gathering_complete()).await.unwrap();
    let offer = serde_json::to_string(&connection.local_description()).unwrap();
    let (status, answer) = post(url, offer).await;
    assert_eq!(status, 200, "{answer}");
    connection.set_remote_description(serde_json::from_str(&answer).unwrap()).await.unwrap();
    soon("channel", channel.opened()).await.unwrap();
    (connection, channel)
}

#[tokio::test]
async fn every_message_comes_back_whatever_its_kind_and_size() {
    let server = Server::start("echo-server", &[]).await;
    assert_succeeds(&server.url, &[]).await;
    assert_succeeds(&server.url, &["--text", "call", "--text", "répons 🎶"]).await;
    assert_succeeds(&server.url, &["--empty-text", "--empty-binary", "--text", ""]).await;
    assert_succeeds(&server.url, &["--binary", "1", "--binary", "262144", "--channels", "3"]).await;
    assert_succeeds(&server.url, &["--random", "50", "--unordered"]).await;
    assert_succeeds(&server.url, &["--random", "50", "--max-retransmits", "100"]).await;
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    let server = Server::start("echo-server", &[]).await;
    let options = ["--channels", "4", "--random", "20"];
    let outputs = join_all((0..8).map(|_| client(&server.url, &options))).await;
    for output in outputs {
        assert!(output.status.success(), "{output:?}");
    }
}

#[tokio::test]
async fn the_client_fails_where_there_is_no_echo_server() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_fails(&format!("http://{closed}/offer"), &[], "cannot send the offer").await;
    let server = Server::start("echo-server", &[]).await;
    assert_fails(&format!("{}/elsewhere", server.url), &[], "404").await;
    assert_fails("no-url", &[], "cannot send the offer").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_fails(&format!("http://{}/", silent.local_addr().unwrap()), &["--timeout", "1"], "time").await;
}

#[tokio::test]
async fn offers_that_are_none_are_refused_with_the_reason() {
    let server = Server::start("echo-server", &[]).await;
    let refused = async |body: &str, status: u16, part: &str| {
        let (got, reason) = post(&server.url, body).await;
        assert_eq!(got, status, "{body}: {reason}");
        assert!(reason.contains(part), "{body}: {reason}");
    };
    refused("", 400, "no session description").await;
    refused("{}", 400, "no session description").await;
    refused(r#"{"type":"offer","sdp":"v=0\r\nnonsense\r\n"}"#, 400, "line 2").await;
    refused(r#"{"type":"offer","sdp":""}"#, 400, "offer refused").await;
    refused(r#"{"type":"answer","sdp":"v=0\r\n"}"#, 400, "an offer is needed").await;
    refused(&"x".repeat(64 * 1024 + 1), 413, "65536 bytes").await;
    assert_succeeds(&server.url, &["--text", "still here"]).await;
}

#[tokio::test]
async fn pages_of_other_origins_may_send_json() {
    let server = Server::start("echo-server", &[]).await;
    let headers =
        tokio::task::spawn_blocking(move || ureq::options(&server.url).call().unwrap().headers().clone());
    let headers = soon("preflight", headers).await.unwrap();
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["access-control-allow-headers"], "content-type");
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn a_client_too_many_is_turned_away_until_another_goes() {
    let server = Server::start("echo-server", &["--max-clients", "1"]).await;
    let (first, _channel) = connect(&server.url).await;
    assert_fails(&server.url, &["--text", "me too"], "503").await;
    first.close();
    assert_has_place(&server).await;
}

/// Asserts that the server takes a client, sooner or later.
async fn assert_has_place(server: &Server) {
    let served = async { while !client(&server.url, &["--text", "me too"]).await.status.success() {} };
    soon("place for a client", served).await;
}

#[tokio::test]
async fn an_idle_client_is_let_go() {
    let server = Server::start("echo-server", &["--idle-timeout", "1", "--max-clients", "1"]).await;
    let (_connection, channel) = connect(&server.url).await;
    channel.send("hello").await.unwrap();
    assert_eq!(soon("echo", channel.recv()).await.unwrap(), Message::from("hello"));
    soon("end of the channel", channel.closed()).await;
    assert_has_place(&server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn clients_hear_that_the_server_stops() {
    let server = Server::start("echo-server", &[]).await;
    let (_connection, channel) = connect(&server.url).await;
    assert!(server.interrupt().await);
    soon("end of the channel", channel.closed()).await;
}

/// Answers one offer and hands what it receives to `treat`, which makes the echoes.
async fn echo_wrongly(treat: impl Fn(Message) -> Vec<Message> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/offer", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let offer = read_body(&mut stream).await;
        let connection = PeerConnection::builder().include_loopback(true).build().await.unwrap();
        let offer: SessionDescription = serde_json::from_slice(&offer).unwrap();
        connection.set_remote_description(offer).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        connection.gathering_complete().await.unwrap();
        let answer = serde_json::to_string(&connection.local_description()).unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
        let channel = connection.accept_data_channel().await.unwrap();
        while let Ok(message) = channel.recv().await {
            for echo in treat(message) {
                channel.send(echo).await.unwrap();
            }
        }
    });
    url
}

/// The body of an HTTP request that says how long it is.
async fn read_body(stream: &mut tokio::net::TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.trim().parse::<usize>().unwrap() {
            return request.split_off(head.len() + 4);
        }
    }
}

#[tokio::test]
async fn the_client_sees_every_kind_of_wrong_echo() {
    let altered = echo_wrongly(|_| vec![Message::from("calk")]).await;
    assert_fails(&altered, &["--text", "call"], "message 0 came back wrong").await;
    let other_kind = echo_wrongly(|message| vec![Message::from(message.into_bytes())]).await;
    assert_fails(&other_kind, &["--text", "call"], "received binary of 4 bytes").await;
    let cut = echo_wrongly(|message| vec![Message::from(message.into_bytes().slice(1..))]).await;
    assert_fails(&cut, &["--binary", "100", "--unordered"], "nothing that was sent: binary of 99 bytes")
        .await;
    let nothing = echo_wrongly(|_| vec![]).await;
    assert_fails(&nothing, &["--text", "call", "--timeout", "3"], "1 of 1 echoes missing").await;
    let twice = echo_wrongly(|message| vec![message.clone(), message]).await;
    assert_fails(&twice, &["--text", "call"], "surplus").await;
}

#[tokio::test]
async fn an_empty_message_keeps_its_kind() {
    let server = Server::start("echo-server", &[]).await;
    let (_connection, channel) = connect(&server.url).await;
    for message in [Message::from(""), Message::from(Bytes::new()), Message::from("\0")] {
        channel.send(message.clone()).await.unwrap();
        assert_eq!(soon("echo", channel.recv()).await.unwrap(), message);
    }
    // Nothing comes of itself.
    assert!(tokio::time::timeout(Duration::from_millis(200), channel.recv()).await.is_err());
}
