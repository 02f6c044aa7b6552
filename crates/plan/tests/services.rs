//! Swarm services in plans: by their image alone, and with the traps of their configuration told.

mod common;

use common::{candidate, image_id, patch, request, target};
use jiff::Timestamp;
use patchyard_plan::lint::Severity;
use patchyard_plan::{Candidate, Restoration, RestoreRequest, TagPolicy, lint, plan, restore};
use patchyard_types::{
    Change, Data, Drain, ImageUpdate, LeftOutReason, Method, Millis, Mount, MountKind, RolloutId, RunId,
    Settings, Snapshot, SnapshotId, TargetKind, Trap,
};

/// A service whose tag has a newer image.
fn service() -> Candidate {
    let mut one = candidate(target("manager", "web", 1, "nginx"), vec![patch("libssl3", "3.0.22")]);
    one.target.kind = TargetKind::Service;
    one.settings.method = Method::Image;
    let (from, to) = (Some(image_id("nginx")), image_id("newer"));
    one.image_update = Ok(Some(ImageUpdate { reference: "nginx:1".into(), from, to }));
    one
}

#[test]
fn a_service_gets_a_newer_image_and_no_tag_follows() {
    let mut one = service();
    let message = "Swarm counts an update as good too early".to_owned();
    one.target.traps = vec![Trap { code: "monitor".into(), message: message.clone() }];
    let planned = plan(&request(vec![one])).plan;
    let [action] = &planned.decisions.actions[..] else { panic!("{planned:#?}") };
    assert_eq!((action.kind, action.method), (TargetKind::Service, Method::Image));
    assert!(planned.decisions.tags.is_empty(), "{planned:#?}");
    assert!(planned.about.notes.iter().any(|note| note.contains(&message)), "{:?}", planned.about.notes);
    assert_eq!(lint(&planned), vec![]);
}

/// Asks for something in a target's settings.
type Ask = fn(&mut Settings);

#[test]
fn what_swarm_cannot_do_is_left_out_with_what_to_do_instead() {
    let volume =
        Mount { kind: MountKind::Volume, source: "data".into(), destination: "/data".into(), writable: true };
    let cases: [(Ask, &str); 3] = [
        (|settings| settings.method = Method::Layer, "--method image"),
        (|settings| settings.data = Data::Restore, "data: keep"),
        (|settings| settings.drain = Drain { command: Vec::new(), wait: Millis(1) }, "stop_grace_period"),
    ];
    for (ask, instead) in cases {
        let mut one = service();
        one.target.mounts = vec![volume.clone()];
        ask(&mut one.settings);
        let planned = plan(&request(vec![one])).plan;
        let [left_out] = &planned.about.left_out[..] else { panic!("{planned:#?}") };
        assert_eq!(left_out.reason, LeftOutReason::Refused);
        assert!(left_out.detail.contains(instead), "{}", left_out.detail);
    }
    let mut patched = service();
    patched.settings.method = Method::Layer;
    patched.assessment = candidate(patched.target.clone(), Vec::new()).assessment;
    assert_eq!(plan(&request(vec![patched])).plan.about.up_to_date, ["web-1"], "nothing is pending");
}

#[test]
fn a_rollback_of_a_service_names_the_image_that_it_goes_back_to() {
    let one = service();
    let run = RunId { rollout: RolloutId(1), action: 0 };
    let snapshot = Snapshot {
        id: SnapshotId(run.to_string()),
        target: one.target.id.clone(),
        name: one.target.name.clone(),
        service: one.target.service.clone(),
        host: one.target.host.clone(),
        run,
        at: Timestamp::UNIX_EPOCH,
        image: image_id("older"),
        base_image: image_id("older"),
        reference: "nginx:1".into(),
        own_layer: false,
        tags: Vec::new(),
        volumes: Vec::new(),
        packages: Vec::new(),
        disks: None,
        size: 0,
        lost: Vec::new(),
    };
    let request = RestoreRequest {
        restorations: vec![Restoration { snapshot, settings: one.settings, dependents: Vec::new() }],
        targets: vec![one.target],
        undoes: None,
        keep_data: false,
        tags: TagPolicy::Move,
        timings: std::collections::BTreeMap::new(),
        author: "somebody".into(),
        at: Timestamp::UNIX_EPOCH,
    };
    let mut planned = restore(&request).plan;
    let [set] = planned.decisions.patch_sets.values().collect::<Vec<_>>()[..] else { panic!("{planned:#?}") };
    let Change::Snapshot { image, .. } = &set.change else { panic!("{set:#?}") };
    assert_eq!(image.as_deref(), Some(&*image_id("older")));
    assert!(planned.decisions.tags.is_empty(), "{planned:#?}");
    assert_eq!(lint(&planned), vec![]);

    let change = &mut planned.decisions.patch_sets.values_mut().next().unwrap().change;
    let Change::Snapshot { image, .. } = change else { panic!() };
    *image = None;
    let findings = lint(&planned);
    let is_told =
        |part: &str| findings.iter().any(|f| f.severity == Severity::Error && f.to_string().contains(part));
    assert!(is_told("what Swarm cannot do"), "{findings:#?}");
}
