//! A target from what the engine says of its container: values in, value out.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use patchyard_types::{
    Digest, Health, HostId, Image, Mount, MountKind, OsRelease, PublishedPort, Target, TargetId, TargetKind,
    TargetState, canonical_json, printable,
};
use serde_json::Value;
use sha2::Sha256;

use super::alone::alone;
use super::compose::{self, Compose};
use super::json::{list, text, texts};
use super::managers::{Watchtower, managers};
use super::project::Projects;
use super::reference::Reference;
use super::refuse::{Surroundings, refusals};
use super::units::Units;
use crate::names::{LABEL_BASE, LABEL_ENVIRONMENT, LABEL_REFERENCE, LABEL_SERVICE};
use crate::spec::normalise;

/// The longest name of anything shown, in characters.
pub(crate) const NAME_LIMIT: usize = 300;

/// What all targets of an engine have in common.
pub(super) struct Engine<'a> {
    pub host: &'a HostId,
    pub host_name: &'a str,
    /// Key of the digests of configurations.
    pub key: &'a [u8; 32],
    pub watchtowers: &'a [Watchtower],
    /// What systemd's units say, where they can be read.
    pub units: &'a Units,
    /// What Compose files say, where they can be read.
    pub projects: &'a Projects,
}

/// The container's name without the engine's slash.
pub(super) fn container_name(inspect: &Value) -> &str {
    text(&inspect["Name"]).trim_start_matches('/')
}

/// Puts a target together. `image` and `base` are inspect documents of its image and, where that was
/// patched here, of the original one; `Null` where the engine has none.
pub(super) fn target(
    inspect: &Value,
    image: &Value,
    base: &Value,
    os: Option<OsRelease>,
    engine: &Engine<'_>,
    around: &Surroundings<'_>,
) -> Target {
    let name = printable(container_name(inspect), NAME_LIMIT);
    let labels = texts(&inspect["Config"]["Labels"]);
    let compose = compose::read(&labels);
    let stable = match &compose {
        Some(Compose { project, service, number, .. }) => {
            printable(&format!("{project}/{service}/{number}"), NAME_LIMIT)
        }
        None => name.clone(),
    };
    let service = labels.get(LABEL_SERVICE).filter(|service| !service.is_empty()).cloned();
    let service = service.or_else(|| compose.as_ref().map(|compose| compose.service.clone()));
    let project = compose.as_ref().map(|compose| compose.project.as_str());
    Target {
        id: TargetId::new("docker", engine.host, &stable),
        lives_in: Vec::new(),
        managers: managers(&name, &labels, project, engine.watchtowers, engine.units),
        provider: "docker".to_owned(),
        host: engine.host.clone(),
        host_name: engine.host_name.to_owned(),
        service: service.map_or_else(|| name.clone(), |service| printable(&service, NAME_LIMIT)),
        project: project.map(|project| printable(project, NAME_LIMIT)),
        environment: labels
            .get(LABEL_ENVIRONMENT)
            .filter(|env| !env.is_empty())
            .map(|env| printable(env, NAME_LIMIT)),
        object: text(&inspect["Id"]).to_owned(),
        image: image_of(inspect, image, base),
        state: state(text(&inspect["State"]["Status"])),
        health: health(inspect),
        os,
        mounts: mounts(inspect),
        networks: inspect["NetworkSettings"]["Networks"]
            .as_object()
            .map_or_else(Vec::new, |networks| networks.keys().cloned().collect()),
        ports: ports(inspect),
        depends_on: compose.map_or_else(Vec::new, |compose| {
            let by_files = || engine.projects.needs(inspect, &compose.service).to_vec();
            compose.depends_on.unwrap_or_else(by_files)
        }),
        refusals: refusals(inspect, around),
        alone: alone(inspect),
        kind: TargetKind::Container,
        traps: Vec::new(),
        disk_snapshots: patchyard_types::DiskSnapshots::Nobody,
        config: config_digest(inspect, engine.key),
        name,
        labels,
    }
}

/// The keyed digest of a container's normalised settings.
pub(crate) fn config_digest(inspect: &Value, key: &[u8; 32]) -> Digest {
    keyed_digest(&normalise(inspect), key)
}

/// The keyed digest of settings: what is secret in them cannot be guessed from it.
pub(crate) fn keyed_digest(settings: &Value, key: &[u8; 32]) -> Digest {
    // A key of any length is good for an HMAC.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(canonical_json(settings).as_bytes());
            Digest::from_bytes(mac.finalize().into_bytes().into())
        }
        Err(error) => unreachable!("an HMAC takes keys of any length: {error}"),
    }
}

fn image_of(inspect: &Value, image: &Value, base: &Value) -> Image {
    let config = &inspect["Config"];
    let label = |document: &Value, name: &str| {
        document["Config"]["Labels"][name].as_str().filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let created_with = text(&config["Image"]);
    // Only what runs from a tag of ours has its real reference in the label; a label that an image
    // handed down to something else says nothing.
    let ours = Reference::parse(created_with)
        .is_some_and(|r| r.registry == "docker.io" && r.repository.starts_with("patchyard/"));
    let reference =
        label(inspect, LABEL_REFERENCE).filter(|_| ours).unwrap_or_else(|| created_with.to_owned());
    let base_id = label(image, LABEL_BASE);
    let original = if base_id.is_some() { base } else { image };
    let parsed = Reference::parse(&reference);
    let entries = || list(&original["RepoDigests"]).filter_map(Value::as_str);
    let digest = parsed.and_then(|reference| {
        entries().find_map(|entry| reference.digest_in(entry)).map(str::to_owned).or(reference.digest)
    });
    Image {
        reference: printable(&reference, NAME_LIMIT),
        id: text(&inspect["Image"]).to_owned(),
        digest,
        base: base_id,
    }
}

fn state(status: &str) -> TargetState {
    match status {
        "running" => TargetState::Running,
        "paused" => TargetState::Paused,
        "restarting" => TargetState::Restarting,
        // Podman says `configured` and `initialized`, and `stopped`.
        "created" | "configured" | "initialized" => TargetState::Created,
        "exited" | "stopped" => TargetState::Exited,
        // `dead`, `removing`, and what we do not know: nothing to patch.
        _ => TargetState::Dead,
    }
}

fn health(inspect: &Value) -> Health {
    match text(&inspect["State"]["Health"]["Status"]) {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        _ => Health::None,
    }
}

fn mounts(inspect: &Value) -> Vec<Mount> {
    let host_tmpfs = inspect["HostConfig"]["Tmpfs"].as_object().into_iter().flatten().map(|(path, _)| {
        Mount { kind: MountKind::Tmpfs, source: String::new(), destination: path.clone(), writable: true }
    });
    let listed = list(&inspect["Mounts"]).map(|mount| {
        let kind = match text(&mount["Type"]) {
            "volume" => MountKind::Volume,
            "bind" => MountKind::Bind,
            "tmpfs" => MountKind::Tmpfs,
            _ => MountKind::Other,
        };
        let source = if kind == MountKind::Volume { &mount["Name"] } else { &mount["Source"] };
        Mount {
            kind,
            source: text(source).to_owned(),
            destination: text(&mount["Destination"]).to_owned(),
            writable: mount["RW"].as_bool() != Some(false),
        }
    });
    let mut all: BTreeMap<String, Mount> =
        host_tmpfs.map(|mount| (mount.destination.clone(), mount)).collect();
    all.extend(listed.map(|mount| (mount.destination.clone(), mount)));
    all.into_values().collect()
}

/// What is published: as it is for a running container, as configured for any other.
fn ports(inspect: &Value) -> Vec<PublishedPort> {
    let read = |map: &Value| {
        let mut out = Vec::new();
        for (port, bindings) in map.as_object().into_iter().flatten() {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let Ok(port) = number.parse() else { continue };
            for binding in list(bindings) {
                if let Ok(host_port) = text(&binding["HostPort"]).parse::<u16>() {
                    let host_ip = text(&binding["HostIp"]).to_owned();
                    let asked_for =
                        list(&inspect["HostConfig"]["PortBindings"][format!("{number}/{protocol}")]);
                    let ephemeral = !asked_for
                        .map(|asked| text(&asked["HostPort"]))
                        .any(|asked| asked == host_port.to_string());
                    let protocol = protocol.to_owned();
                    out.push(PublishedPort { host_ip, host_port, port, protocol, ephemeral });
                }
            }
        }
        out.sort_unstable();
        out
    };
    match read(&inspect["NetworkSettings"]["Ports"]) {
        none if none.is_empty() => read(&inspect["HostConfig"]["PortBindings"]),
        ports => ports,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::EngineKind;

    const DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn make(inspect: &Value, image: &Value, base: &Value) -> Target {
        let host = HostId::new("engine");
        let engine = Engine {
            host: &host,
            host_name: "web01",
            key: &[7; 32],
            watchtowers: &[],
            units: &Units::default(),
            projects: &Projects::default(),
        };
        let around = Surroundings {
            kind: EngineKind::Docker,
            has_name: true,
            own_container: None,
            missing_hosts: &[],
            linked_from: &[],
            foreign_run: None,
            has_image: true,
        };
        target(inspect, image, base, None, &engine, &around)
    }

    fn inspect(image: &str, labels: &Value) -> Value {
        json!({"Id": "c1", "Name": "/shop-web-2", "Image": "sha256:i1", "Config": {"Image": image, "Labels": labels},
               "State": {"Status": "running"}})
    }

    #[test]
    fn a_container_of_compose_is_named_by_its_place() {
        let labels = json!({"com.docker.compose.project": "shop", "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "2", "com.docker.compose.depends_on": "db:service_healthy:false"});
        let target = make(&inspect("nginx:1", &labels), &json!({}), &Value::Null);
        assert_eq!(target.id.as_str(), "docker:engine/shop/web/2");
        assert_eq!((target.name.as_str(), target.service.as_str()), ("shop-web-2", "web"));
        assert_eq!((target.project.as_deref(), target.depends_on), (Some("shop"), vec!["db".to_owned()]));
    }

    #[test]
    fn a_plain_container_is_its_own_service_unless_its_label_says_more() {
        let plain = make(&inspect("nginx:1", &Value::Null), &json!({}), &Value::Null);
        assert_eq!((plain.id.as_str(), plain.service.as_str()), ("docker:engine/shop-web-2", "shop-web-2"));
        let labelled =
            make(&inspect("nginx:1", &json!({"io.patchyard.service": "shop"})), &json!({}), &Value::Null);
        assert_eq!((labelled.id.as_str(), labelled.service.as_str()), ("docker:engine/shop-web-2", "shop"));
    }

    #[test]
    fn a_patched_container_keeps_its_reference_and_knows_its_base() {
        let image = json!({"Config": {"Labels": {"io.patchyard.base": "sha256:i0"}}, "RepoDigests": []});
        let base = json!({"RepoDigests": [format!("nginx@{DIGEST}"), format!("mirror:5000/nginx@sha256:{}", "c".repeat(64))]});
        let patched = inspect("patchyard/nginx:99aabbccddee", &json!({"io.patchyard.reference": "nginx:1"}));
        let expected = Image {
            reference: "nginx:1".to_owned(),
            id: "sha256:i1".to_owned(),
            digest: Some(DIGEST.to_owned()),
            base: Some("sha256:i0".to_owned()),
        };
        assert_eq!(make(&patched, &image, &base).image, expected);
        // Recreated from the moved tag by somebody else: the same, from the image alone.
        let recreated = inspect("nginx:1", &json!({"io.patchyard.reference": "other:1"}));
        assert_eq!(make(&recreated, &image, &base).image, expected);
    }

    #[test]
    fn the_digest_is_that_of_the_references_own_repository() {
        let image = json!({"RepoDigests": [format!("mirror:5000/nginx@{DIGEST}")]});
        assert_eq!(make(&inspect("nginx:1", &Value::Null), &image, &Value::Null).image.digest, None);
        let pinned = inspect(&format!("nginx@{DIGEST}"), &Value::Null);
        assert_eq!(make(&pinned, &json!({}), &Value::Null).image.digest.as_deref(), Some(DIGEST));
    }

    #[test]
    fn ports_and_mounts_are_those_in_force() {
        let mut document = inspect("nginx:1", &Value::Null);
        document["HostConfig"] = json!({
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]},
            "Tmpfs": {"/scratch": "size=1m"},
        });
        document["NetworkSettings"] =
            json!({"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "443/tcp": null}});
        document["Mounts"] =
            json!([{"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": true}]);
        let target = make(&document, &json!({}), &Value::Null);
        assert_eq!(
            target.ports,
            [PublishedPort {
                host_ip: "0.0.0.0".to_owned(),
                host_port: 32768,
                port: 80,
                protocol: "tcp".to_owned(),
                ephemeral: true,
            }]
        );
        // Nobody has asked for any port, for one of some, or for this one.
        for (asked, ephemeral) in [
            (Value::Null, true),
            (json!([{"HostPort": "32000-33000"}]), true),
            (json!([{"HostPort": "32768"}]), false),
        ] {
            document["HostConfig"]["PortBindings"]["80/tcp"] = asked.clone();
            let ports = make(&document, &json!({}), &Value::Null).ports;
            assert_eq!(ports[0].ephemeral, ephemeral, "{asked}");
        }
        let mounts: Vec<_> =
            target.mounts.iter().map(|m| (m.kind, m.source.as_str(), m.destination.as_str())).collect();
        assert_eq!(mounts, [(MountKind::Volume, "data", "/data"), (MountKind::Tmpfs, "", "/scratch")]);
    }

    #[test]
    fn the_digest_of_a_configuration_depends_on_the_key() {
        let document = inspect("nginx:1", &Value::Null);
        assert_eq!(config_digest(&document, &[1; 32]), config_digest(&document, &[1; 32]));
        assert_ne!(config_digest(&document, &[1; 32]), config_digest(&document, &[2; 32]));
    }
}
