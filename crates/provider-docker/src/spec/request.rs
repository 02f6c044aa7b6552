//! The create request of a replacement, and the networks it is attached to afterwards.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use patchyard_types::{Refusal, printable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::normalise::asked_for;
use super::three_way::own_config;
use super::volumes::name_volumes;
use super::{NAMESPACES, drop_alias, insert, is_empty, list, lives_in_network_of_another, object, short_id};
use crate::names::{LABEL_COMPOSE_IMAGE, OWN_LABELS};

/// What a create request is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The container that is replaced, as inspected.
    pub container: &'a Value,
    /// The image it runs, as inspected.
    pub image: &'a Value,
    /// What the engine's machine is called.
    pub host_name: &'a str,
    /// What the replacement is created from: a reference that points at the new image.
    pub reference: &'a str,
    /// The new image's id, where the tag that the container was created from follows: Compose is told.
    pub followed: Option<&'a str>,
    /// The restart policy, where the container's present one is not its own (held during a swap).
    pub restart_policy: Option<&'a Value>,
    /// Labels of ours.
    pub labels: &'a BTreeMap<String, String>,
}

/// Everything a container can be created from, on any day: kept in snapshots too. Holds environment
/// values: files with it are private, and it is never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The container's name once it serves.
    pub name: String,
    /// The body of the create call.
    pub body: Value,
    /// Networks to attach it to before it is started: see [`CreateRequest::calls`].
    pub networks: Vec<Network>,
}

impl CreateRequest {
    /// The same container again, from another reference and with these labels of ours instead of
    /// those it had.
    #[must_use]
    pub fn again(&self, name: &str, reference: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut body = self.body.clone();
        body["Image"] = json!(reference);
        let mut all = body["Labels"].as_object().cloned().unwrap_or_default();
        all.retain(|name, _| !OWN_LABELS.contains(&name.as_str()));
        all.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
        body["Labels"] = Value::Object(all);
        Self { name: name.to_owned(), body, networks: self.networks.clone() }
    }

    /// Moves it out of the namespaces of containers into those of their successors, by their ids.
    #[must_use]
    pub fn in_namespaces_of(mut self, successors: &BTreeMap<String, String>) -> Self {
        for key in NAMESPACES {
            let mode = &mut self.body["HostConfig"][key];
            let owner = mode.as_str().and_then(|mode| mode.strip_prefix("container:"));
            if let Some(successor) = owner.and_then(|owner| successors.get(owner)) {
                *mode = json!(format!("container:{successor}"));
            }
        }
        self
    }

    /// What can run beside its predecessor. Aliases that are the name that it is going to bear (Compose sets one) are
    /// left out: clients that know its predecessor by that name would meet it before it bears the name. From then
    /// on the name itself does. So are the MAC addresses that engines since API 1.44 tell of further networks, and that
    /// nobody may have asked for: two cannot have one.
    #[must_use]
    pub fn running_beside(mut self, name: &str) -> Self {
        let endpoints =
            self.body.pointer_mut("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object_mut);
        let further = self.networks.iter_mut().map(|network| &mut network.endpoint);
        for endpoint in endpoints.into_iter().flat_map(|all| all.values_mut()).chain(further) {
            drop_alias(endpoint, name);
        }
        for network in &mut self.networks {
            if let Some(endpoint) = network.endpoint.as_object_mut() {
                endpoint.remove("MacAddress");
            }
        }
        self
    }

    /// The body of the create call, and the networks to attach the container to after it, on an engine that
    /// takes several endpoints at a time (API 1.44 and newer), or one. Only with the create call an
    /// endpoint's MAC address can be asked for.
    #[must_use]
    pub fn calls(&self, takes_several: bool) -> (Value, &[Network]) {
        let mut body = self.body.clone();
        if !takes_several || self.networks.is_empty() {
            return (body, &self.networks);
        }
        let endpoints = &mut body["NetworkingConfig"]["EndpointsConfig"];
        if endpoints.is_null() {
            // Beside others the network that the container is created on has to be named, too.
            let mode = self.body["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
            endpoints[network_name(mode)] = json!({});
        }
        for network in &self.networks {
            endpoints[&network.name] = network.endpoint.clone();
        }
        (body, &[])
    }

    /// Moves it into the namespaces that its predecessor lives in now, where it lived in another
    /// container's: that one may have been recreated since, and the engine knows it by its id. It gets the
    /// predecessor's MAC addresses, too: of a container that does not run, engines tell none.
    #[must_use]
    pub fn beside(mut self, predecessor: &Value) -> Self {
        let is_shared = |mode: &Value| mode.as_str().is_some_and(|mode| mode.starts_with("container:"));
        for key in NAMESPACES {
            let now = &predecessor["HostConfig"][key];
            if is_shared(now) && is_shared(&self.body["HostConfig"][key]) {
                self.body["HostConfig"][key] = now.clone();
            }
        }
        for Network { name, endpoint } in &mut self.networks {
            let now = &predecessor["NetworkSettings"]["Networks"][name.as_str()];
            if let Some(mac) = own_mac(predecessor, name, now) {
                endpoint["MacAddress"] = json!(mac);
            }
        }
        self
    }
}

/// A network to attach a container to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The endpoint's settings.
    pub endpoint: Value,
}

/// The request that makes the container again on another image: what it set itself stays, what it
/// inherited follows; its volumes come back by name, the anonymous ones too.
///
/// # Errors
/// What no request can bring back, by name.
pub fn create_request(inputs: Inputs<'_>) -> Result<CreateRequest, Refusal> {
    let Inputs { container, image, host_name, reference, followed, restart_policy, labels } = inputs;
    let host = &container["HostConfig"];
    refuse(host)?;
    let (primary, networks) = networks(container)?;
    let on_host_network = (host["NetworkMode"].as_str() == Some("host")).then_some(host_name);
    let mut config = own_config(&container["Config"], &image["Config"], short_id(container), on_host_network);
    config["Image"] = json!(reference);
    put_labels(&mut config, labels, followed);
    if lives_in_network_of_another(host) {
        // They are the other container's, and the engine refuses to set them here.
        for key in ["Hostname", "Domainname"] {
            config.as_object_mut().map(|config| config.remove(key));
        }
    }

    let mut host_config = host.clone();
    name_volumes(&mut host_config, &container["Mounts"]);
    if let Some(policy) = restart_policy {
        host_config["RestartPolicy"] = policy.clone();
    }
    let mut body = config;
    body["HostConfig"] = host_config;
    if let Some(Network { name, endpoint }) = primary {
        body["NetworkingConfig"] = json!({ "EndpointsConfig": { name: endpoint } });
    }
    let name = container["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    Ok(CreateRequest { name, body, networks })
}

/// Whether there can be a request that makes the container again, whatever the image.
///
/// # Errors
/// As [`create_request`].
pub(crate) fn is_recreatable(container: &Value) -> Result<(), Refusal> {
    refuse(&container["HostConfig"])?;
    primary(container).map(|_| ())
}

/// The label that Compose compares with the image behind the tag follows the patch where the tag does:
/// who says otherwise is recreated by the next `up`. Where it is not, it is not put in.
fn put_labels(config: &mut Value, labels: &BTreeMap<String, String>, followed: Option<&str>) {
    let mut all = config["Labels"].as_object().cloned().unwrap_or_default();
    if let (Some(noted), Some(image)) = (all.get_mut(LABEL_COMPOSE_IMAGE), followed) {
        *noted = json!(image);
    }
    all.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    if let Some(config) = config.as_object_mut() {
        insert(config, "Labels", Value::Object(all));
    }
}

fn refuse(host: &Value) -> Result<(), Refusal> {
    let refusal = |code: &str, message: String| Err(Refusal { code: code.to_owned(), message });
    if host["AutoRemove"].as_bool() == Some(true) {
        return refusal(
            "auto_remove",
            "it was started with --rm: stopping it would delete it, and no way back would be left".to_owned(),
        );
    }
    if !is_empty(&host["Links"]) {
        return refusal("links", "it has legacy links to other containers (--link)".to_owned());
    }
    Ok(())
}

/// The network that a mode means.
fn network_name(mode: &str) -> &str {
    if matches!(mode, "" | "default") { "bridge" } else { mode }
}

/// The network that a container was created on, where it has any of its own.
fn primary(container: &Value) -> Result<Option<&str>, Refusal> {
    let mode = network_name(container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default());
    if matches!(mode, "host" | "none")
        || lives_in_network_of_another(&container["HostConfig"])
        || container["Config"]["NetworkDisabled"].as_bool() == Some(true)
    {
        return Ok(None);
    }
    // A network can be asked for by its id too.
    let is_primary = |name: &str, endpoint: &Value| {
        let id = endpoint["NetworkID"].as_str().unwrap_or_default();
        name == mode || (mode.len() >= 12 && id.starts_with(mode))
    };
    let mut attached = object(&container["NetworkSettings"]["Networks"]);
    match attached.find(|(name, endpoint)| is_primary(name, endpoint)) {
        Some((name, _)) => Ok(Some(name)),
        None => Err(Refusal {
            code: "network_changed".to_owned(),
            message: format!(
                "it is not attached to the network it was created on ({}): recreate it first",
                printable(mode, 80)
            ),
        }),
    }
}

/// The network that the create call names, where it has settings of its own, and the further ones.
fn networks(container: &Value) -> Result<(Option<Network>, Vec<Network>), Refusal> {
    let Some(named) = primary(container)? else { return Ok((None, Vec::new())) };
    let (mut primary, mut further) = (None, Vec::new());
    for (name, endpoint) in object(&container["NetworkSettings"]["Networks"]) {
        let mac = own_mac(container, name, endpoint);
        let network =
            Network { name: name.clone(), endpoint: own_endpoint(endpoint, mac, short_id(container)) };
        if name == named {
            primary = Some(network);
        } else {
            further.push(network);
        }
    }
    Ok((primary.filter(|network| !is_empty(&network.endpoint)), further))
}

/// What was asked for of an endpoint, also what is not known here. Of its MAC address see [`own_mac`], which is given
/// here.
fn own_endpoint(endpoint: &Value, mac: Option<&str>, short_id: &str) -> Value {
    let mut out = Map::new();
    insert(&mut out, "MacAddress", json!(mac));
    for (key, value) in asked_for(endpoint) {
        insert(&mut out, key, value.clone());
    }
    out.remove("Aliases");
    let aliases = list(&endpoint["Aliases"]).filter(|alias| alias.as_str() != Some(short_id)).cloned();
    insert(&mut out, "Aliases", aliases.collect());
    Value::Object(out)
}

/// The MAC address that an endpoint is asked to have again. The one of the network that `HostConfig` names is
/// told by `Config` where it was asked for, so it is never wanted here. Any other may have been asked for
/// with the create call since API 1.44 (from then on engines tell `DNSNames`), and nothing says whether it
/// was: it is kept, unless it is what engines before 28 make of the address.
fn own_mac<'a>(container: &Value, name: &str, endpoint: &'a Value) -> Option<&'a str> {
    let mode = container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    endpoint.get("DNSNames")?;
    let mac = endpoint["MacAddress"].as_str().filter(|mac| !mac.is_empty())?;
    let made_up = endpoint["IPAddress"].as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()).map(|ip| {
        let [a, b, c, d] = ip.octets();
        format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    });
    (name != network_name(mode) && made_up.as_deref() != Some(mac)).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9aa4c193d86890b7f6dbcdd678321ceb69703465863b052e7d72163a922e5541";

    fn container() -> Value {
        json!({
            "Id": ID, "Name": "/shop-web-1",
            "Config": {"Image": "shop:1", "Hostname": &ID[..12], "Env": ["A=1"], "Labels": {"a": "b"}},
            "HostConfig": {
                "NetworkMode": "shop_default", "Binds": ["named:/n:rw"], "Novel": {"x": [1]}, "AutoRemove": false,
                "Mounts": null, "VolumesFrom": null, "Links": null, "PidMode": "", "IpcMode": "private",
                "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}, "MaskedPaths": ["/proc/kcore"],
            },
            "Mounts": [
                {"Type": "volume", "Name": "named", "Destination": "/n", "RW": true},
                {"Type": "bind", "Source": "/h", "Destination": "/h", "RW": true},
            ],
            "NetworkSettings": {"Networks": {"shop_default": {
                "NetworkID": "20252b8eb271aaa018d5", "Aliases": ["web", &ID[..12]], "IPAMConfig": null,
                "MacAddress": "02:42:ac:12:00:02", "IPAddress": "172.18.0.2",
            }}},
        })
    }

    fn request(container: &Value) -> Result<CreateRequest, Refusal> {
        request_where(container, Some("sha256:new"))
    }

    fn request_where(container: &Value, followed: Option<&str>) -> Result<CreateRequest, Refusal> {
        let labels = BTreeMap::from([("io.patchyard.run".to_owned(), "R1.1".to_owned())]);
        create_request(Inputs {
            container,
            image: &json!({"Config": {"Labels": {}}}),
            host_name: "machine",
            reference: "patchyard/shop:abc",
            followed,
            restart_policy: None,
            labels: &labels,
        })
    }

    fn made(container: &Value) -> CreateRequest {
        request(container).map_err(|refusal| refusal.code).unwrap()
    }

    #[test]
    fn everything_the_container_was_asked_to_be_is_asked_for_again() {
        let CreateRequest { name, body, networks } = made(&container());
        assert_eq!(name, "shop-web-1");
        assert_eq!(
            body,
            json!({
                "Image": "patchyard/shop:abc",
                "Env": ["A=1"],
                "Labels": {"a": "b", "io.patchyard.run": "R1.1"},
                "HostConfig": container()["HostConfig"],
                "NetworkingConfig": {"EndpointsConfig": {"shop_default": {"Aliases": ["web"]}}},
            })
        );
        assert!(networks.is_empty());
    }

    #[test]
    fn what_runs_beside_its_predecessor_has_neither_its_name_nor_its_mac_addresses() {
        let mut with = container();
        with["NetworkSettings"]["Networks"]["shop_default"]["Aliases"] = json!(["web", "shop-web-1"]);
        with["NetworkSettings"]["Networks"]["back"] = json!({"Aliases": ["shop-web-1"],
            "DNSNames": ["shop-web-1"], "MacAddress": "02:00:00:00:00:07", "IPAddress": "172.19.0.2"});
        assert_eq!(made(&with).networks[0].endpoint["MacAddress"], "02:00:00:00:00:07");
        let request = made(&with).running_beside("shop-web-1");
        let endpoints = json!({"shop_default": {"Aliases": ["web"]}});
        assert_eq!(request.body["NetworkingConfig"]["EndpointsConfig"], endpoints);
        assert_eq!(request.networks[0].endpoint, json!({}));
        let plain = json!({"Image": "shop:1"});
        let request = CreateRequest { name: String::new(), body: plain.clone(), networks: Vec::new() };
        assert_eq!(request.running_beside("web").body, plain);
    }

    #[test]
    fn further_networks_and_static_addresses_are_kept() {
        let mut with = container();
        with["NetworkSettings"]["Networks"]["back"] =
            json!({"IPAMConfig": {"IPv4Address": "10.1.2.3"}, "Aliases": null, "GwPriority": 0, "Novel": 1});
        let request = made(&with);
        assert_eq!(request.networks.len(), 1);
        assert_eq!(request.networks[0].name, "back");
        let endpoint = json!({"IPAMConfig": {"IPv4Address": "10.1.2.3"}, "Novel": 1});
        assert_eq!(request.networks[0].endpoint, endpoint);

        with["HostConfig"]["NetworkMode"] = json!("20252b8eb271");
        assert!(made(&with).body["NetworkingConfig"]["EndpointsConfig"]["shop_default"].is_object());
    }

    /// Every row: the engine, the endpoint's address and MAC address, whether it is asked for again.
    #[test]
    fn a_mac_address_that_may_have_been_asked_for_is_kept() {
        let told = json!({"DNSNames": null});
        let table = [
            ("made of the address", &told, "02:42:0a:01:02:03", false),
            ("asked for, or random", &told, "3a:1f:0a:01:02:03", true),
            ("engine that takes none", &json!({}), "3a:1f:0a:01:02:03", false),
            ("no address", &told, "", false),
        ];
        for (what, endpoint, mac, kept) in table {
            let mut endpoint = endpoint.clone();
            endpoint["MacAddress"] = json!(mac);
            endpoint["IPAddress"] = json!("10.1.2.3");
            let mut with = container();
            with["NetworkSettings"]["Networks"]["back"] = endpoint.clone();
            let request = made(&with);
            let expected = if kept { json!({"MacAddress": mac}) } else { json!({}) };
            assert_eq!(request.networks[0].endpoint, expected, "{what}");

            // A snapshot is taken of a container that does not run; the one that does, knows.
            let mut stopped = container();
            stopped["NetworkSettings"]["Networks"]["back"] = json!({"DNSNames": null, "MacAddress": ""});
            assert_eq!(made(&stopped).beside(&with).networks[0].endpoint, expected, "{what}");

            // That of the network it was created on is told by `Config`.
            with["NetworkSettings"]["Networks"] = json!({"shop_default": endpoint});
            assert_eq!(made(&with).body["NetworkingConfig"], Value::Null, "{what}");
        }
    }

    #[test]
    fn an_engine_that_takes_several_endpoints_gets_them_at_once() {
        let mut with = container();
        with["NetworkSettings"]["Networks"]["back"] = json!({"Aliases": ["b"]});
        let request = made(&with);
        let (body, after) = request.calls(false);
        assert_eq!((&body, after.len()), (&request.body, 1));
        let endpoints = |request: &CreateRequest| {
            let (body, after) = request.calls(true);
            assert!(after.is_empty());
            body["NetworkingConfig"]["EndpointsConfig"].clone()
        };
        assert_eq!(
            endpoints(&request),
            json!({"shop_default": {"Aliases": ["web"]}, "back": {"Aliases": ["b"]}})
        );
        with["NetworkSettings"]["Networks"] = json!({"bridge": {}, "back": {"Aliases": ["b"]}});
        with["HostConfig"]["NetworkMode"] = json!("default");
        assert_eq!(endpoints(&made(&with)), json!({"bridge": {}, "back": {"Aliases": ["b"]}}));
    }

    #[test]
    fn a_guest_stays_in_the_namespaces_and_takes_nothing_of_the_others_name() {
        let mut with = container();
        with["Config"]["Hostname"] = json!("owner");
        with["Config"]["Domainname"] = json!("example.test");
        with["HostConfig"]["NetworkMode"] = json!("container:abc");
        with["HostConfig"]["PidMode"] = json!("container:abc");
        with["NetworkSettings"]["Networks"] = json!({});
        let request = made(&with);
        let config = &request.body;
        assert_eq!((&config["Hostname"], &config["Domainname"]), (&Value::Null, &Value::Null));
        assert_eq!((&config["NetworkingConfig"], request.networks.len()), (&Value::Null, 0));
        assert_eq!(config["HostConfig"]["NetworkMode"], "container:abc");

        // Its host has been recreated since; a namespace of its own stays one.
        with["HostConfig"]["NetworkMode"] = json!("container:def");
        with["HostConfig"]["PidMode"] = json!("");
        let host = &request.beside(&with).body["HostConfig"];
        assert_eq!(
            (&host["NetworkMode"], &host["PidMode"]),
            (&json!("container:def"), &json!("container:abc"))
        );
        with["HostConfig"]["NetworkMode"] = json!("bridge");
        assert_eq!(made(&container()).beside(&with).body["HostConfig"]["NetworkMode"], "shop_default");
    }

    #[test]
    fn a_dependent_moves_with_those_it_lives_in_and_with_nobody_else() {
        let mut with = container();
        with["HostConfig"]["NetworkMode"] = json!("container:old");
        with["HostConfig"]["PidMode"] = json!("container:other");
        with["HostConfig"]["IpcMode"] = json!("container:second");
        with["NetworkSettings"]["Networks"] = json!({});
        let successors = [("old", "new"), ("second", "third")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let host = &made(&with).in_namespaces_of(&successors.into()).body["HostConfig"];
        assert_eq!(
            (&host["NetworkMode"], &host["PidMode"], &host["IpcMode"]),
            (&json!("container:new"), &json!("container:other"), &json!("container:third"))
        );
        assert!(made(&container()).in_namespaces_of(&BTreeMap::new()) == made(&container()));
    }

    #[test]
    fn plain_networks_need_no_settings() {
        for (mode, network) in
            [("default", "bridge"), ("bridge", "bridge"), ("host", "host"), ("none", "none")]
        {
            let mut with = container();
            with["HostConfig"]["NetworkMode"] = json!(mode);
            with["NetworkSettings"]["Networks"] =
                json!({ network: {"Aliases": null, "IPAddress": "172.17.0.2"} });
            let request = made(&with);
            assert_eq!(
                (&request.body["NetworkingConfig"], request.networks.len()),
                (&Value::Null, 0),
                "{mode}"
            );
            assert_eq!(request.body["HostConfig"]["NetworkMode"], json!(mode));
        }
    }

    #[test]
    fn a_container_without_network_stays_without() {
        let mut with = container();
        with["Config"]["NetworkDisabled"] = json!(true);
        with["NetworkSettings"]["Networks"] = json!({});
        let body = made(&with).body;
        assert_eq!((&body["NetworkDisabled"], &body["NetworkingConfig"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn compose_is_told_of_the_new_image_where_it_asks_and_the_tag_follows() {
        let mut with = container();
        with["Config"]["Labels"] =
            json!({"com.docker.compose.image": "sha256:old", "io.patchyard.reference": "x"});
        let labels = &made(&with).body["Labels"];
        assert_eq!(labels, &json!({"com.docker.compose.image": "sha256:new", "io.patchyard.run": "R1.1"}));
        let stays = request_where(&with, None).map_err(|refusal| refusal.code).unwrap();
        assert_eq!(stays.body["Labels"]["com.docker.compose.image"], "sha256:old");
    }

    #[test]
    fn a_held_container_gets_its_own_restart_policy_back() {
        let mut held = container();
        held["HostConfig"]["RestartPolicy"]["Name"] = json!("no");
        let policy = json!({"Name": "always", "MaximumRetryCount": 0});
        let request = create_request(Inputs {
            container: &held,
            image: &json!({}),
            host_name: "",
            reference: "r",
            followed: None,
            restart_policy: Some(&policy),
            labels: &BTreeMap::new(),
        });
        assert_eq!(request.map_err(|r| r.code).unwrap().body["HostConfig"]["RestartPolicy"], policy);
    }

    /// Every row: what cannot be brought back, and the name it is refused by.
    #[test]
    fn what_cannot_be_brought_back_is_refused_by_name() {
        let table = [
            ("AutoRemove", json!(true), "auto_remove"),
            ("Links", json!(["/db:/web/db"]), "links"),
            ("NetworkMode", json!("other"), "network_changed"),
        ];
        for (key, value, code) in table {
            let mut with = container();
            with["HostConfig"][key] = value;
            assert_eq!(request(&with).err().map(|refusal| refusal.code).as_deref(), Some(code), "{key}");
        }
    }
}
