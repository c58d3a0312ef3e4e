//! A chat between browsers, relayed by a peer in Rust over data channels.
//!
//! ```text
//! cargo run --release --example chat
//! ```
//!
//! Then open the URL that it prints; whoever opens the same room talks with each other. The name of a room is a random
//! token in its URL, made when the page is opened without one: who knows the URL is in. Each page has a peer connection
//! with this program, which is set up over a WebSocket, candidates one by one as they are found. Nothing is stored.

mod messages;
mod rooms;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon::Configuration;
use antiphon_examples::{IceServers, listen, start_trace, stopped};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, interval, timeout};

use crate::rooms::{Limits, Rooms};

/// The longest signal: a description with a hundred candidates has 20 kB.
const MAX_SIGNAL: usize = 64 * 1024;
const MAX_TOKEN: usize = 64;
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The page loads nothing from elsewhere, runs no inline script, and stands in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A chat between browsers, relayed by a peer in Rust over data channels
#[derive(Debug, Parser)]
struct Options {
    /// Where to serve the page
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The number of pages connected at once
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    max_pages: u16,
    /// The number of rooms
    #[arg(long, value_name = "COUNT", default_value_t = 250)]
    max_rooms: usize,
    /// The number of members of a room
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    max_members: usize,
    /// Drops a room in which nothing was said for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..))]
    idle_timeout: u64,
    #[command(flatten)]
    ice_servers: IceServers,
}

/// What all pages share.
#[derive(Debug)]
struct App {
    configuration: Configuration,
    rooms: Arc<Rooms>,
    /// One permit a page.
    places: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl App {
    /// Waits until the program is to end.
    async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    start_trace();
    let options = Options::parse();
    let (listener, address) = listen(options.listen).await?;
    let app = Arc::new(App {
        configuration: options.ice_servers.configuration(address.ip().is_loopback()),
        rooms: Rooms::new(Limits { rooms: options.max_rooms, members: options.max_members }),
        places: Arc::new(Semaphore::new(options.max_pages.into())),
        stopping: watch::Sender::new(false),
    });
    println!("Open http://{address}/");
    tokio::select! {
        result = axum::serve(listener, router(Arc::clone(&app))).into_future() => result?,
        () = drop_idle_rooms(&app.rooms, Duration::from_secs(options.idle_timeout)) => {}
        () = stopped() => println!("Stopping"),
    }
    app.stopping.send_replace(true);
    // When all places are free again, all pages have been told.
    let _ = timeout(STOP_TIMEOUT, app.places.acquire_many(options.max_pages.into())).await;
    Ok(())
}

async fn drop_idle_rooms(rooms: &Rooms, idle: Duration) {
    let mut look = interval(Duration::from_secs(1).max(idle / 10));
    loop {
        look.tick().await;
        rooms.drop_idle(Instant::now(), idle);
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(new_room))
        .route("/room/{token}", get(page))
        .route("/room/{token}/signal", get(signalling))
        .route("/chat.css", get(|| async { asset("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/chat.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .with_state(app)
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
}

/// Leads to a room that nobody else knows.
async fn new_room() -> impl IntoResponse {
    let mut token = [0; 12];
    rand::make_rng::<StdRng>().fill_bytes(&mut token);
    let room = format!("/room/{}", URL_SAFE_NO_PAD.encode(token));
    ([(CACHE_CONTROL, "no-store")], Redirect::to(&room))
}

async fn page(Path(token): Path<String>) -> Response {
    if !is_token(&token) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // The token in the URL goes nowhere else.
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(include_str!("page.html"))).into_response()
}

/// Turns the request into the WebSocket of a page.
async fn signalling(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_token(&token) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if !is_same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "pages of other origins may not connect\n").into_response();
    }
    let Ok(place) = Arc::clone(&app.places).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages, try again later\n").into_response();
    };
    upgrade.max_message_size(MAX_SIGNAL).max_frame_size(MAX_SIGNAL).on_upgrade(|socket| async move {
        session::run(socket, app, token).await;
        drop(place);
    })
}

fn is_token(token: &str) -> bool {
    (1..=MAX_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether a page of ours asks. Browsers name the origin of the page; programs that are none name nothing.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.is_some_and(|(_, name)| Some(name) == host)
}
