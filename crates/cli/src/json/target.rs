//! A target and its image, as several documents show them.

use std::collections::BTreeMap;

use patchyard_types::{DiskSnapshots, Image, Manager, Mount, OsRelease, PublishedPort, Refusal, Target};
use serde::Serialize;

use super::words;

#[derive(Debug, Serialize)]
pub struct TargetJson {
    id: String,
    name: String,
    provider: String,
    kind: &'static str,
    host: String,
    host_id: String,
    service: String,
    project: Option<String>,
    environment: Option<String>,
    labels: BTreeMap<String, String>,
    os: Option<OsJson>,
    image: ImageJson,
    state: &'static str,
    health: &'static str,
    mounts: Vec<MountJson>,
    networks: Vec<String>,
    ports: Vec<PortJson>,
    depends_on: Vec<String>,
    managers: Vec<ManagerJson>,
    refusals: Vec<RefusalJson>,
    disk_snapshots: DiskSnapshotsJson,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct OsJson {
    id: String,
    version: String,
    name: String,
}

#[derive(Debug, Serialize)]
pub struct ImageJson {
    reference: String,
    id: String,
    digest: Option<String>,
    base: Option<String>,
}

#[derive(Debug, Serialize)]
struct MountJson {
    kind: &'static str,
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
    ephemeral: bool,
}

#[derive(Debug, Serialize)]
struct ManagerJson {
    kind: &'static str,
    name: String,
}

#[derive(Debug, Serialize)]
struct DiskSnapshotsJson {
    by: &'static str,
    reason: Option<String>,
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
            kind,
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
            lives_in: _,
            managers,
            refusals,
            // Only to be said where it is wanted: `why`, and a plan's left out.
            alone: _,
            traps: _,
            disk_snapshots,
            config: _,
        } = target;
        Self {
            id: id.to_string(),
            name: name.clone(),
            provider: provider.clone(),
            kind: words::target_kind(*kind),
            host: host_name.clone(),
            host_id: host.to_string(),
            service: service.clone(),
            project: project.clone(),
            environment: environment.clone(),
            labels: labels.clone(),
            os: os.as_ref().map(OsJson::from),
            image: ImageJson::from(image),
            state: words::target_state(*state),
            health: words::health(*health),
            mounts: mounts.iter().map(MountJson::from).collect(),
            networks: networks.clone(),
            ports: ports.iter().map(PortJson::from).collect(),
            depends_on: depends_on.clone(),
            managers: managers.iter().map(ManagerJson::from).collect(),
            refusals: refusals.iter().map(RefusalJson::from).collect(),
            disk_snapshots: DiskSnapshotsJson::from(disk_snapshots),
            note: note(target),
        }
    }
}

impl From<&DiskSnapshots> for DiskSnapshotsJson {
    fn from(snapshots: &DiskSnapshots) -> Self {
        let (by, reason) = match snapshots {
            DiskSnapshots::Nobody => ("nobody", None),
            DiskSnapshots::Keeper => ("keeper", None),
            DiskSnapshots::Refused(reason) => ("refused", Some(reason.clone())),
        };
        Self { by, reason }
    }
}

/// Why a target is not patched, in one line for people.
pub fn note(target: &Target) -> Option<String> {
    let messages: Vec<_> = target.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    super::some(&messages.join("; "))
}

impl From<&OsRelease> for OsJson {
    fn from(os: &OsRelease) -> Self {
        let OsRelease { id, version_id, pretty_name } = os;
        Self { id: id.clone(), version: version_id.clone(), name: pretty_name.clone() }
    }
}

impl From<&Image> for ImageJson {
    fn from(image: &Image) -> Self {
        let Image { reference, id, digest, base } = image;
        Self { reference: reference.clone(), id: id.clone(), digest: digest.clone(), base: base.clone() }
    }
}

impl From<&Mount> for MountJson {
    fn from(mount: &Mount) -> Self {
        let Mount { kind, source, destination, writable } = mount;
        Self {
            kind: words::mount_kind(*kind),
            source: source.clone(),
            destination: destination.clone(),
            writable: *writable,
        }
    }
}

impl From<&PublishedPort> for PortJson {
    fn from(published: &PublishedPort) -> Self {
        let PublishedPort { host_ip, host_port, port, protocol, ephemeral } = published;
        Self {
            host_ip: host_ip.clone(),
            host_port: *host_port,
            port: *port,
            protocol: protocol.clone(),
            ephemeral: *ephemeral,
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

impl From<&Refusal> for RefusalJson {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { code, message } = refusal;
        Self { code: code.clone(), message: message.clone() }
    }
}
