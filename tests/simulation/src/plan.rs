//! Plans for the simulated host: one patch set a service, one target of a service at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_provider_sim::World;
use patchyard_types::{
    About, Action, Arch, Budget, Change, Decisions, Digest, Estimate, Expected, Method, PackageChange,
    PatchSet, Plan, Settings, StartingState, TagMove, TargetId, Wave,
};

/// The patch set of a service.
#[must_use]
pub fn patch_set(service: &str) -> PatchSet {
    let from =
        StartingState { platform: "linux/amd64".into(), image: format!("{service}-image"), packages: None };
    let change = PackageChange {
        name: "web".into(),
        arch: Arch("amd64".into()),
        from: Some("1".into()),
        to: Some("2".into()),
        sha256: Some(Digest::of_bytes(service.as_bytes())),
        security: true,
        size: 1,
    };
    PatchSet { from, change: Change::Packages(vec![change]) }
}

/// A plan for targets of the world, in their order.
#[must_use]
pub fn plan(world: &World, targets: &[TargetId], max_failures: Budget) -> Plan {
    let settings = Settings::default();
    let mut patch_sets = BTreeMap::new();
    let mut actions = Vec::new();
    let mut waves: Vec<Wave> = Vec::new();
    let mut of_service: BTreeMap<String, usize> = BTreeMap::new();
    for id in targets {
        let (Some(target), Some((object, value))) =
            (world.targets.get(id), world.targets.get(id).and_then(|target| world.named(&target.name)))
        else {
            continue;
        };
        let set = patch_set(&target.service);
        let patch_set = set.id();
        patch_sets.insert(patch_set, set);
        let turn = of_service.entry(target.service.clone()).or_default();
        if waves.len() <= *turn {
            waves.push(Wave(Vec::new()));
        }
        waves[*turn].0.push(actions.len());
        *turn += 1;
        actions.push(Action {
            target: id.clone(),
            name: target.name.clone(),
            service: target.service.clone(),
            host: world.host.clone(),
            method: Method::Layer,
            patch_set,
            expected: Expected {
                object: object.clone(),
                image: value.image.clone(),
                config: value.config,
                reference: format!("{}:1", target.service),
                base: None,
            },
            checks: Vec::new(),
            verify_for: settings.verify_for,
            timeouts: settings.timeouts,
            max_layer: settings.max_layer,
            max_unavailable: 1,
            losses: Vec::new(),
        });
    }
    let tags = of_service.keys().map(|service| TagMove {
        host: world.host.clone(),
        reference: format!("{service}:1"),
        from: "image-1".into(),
        patch_set: patch_set(service).id(),
        image: None,
        after: (0..actions.len()).filter(|n| actions[*n].service == *service).collect(),
    });
    let tags = tags.collect();
    Plan {
        decisions: Decisions { version: 1, patch_sets, actions, waves, tags, max_failures },
        about: About {
            author: "simulation".into(),
            created_at: Timestamp::UNIX_EPOCH,
            undoes: None,
            considered: targets.len(),
            left_out: vec![],
            up_to_date: vec![],
            estimate: Estimate::default(),
            notes: vec![],
        },
    }
}
