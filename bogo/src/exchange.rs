//! A case, from the first hello to the end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use antiphon_dtls::{CloseReason, Connection, Event, KeyUpdate};

use crate::Failure;
use crate::endpoint;
use crate::flags::{Flags, version_code};
use crate::framing::{Frame, Runner};

/// What the runner expects of a shim that writes first.
const FIRST_WORDS: &[u8] = b"hello";

/// Timers beyond this belong to the end of the handshake, which the runner does not ask about.
const FAR: Duration = Duration::from_secs(61);

/// Runs the case that `flags` describe.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let mut case = Case {
        connection: endpoint::connection(flags)?,
        runner: Runner::connect(flags.port, flags.is_ipv6, flags.shim_id)?,
        now: origin(),
        received: Vec::new(),
    };
    let result = case.exchange(flags);
    case.runner.finish();
    result
}

/// Where time begins; it passes only as the runner says.
#[allow(clippy::disallowed_methods, reason = "an instant is had from the clock alone; any would do")]
fn origin() -> Instant {
    Instant::now()
}

struct Case {
    connection: Connection,
    runner: Runner<TcpStream>,
    now: Instant,
    /// Application data that was not answered yet.
    received: Vec<Vec<u8>>,
}

impl Case {
    fn exchange(&mut self, flags: &Flags) -> Result<(), Failure> {
        self.connection.start(self.now, None);
        self.flush()?;
        self.connect()?;
        self.check(flags)?;
        self.export(flags)?;
        if flags.writes_first {
            self.write(FIRST_WORDS)?;
        }
        if !flags.shuts_down {
            self.answer(flags)?;
        }
        self.connection.close(self.now);
        self.flush()
    }

    /// Takes frames until the handshake has finished.
    fn connect(&mut self) -> Result<(), Failure> {
        while !self.connection.is_connected() {
            if !self.take_frame()? {
                self.wait_for_the_end()?;
            }
            self.ended()?;
        }
        Ok(())
    }

    /// Whether what was agreed upon is what the case expects.
    fn check(&self, flags: &Flags) -> Result<(), Failure> {
        let version = self.connection.version().map(version_code);
        let group = self.connection.group();
        if flags.expected_version.is_some_and(|expected| Some(expected) != version) {
            return Err(Failure::failed(format_args!("version {version:x?}")));
        }
        if flags.expected_group.is_some_and(|expected| Some(expected) != group) {
            return Err(Failure::failed(format_args!("group {group:?}")));
        }
        if flags.expects_no_certificate && self.connection.peer_certificate().is_some() {
            return Err(Failure::failed("a certificate of the peer"));
        }
        Ok(())
    }

    /// Sends the keying material that the case asks for.
    fn export(&mut self, flags: &Flags) -> Result<(), Failure> {
        let export = &flags.export;
        if export.len == 0 {
            return Ok(());
        }
        let mut material = vec![0; export.len];
        let context = export.has_context.then_some(export.context.as_bytes());
        self.connection
            .export_keying_material(export.label.as_bytes(), context, &mut material)
            .map_err(Failure::failed)?;
        self.write(&material)
    }

    /// Sends back whatever comes, with its bits turned over, until the peer closes.
    fn answer(&mut self, flags: &Flags) -> Result<(), Failure> {
        loop {
            if flags.updates_keys_before_read {
                self.connection.update_keys(KeyUpdate::Own);
                self.flush()?;
            }
            while self.received.is_empty() {
                if !self.take_frame()? {
                    return Ok(());
                }
                if self.ended()? {
                    return Ok(());
                }
            }
            for mut data in std::mem::take(&mut self.received) {
                data.iter_mut().for_each(|byte| *byte ^= 0xff);
                self.write(&data)?;
            }
        }
    }

    /// Takes one frame and sends what it causes; gives false where the runner has hung up.
    fn take_frame(&mut self) -> Result<bool, Failure> {
        let Some(frame) = self.runner.receive()? else { return Ok(false) };
        match frame {
            Frame::Datagram(mut datagram) => {
                let received = &mut self.received;
                self.connection.handle_datagram(self.now, &mut datagram, |plaintext| {
                    received.push(plaintext.to_vec());
                });
            }
            Frame::Timeout(duration) => {
                self.runner.acknowledge_timeout()?;
                self.now += duration;
                self.connection.handle_timeout(self.now);
            }
            Frame::ExpectTimeout(expected) => {
                let due = self.connection.poll_timeout().map(|due| due.saturating_duration_since(self.now));
                let due = due.filter(|due| *due < FAR);
                if due != expected {
                    return Err(Failure::failed(format_args!("timer after {due:?}, not {expected:?}")));
                }
            }
            Frame::Mtu(size) => {
                self.connection.set_max_datagram_size(size.try_into().unwrap_or(usize::MAX));
            }
            Frame::InitialTimeout(_) => return Err(Failure::Unimplemented(format!("{frame:?}"))),
        }
        self.flush()?;
        Ok(true)
    }

    /// Nothing more will come, and the handshake runs into its deadline.
    fn wait_for_the_end(&mut self) -> Result<(), Failure> {
        while let Some(due) = self.connection.poll_timeout() {
            self.now = self.now.max(due);
            self.connection.handle_timeout(self.now);
            // The runner is gone; there is nobody to send to.
            while self.connection.poll_transmit(self.now, &mut Vec::new()).is_some() {}
        }
        if self.connection.is_closed() { Ok(()) } else { Err(Failure::failed("the runner hung up")) }
    }

    /// Whether the peer has closed the connection; another end is a failure.
    fn ended(&mut self) -> Result<bool, Failure> {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Closed(CloseReason::Remote) => return Ok(true),
                Event::Closed(reason) => return Err(self.failure(reason)),
                Event::Connected | Event::ConnectionIdsRequested(_) => {}
            }
        }
        Ok(false)
    }

    /// What ended the connection, and what was dropped before: that explains a handshake that never finished.
    fn failure(&self, reason: CloseReason) -> Failure {
        let mut why = reason.to_string();
        if let CloseReason::Timeout { unauthenticated_alert: Some(alert) } = reason {
            why.push_str(&format!(", after alert {}", alert.0));
        }
        for (reason, count) in self.connection.drops().iter() {
            why.push_str(&format!("\ndropped: {reason:?} ({count})"));
        }
        Failure::Failed(why)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let mut record = vec![0; self.connection.headroom()];
        record.extend_from_slice(data);
        self.connection.seal_in_place(&mut record, 0).map_err(Failure::failed)?;
        self.runner.send(&record)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut datagram = Vec::new();
        while self.connection.poll_transmit(self.now, &mut datagram).is_some() {
            self.runner.send(&std::mem::take(&mut datagram))?;
        }
        Ok(())
    }
}
