//! Targets: the things that are patched, as discovery finds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, HostId, OsRelease, TargetId};

/// One thing that is patched, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its stable id.
    pub id: TargetId,
    /// Its stable name as people know it.
    pub name: String,
    /// The provider that reaches it: `docker`, `ssh`, `local`, `libvirt`, `incus`, `sim`, …
    pub provider: String,
    /// What kind of thing it is.
    #[serde(default)]
    pub kind: TargetKind,
    /// The engine or machine it runs on (`runs_on`, also its failure domain).
    pub host: HostId,
    /// The host's name as people know it.
    pub host_name: String,
    /// The service it belongs to: budgets are counted per service.
    pub service: String,
    /// The Compose project, where there is one.
    pub project: Option<String>,
    /// Its environment (label `io.patchyard.env`), where named.
    pub environment: Option<String>,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
    /// The provider's present handle: a container id, which changes at recreation, a service's id, or a
    /// machine's machine-id.
    pub object: String,
    /// The image it was created from; of a machine, which has none, the release of its system.
    pub image: Image,
    /// What it is doing.
    pub state: TargetState,
    /// What its own healthcheck says.
    pub health: Health,
    /// OS release of its root file system, where one could be read.
    pub os: Option<OsRelease>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Names of the networks it is attached to.
    pub networks: Vec<String>,
    /// Ports published on the host.
    pub ports: Vec<PublishedPort>,
    /// Services of the same project that must be up before it (Compose `depends_on`).
    pub depends_on: Vec<String>,
    /// Handles of the targets in whose namespaces it lives: it is cut off when one of them is recreated.
    pub lives_in: Vec<String>,
    /// Who else acts on it.
    pub managers: Vec<Manager>,
    /// Why this release does not patch it; empty when it may be patched.
    pub refusals: Vec<Refusal>,
    /// Why two of it cannot run beside each other, as [`crate::Order::StartFirst`] needs; empty when they can.
    #[serde(default)]
    pub alone: Vec<Refusal>,
    /// What its owner may not expect of how it is updated; nothing here stands in the way.
    #[serde(default)]
    pub traps: Vec<Trap>,
    /// Of a machine: whether somebody can take a snapshot of its disks from outside of it.
    #[serde(default)]
    pub disk_snapshots: DiskSnapshots,
    /// Keyed digest of its normalised configuration, to notice a change by somebody else.
    pub config: Digest,
}

/// What kind of thing a target is: each is patched in steps of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A container, which is swapped.
    #[default]
    Container,
    /// A Swarm service, whose tasks Swarm replaces: it is updated and rolled back through Swarm.
    Service,
    /// A machine, whose packages are changed in place.
    Host,
}

impl TargetKind {
    /// Whether it is a container.
    #[must_use]
    pub fn is_container(&self) -> bool {
        *self == Self::Container
    }
}

/// Whether a snapshot of a target's disks can be taken from outside of it, by whoever keeps it: a libvirt, an Incus.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "reason")]
pub enum DiskSnapshots {
    /// Nobody is known who could: a machine that is reached by ssh alone, a container.
    #[default]
    Nobody,
    /// It can.
    Keeper,
    /// Its keeper could, but not of this one: why, with what to do.
    Refused(String),
}

/// An image as the engine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Image {
    /// The reference the container was created with (of a patched container: the original one).
    pub reference: String,
    /// The engine's image id, `sha256:…`; of a Swarm service, whose images other nodes have, the registry digest
    /// that its spec pins.
    pub id: String,
    /// The registry digest, `sha256:…`, where it was pulled.
    pub digest: Option<String>,
    /// For an image patched here: the id of the original base it was patched from.
    pub base: Option<String>,
}

/// What a target is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Running.
    Running,
    /// Running, but its processes are frozen.
    Paused,
    /// The engine is restarting it.
    Restarting,
    /// Created, never started.
    Created,
    /// Stopped.
    Exited,
    /// The engine failed to remove it.
    Dead,
}

/// What a target's own healthcheck says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It has no healthcheck.
    None,
    /// Not yet decided.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
    Unhealthy,
}

/// What kind of storage a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A volume, named or anonymous.
    Volume,
    /// A directory or file of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// Anything else the engine knows.
    Other,
}

/// A place in the target that is not part of its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mount {
    /// Kind of storage.
    pub kind: MountKind,
    /// Volume name or host path.
    pub source: String,
    /// Path inside the target.
    pub destination: String,
    /// Whether the target may write to it.
    pub writable: bool,
}

/// A port of the target published on its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address on the host; empty or `0.0.0.0` means every address.
    pub host_ip: String,
    /// Port on the host.
    pub host_port: u16,
    /// Port inside the target.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The port on the host was chosen by the engine, which chooses another one for each container.
    #[serde(default)]
    pub ephemeral: bool,
}

/// Somebody else who recreates, restarts or updates the target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Manager {
    /// Docker Compose: the project.
    Compose(String),
    /// Watchtower or one of its forks: the name of its container.
    Watchtower(String),
    /// A systemd or Quadlet unit.
    Systemd(String),
    /// A Swarm service.
    Swarm(String),
}

/// Somebody else who updates a host and what serves its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostManager {
    /// Debian's and Ubuntu's own timer: it upgrades packages, the engine's among them, and restarts what they
    /// bring.
    UnattendedUpgrades,
}

/// A reason why a target is not patched, in the field's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable name of the reason, for scripts: `shared_namespace`, `auto_remove`, `own_container`, …
    pub code: String,
    /// What stands in the way and what to do.
    pub message: String,
}

/// Something in how a target is set up that makes its updates end otherwise than its owner may expect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Trap {
    /// Stable name of the trap, for scripts: `monitor`, `failure_action`, `host_port`, …
    pub code: String,
    /// What happens, and what to set instead.
    pub message: String,
}
