//! What the end of a TCP connection means for its pair (RFC 6544 §7).

use std::time::Instant;

use antiphon_util::{Path, Protocol};
use tracing::debug;

use super::Agent;
use crate::candidate::TcpType;
use crate::checklist::{Pair, PairState};

impl Agent {
    /// Says that the TCP connection of `path` is closed, or could not be opened. Its pair has failed; where it had worked and
    /// the connection is ours to open, it is checked once more, so that the owner opens another.
    pub fn handle_connection_closed(&mut self, now: Instant, path: Path) {
        if path.protocol != Protocol::Tcp || self.has_ended() {
            return;
        }
        debug!(?path, "connection closed");
        self.validated.remove_all(|known| known == path);
        self.forget_former_pair(|known| known == path);
        let opens = self.gatherer.base_of(path).is_some_and(|base| base.tcp_type != Some(TcpType::Passive));
        if !opens {
            // The peer's next connection has another address.
            self.checklist.remove_all(|known| known == path);
        } else if let Some(pair) = self.checklist.find_mut(path) {
            let worked = pair.valid().is_some();
            pair.fail();
            if worked {
                self.checklist.trigger(path);
            }
        }
        self.settle(now);
    }
}

impl Pair {
    /// Its check, or its consent, has failed.
    pub(crate) fn fail(&mut self) {
        self.state = PairState::Failed;
        self.nominated = None;
    }
}
