//! The chat's server as a process, with Antiphon in the place of the browser.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use antiphon::{
    DataChannel, DataChannelInit, Event, IceCandidate, Message, PeerConnection, SessionDescription,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Server, soon};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open_socket(server: &Server, room: &str) -> Socket {
    let url = format!("{}room/{room}/signal", server.url.replacen("http", "ws", 1));
    soon("WebSocket", connect_async(url)).await.unwrap().0
}

async fn send_signal(socket: &mut Socket, signal: Value) {
    socket.send(Frame::text(signal.to_string())).await.unwrap();
}

/// The next signal of the server; `None` at the end.
async fn next_signal(socket: &mut Socket) -> Option<Value> {
    loop {
        match soon("signal", socket.next()).await {
            Some(Ok(Frame::Text(json))) => return Some(serde_json::from_str(&json).unwrap()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }
}

/// What the page does in a browser.
struct Page {
    socket: Socket,
    connection: PeerConnection,
    channel: DataChannel,
}

impl Page {
    /// Connects, candidates one by one.
    async fn open(server: &Server, room: &str) -> Self {
        let mut socket = open_socket(server, room).await;
        let configuration = next_signal(&mut socket).await.unwrap();
        assert_eq!(configuration, json!({ "configuration": { "iceServers": [] } }));
        let connection = PeerConnection::builder().include_loopback(true).build().await.unwrap();
        let channel = connection.create_data_channel("chat", DataChannelInit::default()).unwrap();
        connection.set_local_description(None).await.unwrap();
        let offer: SessionDescription = connection.local_description().unwrap();
        send_signal(&mut socket, json!({ "description": offer })).await;
        loop {
            tokio::select! {
                result = soon("channel", channel.opened()) => {
                    result.unwrap();
                    break;
                }
                event = connection.next_event() => if let Some(Event::IceCandidate(candidate)) = event {
                    send_signal(&mut socket, json!({ "candidate": candidate })).await;
                },
                signal = next_signal(&mut socket) => handle_signal(&connection, signal.unwrap()).await,
            }
        }
        Self { socket, connection, channel }
    }

    /// Connects and joins; the welcome is taken.
    async fn join(server: &Server, room: &str, name: &str) -> Self {
        let page = Self::open(server, room).await;
        page.tell(json!({ "type": "join", "name": name })).await;
        let welcome = page.hear().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let own = json!({ "id": welcome["id"], "name": name });
        assert!(welcome["members"].as_array().unwrap().contains(&own), "{welcome}");
        page
    }

    async fn tell(&self, request: Value) {
        self.channel.send(request.to_string()).await.unwrap();
    }

    async fn say(&self, text: &str) {
        self.tell(json!({ "type": "say", "text": text })).await;
    }

    /// The next notice.
    async fn hear(&self) -> Value {
        match soon("notice", self.channel.recv()).await.unwrap() {
            Message::Text(json) => serde_json::from_str(&json).unwrap(),
            Message::Binary(bytes) => panic!("{bytes:?}"),
        }
    }

    /// Asserts that the next notice is of this type and about this.
    async fn assert_hears(&self, kind: &str, key: &str, value: &str) {
        let notice = self.hear().await;
        assert_eq!((&notice["type"], &notice[key]), (&json!(kind), &json!(value)), "{notice}");
    }

    /// Asserts that the server ends the session.
    async fn assert_ends(mut self) {
        soon("end of the channel", self.channel.closed()).await;
        while next_signal(&mut self.socket).await.is_some() {}
    }
}

async fn handle_signal(connection: &PeerConnection, signal: Value) {
    if let Some(description) = signal.get("description") {
        let answer: SessionDescription = serde_json::from_value(description.clone()).unwrap();
        connection.set_remote_description(answer).await.unwrap();
    } else if let Some(candidate) = signal.get("candidate") {
        let candidate: Option<IceCandidate> = serde_json::from_value(candidate.clone()).unwrap();
        connection.add_ice_candidate(candidate).await.unwrap();
    } else {
        panic!("{signal}");
    }
}

#[tokio::test]
async fn what_one_says_all_in_the_room_hear_and_nobody_else() {
    let server = Server::start("chat", &[]).await;
    let anna = Page::join(&server, "choir", "Anna").await;
    let ben = Page::join(&server, "choir", "Ben").await;
    let cleo = Page::join(&server, "elsewhere", "Cleo").await;
    anna.assert_hears("joined", "name", "Ben").await;
    anna.say("<b>call</b> 🎶").await;
    ben.say("response").await;
    for page in [&anna, &ben] {
        let mut heard = [page.hear().await, page.hear().await].map(|notice| {
            (notice["name"].as_str().unwrap().to_owned(), notice["text"].as_str().unwrap().to_owned())
        });
        heard.sort();
        let expected = [("Anna", "<b>call</b> 🎶"), ("Ben", "response")];
        assert_eq!(heard, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }
    cleo.say("anybody?").await;
    cleo.assert_hears("said", "text", "anybody?").await;
    ben.tell(json!({ "type": "rename", "name": "Benedict" })).await;
    anna.assert_hears("renamed", "name", "Benedict").await;
}

#[tokio::test]
async fn leaving_is_told_and_coming_back_works_however_one_left() {
    let server = Server::start("chat", &[]).await;
    let anna = Page::join(&server, "choir", "Anna").await;

    let ben = Page::join(&server, "choir", "Ben").await;
    anna.assert_hears("joined", "name", "Ben").await;
    drop(ben.socket);
    anna.assert_hears("left", "name", "Ben").await;

    let ben = Page::join(&server, "choir", "Ben").await;
    anna.assert_hears("joined", "name", "Ben").await;
    ben.channel.close();
    anna.assert_hears("left", "name", "Ben").await;

    let ben = Page::join(&server, "choir", "Ben").await;
    anna.assert_hears("joined", "name", "Ben").await;
    ben.connection.close();
    anna.assert_hears("left", "name", "Ben").await;
    ben.assert_ends().await;

    let ben = Page::join(&server, "choir", "Ben").await;
    anna.assert_hears("joined", "name", "Ben").await;
    ben.say("back again").await;
    anna.assert_hears("said", "text", "back again").await;
}

#[tokio::test]
async fn signals_that_are_none_end_the_session_with_the_reason() {
    let server = Server::start("chat", &[]).await;
    let anna = Page::join(&server, "choir", "Anna").await;
    let garbage = [
        ("", "not a signal"),
        ("{}", "not a signal"),
        ("[1, 2", "not a signal"),
        (r#"{"error":"mine"}"#, "not a signal"),
        (r#"{"description":{"type":"offer","sdp":"v=0\r\nnonsense\r\n"}}"#, "line 2"),
        (r#"{"description":{"type":"riddle","sdp":""}}"#, "not a signal"),
        (r#"{"candidate":{"candidate":"candidate:nonsense","sdpMid":"0"}}"#, ""),
    ];
    for (signal, part) in garbage {
        let mut socket = open_socket(&server, "choir").await;
        next_signal(&mut socket).await.unwrap();
        socket.send(Frame::text(signal)).await.unwrap();
        let error = next_signal(&mut socket).await.unwrap();
        assert!(error["error"].as_str().unwrap().contains(part), "{signal}: {error}");
        assert_eq!(next_signal(&mut socket).await, None, "{signal}");
    }
    for frame in [Frame::binary(vec![0; 100]), Frame::text("x".repeat(100_000))] {
        let mut socket = open_socket(&server, "choir").await;
        next_signal(&mut socket).await.unwrap();
        socket.send(frame).await.unwrap();
        while next_signal(&mut socket).await.is_some() {}
    }
    anna.say("unmoved").await;
    anna.assert_hears("said", "text", "unmoved").await;
}

#[tokio::test]
async fn requests_that_are_none_are_refused_and_the_rest_goes_on() {
    let server = Server::start("chat", &[]).await;
    let anna = Page::join(&server, "choir", "Anna").await;
    let garbage =
        ["", "{}", r#"{"type":"rule"}"#, r#"{"type":"say"}"#, r#"{"type":"say","text":7}"#, "nonsense"];
    for request in garbage {
        anna.channel.send(request).await.unwrap();
        assert_eq!(anna.hear().await["type"], "refused", "{request}");
    }
    anna.channel.send(vec![0; 1_000]).await.unwrap();
    anna.assert_hears("refused", "reason", "a request is text").await;
    anna.channel.send("x".repeat(100_000)).await.unwrap();
    anna.assert_hears("refused", "reason", "a request has 32768 bytes at most").await;
    anna.say(&"x".repeat(2_001)).await;
    anna.assert_hears("refused", "reason", "a message has 1 to 2000 characters").await;
    anna.tell(json!({ "type": "join", "name": "Anna" })).await;
    anna.assert_hears("refused", "reason", "you are in the room already").await;
    anna.say("still here").await;
    anna.assert_hears("said", "text", "still here").await;
}

#[tokio::test]
async fn who_talks_before_joining_is_sent_away() {
    let server = Server::start("chat", &[]).await;
    let page = Page::open(&server, "choir").await;
    page.say("hello").await;
    page.assert_hears("closed", "reason", "the first request has to be to join").await;
    page.assert_ends().await;
}

#[tokio::test]
async fn a_full_room_takes_nobody_until_somebody_goes() {
    let server = Server::start("chat", &["--max-members", "1", "--max-rooms", "2"]).await;
    let anna = Page::join(&server, "a", "Anna").await;
    let _ben = Page::join(&server, "b", "Ben").await;
    for (room, reason) in [("a", "the room is full"), ("c", "there are too many rooms, try again later")] {
        let page = Page::open(&server, room).await;
        page.tell(json!({ "type": "join", "name": "Cleo" })).await;
        page.assert_hears("closed", "reason", reason).await;
        page.assert_ends().await;
    }
    anna.channel.close();
    anna.assert_ends().await;
    Page::join(&server, "c", "Cleo").await;
}

#[tokio::test]
async fn a_silent_room_is_dropped() {
    let server = Server::start("chat", &["--idle-timeout", "1"]).await;
    let anna = Page::join(&server, "choir", "Anna").await;
    anna.assert_hears("closed", "reason", "the room was silent for too long").await;
    anna.assert_ends().await;
}

#[cfg(unix)]
#[tokio::test]
async fn pages_hear_that_the_server_stops() {
    let server = Server::start("chat", &[]).await;
    let anna = Page::join(&server, "choir", "Anna").await;
    assert!(server.interrupt().await);
    anna.assert_ends().await;
}

#[tokio::test]
async fn pages_too_many_or_of_other_origins_get_no_signalling() {
    let server = Server::start("chat", &["--max-pages", "1"]).await;
    let signalling = format!("{}room/choir/signal", server.url.replacen("http", "ws", 1));
    let status = async |origin: Option<&str>| {
        let mut request = signalling.as_str().into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        match soon("WebSocket", connect_async(request)).await {
            Ok(_) => 101,
            Err(SocketError::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(status(Some("http://evil.example")).await, 403);
    assert_eq!(status(Some("null")).await, 403);
    let _first = open_socket(&server, "choir").await;
    assert_eq!(status(None).await, 503);
    assert_eq!(status(Some(server.url.trim_end_matches('/'))).await, 503);
}

#[tokio::test]
async fn the_page_is_served_for_a_room_and_a_new_room_is_made_without_one() {
    let server = Server::start("chat", &[]).await;
    let get = async |path: &str| {
        let url = format!("{}{path}", server.url);
        let agent =
            ureq::config::Config::builder().max_redirects(0).http_status_as_error(false).build().new_agent();
        let response = tokio::task::spawn_blocking(move || {
            let mut response = agent.get(&url).call().unwrap();
            let body = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), response.headers().clone(), body)
        });
        soon("response", response).await.unwrap()
    };
    let (status, first, _) = get("").await;
    assert_eq!(status, 303);
    assert_ne!(first["location"], get("").await.1["location"], "rooms are random");
    let (status, headers, page) = get(first["location"].to_str().unwrap().trim_start_matches('/')).await;
    assert_eq!(status, 200);
    assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    for id in ["state", "messages", "members", "name", "text", "send", "disconnect", "reconnect"] {
        assert!(page.contains(&format!(r#"id="{id}""#)), "{id}");
    }
    for asset in ["chat.css", "chat.js"] {
        assert_eq!(get(asset).await.0, 200);
        assert!(page.contains(&format!("/{asset}")));
    }
    for missing in ["room/", "room/a%20b", &format!("room/{}", "x".repeat(65)), "room/a/b"] {
        assert_eq!(get(missing).await.0, 404, "{missing}");
    }
}
