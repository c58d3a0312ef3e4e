//! The work of the comparison, done with `webrtc`.
//!
//! The limit of the send buffer is the library's own way to make `send` wait.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use peers_harness::{End, LABEL, Library, Pair, run};
use tokio::sync::{Mutex, mpsc};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCSessionDescription,
};
use webrtc::runtime::default_runtime;

/// A sender waits above this, in bytes that are not acknowledged: the upper limit of the flow-control example.
const SEND_BUFFER: usize = 1 << 20;

fn main() -> ExitCode {
    run(Webrtc)
}

struct Webrtc;

impl Library for Webrtc {
    type End = Peer;

    async fn open_pair(&self) -> Result<Pair<Peer>> {
        let (mut offerer, mut answerer) = (Side::new().await?, Side::new().await?);
        let offered = offerer.connection.create_data_channel(LABEL, None).await?;

        let offer = offerer.connection.create_offer(None).await?;
        answerer.connection.set_remote_description(offerer.describe(offer).await?).await?;
        let answer = answerer.connection.create_answer(None).await?;
        offerer.connection.set_remote_description(answerer.describe(answer).await?).await?;

        let accepted = answerer.channels.recv().await.context("the answerer has ended")?;
        let (offerer, answerer) = tokio::try_join!(offerer.open(offered), answerer.open(accepted))?;
        Ok(Pair { offerer, answerer })
    }
}

/// A connection that is being opened.
struct Side {
    connection: Arc<dyn PeerConnection>,
    gathered: mpsc::Receiver<()>,
    channels: mpsc::Receiver<Arc<dyn DataChannel>>,
}

impl Side {
    async fn new() -> Result<Self> {
        let (gathered_sender, gathered) = mpsc::channel(1);
        let (channel_sender, channels) = mpsc::channel(1);
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_handler(Arc::new(Handler { gathered: gathered_sender, channels: channel_sender }))
            .with_runtime(default_runtime().context("there is no runtime")?)
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .with_data_channel_send_buffer_limit(SEND_BUFFER)
            .build()
            .await?;
        Ok(Self { connection: Arc::new(connection), gathered, channels })
    }

    /// Sets the description and returns it with all candidates.
    async fn describe(&mut self, description: RTCSessionDescription) -> Result<RTCSessionDescription> {
        self.connection.set_local_description(description).await?;
        self.gathered.recv().await.context("gathering has ended early")?;
        self.connection.local_description().await.context("there is no local description")
    }

    async fn open(self, channel: Arc<dyn DataChannel>) -> Result<Peer> {
        loop {
            match channel.poll().await.context("the channel has ended")? {
                DataChannelEvent::OnOpen => break,
                DataChannelEvent::OnClose => bail!("the channel was closed"),
                _ => {}
            }
        }
        Ok(Peer { connection: self.connection, channel, _channels: Mutex::new(self.channels) })
    }
}

struct Handler {
    gathered: mpsc::Sender<()>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.channels.try_send(channel);
    }
}

struct Peer {
    connection: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    _channels: Mutex<mpsc::Receiver<Arc<dyn DataChannel>>>,
}

impl End for Peer {
    async fn send(&self, message: &Bytes) -> Result<()> {
        Ok(self.channel.send(BytesMut::from(message.as_ref())).await?)
    }

    async fn receive(&self) -> Result<usize> {
        loop {
            match self.channel.poll().await.context("the channel has ended")? {
                DataChannelEvent::OnMessage(message) => return Ok(message.data.len()),
                DataChannelEvent::OnClose => bail!("the channel was closed"),
                _ => {}
            }
        }
    }

    async fn close(&self) {
        let _ = self.connection.close().await;
    }
}
