//! The networks that a machine is on, from the kernel's tables of routes (`/proc/net/route`, `/proc/net/ipv6_route`). An
//! interface may have another name after a start; its network should be the same.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Interfaces whose networks come and go, as the containers and machines do that they are made for.
const OF_OTHERS: [&str; 12] =
    ["lo", "veth", "docker", "br-", "cni", "podman", "virbr", "vnet", "lxdbr", "incusbr", "flannel", "cali"];

fn counts(interface: &str) -> bool {
    !OF_OTHERS.iter().any(|start| interface.starts_with(start))
}

/// A row of the table of IPv4: a network that it is on, or a way to all others. Addresses are words as a little-endian machine
/// has them: on others the network reads backwards, and is still the same before and after.
pub(super) fn v4(row: &str) -> Option<String> {
    let fields: Vec<&str> = row.split_ascii_whitespace().collect();
    let [interface, to, gateway, _, _, _, _, mask, ..] = fields[..] else { return None };
    let word = |hex| u32::from_str_radix(hex, 16).ok();
    let (to, gateway, bits) = (word(to)?, word(gateway)?, word(mask)?.count_ones());
    match (to, bits) {
        _ if !counts(interface) => None,
        (0, 0) => Some("default route (IPv4)".to_owned()),
        (_, 1..=31) if gateway == 0 => Some(format!("network {}/{bits}", Ipv4Addr::from(to.swap_bytes()))),
        _ => None,
    }
}

/// The same of IPv6. What every interface has by itself (link-local and multicast) does not count.
pub(super) fn v6(row: &str) -> Option<String> {
    let fields: Vec<&str> = row.split_ascii_whitespace().collect();
    let [to, bits, _, _, gateway, .., interface] = fields[..] else { return None };
    let [to, gateway] = [to, gateway].map(|hex| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from));
    let (to, gateway, bits) = (to?, gateway?, u8::from_str_radix(bits, 16).ok()?);
    match bits {
        _ if !counts(interface) || to.is_unicast_link_local() || to.is_multicast() => None,
        0 => Some("default route (IPv6)".to_owned()),
        1..=127 if gateway.is_unspecified() => Some(format!("network {to}/{bits}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_ways_out_are_read_from_the_kernels_tables() {
        let v4s = [
            "Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT",
            "ens3	00000000	0102000A	0003	0	0	0	00000000	0	0	0",
            "ens3	0002000A	00000000	0001	0	0	0	00FFFFFF	0	0	0",
            "ens3	0003000A	0102000A	0003	0	0	0	00FFFFFF	0	0	0",
            "docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0",
        ];
        let read: Vec<_> = v4s.into_iter().filter_map(v4).collect();
        assert_eq!(read, ["default route (IPv4)", "network 10.0.2.0/24"]);

        let unspecified = "00000000000000000000000000000000";
        let row = |to: &str, bits: &str, gateway: &str, interface: &str| {
            format!(
                "{to} {bits} {unspecified} 00 {gateway} 00000100 00000002 00000000 00000001     {interface}"
            )
        };
        let v6s = [
            row("fd000000000000000000000000000000", "40", unspecified, "eth0"),
            row("fe800000000000000000000000000000", "40", unspecified, "eth0"),
            row("ff000000000000000000000000000000", "08", unspecified, "eth0"),
            row(unspecified, "00", "fe800000000000000000000000000001", "eth0"),
            row(unspecified, "00", unspecified, "lo"),
            row("fd000000000000000000000000000005", "80", unspecified, "eth0"),
        ];
        let read: Vec<_> = v6s.iter().filter_map(|row| v6(row)).collect();
        assert_eq!(read, ["network fd00::/64", "default route (IPv6)"]);
    }
}
