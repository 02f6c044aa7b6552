//! Save: its keeper takes a snapshot of its disks, from outside, so that taking it back needs nobody inside. It bears the
//! run's name.

use std::time::Duration;

use patchyard_contract::Call;
use patchyard_types::{Direction, MachineStep, Probe, Record, Step, StepError};

use crate::HostProvider;
use crate::kept::{Silence, keeper, name, silence, trouble};

/// How long it is looked at after its start before its keeper is asked again.
const LOOK: Duration = Duration::from_secs(60);
/// How many bytes may be written for each byte of a package: its file, what is in it (three to four times that), and the file
/// systems' own journals.
const UNPACKED: u64 = 8;
/// What else is written meanwhile, in bytes: package lists, logs, the service's own data.
const BESIDE: u64 = 256 * 1024 * 1024;

pub(super) async fn perform(host: &HostProvider, call: &Call) -> Result<Record, StepError> {
    let sizes = super::changes(call)?.iter().map(|change| change.size);
    let room = sizes.fold(BESIDE, |sum, size| sum.saturating_add(size.saturating_mul(UNPACKED)));
    let disks =
        keeper(host)?.save(name(&host.options.controller, call.run).as_str(), room).await.map_err(trouble)?;
    Ok(Record::DisksSaved { disks })
}

/// What could not be taken back goes with the disks; else nothing of the patch is on them any more, and they stay.
pub(super) async fn undo(host: &HostProvider, call: &Call) -> Result<Record, StepError> {
    let (keeper, name) = (keeper(host)?, name(&host.options.controller, call.run));
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
    let saved =
        keeper(host)?.saved(name(&host.options.controller, call.run).as_str()).await.map_err(trouble)?;
    Ok(match (call.direction, saved) {
        (Direction::Do, Some(disks)) => Probe::Done { record: Record::DisksSaved { disks } },
        (Direction::Undo, None) if !goes_back(call) => Probe::Done { record: Record::Nothing },
        // Where the disks are back already, the machine is only started.
        (Direction::Do, None) | (Direction::Undo, _) => Probe::NotDone,
    })
}
