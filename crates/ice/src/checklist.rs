//! Candidate pairs and the order in which they are checked (RFC 8445 §6.1.2, §6.1.4).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use antiphon_stun::{ClientTransaction, TransactionId};
use antiphon_util::{Path, Protocol};

use crate::candidate::pair_priority;
use crate::config::Role;
use crate::consent::Consent;
use crate::rtt::RoundTrip;
use crate::statistics::PairCounters;

/// A base of ours and a remote candidate. A base and an address make one pair at most, so the path is its name.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) path: Path,
    pub(crate) priorities: Priorities,
    pub(crate) priority: u64,
    pub(crate) foundation: Foundation,
    pub(crate) state: PairState,
    /// Its nomination: by an answered check of ours, or by the latest USE-CANDIDATE of the peer's.
    pub(crate) nominated: Option<Nomination>,
    pub(crate) counters: PairCounters,
}

/// That a pair was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nomination {
    /// Of several the one with the highest number counts.
    pub(crate) number: u32,
    pub(crate) at: Instant,
}

/// The priorities of a pair's candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Priorities {
    pub(crate) local: u32,
    pub(crate) remote: u32,
}

/// The foundations of a pair's candidates, numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foundation {
    pub(crate) local: u32,
    pub(crate) remote: u32,
}

/// RFC 8445 §6.1.2.6
///
/// ```text
/// Frozen -> Waiting -> InProgress -> Succeeded
///              ^            |            |
///              +- (checked  +-> Failed <-+ (consent expired)
///                 by peer) -----+
/// ```
#[derive(Debug)]
pub(crate) enum PairState {
    /// Waits for a pair of the same foundation.
    Frozen,
    /// Is to be checked when its turn comes.
    Waiting,
    /// A check is on its way.
    InProgress(Check),
    /// A check was answered.
    Succeeded(Valid),
    /// A check was not answered or refused.
    Failed,
}

/// A check that awaits its answer.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) transaction: ClientTransaction,
    /// The role it claims.
    pub(crate) role: Role,
    /// The number of the nomination where it carries USE-CANDIDATE.
    pub(crate) nomination: Option<u32>,
}

/// What is known of a pair that works.
#[derive(Debug)]
pub(crate) struct Valid {
    pub(crate) rtt: RoundTrip,
    pub(crate) consent: Consent,
    /// A further check: a nomination, or a search for signs of life.
    pub(crate) check: Option<Check>,
}

impl Pair {
    /// A pair that has not been checked.
    pub(crate) fn new(path: Path, priorities: Priorities, foundation: Foundation, role: Role) -> Self {
        let priority = priorities.of_pair(role);
        Self {
            path,
            priorities,
            priority,
            foundation,
            state: PairState::Frozen,
            nominated: None,
            counters: PairCounters::default(),
        }
    }

    /// What is known of it if it works.
    pub(crate) fn valid(&self) -> Option<&Valid> {
        match &self.state {
            PairState::Succeeded(valid) => Some(valid),
            _ => None,
        }
    }

    /// What is known of it if it works.
    pub(crate) fn valid_mut(&mut self) -> Option<&mut Valid> {
        match &mut self.state {
            PairState::Succeeded(valid) => Some(valid),
            _ => None,
        }
    }

    /// The check that awaits its answer, consent checks apart.
    pub(crate) fn check(&self) -> Option<&Check> {
        match &self.state {
            PairState::InProgress(check) => Some(check),
            PairState::Succeeded(valid) => valid.check.as_ref(),
            _ => None,
        }
    }

    /// The check that awaits its answer, consent checks apart.
    pub(crate) fn check_mut(&mut self) -> Option<&mut Check> {
        match &mut self.state {
            PairState::InProgress(check) => Some(check),
            PairState::Succeeded(valid) => valid.check.as_mut(),
            _ => None,
        }
    }

    /// Whether a request of its checks or consent checks has `id`.
    pub(crate) fn awaits(&self, id: TransactionId) -> bool {
        self.check().is_some_and(|check| check.transaction.id() == id)
            || self.valid().is_some_and(|valid| valid.consent.awaits(id))
    }

    /// Whether it has not been checked yet.
    pub(crate) fn is_untried(&self) -> bool {
        matches!(self.state, PairState::Frozen | PairState::Waiting)
    }

    /// Whether its check can still succeed or fail.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_untried() || matches!(self.state, PairState::InProgress(_))
    }

    /// Whether it is or will soon be checked.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, PairState::Waiting | PairState::InProgress(_))
    }

    fn is_failed(&self) -> bool {
        matches!(self.state, PairState::Failed)
    }
}

impl Priorities {
    fn of_pair(self, role: Role) -> u64 {
        match role {
            Role::Controlling => pair_priority(self.local, self.remote),
            Role::Controlled => pair_priority(self.remote, self.local),
        }
    }
}

/// All pairs, by falling priority, and those that the peer's checks have put in front.
#[derive(Debug)]
pub(crate) struct Checklist {
    pairs: Vec<Pair>,
    triggered: VecDeque<Path>,
    limit: usize,
}

impl Checklist {
    /// No pairs; at most `limit` of them later.
    pub(crate) fn new(limit: usize) -> Self {
        Self { pairs: Vec::new(), triggered: VecDeque::new(), limit }
    }

    /// Adds a pair, unless there is one of its path. Beyond the limit the worst pair that was not tried or has failed makes
    /// room, where it is worse; `urgent` pairs always find it worse. Gives whether the pair is there now.
    pub(crate) fn insert(&mut self, mut pair: Pair, urgent: bool) -> bool {
        if self.find(pair.path).is_some() {
            return true;
        }
        if self.pairs.len() >= self.limit && !self.make_room(if urgent { u64::MAX } else { pair.priority }) {
            return false;
        }
        pair.state = self.initial_state(pair.foundation);
        let at = self.pairs.partition_point(|other| other.priority >= pair.priority);
        self.pairs.insert(at, pair);
        true
    }

    /// Puts the pair of `path` in front of those that wait their turn (RFC 8445 §7.3.1.4).
    pub(crate) fn trigger(&mut self, path: Path) {
        if let Some(pair) = self.find_mut(path)
            && (pair.is_untried() || pair.is_failed())
        {
            pair.state = PairState::Waiting;
            if !self.triggered.contains(&path) {
                self.triggered.push_back(path);
            }
        }
    }

    /// Takes the pair that a check of the peer's, or a change of role, has made urgent.
    pub(crate) fn next_triggered(&mut self) -> Option<Path> {
        while let Some(path) = self.triggered.pop_front() {
            if self.find(path).is_some_and(Pair::is_untried) {
                return Some(path);
            }
        }
        None
    }

    /// Whether [`next_triggered`](Self::next_triggered) may give one.
    pub(crate) fn has_triggered(&self) -> bool {
        !self.triggered.is_empty()
    }

    /// The pair whose turn it is (RFC 8445 §6.1.4.2): the best that waits, or the best frozen one whose foundation
    /// is not being checked.
    pub(crate) fn next_ordinary(&self) -> Option<Path> {
        let waiting = self.pairs.iter().find(|pair| matches!(pair.state, PairState::Waiting));
        let thawing = || {
            let frozen = self.pairs.iter().filter(|pair| matches!(pair.state, PairState::Frozen));
            frozen.into_iter().find(|pair| !self.is_being_checked(pair.foundation))
        };
        waiting.or_else(thawing).map(|pair| pair.path)
    }

    /// A pair of `foundation` works: those like it likely do (RFC 8445 §7.2.5.3.3).
    pub(crate) fn thaw(&mut self, foundation: Foundation) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.foundation == foundation) {
            if matches!(pair.state, PairState::Frozen) {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// A pair of `priority` is nominated: those that could not become better are given up (RFC 8445 §8.1.2), unless the
    /// peer has nominated them as well.
    pub(crate) fn conclude(&mut self, priority: u64) {
        self.pairs.retain(|pair| !pair.is_pending() || pair.priority > priority || pair.nominated.is_some());
        self.triggered.retain(|path| self.pairs.iter().any(|pair| pair.path == *path));
    }

    /// Lets every failed pair wait for its turn again.
    pub(crate) fn retry(&mut self) {
        self.pairs
            .iter_mut()
            .filter(|pair| pair.is_failed())
            .for_each(|pair| pair.state = PairState::Waiting);
    }

    /// Computes all priorities anew for `role`.
    pub(crate) fn set_role(&mut self, role: Role) {
        self.pairs.iter_mut().for_each(|pair| pair.priority = pair.priorities.of_pair(role));
        self.sort();
    }

    /// Computes the priorities of pairs with `remote` anew.
    pub(crate) fn set_remote_priority(&mut self, role: Role, remote: (Protocol, SocketAddr), priority: u32) {
        let leads_there = |pair: &&mut Pair| (pair.path.protocol, pair.path.remote) == remote;
        for pair in self.pairs.iter_mut().filter(leads_there) {
            pair.priorities.remote = priority;
            pair.priority = pair.priorities.of_pair(role);
        }
        self.sort();
    }

    /// Takes the pair of `path` out.
    pub(crate) fn take(&mut self, path: Path) -> Option<Pair> {
        let at = self.pairs.iter().position(|pair| pair.path == path)?;
        Some(self.pairs.remove(at))
    }

    /// Puts back a pair that was taken from an empty or emptied list.
    pub(crate) fn restore(&mut self, pair: Pair) {
        self.pairs.push(pair);
        self.sort();
    }

    /// Forgets the pairs whose path is `gone`.
    pub(crate) fn remove_all(&mut self, gone: impl Fn(Path) -> bool) {
        self.pairs.retain(|pair| !gone(pair.path));
        self.triggered.retain(|path| !gone(*path));
    }

    /// Forgets all pairs.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.triggered.clear();
    }

    /// Pairs by falling priority.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter()
    }

    /// Pairs by falling priority; the priority itself must not be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.pairs.iter_mut()
    }

    /// The pair of `path`.
    pub(crate) fn find(&self, path: Path) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.path == path)
    }

    /// The pair of `path`.
    pub(crate) fn find_mut(&mut self, path: Path) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.path == path)
    }

    /// Whether a pair of `foundation` may soon be answered. RFC 8445 §6.1.4.2 waits until its check has succeeded or failed;
    /// failure takes more than half a minute, so that here the first repetition ends the wait.
    fn is_being_checked(&self, foundation: Foundation) -> bool {
        let mut alike = self.pairs.iter().filter(|pair| pair.foundation == foundation);
        alike.any(|pair| match &pair.state {
            PairState::Waiting => true,
            // Over TCP nothing is repeated, and a connection may take long to open.
            PairState::InProgress(check) => {
                pair.path.protocol == Protocol::Udp && check.transaction.requests() < 2
            }
            PairState::Frozen | PairState::Succeeded(_) | PairState::Failed => false,
        })
    }

    /// A pair begins frozen while one like it is untried or being checked (RFC 8445 §6.1.2.6, RFC 8838 §12).
    fn initial_state(&self, foundation: Foundation) -> PairState {
        let frozen = |pair: &&Pair| pair.foundation == foundation && pair.is_pending();
        if self.pairs.iter().find(frozen).is_some() { PairState::Frozen } else { PairState::Waiting }
    }

    fn make_room(&mut self, for_priority: u64) -> bool {
        let expendable = |pair: &Pair| {
            (pair.is_failed() || pair.is_untried() && !self.triggered.contains(&pair.path))
                && pair.priority < for_priority
        };
        let Some(worst) = self.pairs.iter().rposition(expendable) else { return false };
        self.pairs.remove(worst);
        true
    }

    fn sort(&mut self) {
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
    }
}
