//! Where the service of a domain is, by its SRV records (RFC 2782).

use antiphon_peer::Provider;
use antiphon_util::Rng;
use hickory_resolver::TokioResolver;

/// More hosts than this are not tried.
const MAX_HOSTS: usize = 8;

/// A host of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

/// The hosts and ports of `service`, such as `_stun._udp`, at `domain`, in the order in which to try them; none where there
/// are no such records.
pub(crate) async fn hosts(service: &str, domain: &str) -> Vec<(String, u16)> {
    match TokioResolver::builder_tokio() {
        Ok(builder) => hosts_by(&builder.build(), service, domain).await,
        Err(error) => {
            tracing::debug!(%error, "no name servers");
            Vec::new()
        }
    }
}

async fn hosts_by(resolver: &TokioResolver, service: &str, domain: &str) -> Vec<(String, u16)> {
    // The dot at the end keeps it from being looked for in the domains of this host.
    let name = format!("{service}.{}.", domain.trim_end_matches('.'));
    let found = match resolver.srv_lookup(name.as_str()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(name, %error, "no SRV records");
            return Vec::new();
        }
    };
    // The root stands for a service that there is not.
    let records = found.iter().filter(|record| !record.target().is_root()).map(|record| Record {
        priority: record.priority(),
        weight: record.weight(),
        host: record.target().to_ascii(),
        port: record.port(),
    });
    in_order(records.collect(), &mut Rng::from_seed(Provider::default().random_seed()))
}

/// Those of the lowest priority first, and of equal ones by chance in proportion to their weight.
fn in_order(mut records: Vec<Record>, rng: &mut Rng) -> Vec<(String, u16)> {
    // Those without weight stand in front, which leaves them a small chance.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::new();
    while let Some(priority) =
        records.first().map(|record| record.priority).filter(|_| ordered.len() < MAX_HOSTS)
    {
        let weights = records
            .iter()
            .take_while(|record| record.priority == priority)
            .map(|record| u64::from(record.weight));
        let mut drawn = rng.below(weights.clone().sum::<u64>() + 1);
        let chosen = weights.clone().position(|weight| {
            let is_it = drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            is_it
        });
        let Record { host, port, .. } = records.remove(chosen.unwrap_or(0));
        ordered.push((host, port));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use hickory_resolver::Resolver;
    use hickory_resolver::config::{NameServerConfigGroup, ResolverConfig};
    use hickory_resolver::name_server::TokioConnectionProvider;
    use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
    use hickory_resolver::proto::rr::rdata::SRV;
    use hickory_resolver::proto::rr::{Name, RData, Record as DnsRecord};
    use tokio::net::UdpSocket;

    use super::*;

    fn record(priority: u16, weight: u16, port: u16) -> Record {
        Record { priority, weight, host: "host.example.org.".into(), port }
    }

    #[test]
    fn the_lowest_priority_comes_first_and_weight_counts_among_equals() {
        let records = vec![record(20, 0, 3), record(10, 0, 0), record(10, 30, 1), record(10, 10, 2)];
        let mut first = [0_u32; 3];
        for seed in 0..1_000 {
            let ports: Vec<u16> = in_order(records.clone(), &mut Rng::from_test_seed(seed))
                .into_iter()
                .map(|(_, port)| port)
                .collect();
            assert_eq!((ports.len(), ports[3]), (4, 3));
            first[usize::from(ports[0])] += 1;
        }
        assert!(first[1] > 2 * first[2] && first[2] > 3 * first[0] && first[0] > 0, "{first:?}");
    }

    #[test]
    fn no_more_hosts_are_named_than_will_be_tried() {
        let many = (0..10 * MAX_HOSTS as u16).map(|port| record(port, 0, port)).collect();
        let ports: Vec<u16> =
            in_order(many, &mut Rng::from_test_seed(1)).into_iter().map(|(_, port)| port).collect();
        assert_eq!(ports, (0..MAX_HOSTS as u16).collect::<Vec<_>>());
    }

    /// A name server that knows the service `_turn._udp.example.org` and one that there is not.
    async fn name_server(socket: UdpSocket) {
        let mut query = [0; 1_500];
        while let Ok((len, from)) = socket.recv_from(&mut query).await {
            let query = Message::from_vec(&query[..len]).unwrap();
            let mut answer = Message::new();
            answer.set_id(query.id()).set_message_type(MessageType::Response).set_recursion_available(true);
            answer.set_recursion_desired(true).add_queries(query.queries().to_vec());
            let name = query.queries()[0].name().clone();
            let mut add = |priority, port, host: &str| {
                let service = SRV::new(priority, 0, port, Name::from_ascii(host).unwrap());
                answer.add_answer(DnsRecord::from_rdata(name.clone(), 60, RData::SRV(service)));
            };
            match name.to_ascii().as_str() {
                "_turn._udp.example.org." => {
                    add(20, 3479, "second.example.org.");
                    add(10, 3480, "first.example.org.");
                }
                "_turn._udp.none.example.org." => add(0, 0, "."),
                _ => {
                    answer.set_response_code(ResponseCode::NXDomain);
                }
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_records_of_a_service_name_its_hosts() {
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let local = socket.local_addr().unwrap();
        tokio::spawn(name_server(socket));
        let servers = NameServerConfigGroup::from_ips_clear(&[local.ip()], local.port(), true);
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let resolver = Resolver::builder_with_config(config, TokioConnectionProvider::default()).build();
        let found = hosts_by(&resolver, "_turn._udp", "example.org").await;
        let expected = [("first.example.org.", 3480), ("second.example.org.", 3479)];
        assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)));
        assert!(hosts_by(&resolver, "_turn._udp", "none.example.org").await.is_empty());
        assert!(hosts_by(&resolver, "_turn._tcp", "example.org").await.is_empty());
    }
}
