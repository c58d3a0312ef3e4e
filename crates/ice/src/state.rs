//! The states that the agent shows.

/// The agent as a whole, in the sense of the W3C's `RTCIceTransportState`.
///
/// ```text
/// New -> Checking -> Connected <-> Completed
///           |          ^  |           |  ^
///           |          |  v           v  |
///           |        Disconnected <------+
///           v               v
///         Failed <----------+          Closed from everywhere
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceState {
    /// Nothing to check yet.
    New,
    /// Looking for a pair that works.
    Checking,
    /// A pair works; others are still being tried or may come.
    Connected,
    /// A pair is nominated and nothing is left to be tried.
    Completed,
    /// The selected pair gives no answer at the moment.
    Disconnected,
    /// No pair works, or consent has expired; stays so.
    Failed,
    /// Closed by its owner.
    Closed,
}

/// Whether the agent's own candidates are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatheringState {
    /// Nothing was begun.
    New,
    /// Addresses or answers of servers may still come.
    Gathering,
    /// All candidates have been told.
    Complete,
}

/// The facts that the state follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// There are remote credentials, so that checks can be made.
    pub(crate) started: bool,
    pub(crate) selection: Selection,
    /// Both sides' candidates are complete and every pair has been tried.
    pub(crate) finished: bool,
    /// The patience of RFC 8863 has run out.
    pub(crate) impatient: bool,
}

/// The pair in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    None,
    Valid,
    Nominated,
    /// Valid or nominated, and unanswered for a while.
    Silent,
    /// There was one, and its consent has expired.
    Expired,
}

/// The state after `current`, by the facts.
pub(crate) fn next(current: IceState, facts: Facts) -> IceState {
    if matches!(current, IceState::Closed | IceState::Failed) {
        return current;
    }
    match facts.selection {
        Selection::Expired => IceState::Failed,
        Selection::Silent => IceState::Disconnected,
        Selection::Nominated if facts.finished => IceState::Completed,
        Selection::Nominated | Selection::Valid => IceState::Connected,
        Selection::None if facts.finished && facts.impatient => IceState::Failed,
        // A selected pair that failed, with others still to be tried.
        Selection::None if !matches!(current, IceState::New | IceState::Checking) => IceState::Disconnected,
        Selection::None if facts.started => IceState::Checking,
        Selection::None => IceState::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [IceState; 7] = [
        IceState::New,
        IceState::Checking,
        IceState::Connected,
        IceState::Completed,
        IceState::Disconnected,
        IceState::Failed,
        IceState::Closed,
    ];

    fn facts(selection: Selection, finished: bool, impatient: bool) -> Facts {
        Facts { started: true, selection, finished, impatient }
    }

    #[test]
    fn failed_and_closed_are_final() {
        for selection in [Selection::None, Selection::Valid, Selection::Nominated, Selection::Silent] {
            for last in [IceState::Failed, IceState::Closed] {
                assert_eq!(next(last, facts(selection, true, true)), last);
            }
        }
    }

    #[test]
    fn the_selection_decides_in_every_other_state() {
        for state in STATES.into_iter().filter(|s| !matches!(s, IceState::Failed | IceState::Closed)) {
            let after = |selection, finished| next(state, facts(selection, finished, false));
            assert_eq!(after(Selection::Valid, true), IceState::Connected);
            assert_eq!(after(Selection::Nominated, false), IceState::Connected);
            assert_eq!(after(Selection::Nominated, true), IceState::Completed);
            assert_eq!(after(Selection::Silent, true), IceState::Disconnected);
            assert_eq!(after(Selection::Expired, false), IceState::Failed);
        }
    }

    #[test]
    fn gives_up_only_when_all_is_tried_and_patience_is_over() {
        for state in [IceState::New, IceState::Checking] {
            for (finished, impatient) in [(false, false), (true, false), (false, true)] {
                assert_eq!(next(state, facts(Selection::None, finished, impatient)), IceState::Checking);
            }
            assert_eq!(next(state, facts(Selection::None, true, true)), IceState::Failed);
        }
        let idle = Facts { started: false, ..facts(Selection::None, false, false) };
        assert_eq!(next(IceState::New, idle), IceState::New);
        assert_eq!(next(IceState::Connected, facts(Selection::None, false, false)), IceState::Disconnected);
    }
}
