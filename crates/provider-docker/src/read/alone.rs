//! Why two containers of a target cannot run beside each other: what there is only one of, and what only one may
//! write to. What is not named here two can share: networks and aliases, devices, read-only mounts, a host name.

use patchyard_types::{Refusal, printable};
use serde_json::Value;

use super::json::{list, text};
use crate::podman;

/// All reasons, from a container's inspect document, running or only created.
pub(crate) fn alone(inspect: &Value) -> Vec<Refusal> {
    let mut out = Vec::new();
    let mut refuse = |code: &str, message: String| {
        out.push(Refusal { code: code.to_owned(), message: printable(&message, 500) });
    };
    let host = &inspect["HostConfig"];
    let bindings = host["PortBindings"].as_object().into_iter().flatten();
    let published: Vec<&str> =
        bindings.filter(|(_, bound)| list(bound).next().is_some()).map(|(port, _)| port.as_str()).collect();
    if !published.is_empty() || host["PublishAllPorts"].as_bool() == Some(true) {
        let which = if published.is_empty() { "all of its ports".to_owned() } else { published.join(", ") };
        refuse(
            "published_port",
            format!(
                "it publishes {which} on the host, which one container can have; publish a proxy's port instead"
            ),
        );
    }
    if !host[format!("{}CreateCommand", podman::OWN)].is_null() {
        refuse(
            "podman_names",
            "Podman tells the networks a container's name when it starts, and renaming it does not move that"
                .to_owned(),
        );
    }
    let mode = text(&host["NetworkMode"]);
    if mode == "host" {
        refuse("host_network", "it uses the host's network, and there is one of each port".to_owned());
    }
    if mode.starts_with("container:") {
        refuse(
            "container_network",
            "it lives in another container's network, and there is one of each port".to_owned(),
        );
    }
    for (network, endpoint) in inspect["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let asked = &endpoint["IPAMConfig"];
        let is_fixed = |key: &str| !text(&asked[key]).is_empty();
        if is_fixed("IPv4Address") || is_fixed("IPv6Address") || list(&asked["LinkLocalIPs"]).next().is_some()
        {
            refuse("static_address", format!("it has an address of its own on network {network}"));
        }
    }
    if !text(&inspect["Config"]["MacAddress"]).is_empty() {
        refuse("static_address", "it has a MAC address of its own".to_owned());
    }
    let written = |mount: &&Value| mount["RW"].as_bool() != Some(false) && text(&mount["Type"]) != "tmpfs";
    // The engine tells of mounts in another order every time.
    let mut mounts: Vec<&Value> = list(&inspect["Mounts"]).filter(written).collect();
    mounts.sort_by_key(|mount| text(&mount["Destination"]));
    for mount in mounts {
        let source = if text(&mount["Type"]) == "volume" { &mount["Name"] } else { &mount["Source"] };
        let (source, at) = (text(source), text(&mount["Destination"]));
        refuse(
            "single_writer",
            format!("it may write to {source} at {at}, which takes one writer; mount it read-only"),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(inspect: &Value) -> Vec<String> {
        alone(inspect).into_iter().map(|refusal| refusal.code).collect()
    }

    /// Every row: what there is only one of, and the name it is refused by.
    #[test]
    fn what_cannot_be_two_at_once_is_refused_by_name() {
        let host = |host: Value| json!({"HostConfig": host});
        let network =
            |asked: Value| json!({"NetworkSettings": {"Networks": {"shop": {"IPAMConfig": asked}}}});
        let mount = |kind: &str| json!({"Mounts": [{"Type": kind, "Name": "v", "Source": "/s", "Destination": "/d", "RW": true}]});
        for (inspect, code) in [
            (
                host(json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}})),
                "published_port",
            ),
            (host(json!({"PublishAllPorts": true})), "published_port"),
            (host(json!({"NetworkMode": "host"})), "host_network"),
            (host(json!({"NetworkMode": "container:abc"})), "container_network"),
            (network(json!({"IPv4Address": "10.1.2.3"})), "static_address"),
            (network(json!({"IPv6Address": "fd00::1"})), "static_address"),
            (network(json!({"LinkLocalIPs": ["169.254.1.1"]})), "static_address"),
            (json!({"Config": {"MacAddress": "02:42:00:00:00:01"}}), "static_address"),
            (mount("volume"), "single_writer"),
            (mount("bind"), "single_writer"),
            (mount("npipe"), "single_writer"),
            (host(json!({"Podman.CreateCommand": ["podman", "run", "web"]})), "podman_names"),
        ] {
            assert_eq!(codes(&inspect), [code], "{inspect}");
        }
    }

    #[test]
    fn the_order_in_which_an_engine_tells_of_mounts_changes_nothing() {
        let mount = |at: &str| json!({"Type": "volume", "Name": "v", "Destination": at, "RW": true});
        let refused = |mounts: [&str; 2]| alone(&json!({"Mounts": mounts.map(mount)}));
        assert_eq!(refused(["/a", "/b"]), refused(["/b", "/a"]));
    }

    #[test]
    fn what_two_can_share_is_not_refused() {
        let inspect = json!({
            "Config": {"Hostname": "web", "MacAddress": ""},
            "HostConfig": {"NetworkMode": "shop", "PortBindings": {"80/tcp": []}, "PublishAllPorts": false,
                "Devices": [{"PathOnHost": "/dev/fuse"}], "PidMode": "host", "Tmpfs": {"/run": ""}},
            "NetworkSettings": {"Networks": {"shop": {"IPAMConfig": {}, "Aliases": ["web"], "MacAddress": "02:42:ac:12:00:02"}}},
            "Mounts": [
                {"Type": "volume", "Name": "v", "Destination": "/v", "RW": false},
                {"Type": "bind", "Source": "/s", "Destination": "/s", "RW": false},
                {"Type": "tmpfs", "Destination": "/t", "RW": true},
            ],
        });
        assert_eq!(codes(&inspect), [""; 0]);
    }
}
