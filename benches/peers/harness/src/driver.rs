//! A tokio task that gives a library without input and output of its own a UDP socket and a clock.
//!
//! As the examples of those libraries do it: one task and one socket a connection, one system call a datagram. It is a
//! little kinder than the examples: the socket buffers hold a burst, and up to [`BURST`] datagrams are read before
//! the answers are sent.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::End;

/// Datagrams read, and messages taken from the application, before the answers are sent.
const BURST: usize = 32;

/// Asked for in both directions; what the kernel grants is the same for every peer of this driver.
const SOCKET_BUFFER: usize = 2 << 20;

/// Messages that wait between the application and the task, in each direction.
const QUEUE: usize = 256;

/// A datagram to send.
#[derive(Debug)]
pub struct Outgoing<D> {
    /// Where to.
    pub destination: SocketAddr,
    /// What.
    pub datagram: D,
}

/// What a machine tells the application.
#[derive(Debug)]
pub enum Event {
    /// The one channel is open.
    Opened,
    /// A message arrived on it.
    Message(Bytes),
}

/// A connection without input and output of its own, with one channel.
pub trait Machine: Send + 'static {
    /// How the library holds a datagram to send.
    type Datagram: Deref<Target = [u8]> + Send;

    /// Takes a datagram that arrived.
    fn handle_receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Result<()>;

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant) -> Result<()>;

    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Outgoing<Self::Datagram>>;

    /// The next thing to tell.
    fn poll_event(&mut self) -> Option<Event>;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// Takes a message, or says that it is to be offered again once something was acknowledged.
    fn send(&mut self, now: Instant, message: &Bytes) -> Result<bool>;

    /// Says farewell.
    fn close(&mut self, now: Instant);
}

/// Binds a loopback socket with large buffers.
pub async fn bind() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

/// The application's side of a driven machine.
#[derive(Debug)]
pub struct Driver {
    outbox: mpsc::Sender<Bytes>,
    inbox: Mutex<mpsc::Receiver<Bytes>>,
    opened: Arc<Notify>,
    closing: Arc<Notify>,
}

impl Driver {
    /// Starts to drive `machine` over `socket`.
    pub fn start<M: Machine>(machine: M, socket: UdpSocket) -> Self {
        let (outbox, outgoing) = mpsc::channel(QUEUE);
        let (incoming, inbox) = mpsc::channel(QUEUE);
        let opened = Arc::new(Notify::new());
        let closing = Arc::new(Notify::new());
        let task = Task {
            machine,
            socket,
            outgoing,
            refused: None,
            incoming,
            undelivered: VecDeque::new(),
            opened: Arc::clone(&opened),
            closing: Arc::clone(&closing),
        };
        tokio::spawn(async move {
            if let Err(error) = task.run().await {
                eprintln!("{error:#}");
            }
        });
        Self { outbox, inbox: Mutex::new(inbox), opened, closing }
    }

    /// Waits until the channel is open. To be called once.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }
}

impl End for Driver {
    async fn send(&self, message: &Bytes) -> Result<()> {
        self.outbox.send(message.clone()).await.context("the connection has ended")
    }

    async fn receive(&self) -> Result<usize> {
        Ok(self.inbox.lock().await.recv().await.context("the connection has ended")?.len())
    }

    async fn close(&self) {
        self.closing.notify_one();
        self.outbox.closed().await;
    }
}

struct Task<M> {
    machine: M,
    socket: UdpSocket,
    outgoing: mpsc::Receiver<Bytes>,
    /// The message that the machine had no room for.
    refused: Option<Bytes>,
    incoming: mpsc::Sender<Bytes>,
    /// Messages that the application has no room for.
    undelivered: VecDeque<Bytes>,
    opened: Arc<Notify>,
    closing: Arc<Notify>,
}

impl<M: Machine> Task<M> {
    async fn run(mut self) -> Result<()> {
        let mut buffer = vec![0; 2_048];
        let incoming = self.incoming.clone();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        loop {
            // What was received can make room to send, and what is read or sent can have something to tell.
            self.deliver();
            self.take_messages()?;
            self.flush().await?;
            if self.deliver() {
                continue;
            }

            let deadline = self.machine.poll_timeout();
            if let Some(deadline) = deadline {
                let now = Instant::now();
                if deadline <= now {
                    self.machine.handle_timeout(now)?;
                    continue;
                }
                if timer.deadline() != deadline.into() {
                    timer.as_mut().reset(deadline.into());
                }
            }
            tokio::select! {
                biased;
                () = self.closing.notified() => {
                    self.machine.close(Instant::now());
                    return self.flush().await;
                }
                readable = self.socket.readable() => {
                    readable?;
                    self.read(&mut buffer)?;
                }
                Some(message) = self.outgoing.recv(), if self.refused.is_none() => self.refused = Some(message),
                Ok(permit) = incoming.reserve(), if !self.undelivered.is_empty() => {
                    if let Some(message) = self.undelivered.pop_front() {
                        permit.send(message);
                    }
                }
                () = timer.as_mut(), if deadline.is_some() => self.machine.handle_timeout(Instant::now())?,
            }
        }
    }

    /// Hands messages of the application to the machine, while it takes them.
    fn take_messages(&mut self) -> Result<()> {
        for _ in 0..BURST {
            let Some(message) = self.refused.take().or_else(|| self.outgoing.try_recv().ok()) else { break };
            if !self.machine.send(Instant::now(), &message)? {
                self.refused = Some(message);
                break;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        while let Some(Outgoing { destination, datagram }) = self.machine.poll_transmit() {
            while let Err(error) = self.socket.try_send_to(&datagram, destination) {
                match error.kind() {
                    ErrorKind::WouldBlock => self.socket.writable().await?,
                    // The other side has closed its socket.
                    ErrorKind::ConnectionRefused => break,
                    _ => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        for _ in 0..BURST {
            match self.socket.try_recv_from(buffer) {
                Ok((length, source)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    self.machine.handle_receive(Instant::now(), source, datagram)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Passes on what the machine tells, and returns whether it told anything.
    fn deliver(&mut self) -> bool {
        let mut told = false;
        while let Some(event) = self.machine.poll_event() {
            told = true;
            match event {
                Event::Opened => self.opened.notify_one(),
                Event::Message(message) => self.undelivered.push_back(message),
            }
        }
        while let Some(message) = self.undelivered.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(message)) = self.incoming.try_send(message) {
                self.undelivered.push_front(message);
                break;
            }
        }
        told
    }
}
