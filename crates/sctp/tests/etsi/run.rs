//! Runs a script against an association in simulated time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use antiphon_sctp::{
    Association, AssociationState, CloseReason, Config, Event, Message, PayloadProtocolId, SendOptions,
    StreamId,
};
use antiphon_util::Rng;
use anyhow::{Context, Result, bail, ensure};

use super::script::{Action, Packet, Script, Term, Value};
use super::wire::{Names, parse};

/// How long a packet without a time of its own may take.
const PATIENCE: Duration = Duration::from_secs(120);

const STREAM: StreamId = StreamId(0);

/// The association under test, and where the script is.
struct Run {
    config: Config,
    association: Option<Association>,
    names: Names,
    now: Instant,
    /// Packets that it sent and the script has not come to.
    sent: VecDeque<(Instant, Vec<u8>)>,
    end: Option<CloseReason>,
    is_established: bool,
    /// Outgoing and incoming.
    streams: (u16, u16),
    /// A socket that listens has the number 3, and the accepted one 4.
    is_listening: bool,
}

/// Runs `script`; an error tells the line and what was wrong there.
#[allow(clippy::disallowed_methods, reason = "any instant serves as the origin")]
pub fn run(script: &Script) -> Result<()> {
    let mut run = Run {
        config: config(),
        association: None,
        names: Names::default(),
        now: Instant::now(),
        sent: VecDeque::new(),
        end: None,
        is_established: false,
        streams: (0, 0),
        is_listening: false,
    };
    let mut time = run.now;
    for step in &script.steps {
        time += step.after.unwrap_or_default();
        let done = match &step.action {
            Action::Expect(packet) => {
                let window = step.after.map(|_| (time, script.tolerance));
                run.expect(packet, window).map(|at| {
                    if step.after.is_none() {
                        time = at;
                    }
                })
            }
            Action::Inject(packet) => {
                run.advance(time);
                run.inject(packet)
            }
            Action::Call { call, result } => {
                run.advance(time);
                run.call(call, result)
            }
        };
        done.with_context(|| format!("line {}", step.line))?;
    }
    Ok(())
}

/// As the scripts take a stack to be: packets of 1,500 bytes over IPv4, no heartbeats in between, and acknowledgements
/// that wait for 200 ms.
fn config() -> Config {
    let mut config = Config { max_packet_size: 1_480, ..Config::default() };
    config.timing.ack_delay = Duration::from_millis(200);
    config.timing.rto_initial = Duration::from_secs(1);
    config.timing.rto_min = Duration::from_secs(1);
    config.timing.rto_max = Duration::from_secs(60);
    config.timing.heartbeat_interval = None;
    config
}

impl Run {
    fn association(&mut self) -> &mut Association {
        let config = self.config.clone();
        self.association.get_or_insert_with(|| Association::new(config, Rng::from_test_seed(1)))
    }

    /// Lets time pass up to `time`.
    fn advance(&mut self, time: Instant) {
        if time > self.now {
            self.collect();
        }
        while let Some(next) = self.next_timeout().filter(|next| *next <= time) {
            self.now = self.now.max(next);
            self.collect();
        }
        self.now = self.now.max(time);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.association.as_ref()?.poll_timeout()
    }

    fn collect(&mut self) {
        let now = self.now;
        let Some(association) = &mut self.association else { return };
        if association.poll_timeout().is_some_and(|next| next <= now) {
            association.handle_timeout(now);
        }
        let mut packet = Vec::new();
        while association.poll_transmit(now, &mut packet).is_some() {
            self.sent.push_back((now, std::mem::take(&mut packet)));
        }
        while let Some(event) = association.poll_event() {
            match event {
                Event::Connected { outgoing_streams, incoming_streams } => {
                    self.is_established = true;
                    self.streams = (outgoing_streams, incoming_streams);
                }
                Event::Closed(reason) => self.end = Some(reason),
                _ => {}
            }
        }
    }

    fn inject(&mut self, packet: &Packet) -> Result<()> {
        let port = self.config.local_port;
        let bytes = self.names.encode(packet, port)?;
        let now = self.now;
        self.association().handle_datagram(now, &bytes);
        Ok(())
    }

    /// Waits for the next packet, which has to come at a time within the tolerance.
    fn expect(&mut self, wanted: &Packet, window: Option<(Instant, Duration)>) -> Result<Instant> {
        let last = window.map_or(self.now + PATIENCE, |(time, tolerance)| time + tolerance);
        self.collect();
        while self.sent.is_empty() {
            let next = self.next_timeout().filter(|next| *next <= last);
            let Some(next) = next else { bail!("no packet, but {:?}", wanted.chunks) };
            self.advance(next);
        }
        let (at, bytes) = self.sent.pop_front().context("a packet")?;
        let chunks = parse(&bytes, &self.names)?;
        let kinds: Vec<_> = chunks.iter().map(|chunk| chunk.kind).collect();
        ensure!(chunks.len() == wanted.chunks.len(), "chunks {kinds:?} for {:?}", wanted.chunks);
        for (wanted, chunk) in wanted.chunks.iter().zip(&chunks) {
            self.names.check(wanted, chunk).with_context(|| format!("{wanted:?} has {chunk:?}"))?;
        }
        if let Some((time, tolerance)) = window {
            ensure!(at + tolerance >= time, "{:?} {:?} early", wanted.chunks, time - at);
        }
        Ok(at)
    }

    fn call(&mut self, call: &Term, result: &str) -> Result<()> {
        let now = self.now;
        let fails = result.starts_with("-1");
        let size = |at: usize| match call.values().nth(at) {
            Some(Value::Number(size)) => Ok(*size as usize),
            other => bail!("a size, not {other:?}"),
        };
        match call.name.as_str() {
            "socket" | "bind" | "fcntl" => {}
            "listen" => self.is_listening = true,
            "connect" | "sctp_connectx" => self.association().connect(now),
            "accept" => ensure!(self.is_established != fails, "established: {}", self.is_established),
            "setsockopt" => self.set(call)?,
            "getsockopt" => self.compare(call)?,
            "close" | "shutdown" if self.is_listening && size(0)? == 3 => {}
            "close" | "shutdown" => self.association().shutdown(now),
            "write" => {
                let message =
                    Message { stream: STREAM, ppid: PayloadProtocolId(0), payload: vec![7; size(2)?].into() };
                let sent = self.association().send(now, message, SendOptions::default());
                ensure!(sent.is_err() == fails, "{sent:?}");
            }
            "read" => {
                let message = self.association().read(now, STREAM);
                let len = message.map_or(0, |message| message.payload.len());
                let wanted = if fails { 0 } else { result.split(' ').next().unwrap_or_default().parse()? };
                ensure!(len == wanted, "read {len}");
            }
            other => bail!("{other}?"),
        }
        self.collect();
        Ok(())
    }

    fn set(&mut self, call: &Term) -> Result<()> {
        let option = call.terms().next().context("an option")?;
        let number = |key: &str| option.number(key).filter(|value| *value > 0);
        let millis = |key: &str| number(key).map(Duration::from_millis);
        let timing = &mut self.config.timing;
        for (key, value) in [
            ("srto_initial", &mut timing.rto_initial),
            ("srto_max", &mut timing.rto_max),
            ("srto_min", &mut timing.rto_min),
        ] {
            *value = millis(key).unwrap_or(*value);
        }
        if let Some(attempts) = number("sinit_max_attempts") {
            timing.max_init_retransmissions = attempts as u32;
        }
        if let Some(streams) = number("sinit_num_ostreams") {
            self.config.outgoing_streams = streams as u16;
        }
        if let Some(streams) = number("sinit_max_instreams") {
            self.config.incoming_streams = streams as u16;
        }
        Ok(())
    }

    fn compare(&mut self, call: &Term) -> Result<()> {
        if let Some(status) = call.terms().find(|term| term.get("sstat_state").is_some()) {
            ensure!(self.is_established && self.end.is_none(), "not established");
            let (outgoing, incoming) = self.streams;
            for (key, count) in [("sstat_outstrms", outgoing), ("sstat_instrms", incoming)] {
                let wanted = status.number(key).unwrap_or(count.into());
                ensure!(wanted == u64::from(count), "{key} is {count}");
            }
            return Ok(());
        }
        let list = call.terms().next().context("an error")?;
        let wants_error = !matches!(list.values().next(), Some(Value::Number(0)));
        let is_over = matches!(&self.end, Some(reason) if *reason != CloseReason::Shutdown);
        let state = self.association().state();
        ensure!(wants_error == is_over, "{:?} in {state:?}", self.end);
        ensure!(wants_error || state != AssociationState::Closed || self.end.is_some(), "{state:?}");
        Ok(())
    }
}
