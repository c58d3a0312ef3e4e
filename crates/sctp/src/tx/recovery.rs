//! Recoveries: what the sender does between a loss and its repair, and how it learns that there was none.

use crate::tsn::Tsn;

/// The recovery that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The last TSN that was sent before the last recovery ended.
    covered: Option<Tsn>,
    episode: Option<Episode>,
}

#[derive(Debug)]
struct Episode {
    cause: Cause,
    /// It ends when everything up to this is acknowledged (RFC 9260 §7.2.4). A repair that is lost again belongs to it.
    exit: Tsn,
    /// Chunks thought lost, and those of them that were not.
    lost: u32,
    spurious: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Acknowledgements,
    Timeout,
}

impl Recovery {
    /// `lost` chunks were found lost by acknowledgements, the last of them `newest`; `last` is the last TSN sent. Whether a
    /// recovery begins with it. What is sent during a recovery still meets the queue that the reduction is about to
    /// drain: its loss is no reason to reduce once more.
    pub(super) fn lose(&mut self, lost: u32, newest: Tsn, last: Tsn) -> bool {
        if let Some(episode) = &mut self.episode {
            episode.lost += lost;
            return false;
        }
        if self.covered.is_some_and(|covered| newest <= covered) {
            return false;
        }
        self.episode = Some(Episode { cause: Cause::Acknowledgements, exit: last, lost, spurious: 0 });
        true
    }

    /// The retransmission timer expired.
    pub(super) fn time_out(&mut self, last: Tsn) {
        self.episode = Some(Episode { cause: Cause::Timeout, exit: last, lost: 0, spurious: 0 });
    }

    /// So many chunks that were thought lost had arrived, `unsent` of them before they were sent again. Whether with that
    /// the recovery has no cause any more: after a time-out one of them proves it (as in RFC 5682), else all are needed.
    pub(super) fn find(&mut self, found: u32, unsent: u32) -> bool {
        let Some(episode) = &mut self.episode else { return false };
        episode.spurious += found;
        match episode.cause {
            Cause::Acknowledgements => episode.spurious >= episode.lost,
            Cause::Timeout => unsent > 0,
        }
    }

    /// Everything up to `cumulative` is acknowledged, and `last` is the last TSN sent; whether the recovery ends with it.
    pub(super) fn acknowledge(&mut self, cumulative: Tsn, last: Tsn) -> bool {
        let ended = self.episode.take_if(|episode| cumulative >= episode.exit).is_some();
        if ended {
            self.covered = Some(last);
        }
        ended
    }

    pub(super) fn cancel(&mut self) {
        self.episode = None;
    }

    pub(super) fn is_active(&self) -> bool {
        self.episode.is_some()
    }

    /// Whether it is one of acknowledgements.
    pub(super) fn is_fast(&self) -> bool {
        self.episode.as_ref().is_some_and(|episode| episode.cause == Cause::Acknowledgements)
    }
}
