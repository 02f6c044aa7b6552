//! Where a port of a container can be reached from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use serde_json::Value;

use super::is_local;
use crate::DockerProvider;
use crate::client::Address;

/// Ways to a container's ports.
pub(super) struct Reach {
    /// Published TCP ports: port inside → host and port from here.
    pub published: BTreeMap<u16, (String, u16)>,
    /// The container's own address, where this machine is on a network with it.
    address: Option<String>,
}

impl Reach {
    pub(super) fn of(docker: &DockerProvider, inspect: &Value) -> Self {
        let host = match &docker.client.endpoint().address {
            Address::Unix(_) => None,
            Address::Tcp { host, .. } => Some(host.clone()),
            Address::Ssh(ssh) => Some(ssh.host.clone()),
        };
        let addresses = match is_local(docker) && !is_rootless(&docker.info) {
            true => own_addresses(inspect),
            false => Vec::new(),
        };
        let address = addresses.into_iter().find(is_near);
        let address = address.map(|(address, _)| address.to_string());
        Self { published: published(&inspect["NetworkSettings"]["Ports"], host.as_deref()), address }
    }

    /// By published ports alone.
    pub(super) const fn by_published(published: BTreeMap<u16, (String, u16)>) -> Self {
        Self { published, address: None }
    }

    /// Also by these published ports: the service's, of a container that is a task.
    pub(super) fn or_by(mut self, ways: &BTreeMap<u16, (String, u16)>) -> Self {
        for (port, way) in ways {
            self.published.entry(*port).or_insert_with(|| way.clone());
        }
        self
    }

    /// The ways to all TCP ports that are known to be of use: the published ones, and others by the container's own
    /// address.
    pub(super) fn ways_to(&self, others: impl IntoIterator<Item = u16>) -> BTreeMap<u16, (String, u16)> {
        let others = others.into_iter().filter_map(|port| Some((port, (self.address.clone()?, port))));
        let mut ways: BTreeMap<_, _> = others.collect();
        ways.extend(self.published.clone());
        ways
    }

    /// The most direct way to a port. The container's own address comes first: a published port is
    /// answered by the engine's proxy even when nothing listens behind it.
    pub(super) fn way_to(&self, port: u16) -> Option<(String, u16)> {
        match &self.address {
            Some(address) => Some((address.clone(), port)),
            None => self.published.get(&port).cloned(),
        }
    }
}

/// The addresses of the container, and how many bits name their network; the loopback where it shares the host's.
fn own_addresses(inspect: &Value) -> Vec<(IpAddr, u64)> {
    if inspect["HostConfig"]["NetworkMode"] == "host" {
        return vec![(Ipv4Addr::LOCALHOST.into(), 8)];
    }
    let networks = inspect["NetworkSettings"]["Networks"].as_object();
    let addresses = |key, bits| {
        let networks = networks.into_iter().flat_map(|networks| networks.values());
        networks.filter_map(move |n: &Value| Some((n[key].as_str()?.parse().ok()?, n[bits].as_u64()?)))
    };
    addresses("IPAddress", "IPPrefixLen")
        .chain(addresses("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
        .collect()
}

/// Whether an engine's networks are its own, beside those of its machine: addresses in them may be somebody else's here.
fn is_rootless(info: &Value) -> bool {
    let options = info["SecurityOptions"].as_array().into_iter().flatten();
    options.filter_map(Value::as_str).any(|option| option.contains("name=rootless"))
}

/// Whether this machine has an address in the same network. Otherwise the address would be nobody's.
fn is_near((address, bits): &(IpAddr, u64)) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket sends nothing: it looks for the way, and which address of ours that begins at.
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((*address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| are_in_one_network(from.ip(), *address, *bits))
}

fn are_in_one_network(one: IpAddr, other: IpAddr, bits: u64) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            u64::from((one.to_bits() ^ other.to_bits()).leading_zeros()) >= bits.min(32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            u64::from((one.to_bits() ^ other.to_bits()).leading_zeros()) >= bits.min(128)
        }
        _ => false,
    }
}

/// The TCP ports that an image or a user has declared (`EXPOSE`, `--expose`, Compose's `expose`). On the host's own
/// network they say nothing: anybody may answer there.
pub(super) fn exposed(inspect: &Value) -> impl Iterator<Item = u16> {
    let is_own = inspect["HostConfig"]["NetworkMode"] != "host";
    let ports = inspect["Config"]["ExposedPorts"].as_object().filter(|_| is_own).into_iter().flatten();
    ports.filter_map(|(name, _)| name.strip_suffix("/tcp")?.parse().ok())
}

/// `Ports` is `{"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}, …], "9/udp": null}`.
fn published(ports: &Value, remote: Option<&str>) -> BTreeMap<u16, (String, u16)> {
    let ports = ports.as_object().into_iter().flatten();
    let ways = ports.filter_map(|(name, bindings)| {
        let port = name.strip_suffix("/tcp")?.parse().ok()?;
        let binding = bindings.as_array()?.first()?;
        let host_port = binding["HostPort"].as_str()?.parse().ok()?;
        let bound = binding["HostIp"].as_str().unwrap_or_default().parse::<IpAddr>();
        let host = match (bound, remote) {
            // Bound to every address: any of the host's own.
            (Ok(ip), Some(remote)) if ip.is_unspecified() => remote.to_owned(),
            (Err(_), Some(remote)) => remote.to_owned(),
            (Ok(IpAddr::V6(ip)), None) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            (Ok(ip), None) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            (Err(_), None) => Ipv4Addr::LOCALHOST.to_string(),
            (Ok(ip), _) => ip.to_string(),
        };
        Some((port, (host, host_port)))
    });
    ways.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_published_port_is_reached_where_it_is_bound() {
        let ports = json!({
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000"}, {"HostIp": "::", "HostPort": "8000"}],
            "81/tcp": [{"HostIp": "10.0.0.5", "HostPort": "8001"}],
            "82/tcp": null,
            "53/udp": [{"HostIp": "", "HostPort": "53"}],
        });
        let here = published(&ports, None);
        assert_eq!(here[&80], ("127.0.0.1".to_owned(), 8000));
        assert_eq!(here[&81], ("10.0.0.5".to_owned(), 8001));
        assert_eq!(here.len(), 2);
        assert_eq!(published(&ports, Some("web01"))[&80], ("web01".to_owned(), 8000));
    }

    #[test]
    fn a_container_on_the_hosts_network_answers_on_the_loopback() {
        let inspect = json!({"HostConfig": {"NetworkMode": "host"}});
        let loopback: (IpAddr, u64) = (Ipv4Addr::LOCALHOST.into(), 8);
        assert_eq!(own_addresses(&inspect), [loopback]);
        assert!(is_near(&loopback));
        let inspect = json!({"HostConfig": {"NetworkMode": "shop"}, "NetworkSettings": {"Networks": {
            "shop": {"IPAddress": "172.20.0.3", "IPPrefixLen": 16, "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0}}}});
        assert_eq!(own_addresses(&inspect), [("172.20.0.3".parse().unwrap(), 16)]);
    }

    #[test]
    fn an_address_counts_only_where_this_machine_is_on_its_network() {
        let one = |a: &str, b: &str, bits| are_in_one_network(a.parse().unwrap(), b.parse().unwrap(), bits);
        assert!(one("172.20.0.1", "172.20.0.3", 16) && one("fd00::1", "fd00::3", 64));
        assert!(
            !one("10.0.0.5", "172.20.0.3", 16)
                && !one("fd00::1", "fd01::3", 64)
                && !one("::1", "127.0.0.1", 8)
        );
        // A documentation address (RFC 5737): this machine is on no network with it.
        assert!(!is_near(&("203.0.113.7".parse().unwrap(), 24)));
    }

    #[test]
    fn what_is_declared_is_asked_where_the_container_itself_can_be_reached() {
        let inspect = json!({"Config": {"ExposedPorts": {"80/tcp": {}, "8080/tcp": {}, "53/udp": {}}}});
        let reach = |address: Option<&str>| Reach {
            published: BTreeMap::from([(80, ("127.0.0.1".to_owned(), 8000))]),
            address: address.map(str::to_owned),
        };
        let ways = reach(Some("172.20.0.3")).ways_to(exposed(&inspect));
        assert_eq!(ways[&80], ("127.0.0.1".to_owned(), 8000));
        assert_eq!((ways[&8080].clone(), ways.len()), (("172.20.0.3".to_owned(), 8080), 2));
        assert_eq!(reach(None).ways_to(exposed(&inspect)).len(), 1);
        let mut of_host = inspect;
        of_host["HostConfig"] = json!({"NetworkMode": "host"});
        assert_eq!(exposed(&of_host).count(), 0);
        assert!(is_rootless(&json!({"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]})));
        assert!(!is_rootless(&json!({"SecurityOptions": ["name=seccomp,profile=default"]})));
    }
}
