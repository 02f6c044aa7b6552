//! Reboot: the machine is started anew, where something asks for it or the plan says always. Its boot id tells that it was.

use std::time::Duration;

use patchyard_contract::Command;
use patchyard_types::{MachineStep, Probe, Reboot, Record, Step, StepError};

use super::{Run, restart, trouble};

/// Between two tries to reach it.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// In the background and a little later: the answer to this call must get through.
const ANEW: &str = "if [ -d /run/systemd/system ]; then systemctl --no-block reboot; else (sleep 1; reboot) >/dev/null 2>&1 </dev/null & fi";

/// Whether it has to be done at all, and the boot id before.
fn wanted<'a>(run: &'a Run<'_>) -> Option<&'a str> {
    let record = run.call.records.get(&Step::Machine(MachineStep::Restart));
    let Some(Record::Restarted { reboot, boot_id, .. }) = record else { return None };
    let asked = run.action.reboot == Reboot::Always || !reboot.is_empty();
    asked.then_some(boot_id.as_str())
}

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    let Some(before) = wanted(run) else { return Ok(Record::Nothing) };
    if restart::boot_id(run).await? == before {
        run.note("starting it anew");
        let sent = run.guest.transport().run(Command::new(["sh", "-c", ANEW])).await;
        // It may well go down before it has answered.
        drop(sent.map_err(|error| trouble(error.into())));
    }
    // The step's own timeout ends this.
    loop {
        match restart::boot_id(run).await {
            Ok(now) if now != before && !now.is_empty() => return Ok(Record::Nothing),
            Ok(_) | Err(StepError::Unknown(_)) => tokio::time::sleep(TRY_AGAIN).await,
            Err(error) => return Err(error),
        }
    }
}

pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, StepError> {
    let Some(before) = wanted(run) else { return Ok(Probe::Done { record: Record::Nothing }) };
    let is_done = restart::boot_id(run).await? != before;
    Ok(if is_done { Probe::Done { record: Record::Nothing } } else { Probe::NotDone })
}
