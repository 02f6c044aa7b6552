//! The replacement as the engine made it, compared with what was meant, before anything is stopped.

use patchyard_types::printable;
use serde_json::{Value, json};

use super::normalise::{config, host, mounts, networks};
use super::three_way::merged;
use super::{CreateRequest, is_empty, list, lives_in_network_of_another, object, short_id};

/// Something that did not come out as meant. Values that may hold secrets are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `HostConfig.Memory`, `Mounts./data`, `Config.Env.PATH`.
    pub path: String,
    /// What was meant and what came out, where it may be shown.
    pub detail: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

/// Compares a created container with what was meant by its request.
///
/// Meant are: the request merged with the new image as an engine does it; every mount that `before`,
/// the container it replaces, has; and its networks. Only a volume that the new image declares may
/// come in addition.
#[must_use]
pub fn compare(before: &Value, request: &CreateRequest, image: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let id = short_id(after);
    let mut asked = request.body.clone();
    let (mut asked_host, mut asked_networks) = (Value::Null, Value::Null);
    if let Some(body) = asked.as_object_mut() {
        asked_host = body.remove("HostConfig").unwrap_or_default();
        asked_networks = body.remove("NetworkingConfig").unwrap_or_default();
    }
    let mut meant_config = config(&merged(&asked, &image["Config"]), id);
    let mut made_config = config(&after["Config"], id);
    let on_host_network = asked_host["NetworkMode"].as_str() == Some("host");
    if (on_host_network || lives_in_network_of_another(&asked_host)) && is_empty(&asked["Hostname"]) {
        // The engine writes in the name of its own machine, or of the other container.
        for config in [&mut meant_config, &mut made_config] {
            for key in ["Hostname", "Domainname"] {
                config.as_object_mut().map(|map| map.remove(key));
            }
        }
    }
    differ("Config", &meant_config, &made_config, false, &mut found);
    differ("HostConfig", &host(&asked_host), &host(&after["HostConfig"]), true, &mut found);
    compare_mounts(
        &mounts(&before["Mounts"]),
        &mounts(&after["Mounts"]),
        &image["Config"]["Volumes"],
        &mut found,
    );

    let mut meant = before["NetworkSettings"]["Networks"].clone();
    for (name, endpoint) in object(&asked_networks["EndpointsConfig"]) {
        meant[name.as_str()] = endpoint.clone();
    }
    let meant = networks(&meant, short_id(before));
    let made = networks(&after["NetworkSettings"]["Networks"], id);
    differ("Networks", &meant, &made, true, &mut found);
    // As long as it was not started, a container has the MAC addresses that it was asked to have.
    for network in &request.networks {
        let asked = network.endpoint["MacAddress"].as_str();
        let got = after["NetworkSettings"]["Networks"][&network.name]["MacAddress"].as_str();
        if let Some(asked) = asked.filter(|asked| got != Some(asked)) {
            let path = format!("Networks.{}.MacAddress", printable(&network.name, 100));
            let got = got.filter(|got| !got.is_empty()).unwrap_or("nothing");
            let detail = format!("asked for {asked}, got {}", printable(got, 100));
            found.push(Difference { path, detail });
        }
    }
    found
}

fn compare_mounts(meant: &Value, made: &Value, declared: &Value, found: &mut Vec<Difference>) {
    let at = |mount: &Value| mount["Destination"].as_str().unwrap_or_default().to_owned();
    for mount in list(meant) {
        let made = list(made).find(|other| at(other) == at(mount)).cloned().unwrap_or_default();
        differ(&format!("Mounts.{}", printable(&at(mount), 200)), mount, &made, true, found);
    }
    for mount in list(made) {
        let place = at(mount);
        let known = list(meant).any(|other| at(other) == place);
        if !known && !object(declared).any(|(path, _)| path.trim_end_matches('/') == place) {
            found.push(Difference {
                path: format!("Mounts.{}", printable(&place, 200)),
                detail: "was not there before".to_owned(),
            });
        }
    }
}

/// Lists what differs, a level down for objects. Values of `Config` stay out of the words: they hold
/// passwords.
fn differ(path: &str, meant: &Value, made: &Value, show: bool, found: &mut Vec<Difference>) {
    let keys = object(meant).chain(object(made)).map(|(key, _)| key);
    let keys: std::collections::BTreeSet<&String> = keys.collect();
    for key in keys {
        let (meant, made) = (&meant[key.as_str()], &made[key.as_str()]);
        if meant == made {
            continue;
        }
        let path = format!("{path}.{}", printable(key, 100));
        let path = match key.as_str() {
            "Env" => format!("{path}{}", changed_names(meant, made)),
            "Labels" => format!("{path}{}", changed_keys(meant, made)),
            _ => path,
        };
        let text = |value: &Value| {
            if is_empty(value) { "nothing".to_owned() } else { printable(&value.to_string(), 200) }
        };
        let detail = if show && !key.ends_with("CreateCommand") {
            format!("asked for {}, got {}", text(meant), text(made))
        } else {
            String::new()
        };
        found.push(Difference { path, detail });
    }
}

/// The names of variables that differ, never their values.
fn changed_names(meant: &Value, made: &Value) -> String {
    let only = |a: &Value, b: &Value| -> Vec<String> {
        list(a)
            .filter(|entry| !list(b).any(|other| other == *entry))
            .filter_map(|entry| Some(printable(entry.as_str()?.split('=').next()?, 100)))
            .collect()
    };
    let mut names = only(meant, made);
    names.extend(only(made, meant));
    names.sort();
    names.dedup();
    format!(".{}", names.join(","))
}

fn changed_keys(meant: &Value, made: &Value) -> String {
    let differing = object(meant).chain(object(made)).map(|(key, _)| key).filter(|key| {
        meant.get(key.as_str()).unwrap_or(&json!(null)) != made.get(key.as_str()).unwrap_or(&json!(null))
    });
    let names: std::collections::BTreeSet<String> = differing.map(|key| printable(key, 100)).collect();
    format!(".{}", names.into_iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::request::Network;

    fn documents() -> (Value, CreateRequest, Value, Value) {
        let volume = json!({"Type": "volume", "Name": "v", "Destination": "/v", "RW": true});
        let before = json!({
            "Id": "aaaaaaaaaaaaaaaa", "Mounts": [volume],
            "NetworkSettings": {"Networks": {"n": {"Aliases": ["web", "aaaaaaaaaaaa"], "IPAddress": "10.0.0.2"}}},
        });
        let request = CreateRequest {
            name: "web".to_owned(),
            body: json!({
                "Image": "x", "Env": ["SECRET=1"],
                "HostConfig": {"Memory": 64, "NetworkMode": "n", "Podman.CreateCommand": ["podman", "run"]},
                "NetworkingConfig": {"EndpointsConfig": {"n": {"Aliases": ["web"]}}},
            }),
            networks: Vec::new(),
        };
        let image = json!({"Config": {"Env": ["PATH=/bin"], "Cmd": ["c"]}});
        let after = json!({
            "Id": "bbbbbbbbbbbbbbbb", "Mounts": [volume],
            "Config": {"Image": "x", "Env": ["SECRET=1", "PATH=/bin"], "Cmd": ["c"], "Hostname": "bbbbbbbbbbbb"},
            "HostConfig": {"Memory": 64, "NetworkMode": "n", "Dns": [], "Podman.CreateCommand": ["podman", "run"]},
            "NetworkSettings": {"Networks": {"n": {"Aliases": ["web", "bbbbbbbbbbbb"]}}},
        });
        (before, request, image, after)
    }

    #[test]
    fn a_container_that_came_out_as_meant_has_no_differences() {
        let (before, request, image, after) = documents();
        assert_eq!(compare(&before, &request, &image, &after), []);
    }

    /// Every row: what the engine made of it, and where that is noticed.
    #[test]
    fn every_kind_of_difference_is_found_and_secrets_are_not_shown() {
        let table = [
            ("/Config/Env", json!(["SECRET=2", "PATH=/bin"]), "Config.Env.SECRET"),
            ("/Config/Cmd", json!(["d"]), "Config.Cmd"),
            ("/HostConfig/Memory", json!(0), "HostConfig.Memory (asked for 64, got 0)"),
            // It may hold passwords.
            ("/HostConfig/Podman.CreateCommand", json!(["podman"]), "HostConfig.Podman.CreateCommand"),
            ("/Mounts/0/Name", json!("w"), "Mounts./v.Name (asked for \"v\", got \"w\")"),
            ("/Mounts/0/RW", json!(false), "Mounts./v.RW (asked for true, got false)"),
            (
                "/NetworkSettings/Networks/n/Aliases",
                json!([]),
                "Networks.n (asked for {\"Aliases\":[\"web\"]}, got nothing)",
            ),
        ];
        let (before, request, image, after) = documents();
        for (pointer, value, expected) in table {
            let mut after = after.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            let found = compare(&before, &request, &image, &after);
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{pointer}");
        }
    }

    /// Since API 1.48 an engine tells a priority of every attachment, 0 where none was asked for.
    #[test]
    fn a_priority_that_nobody_asked_for_is_no_difference_and_a_lost_one_is() {
        let (before, mut request, image, mut after) = documents();
        after["NetworkSettings"]["Networks"]["n"]["GwPriority"] = json!(0);
        assert_eq!(compare(&before, &request, &image, &after), []);
        request.body["NetworkingConfig"]["EndpointsConfig"]["n"]["GwPriority"] = json!(7);
        assert_eq!(compare(&before, &request, &image, &after)[0].path, "Networks.n");
    }

    #[test]
    fn a_lost_mac_address_is_found() {
        let (mut before, mut request, image, mut after) = documents();
        before["NetworkSettings"]["Networks"]["m"] = json!({});
        after["NetworkSettings"]["Networks"]["m"] = json!({"MacAddress": "06:00:00:00:00:01"});
        let endpoint = json!({"MacAddress": "06:00:00:00:00:01"});
        request.networks = vec![Network { name: "m".to_owned(), endpoint }];
        assert_eq!(compare(&before, &request, &image, &after), []);
        after["NetworkSettings"]["Networks"]["m"]["MacAddress"] = json!("");
        let found = compare(&before, &request, &image, &after);
        let expected = "Networks.m.MacAddress (asked for 06:00:00:00:00:01, got nothing)";
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn only_a_volume_of_the_new_image_may_come_in_addition() {
        let (before, request, mut image, mut after) = documents();
        let new = json!({"Type": "volume", "Name": "x", "Destination": "/new", "RW": true});
        after["Mounts"].as_array_mut().unwrap().push(new);
        assert_eq!(compare(&before, &request, &image, &after)[0].path, "Mounts./new");
        image["Config"]["Volumes"] = json!({"/new": {}});
        after["Config"]["Volumes"] = json!({"/new": {}});
        assert_eq!(compare(&before, &request, &image, &after), []);
    }

    #[test]
    fn a_lost_mount_is_found() {
        let (before, request, image, mut after) = documents();
        after["Mounts"] = json!([]);
        let found = compare(&before, &request, &image, &after);
        assert!(!found.is_empty() && found.iter().all(|d| d.path.starts_with("Mounts./v.")), "{found:?}");
    }
}
