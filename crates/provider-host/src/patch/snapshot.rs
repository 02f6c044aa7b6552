//! Snapshot: the versions that a rollback goes back to. Their files are in the controller's cache; nothing of it is on the
//! machine.

use jiff::Timestamp;
use patchyard_types::{MachineStep, Record, Snapshot, SnapshotId, Step};

use super::Run;

pub(super) fn perform(run: &Run<'_>) -> Record {
    let (action, call) = (run.action, run.call);
    let new = run.changes.iter().filter(|change| change.from.is_none());
    let lost = run.missing().iter().map(|name| format!("{name}: no file of it is to be had any more"));
    let lost = lost.chain(new.map(|change| format!("{} came in new, and stays", change.name)));
    Record::Snapshotted {
        snapshot: Box::new(Snapshot {
            id: SnapshotId(call.run.to_string()),
            target: action.target.clone(),
            name: action.name.clone(),
            service: action.service.clone(),
            host: action.host.clone(),
            run: call.run,
            at: at(run),
            image: action.expected.image.clone(),
            base_image: action.expected.image.clone(),
            reference: action.expected.reference.clone(),
            own_layer: false,
            tags: Vec::new(),
            volumes: Vec::new(),
            packages: run.back().to_vec(),
            disks: match call.records.get(&Step::Machine(MachineStep::Save)) {
                Some(Record::DisksSaved { disks }) => Some(disks.clone()),
                _ => None,
            },
            size: 0,
            lost: lost.collect(),
        }),
    }
}

/// When its checks were green: the same, however often this is asked.
fn at(run: &Run<'_>) -> Timestamp {
    match run.call.records.get(&Step::Machine(MachineStep::Verify)) {
        Some(Record::Verified { first_good }) => *first_good,
        _ => Timestamp::now(),
    }
}
