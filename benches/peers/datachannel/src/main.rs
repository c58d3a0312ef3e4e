//! The work of the comparison, done with libdatachannel through the `datachannel` crate.
//!
//! libdatachannel has threads of its own and calls back from them. As in its benchmark, a sender hands messages over
//! while nothing is buffered, and goes on once the buffered amount is back at zero. Messages that arrive are only
//! counted, not copied out of the callback.

use std::process::ExitCode;
use std::sync::{Arc, Mutex as StdMutex};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use datachannel::{
    DataChannelHandler, DataChannelInfo, GatheringState, IceCandidate, PeerConnectionHandler, RtcConfig,
    RtcDataChannel, RtcPeerConnection, SessionDescription,
};
use peers_harness::{End, LABEL, Library, Pair, run};
use tokio::sync::{Mutex, Notify, mpsc};

fn main() -> ExitCode {
    run(LibDataChannel)
}

struct LibDataChannel;

type Connection = Box<RtcPeerConnection<Handler>>;
type Channel = Box<RtcDataChannel<ChannelHandler>>;

impl Library for LibDataChannel {
    type End = Peer;

    async fn open_pair(&self) -> Result<Pair<Peer>> {
        let config = RtcConfig::new::<&str>(&[]).bind_address(&"127.0.0.1");
        let (mut offerer, mut answerer) = (Side::new(&config)?, Side::new(&config)?);
        let (handler, inbox) = ChannelHandler::new();
        let drained = Arc::clone(&handler.drained);
        let opened = Arc::clone(&handler.opened);
        let offered = offerer.connection.create_data_channel(LABEL, handler)?;

        // The channel makes the offer, and the offer makes the answer. Candidates go over one by one.
        let offered_first = loop {
            tokio::select! {
                Some(signal) = offerer.signals.recv() => answerer.take(signal)?,
                Some(signal) = answerer.signals.recv() => offerer.take(signal)?,
                accepted = answerer.channels.recv() => break accepted,
            }
        };
        let accepted = offered_first.context("the answerer has ended")?;
        opened.notified().await;

        let offered = Open { channel: offered, inbox, drained };
        Ok(Pair {
            offerer: Peer::new(offerer.connection, offered),
            answerer: Peer::new(answerer.connection, accepted),
        })
    }
}

/// What one side has for the other.
enum Signal {
    Description(SessionDescription),
    Candidate(IceCandidate),
}

/// A connection that is being opened.
struct Side {
    connection: Connection,
    signals: mpsc::UnboundedReceiver<Signal>,
    channels: mpsc::UnboundedReceiver<Open>,
}

impl Side {
    fn new(config: &RtcConfig) -> Result<Self> {
        let (signal_sender, signals) = mpsc::unbounded_channel();
        let (channel_sender, channels) = mpsc::unbounded_channel();
        let handler = Handler { signals: signal_sender, channels: channel_sender, pending: None };
        Ok(Self { connection: RtcPeerConnection::new(config, handler)?, signals, channels })
    }

    fn take(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::Description(description) => self.connection.set_remote_description(&description)?,
            Signal::Candidate(candidate) => self.connection.add_remote_candidate(&candidate)?,
        }
        Ok(())
    }
}

/// An open channel and what its callbacks feed.
struct Open {
    channel: Channel,
    inbox: mpsc::UnboundedReceiver<usize>,
    drained: Arc<Notify>,
}

struct Handler {
    signals: mpsc::UnboundedSender<Signal>,
    channels: mpsc::UnboundedSender<Open>,
    /// Of the channel that is about to be announced.
    pending: Option<(mpsc::UnboundedReceiver<usize>, Arc<Notify>)>,
}

impl PeerConnectionHandler for Handler {
    type DCH = ChannelHandler;

    fn data_channel_handler(&mut self, _info: DataChannelInfo) -> ChannelHandler {
        let (handler, inbox) = ChannelHandler::new();
        self.pending = Some((inbox, Arc::clone(&handler.drained)));
        handler
    }

    fn on_description(&mut self, description: SessionDescription) {
        let _ = self.signals.send(Signal::Description(description));
    }

    fn on_candidate(&mut self, candidate: IceCandidate) {
        let _ = self.signals.send(Signal::Candidate(candidate));
    }

    fn on_gathering_state_change(&mut self, _state: GatheringState) {}

    fn on_data_channel(&mut self, channel: Channel) {
        if let Some((inbox, drained)) = self.pending.take() {
            let _ = self.channels.send(Open { channel, inbox, drained });
        }
    }
}

struct ChannelHandler {
    outbox: mpsc::UnboundedSender<usize>,
    opened: Arc<Notify>,
    drained: Arc<Notify>,
}

impl ChannelHandler {
    fn new() -> (Self, mpsc::UnboundedReceiver<usize>) {
        let (outbox, inbox) = mpsc::unbounded_channel();
        (Self { outbox, opened: Arc::default(), drained: Arc::default() }, inbox)
    }
}

impl DataChannelHandler for ChannelHandler {
    fn on_open(&mut self) {
        self.opened.notify_one();
    }

    fn on_message(&mut self, message: &[u8]) {
        let _ = self.outbox.send(message.len());
    }

    fn on_buffered_amount_low(&mut self) {
        self.drained.notify_one();
    }
}

struct Peer {
    /// Channel first: it is not to outlive the connection.
    open: StdMutex<Option<(Channel, Connection)>>,
    inbox: Mutex<mpsc::UnboundedReceiver<usize>>,
    drained: Arc<Notify>,
}

impl Peer {
    fn new(connection: Connection, open: Open) -> Self {
        let Open { channel, inbox, drained } = open;
        Self { open: StdMutex::new(Some((channel, connection))), inbox: Mutex::new(inbox), drained }
    }

    /// Sends, if nothing is buffered.
    fn try_send(&self, message: &[u8]) -> Result<bool> {
        let mut open = self.open.lock().map_err(|_| anyhow::anyhow!("a sender has panicked"))?;
        let (channel, _) = open.as_mut().context("the connection is closed")?;
        if channel.buffered_amount() > 0 {
            return Ok(false);
        }
        channel.send(message)?;
        Ok(true)
    }
}

impl End for Peer {
    async fn send(&self, message: &Bytes) -> Result<()> {
        while !self.try_send(message)? {
            self.drained.notified().await;
        }
        Ok(())
    }

    async fn receive(&self) -> Result<usize> {
        self.inbox.lock().await.recv().await.context("the channel has ended")
    }

    async fn close(&self) {
        let open = self.open.lock().ok().and_then(|mut open| open.take());
        // Joins threads of the library.
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }
}
