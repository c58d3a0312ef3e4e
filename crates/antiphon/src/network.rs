//! From which addresses and ports a connection or an endpoint is reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::error::ConfigurationError;
use crate::interfaces::local_addresses;

/// The interfaces are looked at no more often.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);

/// From which addresses and ports a connection or an endpoint is reached.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Network {
    /// The addresses to bind, one socket each; a port of 0 stands for one of [`Network::ports`], and an unspecified address
    /// (`0.0.0.0`, `::`) for every address of its family. Empty: every address of the machine.
    pub bind_addresses: Vec<SocketAddr>,
    /// Whether loopback addresses are gathered beside others. Without any other address they are gathered anyway.
    pub include_loopback: bool,
    /// Which addresses of the machine are used; `None` for all. What [`Network::bind_addresses`] spells out is not asked.
    pub filter: Option<AddressFilter>,
    /// The ports to choose from where none is given; `0..=0`, the default, lets the system choose.
    pub ports: RangeInclusive<u16>,
    /// Which ends of TCP connections are offered beside UDP (RFC 6544).
    pub tcp: Tcp,
    /// How often the interfaces of the machine are looked at, so that candidates come and go with them; default every 5 s,
    /// at most every 100 ms, and `None` for never. What [`Network::bind_addresses`] spells out stays in any case.
    pub watch: Option<Duration>,
}

/// Which ends of TCP connections are offered beside UDP (RFC 6544).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tcp {
    /// Connections to passive candidates of the peer are opened.
    pub active: bool,
    /// Connections of the peer are accepted, on the port of UDP where it is free.
    pub passive: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            bind_addresses: Vec::new(),
            include_loopback: false,
            filter: None,
            ports: 0..=0,
            tcp: Tcp::default(),
            watch: Some(Duration::from_secs(5)),
        }
    }
}

/// Which addresses of the machine are used.
#[derive(Clone)]
pub struct AddressFilter(Arc<Predicate>);

type Predicate = dyn Fn(&str, IpAddr) -> bool + Send + Sync;

impl AddressFilter {
    /// Uses the addresses for which `usable`, called with the name of the interface and the address, gives true.
    pub fn new(usable: impl Fn(&str, IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(usable))
    }

    pub(crate) fn permits(&self, interface: &str, address: IpAddr) -> bool {
        (self.0)(interface, address)
    }
}

impl fmt::Debug for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressFilter")
    }
}

impl Network {
    /// The addresses to bind; a port of 0 where it is to be chosen.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let all = || local_addresses(self.include_loopback, self.filter.as_ref());
        if self.bind_addresses.is_empty() {
            return all();
        }
        let mut addresses = Vec::new();
        for address in &self.bind_addresses {
            if address.ip().is_unspecified() {
                let family = all()?.into_iter().filter(|one| one.is_ipv4() == address.is_ipv4());
                addresses.extend(family.map(|one| with_port(one, address.port())));
            } else {
                addresses.push(*address);
            }
        }
        Ok(addresses)
    }

    /// What is to be bound, and which of those `bound` are gone, now that the interfaces are others. Nothing, where that
    /// is not known.
    pub(crate) fn changes(&self, bound: &[SocketAddr]) -> Changes {
        let Ok(wanted) = self.addresses() else { return Changes::default() };
        let serves = |bound: &SocketAddr, wanted: &SocketAddr| {
            bound.ip() == wanted.ip() && (wanted.port() == 0 || bound.port() == wanted.port())
        };
        Changes {
            new: wanted
                .iter()
                .filter(|wanted| !bound.iter().any(|one| serves(one, wanted)))
                .copied()
                .collect(),
            gone: bound
                .iter()
                .filter(|one| !wanted.iter().any(|wanted| serves(one, wanted)))
                .copied()
                .collect(),
        }
    }

    /// Binds every address with `bind`; those that can't be bound are left out as long as one can.
    pub(crate) fn bind<S>(
        &self,
        bind: impl Fn(SocketAddr) -> io::Result<S>,
    ) -> Result<Vec<S>, ConfigurationError> {
        let addresses = self.addresses().map_err(ConfigurationError::Interfaces)?;
        let mut bound = Vec::with_capacity(addresses.len());
        let mut refused: Option<io::Error> = None;
        for address in addresses {
            match self.bind_one(address, &bind) {
                Ok(socket) => bound.push(socket),
                Err(error) => {
                    tracing::debug!(%address, %error, "address left out");
                    refused = Some(error);
                }
            }
        }
        match refused {
            _ if !bound.is_empty() => Ok(bound),
            Some(error) => Err(ConfigurationError::Bind(error)),
            None => Err(ConfigurationError::NoAddress),
        }
    }

    /// Binds `address`, with the first port of the range that is free where it names none.
    pub(crate) fn bind_one<S>(
        &self,
        address: SocketAddr,
        bind: impl Fn(SocketAddr) -> io::Result<S>,
    ) -> io::Result<S> {
        if address.port() != 0 {
            return bind(address);
        }
        let mut refused = io::ErrorKind::AddrInUse.into();
        for port in self.ports.clone() {
            match bind(with_port(address, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
                outcome => return outcome,
            }
        }
        Err(refused)
    }
}

/// What is to be done since interfaces have come or gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Addresses to bind, as [`Network::addresses`] gives them.
    pub(crate) new: Vec<SocketAddr>,
    /// Bound ones that are no more.
    pub(crate) gone: Vec<SocketAddr>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }
}

/// Tells when it is time to look at the interfaces again; pending for ever where nothing depends on them.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) network: Network,
    timer: Interval,
}

impl Watch {
    /// `None` where `network` names all its addresses, or wants no watch. Must be called within a tokio runtime.
    pub(crate) fn new(network: &Network) -> Option<Self> {
        let named = |address: &SocketAddr| !address.ip().is_unspecified();
        let is_fixed = !network.bind_addresses.is_empty() && network.bind_addresses.iter().all(named);
        let period = network.watch.filter(|_| !is_fixed)?.max(SHORTEST_WATCH);
        let mut timer = interval_at(tokio::time::Instant::now() + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self { network: network.clone(), timer })
    }

    /// Ready where it is time to look again.
    pub(crate) fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_tick(cx).map(drop)
    }
}

/// The address at another port.
pub(crate) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn network(addresses: &[&str]) -> Network {
        Network {
            bind_addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..Network::default()
        }
    }

    #[test]
    fn the_first_free_port_of_the_range_is_taken() {
        let network = Network { ports: 5_000..=5_002, ..network(&["192.0.2.1:0", "192.0.2.2:7"]) };
        let used = RefCell::new(vec![5_000]);
        let bind = |address: SocketAddr| match used.borrow().contains(&address.port()) {
            true => Err(io::ErrorKind::AddrInUse.into()),
            false => Ok(address.to_string()),
        };
        assert_eq!(network.bind(bind).unwrap(), ["192.0.2.1:5001", "192.0.2.2:7"]);
        used.borrow_mut().extend([5_001, 5_002]);
        assert_eq!(network.bind(bind).unwrap(), ["192.0.2.2:7"]);
        used.borrow_mut().push(7);
        assert!(matches!(network.bind(bind), Err(ConfigurationError::Bind(_))));
    }

    #[test]
    fn an_unspecified_address_stands_for_all_of_its_family() {
        let network = Network { include_loopback: true, ..network(&["0.0.0.0:3478", "192.0.2.9:1"]) };
        let addresses = network.addresses().unwrap();
        assert!(addresses.contains(&"127.0.0.1:3478".parse().unwrap()));
        assert!(addresses.contains(&"192.0.2.9:1".parse().unwrap()));
        assert!(addresses.iter().all(|address| address.is_ipv4() && !address.ip().is_unspecified()));
    }

    #[test]
    fn addresses_that_the_filter_refuses_are_not_used() {
        let filter = AddressFilter::new(|_, address| !address.is_ipv4());
        let network = Network { include_loopback: true, filter: Some(filter), ..network(&["0.0.0.0:0"]) };
        assert!(matches!(network.bind(Ok), Err(ConfigurationError::NoAddress)));
    }

    #[test]
    fn what_the_interfaces_have_become_is_compared_with_what_is_bound() {
        let named = network(&["192.0.2.1:0", "192.0.2.2:7"]);
        let bound = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>();
        assert!(named.changes(&bound(&["192.0.2.1:4000", "192.0.2.2:7"])).is_empty());
        let changes = named.changes(&bound(&["192.0.2.2:8", "192.0.2.3:1"]));
        assert_eq!(changes.new, named.bind_addresses);
        assert_eq!(changes.gone, bound(&["192.0.2.2:8", "192.0.2.3:1"]));
    }

    #[tokio::test]
    async fn only_what_depends_on_the_interfaces_is_watched() {
        assert!(Watch::new(&network(&["192.0.2.1:0"])).is_none());
        assert!(Watch::new(&network(&["192.0.2.1:0", "[::]:0"])).is_some());
        assert!(Watch::new(&network(&[])).is_some());
        assert!(Watch::new(&Network { watch: None, ..network(&[]) }).is_none());
    }
}
