//! What arrived for one connection on sockets that it shares, until its driver takes it.

use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use antiphon_util::{Ecn, Path};

use crate::tcp::Accepted;

/// Between the readers of an endpoint's sockets, who fill it, and the driver of a connection, who empties it. An empty one
/// holds no memory.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// Bytes that may wait, what describes them included.
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    arrivals: Arrivals,
    /// Set while the driver waits.
    waker: Option<Waker>,
}

/// What has arrived since the driver looked last.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    /// TCP connections that are for this one.
    pub(crate) accepted: Vec<Accepted>,
    /// Sockets have come or gone.
    pub(crate) sockets_changed: bool,
}

/// Datagrams of one sender, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) path: Path,
    pub(crate) ecn: Option<Ecn>,
    /// Bytes of each datagram but the last, which may be shorter.
    pub(crate) stride: usize,
    /// Bytes of all.
    pub(crate) len: usize,
}

/// The inbox is full; what arrived is lost, as in a full buffer of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Inbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: Mutex::default(), limit }
    }

    /// Appends `bytes`; gives who is to be woken.
    pub(crate) fn push(
        &self,
        path: Path,
        ecn: Option<Ecn>,
        stride: usize,
        bytes: &[u8],
    ) -> Result<Option<Waker>, Full> {
        let mut queue = self.lock();
        let Queue { arrivals, waker } = &mut *queue;
        if arrivals.weight() + bytes.len() + size_of::<Run>() > self.limit {
            return Err(Full);
        }
        arrivals.bytes.extend_from_slice(bytes);
        arrivals.runs.push(Run { path, ecn, stride, len: bytes.len() });
        Ok(waker.take())
    }

    /// Hands over a TCP connection, of which so many may wait.
    pub(crate) fn push_accepted(&self, accepted: Accepted, limit: usize) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.arrivals.accepted.len() >= limit {
            return Err(Full);
        }
        queue.arrivals.accepted.push(accepted);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Says that sockets have come or gone.
    pub(crate) fn push_sockets_changed(&self) {
        let mut queue = self.lock();
        queue.arrivals.sockets_changed = true;
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all; pending, with `cx` registered, where there is nothing.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Arrivals> {
        let mut queue = self.lock();
        if queue.arrivals.is_empty() {
            if !queue.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                queue.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut queue.arrivals))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals {
    /// The runs with their datagrams, in the order of their arrival.
    pub(crate) fn runs(&mut self) -> impl Iterator<Item = (Run, &mut [u8])> {
        let mut rest = self.bytes.as_mut_slice();
        self.runs.iter().map(move |run| {
            let (bytes, behind) = std::mem::take(&mut rest).split_at_mut_checked(run.len).unwrap_or_default();
            rest = behind;
            (*run, bytes)
        })
    }

    fn weight(&self) -> usize {
        self.bytes.len() + self.runs.len() * size_of::<Run>()
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.accepted.is_empty() && !self.sockets_changed
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn path() -> Path {
        Path::udp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap())
    }

    #[test]
    fn gives_runs_as_they_came_and_is_empty_afterwards() {
        let inbox = Inbox::new(10_000);
        let cx = Context::from_waker(Waker::noop());
        assert!(inbox.poll_take(&cx).is_pending());
        assert!(inbox.push(path(), Some(Ecn::Ce), 2, &[1, 2, 3]).unwrap().is_some());
        assert!(inbox.push(path(), None, 1, &[4]).unwrap().is_none(), "the driver is woken once");
        let Poll::Ready(mut arrivals) = inbox.poll_take(&cx) else { panic!("nothing arrived") };
        let runs: Vec<_> =
            arrivals.runs().map(|(run, bytes)| (run.ecn, run.stride, bytes.to_vec())).collect();
        assert_eq!(runs, [(Some(Ecn::Ce), 2, vec![1, 2, 3]), (None, 1, vec![4])]);
        assert!(inbox.poll_take(&cx).is_pending());
    }

    #[test]
    fn is_bounded_however_small_the_datagrams_are() {
        const LIMIT: usize = 10_000;
        for size in [0, 1, 100, 1_200] {
            let inbox = Inbox::new(LIMIT);
            let accepted =
                (0..10 * LIMIT).filter(|_| inbox.push(path(), None, 1_200, &vec![0; size]).is_ok());
            let accepted = accepted.count();
            assert_eq!(accepted, LIMIT / (size + size_of::<Run>()));
            let queue = inbox.lock();
            assert!(queue.arrivals.weight() <= LIMIT);
        }
    }

    #[tokio::test]
    async fn no_more_than_the_limit_of_connections_wait() {
        const LIMIT: usize = 4;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inbox = Inbox::new(10_000);
        let mut taken = 0;
        for _ in 0..10 * LIMIT {
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let accepted = Accepted { stream, path: path(), first: Vec::new() };
            taken += usize::from(inbox.push_accepted(accepted, LIMIT).is_ok());
        }
        assert_eq!(taken, LIMIT);
    }
}
