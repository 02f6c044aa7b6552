//! Where a port of a container can be reached from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::is_local;
use crate::DockerProvider;
use crate::client::Address;

/// Ways to a container's ports.
pub(super) struct Reach {
    /// Published TCP ports: port inside → host and port from here.
    pub published: BTreeMap<u16, (String, u16)>,
    /// The container's own address, where this machine routes to it.
    address: Option<String>,
}

impl Reach {
    pub(super) fn of(docker: &DockerProvider, inspect: &Value) -> Self {
        let host = match &docker.client.endpoint().address {
            Address::Unix(_) => None,
            Address::Tcp { host, .. } => Some(host.clone()),
            Address::Ssh(ssh) => Some(ssh.host.clone()),
        };
        let address = is_local(docker).then(|| own_address(inspect)).flatten();
        Self { published: published(&inspect["NetworkSettings"]["Ports"], host.as_deref()), address }
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

/// The first address of the container; the loopback where it shares the host's network.
fn own_address(inspect: &Value) -> Option<String> {
    if inspect["HostConfig"]["NetworkMode"] == "host" {
        return Some(Ipv4Addr::LOCALHOST.to_string());
    }
    let networks = inspect["NetworkSettings"]["Networks"].as_object()?;
    let addresses =
        |key| networks.values().filter_map(move |n: &Value| n[key].as_str().filter(|text| !text.is_empty()));
    addresses("IPAddress").chain(addresses("GlobalIPv6Address")).next().map(str::to_owned)
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
        assert_eq!(own_address(&inspect).as_deref(), Some("127.0.0.1"));
        let inspect = json!({"HostConfig": {"NetworkMode": "shop"}, "NetworkSettings": {"Networks": {
            "shop": {"IPAddress": "172.20.0.3", "GlobalIPv6Address": ""}}}});
        assert_eq!(own_address(&inspect).as_deref(), Some("172.20.0.3"));
    }
}
