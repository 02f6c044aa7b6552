//! A small made-up fleet: few hosts, services and images, so that they meet often.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several tests")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_plan::{Candidate, PatchFilter, PlanRequest, TagPolicy};
use patchyard_types::{
    Arch, Assessment, Budget, Digest, Health, HostId, Image, PendingPatch, PendingStatus, Settings,
    StartingState, Target, TargetId, TargetKind, TargetState, Unsaved,
};

pub fn target(host: &str, service: &str, number: usize, image: &str) -> Target {
    let host = HostId::new(host);
    let name = format!("{service}-{number}");
    Target {
        id: TargetId::new("sim", &host, &name),
        name: name.clone(),
        provider: "sim".into(),
        host_name: host.to_string(),
        host,
        service: service.into(),
        project: Some("demo".into()),
        environment: None,
        labels: BTreeMap::new(),
        object: format!("object-{name}"),
        image: Image { reference: format!("{image}:1"), id: image_id(image), digest: None, base: None },
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
        config: Digest::of_bytes(name.as_bytes()),
    }
}

pub fn image_id(image: &str) -> String {
    format!("sha256:{}", Digest::of_bytes(image.as_bytes()))
}

pub fn patch(package: &str, candidate: &str) -> PendingPatch {
    PendingPatch {
        package: package.into(),
        arch: Arch("amd64".into()),
        installed: Some("1.0".into()),
        candidate: candidate.into(),
        security: true,
        origin: "Debian-Security:12/stable-security".into(),
        status: PendingStatus::Available,
        size: 1000,
        sha256: Some(Digest::of_bytes(candidate.as_bytes())),
        why: String::new(),
    }
}

pub fn candidate(target: Target, pending: Vec<PendingPatch>) -> Candidate {
    Candidate {
        narrowed: false,
        starting: Some(StartingState {
            platform: "linux/amd64".into(),
            image: target.image.id.clone(),
            packages: Some(Digest::of_bytes(target.image.id.as_bytes())),
        }),
        assessment: Assessment::Assessed { at: Timestamp::UNIX_EPOCH, pending },
        carried: None,
        image_update: Ok(None),
        unsaved: Unsaved::default(),
        settings: Settings { max_unavailable: Budget::Count(1), ..Settings::default() },
        excluded: false,
        dependents: Vec::new(),
        target,
    }
}

pub fn request(candidates: Vec<Candidate>) -> PlanRequest {
    PlanRequest {
        candidates,
        others: Vec::new(),
        filter: PatchFilter::default(),
        quarantine: Vec::new(),
        tags: TagPolicy::Move,
        timings: BTreeMap::new(),
        author: "somebody".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}
