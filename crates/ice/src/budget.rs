//! How many checks an address that never answers is sent, by all agents together: ICE is not to be a tool by which one peer has
//! many others flood a third (RFC 8445 §19.5.1).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bound on unanswered checks to one IP address within a minute. Agents that have clones of one budget share it.
#[derive(Debug, Clone)]
pub struct CheckBudget {
    table: Arc<Mutex<Table>>,
    checks: u32,
    addresses: usize,
}

type Table = HashMap<IpAddr, Spent>;

#[derive(Debug, Clone, Copy)]
struct Spent {
    since: Instant,
    checks: u32,
}

const PERIOD: Duration = Duration::from_secs(60);

impl CheckBudget {
    /// At most `checks` unanswered ones a minute to one address; of `addresses` it is remembered at a time, and of the one that
    /// came first least long.
    pub fn new(checks: u32, addresses: usize) -> Self {
        Self { table: Arc::default(), checks, addresses }
    }

    /// Whether one more check may be sent to `ip`; it counts as sent then.
    pub(crate) fn spend(&self, now: Instant, ip: IpAddr) -> bool {
        let mut table = self.table();
        if !table.contains_key(&ip) && table.len() >= self.addresses {
            make_room(&mut table, now);
        }
        let spent = table.entry(ip).or_insert(Spent { since: now, checks: 0 });
        if now.saturating_duration_since(spent.since) >= PERIOD {
            *spent = Spent { since: now, checks: 0 };
        }
        if spent.checks >= self.checks {
            return false;
        }
        spent.checks += 1;
        true
    }

    /// `checks` to `ip` were answered by one of them.
    pub(crate) fn answered(&self, ip: IpAddr, checks: u32) {
        if let Some(spent) = self.table().get_mut(&ip) {
            spent.checks = spent.checks.saturating_sub(checks);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for CheckBudget {
    /// 1,000 checks a minute to one address, and 10,000 addresses.
    fn default() -> Self {
        Self::new(1_000, 10_000)
    }
}

fn make_room(table: &mut Table, now: Instant) {
    table.retain(|_, spent| now.saturating_duration_since(spent.since) < PERIOD);
    let oldest = table.iter().min_by_key(|(_, spent)| spent.since).map(|(ip, _)| *ip);
    // Where nothing was outdated, one still has to go.
    if let Some(oldest) = oldest {
        table.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn is_shared_and_renewed_after_a_minute() {
        let (start, budget) = (origin(), CheckBudget::new(10, 100));
        let other = budget.clone();
        let sent = (0..100).filter(|_| budget.spend(start, ip(1)) | other.spend(start, ip(1))).count();
        assert_eq!(sent, 5, "two at a time");
        assert!(budget.spend(start, ip(2)) && !other.spend(start + PERIOD / 2, ip(1)));
        assert!(other.spend(start + PERIOD, ip(1)));
    }

    #[test]
    fn what_is_answered_does_not_count() {
        let (start, budget) = (origin(), CheckBudget::new(10, 100));
        for _ in 0..1_000 {
            assert!(budget.spend(start, ip(1)));
            budget.answered(ip(1), 1);
        }
    }

    #[test]
    fn remembers_a_bounded_number_of_addresses() {
        let (start, budget) = (origin(), CheckBudget::new(1, 50));
        for number in 0..500 {
            assert!(budget.spend(start + Duration::from_millis(number.into()), ip(number)));
            assert!(budget.table().len() <= 50);
        }
        assert!(!budget.spend(start + Duration::from_secs(1), ip(499)));
    }
}
