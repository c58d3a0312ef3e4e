//! The way in to a server of many clients: nothing is remembered of one that has not shown that it receives at its address
//! (RFC 6347 §4.2.1, RFC 9147 §5.1).

use std::time::{Duration, Instant};

use antiphon_util::{Reader, Rng};

use crate::connection::{Connection, State};
use crate::cookie::CookieKey;
use crate::message::{Fragment, Kind};
use crate::record::legacy::HEADER_LEN;
use crate::record::{self, ContentType, Header};
use crate::server::Server;
use crate::{Config, CookieExchange};

/// A cookie is good for one to two of these.
const PERIOD: Duration = Duration::from_secs(60);

/// The numbers that a hello has at most, however often it was asked for and sent again.
const MAX_MESSAGE: u16 = 16;
const MAX_RECORD: u64 = 1 << 16;

/// Answers the first hello of every client with a cookie, and makes a [`Connection`] for each that returns it.
///
/// A hello has to come in one datagram; RFC 9147 §5.1 has clients see to that, who send no shares of hybrid groups at first.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    rng: Rng,
    key: CookieKey,
    opened: Instant,
}

/// The numbers that a client's hello came with, behind which ours begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstRecord {
    pub(crate) message: u16,
    pub(crate) record: u64,
}

impl Gate {
    /// A gate to connections that are made with `config`; cookies are demanded whatever it says.
    pub fn new(now: Instant, mut config: Config, mut rng: Rng) -> Self {
        config.cookie = CookieExchange::Demanded;
        let key = CookieKey::random(config.provider, &mut rng);
        Self { config, rng, key, opened: now }
    }

    /// Handles a datagram of a client that has no connection yet. `client` says where it came from, in bytes that are alike for
    /// one client and differ for others. Appends the answer, if any, to `reply`: one datagram no longer than the client's.
    ///
    /// The connection that is given was handed the datagram already.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        client: &[u8],
        datagram: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Option<Connection> {
        let hello = first_record(datagram)?;
        let period = now.saturating_duration_since(self.opened).as_secs() / PERIOD.as_secs();
        let mut connection = Connection::server(self.config.clone(), self.rng.fork());
        connection.start_behind_cookie(now, self.key.cookies(client, period), hello);
        connection.handle_datagram(now, datagram, |_| {});
        match connection.state {
            State::Server(Server::AwaitClientHello(_)) | State::Closed => {
                let start = reply.len();
                connection.poll_transmit(now, reply);
                if reply.len() - start > datagram.len() {
                    reply.truncate(start);
                }
                None
            }
            _ => Some(connection),
        }
    }
}

/// The numbers of a datagram that begins with a whole ClientHello.
fn first_record(datagram: &mut [u8]) -> Option<FirstRecord> {
    let (Header::Legacy(header), record, _) = record::split(datagram, 0)? else { return None };
    if header.content_type != ContentType::Handshake || header.epoch() != 0 {
        return None;
    }
    let fragment = Fragment::parse(&mut Reader::new(record.get(HEADER_LEN..)?)).ok()?;
    let hello = FirstRecord { message: fragment.sequence, record: header.record_number().sequence };
    let is_whole = fragment.kind == Kind::CLIENT_HELLO && fragment.bytes.len() == fragment.length;
    let is_early = hello.message <= MAX_MESSAGE && hello.record <= MAX_RECORD;
    (is_whole && is_early).then_some(hello)
}
