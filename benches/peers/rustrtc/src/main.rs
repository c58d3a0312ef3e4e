//! The work of the comparison, done with `rustrtc`.
//!
//! Settings are the library's own, but for the loopback address.
//! `send_data` waits by itself while 256 KiB are queued or in flight.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use peers_harness::{End, LABEL, Library, Pair, run};
use rustrtc::transports::sctp::{DataChannel, DataChannelConfig};
use rustrtc::{
    DataChannelEvent, PeerConnection, PeerConnectionEvent, RtcConfiguration, SdpType, SessionDescription,
};

fn main() -> ExitCode {
    run(Rustrtc)
}

struct Rustrtc;

impl Library for Rustrtc {
    type End = Peer;

    async fn open_pair(&self) -> Result<Pair<Peer>> {
        let (offerer, answerer) = (connection(), connection());
        // The default is an unordered channel.
        let ordered = DataChannelConfig { ordered: true, ..Default::default() };
        let offered = offerer.create_data_channel(LABEL, Some(ordered))?;

        let offer = offerer.create_offer().await?;
        offerer.set_local_description(offer)?;
        answerer.set_remote_description(complete(&offerer, SdpType::Offer).await?).await?;
        let answer = answerer.create_answer().await?;
        answerer.set_local_description(answer)?;
        offerer.set_remote_description(complete(&answerer, SdpType::Answer).await?).await?;

        let accepted = loop {
            match answerer.recv().await.context("the answerer has ended")? {
                PeerConnectionEvent::DataChannel(channel) => break channel,
                PeerConnectionEvent::Track(_) => {}
            }
        };
        loop {
            match offered.recv().await.context("the offerer has ended")? {
                DataChannelEvent::Open => break,
                DataChannelEvent::Close => bail!("the channel was closed"),
                DataChannelEvent::Message(_) | DataChannelEvent::BufferedAmountLow(_) => {}
            }
        }
        Ok(Pair {
            offerer: Peer { connection: offerer, channel: offered },
            answerer: Peer { connection: answerer, channel: accepted },
        })
    }
}

fn connection() -> PeerConnection {
    PeerConnection::new(RtcConfiguration { bind_ip: Some("127.0.0.1".to_owned()), ..Default::default() })
}

/// The local description with all candidates, as it travels.
async fn complete(connection: &PeerConnection, kind: SdpType) -> Result<SessionDescription> {
    connection.wait_for_gathering_complete().await;
    let description = connection.local_description().context("there is no local description")?;
    Ok(SessionDescription::parse(kind, &description.to_sdp_string())?)
}

struct Peer {
    connection: PeerConnection,
    channel: Arc<DataChannel>,
}

impl End for Peer {
    async fn send(&self, message: &Bytes) -> Result<()> {
        Ok(self.connection.send_data(self.channel.id, message).await?)
    }

    async fn receive(&self) -> Result<usize> {
        loop {
            match self.channel.recv().await.context("the channel has ended")? {
                DataChannelEvent::Message(message) => return Ok(message.len()),
                DataChannelEvent::Close => bail!("the channel was closed"),
                DataChannelEvent::Open | DataChannelEvent::BufferedAmountLow(_) => {}
            }
        }
    }

    async fn close(&self) {
        self.connection.close();
    }
}
