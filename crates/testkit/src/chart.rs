//! What happened to every datagram.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Passages that a chart keeps; the oldest go first.
const KEPT: usize = 2_000;

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It arrives twice.
    ArrivesTwice,
    /// The link lost it.
    Lost,
    /// The queue of the link was full.
    QueueFull,
    /// It exceeds the MTU of the link.
    TooLarge,
    /// Nobody has the address it was sent to, or it cannot be reached from the sender's.
    Unroutable,
    /// A NAT let it not in.
    Filtered,
    /// The test took it away.
    Intercepted,
}

/// A datagram's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// When it was sent, since the start of the simulation.
    pub sent: Duration,
    /// Its source as the sender has it.
    pub from: SocketAddr,
    /// Its destination as the sender has it.
    pub to: SocketAddr,
    /// Its payload bytes.
    pub len: usize,
    /// When it arrives, since the start of the simulation; the time of sending where it doesn't.
    pub arrives: Duration,
    /// What became of it.
    pub fate: Fate,
    /// What it is, where the test told how to name datagrams.
    pub label: String,
}

/// The latest passages, oldest first; displayed as a sequence chart with a line each.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    passages: VecDeque<Passage>,
    forgotten: usize,
}

impl Chart {
    /// The passages that are kept, oldest first.
    pub fn passages(&self) -> impl Iterator<Item = &Passage> {
        self.passages.iter()
    }

    /// Kept passages with this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.passages.iter().filter(|passage| passage.fate == fate).count()
    }

    pub(crate) fn push(&mut self, passage: Passage) {
        if self.passages.len() == KEPT {
            self.passages.pop_front();
            self.forgotten += 1;
        }
        self.passages.push_back(passage);
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      sent ms  from → to, bytes, fate")?;
        if self.forgotten > 0 {
            writeln!(f, "               ({} earlier ones are not kept)", self.forgotten)?;
        }
        // The address that sent first points to the right.
        let left = self.passages.front().map(|passage| passage.from);
        for passage in &self.passages {
            writeln!(f, "{}", Line(passage, left == Some(passage.to)))?;
        }
        Ok(())
    }
}

/// One line of the chart; the flag says that it points to the left.
struct Line<'a>(&'a Passage, bool);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(passage, leftward) = self;
        let arrived = matches!(passage.fate, Fate::Arrives | Fate::ArrivesTwice);
        write!(f, "{:>13.3}  ", passage.sent.as_secs_f64() * 1e3)?;
        match (leftward, arrived) {
            (false, true) => write!(f, "{} ───▶ {}", passage.from, passage.to)?,
            (false, false) => write!(f, "{} ──✕  {}", passage.from, passage.to)?,
            (true, true) => write!(f, "{} ◀─── {}", passage.to, passage.from)?,
            (true, false) => write!(f, "{}  ✕── {}", passage.to, passage.from)?,
        }
        write!(f, "  {} B", passage.len)?;
        match passage.fate {
            Fate::Arrives => write!(f, "  at {:.3}", passage.arrives.as_secs_f64() * 1e3)?,
            Fate::ArrivesTwice => write!(f, "  at {:.3}, and a copy", passage.arrives.as_secs_f64() * 1e3)?,
            Fate::Lost => f.write_str("  lost")?,
            Fate::QueueFull => f.write_str("  dropped by a full queue")?,
            Fate::TooLarge => f.write_str("  exceeds the MTU")?,
            Fate::Unroutable => f.write_str("  unroutable")?,
            Fate::Filtered => f.write_str("  filtered by a NAT")?,
            Fate::Intercepted => f.write_str("  intercepted")?,
        }
        if passage.label.is_empty() { Ok(()) } else { write!(f, "  {}", passage.label) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(from: &str, to: &str, fate: Fate) -> Passage {
        Passage {
            sent: Duration::from_millis(1),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            len: 100,
            arrives: Duration::from_millis(41),
            fate,
            label: String::from("hello"),
        }
    }

    #[test]
    fn draws_a_line_a_datagram() {
        let mut chart = Chart::default();
        chart.push(passage("10.0.0.1:1", "10.0.0.2:2", Fate::Arrives));
        chart.push(passage("10.0.0.2:2", "10.0.0.1:1", Fate::Lost));
        let text = chart.to_string();
        assert!(text.contains("1.000  10.0.0.1:1 ───▶ 10.0.0.2:2  100 B  at 41.000  hello"), "{text}");
        assert!(text.contains("1.000  10.0.0.1:1  ✕── 10.0.0.2:2  100 B  lost  hello"), "{text}");
        assert_eq!(chart.count(Fate::Lost), 1);
    }

    #[test]
    fn keeps_the_latest() {
        let mut chart = Chart::default();
        for _ in 0..KEPT * 10 {
            chart.push(passage("10.0.0.1:1", "10.0.0.2:2", Fate::Arrives));
        }
        assert_eq!(chart.passages().count(), KEPT);
        assert!(chart.to_string().contains(&format!("({} earlier", KEPT * 9)));
    }
}
