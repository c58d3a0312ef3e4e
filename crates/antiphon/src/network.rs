//! From which addresses and ports a connection or an endpoint is reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::ConfigurationError;
use crate::interfaces::local_addresses;

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
        if self.bind_addresses.is_empty() {
            let addresses = local_addresses(self.include_loopback, self.filter.as_ref())?;
            return Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect());
        }
        let mut addresses = Vec::new();
        for address in &self.bind_addresses {
            if address.ip().is_unspecified() {
                let all = local_addresses(self.include_loopback, self.filter.as_ref())?;
                let family = all.into_iter().filter(|one| one.is_ipv4() == address.is_ipv4());
                addresses.extend(family.map(|one| SocketAddr::new(one, address.port())));
            } else {
                addresses.push(*address);
            }
        }
        Ok(addresses)
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
            match bind(SocketAddr::new(address.ip(), port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
                outcome => return outcome,
            }
        }
        Err(refused)
    }
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
}
