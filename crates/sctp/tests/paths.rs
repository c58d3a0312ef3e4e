//! Long, lossy and shared paths: how much of them an association fills. `ANTIPHON_SOAK` runs more seeds; the full rows are
//! those of the example `paths`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::time::Duration;

use antiphon_sctp::{Congestion, Statistics};
use antiphon_testkit::{Loss, for_each_seed};
use common::path::{Outcome, Scenario, bbr, cubic, new_reno, percentile};

fn short(scenario: Scenario, seconds: u64) -> Scenario {
    Scenario { time: Duration::from_secs(seconds), ..scenario }
}

fn total(outcome: &Outcome, count: fn(&Statistics) -> u64) -> u64 {
    outcome.sender.iter().map(count).sum()
}

#[test]
fn a_clean_path_is_filled() {
    for flow in [bbr(), cubic()] {
        for_each_seed(1, |seed| {
            let outcome = Scenario::new(100, 50, flow).run(seed);
            assert!(outcome.share() >= 0.95, "{flow:?}: {:.3?}", outcome.shares);
            assert_eq!(total(&outcome, |of| of.timeouts), 0);
        });
    }
}

#[test]
fn random_loss_does_not_slow_bbr_and_never_times_out() {
    for (flow, least) in [(bbr(), 0.85), (cubic(), 0.025)] {
        for_each_seed(2, |seed| {
            let scenario = Scenario { loss: Loss::random(0.01), ..Scenario::new(100, 50, flow) };
            let outcome = short(scenario, 20).run(seed);
            assert!(outcome.share() >= least, "{flow:?}: {:.3?}", outcome.shares);
            assert_eq!(total(&outcome, |of| of.timeouts), 0, "{flow:?}");
        });
    }
}

#[test]
fn bursts_of_loss_are_borne_where_the_threshold_allows() {
    let flow = Congestion { loss_threshold: 0.1, ..bbr() };
    for_each_seed(2, |seed| {
        let scenario = Scenario { loss: Loss::bursty(0.03, 4.0), ..Scenario::new(100, 50, flow) };
        let outcome = short(scenario, 8).run(seed);
        assert!(outcome.share() >= 0.6, "{:.3?}", outcome.shares);
    });
}

#[test]
fn a_deep_queue_stays_short() {
    for_each_seed(1, |seed| {
        let scenario = Scenario { queue: 1_000_000, ..Scenario::new(10, 300, bbr()) };
        let outcome = short(scenario, 30).run(seed);
        let (median, high) = (percentile(&outcome.queueing, 50), percentile(&outcome.queueing, 95));
        assert!(median <= 50.0 && high <= 120.0, "{median} {high} {:?}", outcome.shares);
    });
}

#[test]
fn two_connections_share_fairly_and_one_of_reno_lives() {
    for (flows, fair) in [([bbr(), bbr()], 0.95), ([cubic(), cubic()], 0.95), ([bbr(), new_reno()], 0.0)] {
        for_each_seed(1, |seed| {
            let scenario = Scenario { flows: flows.to_vec(), ..Scenario::new(20, 50, bbr()) };
            let outcome = short(Scenario { queue: 64 * 1024, ..scenario }, 60).run(seed);
            assert!(outcome.fairness() >= fair, "{flows:?}: {:.3?}", outcome.shares);
            assert!(outcome.shares.iter().all(|share| *share >= 0.1), "{flows:?}: {:.3?}", outcome.shares);
        });
    }
}

#[test]
fn a_small_message_does_not_wait_for_bulk() {
    for_each_seed(1, |seed| {
        let messages = Some(Duration::from_millis(23));
        let outcome = short(Scenario { messages, ..Scenario::new(20, 40, bbr()) }, 20).run(seed);
        let (median, high) = (percentile(&outcome.latencies, 50), percentile(&outcome.latencies, 99));
        assert!(outcome.latencies.len() > 700);
        assert!(median <= 30.0 && high <= 45.0, "{median} {high}");
    });
}
