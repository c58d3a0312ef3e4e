//! The table.

use std::fmt::Write as _;

use peers_harness::{Measurement, Status};

use crate::Results;

/// A column: its head, the workload it comes from, and what it shows of a measurement.
struct Column {
    head: &'static str,
    workload: &'static str,
    value: fn(&Measurement) -> Option<f64>,
    decimals: usize,
}

const COLUMNS: [Column; 14] = [
    Column { head: "16 KiB Mbit/s", workload: "bulk-16k", value: goodput, decimals: 0 },
    Column { head: "CPU s/GB", workload: "bulk-16k", value: cpu_per_gigabyte, decimals: 2 },
    Column { head: "64 KiB Mbit/s", workload: "bulk-64k", value: goodput, decimals: 0 },
    Column { head: "CPU s/GB", workload: "bulk-64k", value: cpu_per_gigabyte, decimals: 2 },
    Column { head: "100 B msg/s", workload: "small", value: messages_per_second, decimals: 0 },
    Column { head: "CPU µs/msg", workload: "small", value: cpu_per_message, decimals: 2 },
    Column { head: "ping p50 µs", workload: "ping-pong", value: median_round_trip, decimals: 0 },
    Column { head: "p99 µs", workload: "ping-pong", value: slow_round_trip, decimals: 0 },
    Column { head: "set-up ms", workload: "set-up", value: set_up, decimals: 2 },
    Column { head: "CPU ms", workload: "set-up", value: set_up_cpu, decimals: 2 },
    Column { head: "pairs/s", workload: "opening", value: opened, decimals: 0 },
    Column { head: "CPU ms", workload: "opening", value: opening_cpu, decimals: 2 },
    Column { head: "idle kB/peer", workload: "idle", value: memory, decimals: 0 },
    Column { head: "CPU µs/s", workload: "idle", value: idle_cpu, decimals: 0 },
];

/// The table in Markdown, and below it what did not run to its end.
pub(crate) fn render(rows: &[(&str, String, Results)]) -> String {
    let shown: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| rows.iter().any(|(_, _, results)| results.contains_key(column.workload)))
        .collect();
    let mut text = String::from("| peer |");
    for column in &shown {
        let _ = write!(text, " {} |", column.head);
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(shown.len()));
    text.push('\n');
    for (peer, version, results) in rows {
        let _ = write!(text, "| {peer} {version} |");
        for column in &shown {
            let _ = write!(text, " {} |", cell(column, results));
        }
        text.push('\n');
    }
    text.push_str(&remarks(rows));
    text
}

/// The median of the runs that were measured, or how the others ended.
fn cell(column: &Column, results: &Results) -> String {
    let runs = results.get(column.workload).map(Vec::as_slice).unwrap_or_default();
    let mut values: Vec<f64> = runs
        .iter()
        .filter_map(|status| match status {
            Status::Measured { measurement } => (column.value)(measurement),
            Status::Stalled { .. } | Status::Failed { .. } | Status::NotBuilt { .. } => None,
        })
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    let unfinished = runs.iter().find(|status| !matches!(status, Status::Measured { .. })).map(word);
    match (values.get(values.len() / 2), unfinished) {
        (Some(median), None) => format!("{median:.*}", column.decimals),
        (Some(median), Some(word)) => {
            let (lost, all) = (runs.len() - values.len(), runs.len());
            format!("{median:.*} ({word} {lost} of {all})", column.decimals)
        }
        (None, Some(word)) => word.to_owned(),
        (None, None) => "-".to_owned(),
    }
}

fn remarks(rows: &[(&str, String, Results)]) -> String {
    let mut text = String::new();
    for (peer, _, results) in rows {
        for (workload, runs) in results {
            for run in runs {
                if let Some(remark) = remark(run) {
                    let _ = write!(text, "\n- {peer}, {workload}: {remark}");
                }
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// What the cell of a run does not show.
fn remark(run: &Status) -> Option<String> {
    match run {
        Status::Measured { measurement: Measurement::Bulk { longest_gap_ms, .. } }
            if *longest_gap_ms > LONG_GAP_MS =>
        {
            Some(format!("no message arrived for {longest_gap_ms:.0} ms"))
        }
        Status::Measured { .. } => None,
        Status::Stalled { detail } | Status::Failed { detail } | Status::NotBuilt { detail } => {
            Some(format!("{}: {detail}", word(run)))
        }
    }
}

/// A transfer that stands still for longer has lost a timer, not a time slice.
const LONG_GAP_MS: f64 = 200.0;

fn word(status: &Status) -> &'static str {
    match status {
        Status::Measured { .. } => "measured",
        Status::Stalled { .. } => "stalled",
        Status::Failed { .. } => "failed",
        Status::NotBuilt { .. } => "not built",
    }
}

fn goodput(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Bulk { seconds, bytes, .. } => Some(*bytes as f64 * 8.0 / seconds / 1e6),
        _ => None,
    }
}

fn cpu_per_gigabyte(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Bulk { cpu_seconds, bytes, .. } => Some(cpu_seconds / (*bytes as f64 / 1e9)),
        _ => None,
    }
}

fn messages_per_second(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Bulk { seconds, messages, .. } => Some(*messages as f64 / seconds),
        _ => None,
    }
}

fn cpu_per_message(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Bulk { cpu_seconds, messages, .. } => Some(cpu_seconds * 1e6 / *messages as f64),
        _ => None,
    }
}

fn median_round_trip(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::PingPong { p50_us, .. } => Some(*p50_us),
        _ => None,
    }
}

fn slow_round_trip(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::PingPong { p99_us, .. } => Some(*p99_us),
        _ => None,
    }
}

fn set_up(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::SetUp { median_ms, .. } => Some(*median_ms),
        _ => None,
    }
}

fn set_up_cpu(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::SetUp { cpu_ms, .. } => Some(*cpu_ms),
        _ => None,
    }
}

fn opened(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Opening { pairs_per_second, .. } => Some(*pairs_per_second),
        _ => None,
    }
}

fn opening_cpu(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Opening { cpu_ms, .. } => Some(*cpu_ms),
        _ => None,
    }
}

fn memory(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Idle { bytes_per_peer, .. } => Some(bytes_per_peer / 1e3),
        _ => None,
    }
}

fn idle_cpu(measurement: &Measurement) -> Option<f64> {
    match measurement {
        Measurement::Idle { cpu_us_per_second, .. } => Some(*cpu_us_per_second),
        _ => None,
    }
}
