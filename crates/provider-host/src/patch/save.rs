//! Save: its keeper takes a snapshot of its disks, from outside, so that taking it back needs nobody inside. It bears the
//! run's name.

use std::time::Duration;

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{Direction, MachineStep, ObjectName, Probe, Record, RunId, Step, StepError};

use crate::HostProvider;
use crate::kept::{Silence, keeper, silence, trouble};

/// How long it is looked at after its start before its keeper is asked again.
const LOOK: Duration = Duration::from_secs(60);

/// What the snapshots of this controller's runs are called, the run's own part left out.
pub(crate) fn prefix(host: &HostProvider) -> String {
    let controller: String =
        host.options.controller.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("patchyard-{}-", controller.to_lowercase())
}

/// What the snapshot of a run is called: `patchyard-1a2b3c4d-r12.3`.
pub(crate) fn name(host: &HostProvider, run: RunId) -> ObjectName {
    ObjectName::new(format!("{}{run}", prefix(host)).to_lowercase())
}

pub(super) async fn perform(host: &HostProvider, call: &Call) -> Result<Record, StepError> {
    let disks = keeper(host)?.save(name(host, call.run).as_str()).await.map_err(trouble)?;
    Ok(Record::DisksSaved { disks })
}

/// What could not be taken back goes with the disks; else nothing of the patch is on them any more, and they stay.
pub(super) async fn undo(host: &HostProvider, call: &Call) -> Result<Record, StepError> {
    let (keeper, name) = (keeper(host)?, name(host, call.run));
    if !goes_back(call) {
        keeper.forget(name.as_str()).await.map_err(trouble)?;
        return Ok(Record::Nothing);
    }
    super::note(call, "putting its disks back");
    keeper.put_back(name.as_str()).await.map_err(trouble)?;
    // The step's own timeout ends this.
    loop {
        match silence(host, LOOK).await {
            Silence::Over => return Ok(Record::Nothing),
            Silence::Unknown => return Err(StepError::Unknown("its keeper does not answer".to_owned())),
            Silence::Broken(_) => {}
        }
    }
}

fn goes_back(call: &Call) -> bool {
    call.given_up.contains(&Step::Machine(MachineStep::Install))
}

pub(super) async fn probe(host: &HostProvider, call: &Call) -> Result<Probe, StepError> {
    let saved = keeper(host)?.saved(name(host, call.run).as_str()).await.map_err(trouble)?;
    Ok(match (call.direction, saved) {
        (Direction::Do, Some(disks)) => Probe::Done { record: Record::DisksSaved { disks } },
        (Direction::Undo, None) if !goes_back(call) => Probe::Done { record: Record::Nothing },
        // Where the disks are back already, the machine is only started.
        (Direction::Do, None) | (Direction::Undo, _) => Probe::NotDone,
    })
}

/// Removes the snapshot of a run; what was written since stays.
pub(crate) async fn forget(host: &HostProvider, name: &str) -> Result<(), ProviderError> {
    let Some(kept) = &host.options.kept else {
        return Err(ProviderError::NoAnswer {
            reason: format!("{name} is with who keeps the machine, who is not in the configuration any more"),
            hint: "name its libvirt or its Incus under hosts".to_owned(),
        });
    };
    kept.keeper.forget(name).await.map_err(|error| of_keeper(host, error))
}

pub(crate) fn of_keeper(host: &HostProvider, error: patchyard_contract::KeeperError) -> ProviderError {
    use patchyard_contract::KeeperError;
    match error {
        KeeperError::Unreachable(reason) => {
            ProviderError::Unreachable { host: host.options.name.clone(), reason }
        }
        KeeperError::NoSpace(reason) | KeeperError::Refused(reason) => {
            ProviderError::NoAnswer { reason, hint: String::new() }
        }
    }
}
