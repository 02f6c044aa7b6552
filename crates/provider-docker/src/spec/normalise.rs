//! The settings of a container with everything taken out that differs between two equal ones.
//!
//! Two uses, one list: the digest that notices a change by somebody else between planning and
//! applying, and the comparison of a container with the one that replaced it. Nothing else in
//! Patchyard decides what "the same container" means. What is left out or rewritten, and why:
//!
//! | what | why |
//! |---|---|
//! | everything outside of `Config`, `HostConfig`, `Mounts`, `NetworkSettings.Networks` | state, not settings |
//! | `Config.Image` | a patched container is created from a tag of ours; image ids are compared on their own |
//! | `Config.Hostname` when it is the container's own short id | the engine made it up |
//! | `Config.Hostname` and `Domainname` in another container's network namespace | they are the other one's |
//! | `VolumesFrom` | a replacement names what came of it, and so does this list: the entries of `Binds` that stand for it are added |
//! | the order of `Env`, `Binds`, `Mounts`, aliases, port bindings | has no meaning; the engine appends inherited entries last |
//! | labels that Patchyard writes ([`crate::names::OWN_LABELS`]) | they say how it was made |
//! | `com.docker.compose.image` | holds an image id; follows the patch on purpose |
//! | nulls and empty texts, lists and objects | engines write "not set" in all of these ways |
//! | numbers 0 in `Healthcheck` | mean "inherited" |
//! | `OomKillDisable` false, `PidsLimit` 0 and -1, `MemorySwappiness` -1, `KernelMemory*` 0 | mean "not set"; engines and cgroup versions write either |
//! | `NetworkMode: default` | means `bridge` |
//! | the prefix `CAP_`, case and order of capabilities | engines write them in several ways |
//! | `RestartPolicy` without a name | means `no` |
//! | the name of an anonymous volume in `Binds` and `HostConfig.Mounts` | a replacement names it to get it back; which volume is where is compared in `Mounts` |
//! | `Mounts[].Mode`, the `Source` of a volume or an image | the first changes when an anonymous volume is named, the second is a path of the engine's own |
//! | of a network everything but aliases, `IPAMConfig`, links, driver options | addresses and ids of the moment |
//! | an alias that is the container's own short id | the engine added it |

use serde_json::{Map, Value, json};

use super::volumes::name_volumes;
use super::{insert, is_empty, list, lives_in_network_of_another, object};
use crate::names::{LABEL_COMPOSE_IMAGE, OWN_LABELS};

/// A container's settings from its inspect document, normalised by the list above: equal for equal
/// containers. Holds environment values and arguments: never to be stored or shown as it is.
#[must_use]
pub fn normalise(inspect: &Value) -> Value {
    let short_id = short_id(inspect);
    let mut config = config(&inspect["Config"], short_id);
    let mut own_host = inspect["HostConfig"].clone();
    if lives_in_network_of_another(&own_host) {
        for key in ["Hostname", "Domainname"] {
            config.as_object_mut().map(|config| config.remove(key));
        }
    }
    if !is_empty(&own_host["VolumesFrom"]) {
        name_volumes(&mut own_host, &inspect["Mounts"]);
    }
    json!({
        "config": config,
        "host": host(&own_host),
        "mounts": mounts(&inspect["Mounts"]),
        "networks": networks(&inspect["NetworkSettings"]["Networks"], short_id),
    })
}

/// The first twelve digits of a container's id: what the engine makes host names and aliases of.
#[must_use]
pub fn short_id(inspect: &Value) -> &str {
    let id = inspect["Id"].as_str().unwrap_or_default();
    id.get(..12).unwrap_or(id)
}

/// Whether a volume's name is one that the engine made up: 64 hex digits.
#[must_use]
pub fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `Config` by the list above.
pub(super) fn config(config: &Value, short_id: &str) -> Value {
    let mut out = Map::new();
    for (key, value) in object(config) {
        let value = match key.as_str() {
            "Image" => continue,
            "Hostname" if value.as_str() == Some(short_id) => continue,
            "Env" => sorted(value),
            "Labels" => {
                Value::Object(object(value).filter(|(name, _)| !is_own_label(name)).map(owned).collect())
            }
            "Healthcheck" => {
                Value::Object(object(value).filter(|(_, v)| v.as_i64() != Some(0)).map(owned).collect())
            }
            _ => value.clone(),
        };
        insert(&mut out, key, value);
    }
    Value::Object(out)
}

fn is_own_label(name: &str) -> bool {
    name == LABEL_COMPOSE_IMAGE || OWN_LABELS.contains(&name)
}

/// `HostConfig` by the list above.
pub(super) fn host(host: &Value) -> Value {
    let mut out = Map::new();
    for (key, value) in object(host) {
        let value = match key.as_str() {
            "Binds" => Value::Array(
                list(&sorted(value))
                    .filter(|b| !b.as_str().is_some_and(is_anonymous_bind))
                    .cloned()
                    .collect(),
            ),
            "Mounts" => sorted_by(list(value).map(host_mount), "Target"),
            "NetworkMode" if value.as_str() == Some("default") => json!("bridge"),
            "RestartPolicy" => restart_policy(value),
            "LogConfig" => compact(value),
            "CapAdd" | "CapDrop" => sorted_texts(list(value).map(capability)),
            "PortBindings" => {
                Value::Object(object(value).map(|(p, b)| (p.clone(), port_binding(b))).collect())
            }
            "OomKillDisable" if value == &json!(false) => continue,
            "PidsLimit" if matches!(value.as_i64(), Some(0 | -1)) => continue,
            "MemorySwappiness" if value.as_i64() == Some(-1) => continue,
            "KernelMemory" | "KernelMemoryTCP" if value.as_i64() == Some(0) => continue,
            _ => value.clone(),
        };
        insert(&mut out, key, value);
    }
    Value::Object(out)
}

fn is_anonymous_bind(bind: &str) -> bool {
    bind.split(':').next().is_some_and(is_anonymous)
}

fn host_mount(mount: &Value) -> Value {
    let mut out = Map::new();
    for (key, value) in object(mount) {
        if key == "Source" && value.as_str().is_some_and(is_anonymous) {
            continue;
        }
        insert(&mut out, key, value.clone());
    }
    Value::Object(out)
}

fn capability(name: &Value) -> Value {
    let name = name.as_str().unwrap_or_default().to_ascii_uppercase();
    json!(name.strip_prefix("CAP_").unwrap_or(&name))
}

fn restart_policy(policy: &Value) -> Value {
    let name = policy["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no");
    json!({ "Name": name, "MaximumRetryCount": policy["MaximumRetryCount"].as_i64().unwrap_or(0) })
}

/// An address of nothing means every address, and no binding at all a port of the engine's choice.
fn port_binding(bindings: &Value) -> Value {
    sorted_texts(list(bindings).map(|binding| {
        let text = |key: &str| binding[key].as_str().unwrap_or_default().to_owned();
        json!({ "HostIp": text("HostIp"), "HostPort": text("HostPort") })
    }))
}

/// `Mounts` by the list above.
pub(super) fn mounts(mounts: &Value) -> Value {
    let of_interest = list(mounts).map(|mount| {
        let is_the_engines = matches!(mount["Type"].as_str(), Some("volume" | "image"));
        let mut out = Map::new();
        for (key, value) in object(mount) {
            match key.as_str() {
                "Mode" => {}
                "Source" if is_the_engines => {}
                _ => insert(&mut out, key, value.clone()),
            }
        }
        Value::Object(out)
    });
    sorted_by(of_interest, "Destination")
}

/// What an engine tells of an attachment and nobody has asked for: where it is at the moment. Of the MAC address see
/// `own_mac`. Whatever else there is, also what a later engine tells, was asked for.
const OF_THE_MOMENT: [&str; 10] = [
    "DNSNames",
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
    "NetworkID",
];

/// What was asked for of an attachment, also what is not known here.
pub(super) fn asked_for(endpoint: &Value) -> impl Iterator<Item = (&String, &Value)> {
    // Engines since API 1.48 tell 0 where nobody has asked for a priority.
    let is_told_anyway =
        |key: &str, value: &Value| OF_THE_MOMENT.contains(&key) || key == "GwPriority" && *value == 0;
    object(endpoint).filter(move |(key, value)| !is_told_anyway(key, value))
}

/// `NetworkSettings.Networks`, as it was asked for.
pub(super) fn networks(networks: &Value, short_id: &str) -> Value {
    let mut out = Map::new();
    for (name, endpoint) in object(networks) {
        let mut kept = Map::new();
        for (key, value) in asked_for(endpoint) {
            insert(&mut kept, key, value.clone());
        }
        kept.remove("IPAMConfig");
        insert(&mut kept, "IPAMConfig", compact(&endpoint["IPAMConfig"]));
        kept.remove("Aliases");
        let aliases = list(&endpoint["Aliases"]).filter(|alias| alias.as_str() != Some(short_id)).cloned();
        insert(&mut kept, "Aliases", sorted_texts(aliases));
        // An attachment without settings is one all the same.
        out.insert(name.clone(), Value::Object(kept));
    }
    Value::Object(out)
}

/// A structure with fixed fields, without those that say nothing.
fn compact(value: &Value) -> Value {
    let mut out = Map::new();
    for (key, value) in object(value) {
        insert(&mut out, key, value.clone());
    }
    Value::Object(out)
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn sorted(value: &Value) -> Value {
    sorted_texts(list(value).cloned())
}

fn sorted_texts(items: impl Iterator<Item = Value>) -> Value {
    let mut items: Vec<Value> = items.collect();
    items.sort_by_cached_key(Value::to_string);
    Value::Array(items)
}

fn sorted_by(items: impl Iterator<Item = Value>, key: &str) -> Value {
    let mut items: Vec<Value> = items.collect();
    items.sort_by_cached_key(|item| item[key].to_string());
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9aa4c193d86890b7f6dbcdd678321ceb69703465863b052e7d72163a922e5541";
    const ANONYMOUS: &str = "8bb96f30fc139ebc9c150338d638a4f4edd78186404fa503e5607fcf90cd27fb";

    #[allow(clippy::needless_pass_by_value, reason = "the rows of a table are moved in")]
    fn document(config: Value, host: Value) -> Value {
        json!({"Id": ID, "Config": config, "HostConfig": host, "Mounts": [], "NetworkSettings": {"Networks": {}}})
    }

    /// Every row: two ways to write the same container.
    #[test]
    fn equal_containers_are_equal() {
        let short = &ID[..12];
        let config = |config: Value| document(config, json!({}));
        let host = |host: Value| document(json!({}), host);
        let table = [
            ("own host name", config(json!({"Hostname": short})), config(json!({}))),
            ("image", config(json!({"Image": "a"})), config(json!({"Image": "b"}))),
            ("env order", config(json!({"Env": ["B=1", "A=2"]})), config(json!({"Env": ["A=2", "B=1"]}))),
            (
                "own labels",
                config(
                    json!({"Labels": {"a": "b", "io.patchyard.run": "R1.1", "com.docker.compose.image": "x"}}),
                ),
                config(json!({"Labels": {"a": "b"}})),
            ),
            (
                "healthcheck zeros",
                config(json!({"Healthcheck": {"Test": ["CMD", "x"], "Retries": 0}})),
                config(json!({"Healthcheck": {"Test": ["CMD", "x"]}})),
            ),
            ("nothing", config(json!({"Entrypoint": null, "Cmd": [], "User": ""})), config(json!({}))),
            (
                "logging",
                host(json!({"LogConfig": {"Type": "json-file", "Config": null}})),
                host(json!({"LogConfig": {"Type": "json-file", "Config": {}}})),
            ),
            (
                "unset limits",
                host(json!({"OomKillDisable": false, "PidsLimit": 0, "MemorySwappiness": -1, "CapAdd": []})),
                host(json!({"OomKillDisable": null, "PidsLimit": null, "KernelMemory": 0})),
            ),
            ("network mode", host(json!({"NetworkMode": "default"})), host(json!({"NetworkMode": "bridge"}))),
            (
                "restart policy",
                host(json!({"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}})),
                host(json!({"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}})),
            ),
            (
                "capabilities",
                host(json!({"CapAdd": ["NET_ADMIN", "sys_time"]})),
                host(json!({"CapAdd": ["CAP_SYS_TIME", "CAP_NET_ADMIN"]})),
            ),
            (
                "anonymous volume named",
                host(json!({"Binds": [format!("{ANONYMOUS}:/data"), "named:/b"]})),
                host(json!({"Binds": ["named:/b"]})),
            ),
            (
                "anonymous mount named",
                host(json!({"Mounts": [{"Type": "volume", "Source": ANONYMOUS, "Target": "/d"}]})),
                host(json!({"Mounts": [{"Type": "volume", "Target": "/d"}]})),
            ),
        ];
        let with_mounts = |host: Value| {
            let mut document = document(json!({}), host);
            document["Mounts"] = json!([
                {"Type": "volume", "Name": "shared", "Destination": "/s", "RW": false},
                {"Type": "volume", "Name": ANONYMOUS, "Destination": "/d", "RW": true},
            ]);
            document
        };
        let table = table.into_iter().chain([
            (
                "volumes of another container, written out",
                with_mounts(json!({"VolumesFrom": ["db"], "Binds": ["/a:/b"]})),
                with_mounts(json!({"Binds": [format!("{ANONYMOUS}:/d"), "/a:/b", "shared:/s:ro"]})),
            ),
            (
                "host name of another container",
                document(json!({"Hostname": "a"}), json!({"NetworkMode": "container:x"})),
                document(json!({"Hostname": "b"}), json!({"NetworkMode": "container:x"})),
            ),
        ]);
        for (what, a, b) in table {
            assert_eq!(normalise(&a), normalise(&b), "{what}");
        }
    }

    #[test]
    fn what_a_later_engine_tells_of_an_attachment_counts_and_where_it_is_at_the_moment_does_not() {
        let one = |endpoint: Value| networks(&json!({"shop": endpoint}), "9aa4c193d868");
        let now = |address: &str| json!({"IPAddress": address, "NetworkID": address, "MacAddress": address});
        assert_eq!(one(now("a")), one(now("b")));
        assert_ne!(one(json!({"Novel": {"a": 1}})), one(json!({"Novel": {"a": 2}})));
    }

    /// Every row: a change that must be noticed.
    #[test]
    fn different_containers_are_different() {
        let config = |config: Value| document(config, json!({}));
        let host = |host: Value| document(json!({}), host);
        let table = [
            ("host name", config(json!({"Hostname": "web"})), config(json!({}))),
            ("env", config(json!({"Env": ["A=1"]})), config(json!({"Env": ["A=2"]}))),
            ("empty env", config(json!({"Env": ["A="]})), config(json!({"Env": []}))),
            ("label", config(json!({"Labels": {"io.patchyard.exclude": "1"}})), config(json!({}))),
            ("cmd", config(json!({"Cmd": ["a", ""]})), config(json!({"Cmd": ["a"]}))),
            ("port set", config(json!({"ExposedPorts": {"80/tcp": {}}})), config(json!({}))),
            (
                "port",
                host(json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}})),
                host(json!({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]}})),
            ),
            (
                "ephemeral port",
                host(json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]}})),
                host(json!({"PortBindings": {}})),
            ),
            (
                "restart policy",
                host(json!({"RestartPolicy": {"Name": "always"}})),
                host(json!({"RestartPolicy": {"Name": "unless-stopped"}})),
            ),
            ("unknown field", host(json!({"Novel": {"a": 1}})), host(json!({"Novel": {"a": 2}}))),
            ("tmpfs", host(json!({"Tmpfs": {"/t": ""}})), host(json!({"Tmpfs": {}}))),
            ("empty label", config(json!({"Labels": {"a": ""}})), config(json!({"Labels": {}}))),
            ("no swap", host(json!({"MemorySwappiness": 0})), host(json!({}))),
            ("stop at once", config(json!({"StopTimeout": 0})), config(json!({}))),
            (
                "another host",
                host(json!({"NetworkMode": "container:a"})),
                host(json!({"NetworkMode": "container:b"})),
            ),
            ("named volume", host(json!({"Binds": ["a:/b"]})), host(json!({"Binds": ["c:/b"]}))),
        ];
        for (what, a, b) in table {
            assert_ne!(normalise(&a), normalise(&b), "{what}");
        }
    }

    #[test]
    fn volumes_and_images_count_by_name_and_place_and_binds_by_their_source() {
        let with = |mount: Value| {
            let mut document = document(json!({}), json!({}));
            document["Mounts"] = json!([mount]);
            normalise(&document)
        };
        let volume = |name: &str, source: &str, mode: &str| {
            with(
                json!({"Type": "volume", "Name": name, "Source": source, "Destination": "/d", "Mode": mode, "RW": true}),
            )
        };
        assert_eq!(volume(ANONYMOUS, "/a/_data", ""), volume(ANONYMOUS, "/b/_data", "z"));
        assert_ne!(volume(ANONYMOUS, "", ""), volume("other", "", ""));
        let image = |name: &str, source: &str| {
            with(json!({"Type": "image", "Name": name, "Source": source, "Destination": "/d", "RW": false}))
        };
        assert_eq!(image("tools:1", "/a/merged"), image("tools:1", "/b/merged"));
        assert_ne!(image("tools:1", ""), image("tools:2", ""));
        let bind =
            |source: &str| with(json!({"Type": "bind", "Source": source, "Destination": "/d", "RW": true}));
        assert_ne!(bind("/a"), bind("/b"));
    }

    #[test]
    fn a_network_counts_by_its_settings_and_not_by_its_addresses() {
        let with = |endpoint: Value| {
            let mut document = document(json!({}), json!({}));
            document["NetworkSettings"]["Networks"]["n"] = endpoint;
            normalise(&document)
        };
        let plain = with(json!({"Aliases": null, "IPAMConfig": null}));
        assert_eq!(plain, with(json!({"Aliases": [&ID[..12]], "IPAddress": "10.0.0.2", "IPAMConfig": {}})));
        assert_ne!(plain, with(json!({"Aliases": ["db"]})));
        assert_ne!(plain, with(json!({"IPAMConfig": {"IPv4Address": "10.0.0.9"}})));
        assert_ne!(plain, normalise(&document(json!({}), json!({}))));
    }
}
