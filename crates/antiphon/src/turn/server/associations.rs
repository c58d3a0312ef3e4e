//! DTLS towards clients (RFC 7350): one association for each, none for who has not shown that it receives at its address.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use antiphon_crypto::Certificate;
use antiphon_dtls::{Config, Connection, Event, Gate};
use antiphon_util::{Path, Received, Rng, Transmit};

use super::{ServerLimits, Shell};
use crate::buffers::Buffers;
use crate::clock::now;
use crate::socket::{Reader, Socket};
use crate::turn::Provider;
use crate::turn::dtls::seal_run;
use crate::turn::relay::sleep_until;

/// A socket at which clients speak DTLS.
#[derive(Debug)]
pub(super) struct Associations {
    socket: Arc<Socket>,
    limits: ServerLimits,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    gate: Gate,
    associations: HashMap<SocketAddr, Association>,
    /// How many each address has.
    counts: HashMap<IpAddr, usize>,
    due: BTreeSet<(Instant, SocketAddr)>,
}

#[derive(Debug)]
struct Association {
    connection: Connection,
    /// When it ends unless it has an allocation.
    expires: Instant,
    due: Instant,
}

/// What became of a burst of datagrams, or of time.
#[derive(Debug, Default)]
struct Outcome {
    /// What clients said, opened, one behind the other.
    bytes: Vec<u8>,
    messages: Vec<(SocketAddr, Range<usize>)>,
    /// Clients whose association is over.
    ended: Vec<SocketAddr>,
}

impl Associations {
    pub(super) fn new(socket: Arc<Socket>, certificate: Arc<Certificate>, limits: ServerLimits) -> Self {
        let provider = Provider::default();
        let gate = Gate::new(
            now(),
            Config::for_server(provider, certificate),
            Rng::from_seed(provider.random_seed()),
        );
        let table =
            Table { gate, associations: HashMap::new(), counts: HashMap::new(), due: BTreeSet::new() };
        Self { socket, limits, table: Mutex::new(table) }
    }

    /// Seals a run of messages to a client and sends it; it is lost where there is no association any more.
    pub(super) fn send(&self, transmit: &Transmit, messages: &[u8]) {
        let mut records = Vec::with_capacity(messages.len() + 64);
        let mut table = self.lock();
        let Some(association) = table.associations.get_mut(&transmit.path.remote) else { return };
        let segment = transmit.segment_size.unwrap_or(messages.len());
        let sealed = seal_run(&mut association.connection, messages, segment, &mut records);
        drop(table);
        if let Ok(size) = sealed {
            self.send_run(transmit.path, &records, size);
        }
    }

    /// What the kernel has no room for is lost, as datagrams may be.
    fn send_run(&self, path: Path, records: &[u8], size: usize) {
        let transmit = Transmit { path, ecn: None, len: records.len(), segment_size: Some(size) };
        let _ = self.socket.send(&transmit, records);
    }

    /// Ends all of them.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        let clients: Vec<_> = table.associations.keys().copied().collect();
        for client in clients {
            if let Some(association) = table.associations.get_mut(&client) {
                association.connection.close(now());
            }
            self.settle(&mut table, now(), client);
        }
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.socket.local()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, client: SocketAddr) -> Path {
        Path::udp(self.socket.local(), client)
    }

    /// Reads and opens one burst.
    fn poll_read(&self, reader: &mut Reader, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut buffers = Buffers::borrow();
        let mut outcome = Outcome::default();
        let ready = reader.poll_receive(cx, &mut buffers.receive);
        if ready.is_ready() {
            let now = now();
            let mut table = self.lock();
            for datagram in buffers.receive.datagrams() {
                self.open(&mut table, now, datagram.remote, datagram.bytes, &mut outcome);
            }
        }
        buffers.give_back();
        ready.map(|()| outcome)
    }

    fn open(
        &self,
        table: &mut Table,
        now: Instant,
        client: SocketAddr,
        datagram: &mut [u8],
        outcome: &mut Outcome,
    ) {
        // A client that has forgotten its association begins anew (RFC 6347 §4.2.8).
        if table.associations.get(&client).is_none_or(|known| known.connection.is_connected())
            && let Some(connection) = self.admit(table, now, client, datagram)
        {
            table
                .insert(client, Association { connection, expires: now + self.limits.idle_stream, due: now });
        } else if let Some(association) = table.associations.get_mut(&client) {
            association.connection.handle_datagram(now, datagram, |plaintext| {
                let start = outcome.bytes.len();
                outcome.bytes.extend_from_slice(&plaintext);
                outcome.messages.push((client, start..outcome.bytes.len()));
            });
        }
        if self.settle(table, now, client) {
            outcome.ended.push(client);
        }
    }

    /// The connection of a client that has returned its cookie, and for whom there is room.
    fn admit(
        &self,
        table: &mut Table,
        now: Instant,
        client: SocketAddr,
        datagram: &mut [u8],
    ) -> Option<Connection> {
        let mut reply = Vec::new();
        let connection = table.gate.handle_datagram(now, client.to_string().as_bytes(), datagram, &mut reply);
        if !reply.is_empty() {
            self.send_run(self.path(client), &reply, reply.len());
        }
        let of_address = table.counts.get(&client.ip()).copied().unwrap_or_default();
        let has_room = table.associations.contains_key(&client)
            || table.associations.len() < self.limits.streams && of_address < self.limits.streams_per_address;
        connection.filter(|_| has_room)
    }

    /// Sends what a connection has to say and sees when it is due again; `true` where it is over and gone.
    fn settle(&self, table: &mut Table, now: Instant, client: SocketAddr) -> bool {
        let Some(association) = table.associations.get_mut(&client) else { return false };
        let mut datagram = Vec::new();
        while association.connection.poll_transmit(now, &mut datagram).is_some() {
            self.send_run(self.path(client), &datagram, datagram.len());
            datagram.clear();
        }
        while let Some(event) = association.connection.poll_event() {
            if let Event::Closed(reason) = event {
                tracing::debug!(%client, %reason, "DTLS association ended");
                table.remove(client);
                return true;
            }
        }
        let timeout = association.connection.poll_timeout();
        let due = timeout.map_or(association.expires, |timeout| timeout.min(association.expires));
        let before = std::mem::replace(&mut association.due, due);
        table.due.remove(&(before, client));
        table.due.insert((due, client));
        false
    }

    /// Lets time pass for those that are due; those that `serves` denies do not live on.
    fn handle_timeout(&self, now: Instant, serves: impl Fn(Path) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        let mut table = self.lock();
        while let Some((_, client)) = table.due.first().copied().filter(|(due, _)| *due <= now) {
            let Some(association) = table.associations.get_mut(&client) else { break };
            association.connection.handle_timeout(now);
            if association.expires <= now {
                if serves(self.path(client)) {
                    association.expires = now + self.limits.idle_stream;
                } else {
                    association.connection.close(now);
                }
            }
            if self.settle(&mut table, now, client) {
                outcome.ended.push(client);
            }
        }
        outcome
    }
}

impl Table {
    fn insert(&mut self, client: SocketAddr, association: Association) {
        self.remove(client);
        self.due.insert((association.due, client));
        self.associations.insert(client, association);
        *self.counts.entry(client.ip()).or_default() += 1;
    }

    fn remove(&mut self, client: SocketAddr) {
        let Some(association) = self.associations.remove(&client) else { return };
        self.due.remove(&(association.due, client));
        if let Some(count) = self.counts.get_mut(&client.ip()) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&client.ip());
            }
        }
    }
}

/// Serves clients until the server is gone.
pub(super) async fn serve(shell: Weak<Shell>, associations: Arc<Associations>) {
    let mut reader = Reader::new(Arc::clone(&associations.socket));
    loop {
        let due = associations.lock().due.first().map(|(due, _)| *due);
        let outcome = tokio::select! {
            outcome = poll_fn(|cx| associations.poll_read(&mut reader, cx)) => Some(outcome),
            () = sleep_until(due) => None,
        };
        let Some(shell) = shell.upgrade() else { return };
        let outcome = outcome
            .unwrap_or_else(|| associations.handle_timeout(now(), |path| shell.lock().server.serves(path)));
        shell.handle_outcome(&associations, outcome);
    }
}

impl Shell {
    fn handle_outcome(self: &Arc<Self>, associations: &Associations, outcome: Outcome) {
        let Outcome { mut bytes, messages, ended } = outcome;
        self.drive(|server, now| {
            for (client, range) in messages {
                let datagram = bytes.get_mut(range).unwrap_or_default();
                server.handle_receive(now, Received { path: associations.path(client), ecn: None, datagram });
            }
            for client in ended {
                server.handle_disconnect(associations.path(client));
            }
        });
    }
}
