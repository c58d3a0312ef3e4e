//! What an association makes of long, lossy and shared paths, in simulated time. Without arguments all rows are run for
//! as long as `docs/performance.md` tells; with some, the rows whose names contain one of them.
//!
//! `cargo run --release -p antiphon-sctp --example paths [NAME...]`

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, reason = "a report")]

#[path = "../tests/common/path.rs"]
mod path;

use std::time::Duration;

use antiphon_sctp::Congestion;
use antiphon_testkit::{Loss, for_each_seed};
use path::{Scenario, bbr, cubic, new_reno, percentile};

fn rows() -> Vec<(&'static str, Scenario)> {
    let plain = |flow: Congestion| Scenario::new(100, 50, flow);
    let lossy = |flow: Congestion, loss| Scenario { loss, ..plain(flow) };
    let tolerant = Congestion { loss_threshold: 0.1, ..bbr() };
    let (random, bursty) = (Loss::random(0.01), Loss::bursty(0.03, 4.0));
    let fast = |flow| Scenario { queue: 4_000_000, ..Scenario::new(1_000, 100, flow) };
    let slow = |flow| Scenario { queue: 1_000_000, ..Scenario::new(10, 300, flow) };
    let shared =
        |a, b, seconds| Scenario { flows: vec![a, b], time: Duration::from_secs(seconds), ..plain(a) };
    let messages =
        |flow| Scenario { messages: Some(Duration::from_millis(23)), ..Scenario::new(20, 40, flow) };
    vec![
        ("clean bbr", plain(bbr())),
        ("clean cubic", plain(cubic())),
        ("clean reno", plain(new_reno())),
        ("random-1% bbr", lossy(bbr(), random)),
        ("random-1% cubic", lossy(cubic(), random)),
        ("random-1% reno", lossy(new_reno(), random)),
        ("random-3% bbr", lossy(bbr(), Loss::random(0.03))),
        ("bursty-3% bbr", lossy(bbr(), bursty)),
        ("bursty-3% bbr threshold 10%", lossy(tolerant, bursty)),
        ("bursty-3% cubic", lossy(cubic(), bursty)),
        ("gigabit bbr", fast(bbr())),
        ("gigabit cubic", fast(cubic())),
        ("deep-queue bbr", slow(bbr())),
        ("deep-queue cubic", slow(cubic())),
        ("two bbr bbr", shared(bbr(), bbr(), 60)),
        ("two cubic cubic", shared(cubic(), cubic(), 60)),
        ("two reno reno", shared(new_reno(), new_reno(), 60)),
        ("two bbr reno", shared(bbr(), new_reno(), 120)),
        ("two cubic reno", shared(cubic(), new_reno(), 120)),
        ("message bbr", messages(bbr())),
        ("message cubic", messages(cubic())),
        ("long-window bbr", Scenario::new(100, 200, bbr())),
    ]
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "| row | seed | share | flows | fairness | queue p50 / p95 ms | message p50 / p99 ms | retransmitted | time-outs | probes | undone |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, scenario) in rows() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        for_each_seed(1, |seed| {
            let outcome = scenario.run(seed);
            let flows: Vec<String> = outcome.shares.iter().map(|share| format!("{share:.3}")).collect();
            let sum = |count: fn(&antiphon_sctp::Statistics) -> u64| -> u64 {
                outcome.sender.iter().map(count).sum()
            };
            println!(
                "| {name} | {seed} | {:.3} | {} | {:.3} | {:.0} / {:.0} | {:.1} / {:.1} | {} | {} | {} | {} |",
                outcome.share(),
                flows.join(" "),
                outcome.fairness(),
                percentile(&outcome.queueing, 50),
                percentile(&outcome.queueing, 95),
                percentile(&outcome.latencies, 50),
                percentile(&outcome.latencies, 99),
                sum(|of| of.chunks_retransmitted),
                sum(|of| of.timeouts),
                sum(|of| of.tail_probes),
                sum(|of| of.spurious_recoveries),
            );
        });
    }
}
