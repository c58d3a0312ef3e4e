//! The work of the comparison, done with `rtc`.
//!
//! The loop and the limits of the buffered amount are those of its flow-control example.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use peers_harness::driver::{Driver, Event, Machine, Outgoing, bind};
use peers_harness::{LABEL, Library, Pair, run};
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol as _;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

/// A sender waits above this, in bytes that are not acknowledged.
const HIGH: usize = 1 << 20;

/// It goes on at this.
const LOW: usize = 512 << 10;

fn main() -> ExitCode {
    run(Rtc)
}

struct Rtc;

impl Library for Rtc {
    type End = Driver;

    async fn open_pair(&self) -> Result<Pair<Driver>> {
        let (offerer_socket, answerer_socket) = (bind().await?, bind().await?);
        let mut offerer = Peer::new(offerer_socket.local_addr()?)?;
        let mut answerer = Peer::new(answerer_socket.local_addr()?)?;

        offerer.connection.create_data_channel(LABEL, None)?;
        let offer = offerer.connection.create_offer(None)?;
        offerer.connection.set_local_description(Instant::now(), offer.clone())?;
        answerer.connection.set_remote_description(Instant::now(), offer)?;
        let answer = answerer.connection.create_answer(None)?;
        answerer.connection.set_local_description(Instant::now(), answer.clone())?;
        offerer.connection.set_remote_description(Instant::now(), answer)?;

        let offerer = Driver::start(offerer, offerer_socket);
        let answerer = Driver::start(answerer, answerer_socket);
        tokio::join!(offerer.opened(), answerer.opened());
        Ok(Pair { offerer, answerer })
    }
}

struct Peer {
    connection: RTCPeerConnection,
    local: SocketAddr,
    channel: Option<RTCDataChannelId>,
    above_high: bool,
}

impl Peer {
    fn new(local: SocketAddr) -> Result<Self> {
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .build(Instant::now())?;
        let candidate = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".to_owned(),
                address: local.ip().to_string(),
                port: local.port(),
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        }
        .new_candidate_host()?;
        connection.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        Ok(Self { connection, local, channel: None, above_high: false })
    }

    fn message(&mut self) -> Option<Event> {
        while let Some(read) = self.connection.poll_read() {
            if let RTCMessage::DataChannelMessage(_, message) = read.message {
                return Some(Event::Message(message.data.freeze()));
            }
        }
        None
    }
}

impl Machine for Peer {
    type Datagram = BytesMut;

    fn handle_receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<()> {
        self.connection.handle_read(TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.local,
                peer_addr: source,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: BytesMut::from(datagram),
        })?;
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        self.connection.handle_timeout(now)?;
        Ok(())
    }

    fn poll_transmit(&mut self) -> Option<Outgoing<BytesMut>> {
        let write = self.connection.poll_write()?;
        Some(Outgoing { destination: write.transport.peer_addr, datagram: write.message })
    }

    fn poll_event(&mut self) -> Option<Event> {
        while let Some(event) = self.connection.poll_event() {
            if let RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(channel)) = event {
                self.channel = Some(channel);
                return Some(Event::Opened);
            }
        }
        self.message()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    fn send(&mut self, now: Instant, message: &Bytes) -> Result<bool> {
        let channel = self.channel.context("the channel is not open")?;
        let mut channel = self.connection.data_channel(channel).context("the channel is closed")?;
        let outstanding = channel.outstanding_bytes();
        if self.above_high && outstanding > LOW {
            return Ok(false);
        }
        self.above_high = outstanding + message.len() > HIGH;
        channel.send(now, BytesMut::from(message.as_ref()))?;
        Ok(true)
    }

    fn close(&mut self, _now: Instant) {
        let _ = self.connection.close();
    }
}
