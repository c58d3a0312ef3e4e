//! One page: its WebSocket for signalling, and the peer connection that comes of it.
//!
//! The session ends with whichever is lost first; the page then starts another.

use std::sync::Arc;
use std::time::Duration;

use antiphon::{ConnectionState, DataChannel, Event, Message as ChannelMessage, PeerConnection};
use axum::extract::ws::{Message, WebSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

use crate::App;
use crate::messages::{Notice, PageConfiguration, Request, Signal};
use crate::rooms::{Membership, Rooms};

/// The label of the channel that the page makes.
const CHANNEL: &str = "chat";
/// The longest request in bytes: a text of the greatest length, all of it escaped.
const MAX_REQUEST: usize = 32 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A page that was told to go has so long to do so by itself.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// A page that takes longer to read a signal is gone.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A WebSocket that stays silent for longer, even to pings, is gone.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves a page until it goes.
pub(crate) async fn run(mut socket: WebSocket, app: Arc<App>, token: String) {
    let connection = match PeerConnection::new(app.configuration.clone()).await {
        Ok(connection) => connection,
        Err(error) => return refuse(&mut socket, &error).await,
    };
    if let Err(reason) = serve(&mut socket, &connection, &app, &token).await {
        refuse(&mut socket, &reason).await;
    }
    connection.close();
    connection.closed().await;
    let _ = timeout(SIGNAL_TIMEOUT, socket.send(Message::Close(None))).await;
}

/// Passes signals on, and lets the page talk once its channel is there. An error is a reason to give to the page.
async fn serve(
    socket: &mut WebSocket,
    connection: &PeerConnection,
    app: &App,
    token: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    signal(socket, &Signal::Configuration(PageConfiguration::new(&app.configuration.ice_servers))).await?;
    let mut talk = JoinSet::new();
    let mut heard = Instant::now();
    let mut ping = interval(PING_INTERVAL);
    let connect_until = heard + CONNECT_TIMEOUT;
    loop {
        tokio::select! {
            frame = socket.recv() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(json))) => handle_signal(socket, connection, &json).await?,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return Err("signals are text".into()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                }
            }
            event = connection.next_event() => match event {
                Some(Event::IceCandidate(candidate)) => signal(socket, &Signal::Candidate(candidate)).await?,
                Some(Event::DataChannel(channel)) if channel.label() == CHANNEL && talk.is_empty() => {
                    talk.spawn(talk_over(channel, Arc::clone(&app.rooms), token.to_owned()));
                }
                Some(Event::ConnectionStateChange(ConnectionState::Failed | ConnectionState::Closed)) | None => {
                    return Ok(());
                }
                Some(_) => {}
            },
            Some(_) = talk.join_next() => return Ok(()),
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE_TIMEOUT {
                    return Ok(());
                }
                send(socket, Message::Ping(Default::default())).await?;
            }
            () = sleep_until(connect_until), if talk.is_empty() => return Err("no channel opened in time".into()),
            () = app.stopped() => return Ok(()),
        }
    }
}

/// Hands a signal of the page to the connection; an offer is answered.
async fn handle_signal(
    socket: &mut WebSocket,
    connection: &PeerConnection,
    json: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match serde_json::from_str(json).map_err(|error| format!("not a signal: {error}"))? {
        Signal::Description(description) => {
            connection.set_remote_description(description).await?;
            connection.set_local_description(None).await?;
            if let Some(answer) = connection.local_description() {
                signal(socket, &Signal::Description(answer)).await?;
            }
        }
        Signal::Candidate(candidate) => connection.add_ice_candidate(candidate).await?,
        Signal::Configuration(_) | Signal::Error(_) => {}
    }
    Ok(())
}

async fn refuse(socket: &mut WebSocket, reason: &(impl std::fmt::Display + ?Sized)) {
    let _ = signal(socket, &Signal::Error(reason.to_string())).await;
}

async fn signal(socket: &mut WebSocket, signal: &Signal) -> Result<(), axum::Error> {
    let json = serde_json::to_string(signal).map_err(axum::Error::new)?;
    send(socket, Message::Text(json.into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), axum::Error> {
    timeout(SIGNAL_TIMEOUT, socket.send(message)).await.map_err(axum::Error::new)?
}

/// Makes the page a member of its room, and passes on what it says and is to hear, until either side ends it.
async fn talk_over(channel: DataChannel, rooms: Arc<Rooms>, token: String) {
    let Ok(Some(Ok(Request::Join { name }))) = timeout(JOIN_TIMEOUT, next_request(&channel)).await else {
        return dismiss(&channel, "the first request has to be to join").await;
    };
    let (mut member, mut notices) = match rooms.join(Instant::now(), &token, &name) {
        Ok(joined) => joined,
        Err(refusal) => return dismiss(&channel, &refusal.to_string()).await,
    };
    loop {
        tokio::select! {
            request = next_request(&channel) => match request {
                Some(request) => {
                    if let Err(reason) = handle_request(&mut member, request) {
                        tell(&channel, Notice::Refused { reason }.to_json()).await;
                    }
                }
                None => return,
            },
            notice = notices.recv() => match notice {
                Some(json) => tell(&channel, json).await,
                None => return farewell(&channel).await,
            },
        }
    }
}

/// Tells the page to go, and why.
async fn dismiss(channel: &DataChannel, reason: &str) {
    tell(channel, Notice::Closed { reason: reason.to_owned() }.to_json()).await;
    farewell(channel).await;
}

/// Waits for the page to go, so that it has read what it was told.
async fn farewell(channel: &DataChannel) {
    let _ = timeout(FAREWELL_TIMEOUT, channel.closed()).await;
}

fn handle_request(member: &mut Membership, request: Result<Request, String>) -> Result<(), String> {
    member.handle_request(Instant::now(), request?).map_err(|refusal| refusal.to_string())
}

/// The next request, or what is wrong with it; `None` when no more will come.
async fn next_request(channel: &DataChannel) -> Option<Result<Request, String>> {
    match channel.recv().await.ok()? {
        ChannelMessage::Text(json) if json.len() <= MAX_REQUEST => {
            Some(serde_json::from_str(&json).map_err(|error| format!("not a request: {error}")))
        }
        ChannelMessage::Text(_) => Some(Err(format!("a request has {MAX_REQUEST} bytes at most"))),
        ChannelMessage::Binary(_) => Some(Err("a request is text".to_owned())),
    }
}

/// Sends a notice; where the page is gone, the next `recv` says so.
async fn tell(channel: &DataChannel, json: String) {
    let _ = channel.send(json).await;
}
