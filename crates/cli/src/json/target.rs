//! A target, as several documents show it.

use std::collections::BTreeMap;

use patchyard_types::{Manager, Target};
use serde::Serialize;

use super::word;

#[derive(Debug, Serialize)]
pub struct TargetJson {
    id: String,
    name: String,
    provider: String,
    host: String,
    host_id: String,
    service: String,
    project: Option<String>,
    environment: Option<String>,
    labels: BTreeMap<String, String>,
    os: Option<OsJson>,
    image: ImageJson,
    state: String,
    health: String,
    mounts: Vec<MountJson>,
    networks: Vec<String>,
    ports: Vec<PortJson>,
    depends_on: Vec<String>,
    managers: Vec<ManagerJson>,
    refusals: Vec<RefusalJson>,
}

#[derive(Debug, Serialize)]
struct OsJson {
    id: String,
    version: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct ImageJson {
    reference: String,
    id: String,
    digest: Option<String>,
    base: Option<String>,
}

#[derive(Debug, Serialize)]
struct MountJson {
    kind: String,
    source: String,
    destination: String,
    writable: bool,
}

#[derive(Debug, Serialize)]
struct PortJson {
    host_ip: String,
    host_port: u16,
    port: u16,
    protocol: String,
}

#[derive(Debug, Serialize)]
struct ManagerJson {
    kind: &'static str,
    name: String,
}

#[derive(Debug, Serialize)]
struct RefusalJson {
    code: String,
    message: String,
}

impl From<&Target> for TargetJson {
    fn from(target: &Target) -> Self {
        // Without `..`: a new field is either shown or left out on purpose.
        let Target {
            id,
            name,
            provider,
            host,
            host_name,
            service,
            project,
            environment,
            labels,
            object: _,
            image,
            state,
            health,
            os,
            mounts,
            networks,
            ports,
            depends_on,
            managers,
            refusals,
            config: _,
        } = target;
        Self {
            id: id.to_string(),
            name: name.clone(),
            provider: provider.clone(),
            host: host_name.clone(),
            host_id: host.to_string(),
            service: service.clone(),
            project: project.clone(),
            environment: environment.clone(),
            labels: labels.clone(),
            os: os.as_ref().map(|os| OsJson {
                id: os.id.clone(),
                version: os.version_id.clone(),
                name: os.pretty_name.clone(),
            }),
            image: ImageJson {
                reference: image.reference.clone(),
                id: image.id.clone(),
                digest: image.digest.clone(),
                base: image.base.clone(),
            },
            state: word(state),
            health: word(health),
            mounts: mounts
                .iter()
                .map(|mount| MountJson {
                    kind: word(&mount.kind),
                    source: mount.source.clone(),
                    destination: mount.destination.clone(),
                    writable: mount.writable,
                })
                .collect(),
            networks: networks.clone(),
            ports: ports
                .iter()
                .map(|port| PortJson {
                    host_ip: port.host_ip.clone(),
                    host_port: port.host_port,
                    port: port.port,
                    protocol: port.protocol.clone(),
                })
                .collect(),
            depends_on: depends_on.clone(),
            managers: managers.iter().map(ManagerJson::from).collect(),
            refusals: refusals
                .iter()
                .map(|refusal| RefusalJson { code: refusal.code.clone(), message: refusal.message.clone() })
                .collect(),
        }
    }
}

impl From<&Manager> for ManagerJson {
    fn from(manager: &Manager) -> Self {
        let (kind, name) = match manager {
            Manager::Compose(name) => ("compose", name),
            Manager::Watchtower(name) => ("watchtower", name),
            Manager::Systemd(name) => ("systemd", name),
            Manager::Swarm(name) => ("swarm", name),
        };
        Self { kind, name: name.clone() }
    }
}
