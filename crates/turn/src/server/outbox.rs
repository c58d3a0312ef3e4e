//! What is to be sent, in runs: datagrams of one size over one path leave with one system call.

use std::collections::VecDeque;

use antiphon_util::{Path, Protocol, Transmit};

/// Datagrams in one run, and their bytes: what one system call takes.
const RUN_DATAGRAMS: usize = 64;
const RUN_BYTES: usize = 60_000;

/// Runs that are looked through for one that a datagram can join.
const OPEN_RUNS: usize = 16;

/// Buffers that are kept for later.
const SPARE: usize = 32;

#[derive(Debug)]
pub(super) struct Outbox {
    runs: VecDeque<Run>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Run {
    path: Path,
    bytes: Vec<u8>,
    segment: usize,
    /// Whether its last datagram is shorter than the others.
    complete: bool,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { runs: VecDeque::new(), spare: Vec::new(), bytes: 0, limit }
    }

    /// Appends a datagram of `len` bytes that `write` appends; `false`, with nothing written, where too much waits already.
    pub(super) fn push(&mut self, path: Path, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.bytes + len > self.limit {
            return false;
        }
        self.bytes += len;
        let run = self.runs.iter_mut().rev().take(OPEN_RUNS).find(|run| run.path == path);
        if let Some(run) = run.filter(|run| run.takes(len)) {
            write(&mut run.bytes);
            run.complete = len < run.segment;
            return true;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        write(&mut bytes);
        self.runs.push_back(Run { path, bytes, segment: len, complete: false });
        true
    }

    /// Appends the next run to `buf`.
    pub(super) fn pop(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let Run { path, mut bytes, segment, .. } = self.runs.pop_front()?;
        buf.extend_from_slice(&bytes);
        let len = bytes.len();
        self.bytes = self.bytes.saturating_sub(len);
        if self.spare.len() < SPARE {
            bytes.clear();
            self.spare.push(bytes);
        }
        let segmented = path.protocol == Protocol::Udp && len > segment;
        Some(Transmit { path, ecn: None, len, segment_size: segmented.then_some(segment) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Run {
    fn takes(&self, len: usize) -> bool {
        let fits = self.bytes.len() + len <= RUN_BYTES;
        match self.path.protocol {
            // One message a TLS record: coturn's clients read no more of one.
            Protocol::Tcp => false,
            Protocol::Udp => {
                fits && !self.complete
                    && len > 0
                    && len <= self.segment
                    && self.bytes.len() < RUN_DATAGRAMS * self.segment
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp("192.0.2.1:1".parse().unwrap(), ([192, 0, 2, 2], port).into())
    }

    fn push(outbox: &mut Outbox, path: Path, len: usize) -> bool {
        outbox.push(path, len, |out| out.resize(out.len() + len, len as u8))
    }

    fn drain(outbox: &mut Outbox) -> Vec<(u16, usize, Option<usize>)> {
        let mut runs = Vec::new();
        let mut buf = Vec::new();
        while let Some(transmit) = outbox.pop(&mut buf) {
            runs.push((transmit.path.remote.port(), transmit.len, transmit.segment_size));
        }
        runs
    }

    #[test]
    fn datagrams_of_one_size_share_a_run_and_a_shorter_one_ends_it() {
        let mut outbox = Outbox::new(1 << 20);
        for (port, len) in [(1, 100), (2, 50), (1, 100), (2, 60), (1, 40), (1, 40), (2, 60)] {
            assert!(push(&mut outbox, path(port), len));
        }
        let runs = drain(&mut outbox);
        assert_eq!(runs, [(1, 240, Some(100)), (2, 50, None), (2, 120, Some(60)), (1, 40, None)]);
        assert!(outbox.is_empty() && outbox.bytes == 0);
    }

    #[test]
    fn runs_and_the_whole_are_bounded() {
        let mut outbox = Outbox::new(200_000);
        let pushed = (0..2_000).filter(|_| push(&mut outbox, path(1), 1_000)).count();
        assert_eq!(pushed, 200);
        assert!(drain(&mut outbox).iter().all(|(_, len, _)| *len <= RUN_BYTES));
        let pushed = (0..200).filter(|_| push(&mut outbox, path(1), 10)).count();
        assert_eq!(pushed, 200);
        assert_eq!(drain(&mut outbox).first(), Some(&(1, 640, Some(10))));
    }

    #[test]
    fn messages_on_a_stream_go_one_by_one() {
        let mut outbox = Outbox::new(1 << 20);
        let path = Path { protocol: Protocol::Tcp, ..path(1) };
        assert!(push(&mut outbox, path, 8) && push(&mut outbox, path, 100));
        assert_eq!(drain(&mut outbox), [(1, 8, None), (1, 100, None)]);
    }
}
