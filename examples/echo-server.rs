//! Echoes every message on every data channel.
//!
//! ```text
//! cargo run --release --example echo-server -- --listen 127.0.0.1:8080
//! ```
//!
//! The convention is that of the public webrtc-echoes project: a client sends its offer as JSON
//! (`{"type":"offer","sdp":"…"}`, all candidates in it) with `POST /offer`, the response is the answer in the same form.
//! Pages of any origin may do so. `echo-client` beside this file is such a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Configuration, DataChannel, PeerConnection, SdpType, SessionDescription};
use antiphon_examples::{IceServers, listen, start_trace, stopped};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Parser;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// An offer with a hundred candidates has 20 kB.
const MAX_BODY: usize = 64 * 1024;
const MAX_CHANNELS: usize = 256;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// After it the answer goes out with the candidates found so far.
const GATHERING_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Echoes every message on every data channel, after the webrtc-echoes convention
#[derive(Debug, Parser)]
struct Options {
    /// Where to take offers
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The number of clients served at once
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    max_clients: u16,
    /// Lets go of a client that has sent nothing for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    idle_timeout: u64,
    #[command(flatten)]
    ice_servers: IceServers,
}

/// What all requests share.
#[derive(Debug)]
struct Server {
    configuration: Configuration,
    idle_timeout: Duration,
    /// One permit a client.
    places: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    start_trace();
    let options = Options::parse();
    let (listener, address) = listen(options.listen).await?;
    let server = Arc::new(Server {
        configuration: options.ice_servers.configuration(address.ip().is_loopback()),
        idle_timeout: Duration::from_secs(options.idle_timeout),
        places: Arc::new(Semaphore::new(options.max_clients.into())),
        stopping: watch::Sender::new(false),
    });
    println!("Send offers to http://{address}/offer");
    tokio::select! {
        result = axum::serve(listener, router(Arc::clone(&server))).into_future() => result?,
        () = stopped() => println!("Stopping"),
    }
    server.stopping.send_replace(true);
    // When all places are free again, all clients have been told.
    let _ = timeout(STOP_TIMEOUT, server.places.acquire_many(options.max_clients.into())).await;
    Ok(())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get("POST an offer to /offer\n"))
        .route("/offer", post(offer).options(StatusCode::NO_CONTENT))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(allow_every_origin))
        .with_state(server)
}

/// Lets pages of other origins read the response, and ask beforehand whether they may send JSON.
async fn allow_every_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// `POST /offer`: the answer to an offer.
async fn offer(State(server): State<Arc<Server>>, body: Body) -> Result<Response, (StatusCode, String)> {
    let offer = read_offer(body).await?;
    let place = Arc::clone(&server.places)
        .try_acquire_owned()
        .map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "too many clients, try again later\n".to_owned()))?;
    let connection = PeerConnection::new(server.configuration.clone()).await.map_err(internal)?;
    let refuse =
        |error: &dyn std::error::Error| (StatusCode::BAD_REQUEST, format!("offer refused: {error}\n"));
    connection.set_remote_description(offer).await.map_err(|error| refuse(&error))?;
    connection.set_local_description(None).await.map_err(|error| refuse(&error))?;
    if timeout(GATHERING_TIMEOUT, connection.gathering_complete()).await.is_err() {
        eprintln!("Not all candidates found in time, answering with those there are");
    }
    let answer = serde_json::to_string(&connection.local_description()).map_err(internal)?;
    tokio::spawn(serve(server, connection, place));
    Ok(([(CONTENT_TYPE, "application/json")], answer).into_response())
}

/// The offer in the body, whatever its content type says.
async fn read_offer(body: Body) -> Result<SessionDescription, (StatusCode, String)> {
    let body = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY))
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "body takes too long\n".to_owned()))?
        .map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, format!("body of more than {MAX_BODY} bytes\n")))?;
    let offer: SessionDescription = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("no session description in JSON: {error}\n")))?;
    if offer.kind != SdpType::Offer {
        return Err((StatusCode::BAD_REQUEST, "an offer is needed, this is of another type\n".to_owned()));
    }
    Ok(offer)
}

fn internal(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

/// Serves a client until it goes, is idle, or the server stops.
async fn serve(server: Arc<Server>, connection: PeerConnection, place: OwnedSemaphorePermit) {
    let mut stopping = server.stopping.subscribe();
    tokio::select! {
        () = echo_channels(&connection, server.idle_timeout) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.close();
    connection.closed().await;
    drop(place);
}

/// Echoes on every channel of `connection`.
async fn echo_channels(connection: &PeerConnection, idle_timeout: Duration) {
    if !matches!(timeout(CONNECT_TIMEOUT, connection.connected()).await, Ok(Ok(()))) {
        return;
    }
    let mut echoes = JoinSet::new();
    loop {
        tokio::select! {
            channel = connection.accept_data_channel(), if echoes.len() < MAX_CHANNELS => match channel {
                Ok(channel) => {
                    echoes.spawn(echo(channel, idle_timeout));
                }
                Err(_) => return,
            },
            Some(_) = echoes.join_next() => {}
            () = sleep(idle_timeout), if echoes.is_empty() => return,
        }
    }
}

/// Sends back what arrives: text as text, an empty message as an empty one. Where the client reads slowly, `send` waits,
/// and so in the end does the client's own `send`.
async fn echo(channel: DataChannel, idle_timeout: Duration) {
    while let Ok(Ok(message)) = timeout(idle_timeout, channel.recv()).await {
        if let Err(error) = channel.send(message).await {
            eprintln!("No echo on channel {:?}: {error}", channel.label());
        }
    }
}
