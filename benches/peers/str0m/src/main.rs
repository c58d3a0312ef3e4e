//! The work of the comparison, done with `str0m`.
//!
//! The run loop is the one of its documentation: each change is followed by polling until a timeout comes back. A message
//! that is not accepted is offered again after the next input. Settings are the library's own: its limit of 128 KiB that are
//! buffered or in flight can be raised, but goodput falls with it on loopback.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use peers_harness::driver::{Driver, Event, Machine, Outgoing, bind};
use peers_harness::{LABEL, Library, Pair, run};
use str0m::channel::ChannelId;
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

fn main() -> ExitCode {
    run(Str0m)
}

struct Str0m;

impl Library for Str0m {
    type End = Driver;

    async fn open_pair(&self) -> Result<Pair<Driver>> {
        let (offerer_socket, answerer_socket) = (bind().await?, bind().await?);
        let mut offerer = Peer::new(offerer_socket.local_addr()?)?;
        let mut answerer = Peer::new(answerer_socket.local_addr()?)?;

        let mut change = offerer.rtc.sdp_api();
        change.add_channel(LABEL.to_owned());
        let (offer, pending) = change.apply().context("there is nothing to offer")?;
        let answer = answerer.rtc.sdp_api().accept_offer(offer)?;
        offerer.rtc.sdp_api().accept_answer(pending, answer)?;
        offerer.drain()?;
        answerer.drain()?;

        let offerer = Driver::start(offerer, offerer_socket);
        let answerer = Driver::start(answerer, answerer_socket);
        tokio::join!(offerer.opened(), answerer.opened());
        Ok(Pair { offerer, answerer })
    }
}

struct Peer {
    rtc: Rtc,
    local: SocketAddr,
    channel: Option<ChannelId>,
    deadline: Option<Instant>,
    transmits: VecDeque<Outgoing<DatagramSend>>,
    events: VecDeque<Event>,
}

impl Peer {
    fn new(local: SocketAddr) -> Result<Self> {
        let mut rtc = Rtc::new(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp")?).context("the candidate was not taken")?;
        let (transmits, events) = (VecDeque::new(), VecDeque::new());
        Ok(Self { rtc, local, channel: None, deadline: None, transmits, events })
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => {
                    self.deadline = Some(deadline);
                    return Ok(());
                }
                Output::Transmit(transmit) => self
                    .transmits
                    .push_back(Outgoing { destination: transmit.destination, datagram: transmit.contents }),
                Output::Event(str0m::Event::ChannelOpen(channel, _)) => {
                    self.channel = Some(channel);
                    self.events.push_back(Event::Opened);
                }
                Output::Event(str0m::Event::ChannelData(message)) => {
                    self.events.push_back(Event::Message(Bytes::from(message.data)));
                }
                Output::Event(_) => {}
            }
        }
    }
}

impl Machine for Peer {
    type Datagram = DatagramSend;

    fn handle_receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<()> {
        let Ok(contents) = datagram.try_into() else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        self.rtc.handle_input(Input::Receive(now, receive))?;
        self.drain()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain()
    }

    fn poll_transmit(&mut self) -> Option<Outgoing<DatagramSend>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.deadline
    }

    fn send(&mut self, _now: Instant, message: &Bytes) -> Result<bool> {
        let channel = self.channel.context("the channel is not open")?;
        let mut channel = self.rtc.channel(channel).context("the channel is closed")?;
        let accepted = channel.write(true, message)?;
        self.drain()?;
        Ok(accepted)
    }

    fn close(&mut self, _now: Instant) {
        let _ = self.rtc.close();
        let _ = self.drain();
    }
}
