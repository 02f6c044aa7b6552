//! Values that several tests of this room need.

use std::collections::BTreeMap;

use patchyard_types::{Digest, Health, HostId, Image, Target, TargetId, TargetKind, TargetState};

/// A healthy container on `host1`.
pub fn target(name: &str, service: &str) -> Target {
    let host = HostId::new("h1");
    Target {
        id: TargetId::new("docker", &host, name),
        name: name.into(),
        provider: "docker".into(),
        host,
        host_name: "host1".into(),
        service: service.into(),
        project: None,
        environment: None,
        labels: BTreeMap::new(),
        object: format!("object-{name}"),
        image: Image { reference: format!("{service}:1"), id: "sha256:1".into(), digest: None, base: None },
        state: TargetState::Running,
        health: Health::None,
        os: None,
        mounts: Vec::new(),
        networks: Vec::new(),
        ports: Vec::new(),
        depends_on: Vec::new(),
        lives_in: Vec::new(),
        managers: Vec::new(),
        refusals: Vec::new(),
        alone: Vec::new(),
        kind: TargetKind::Container,
        traps: Vec::new(),
        disk_snapshots: patchyard_types::DiskSnapshots::Nobody,
        config: Digest::of_bytes(b"config"),
    }
}
