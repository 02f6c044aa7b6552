//! Restart: services that run on files that were replaced, as systemd does it. Sessions and programs that are nobody's
//! services are left alone.

use patchyard_contract::Command;
use patchyard_guest::{GuestError, needs};
use patchyard_types::{FailureKind, Record, StepError, printable};

use super::{Run, failed, trouble};

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    let transport = run.guest.transport();
    let needs = needs::ask(transport).await.map_err(trouble)?;
    let services: Vec<String> = needs.services.keys().cloned().collect();
    if !services.is_empty() {
        run.note(format!("restarting {}", printable(&services.join(", "), 200)));
    }
    match needs::restart(transport, &services, needs.init).await {
        Ok(()) => {}
        Err(GuestError::Failed { program, words, .. }) => {
            return Err(failed(FailureKind::Check, format!("{program}: {words}")));
        }
        Err(error) => return Err(trouble(error)),
    }
    Ok(Record::Restarted { services, reboot: needs.reboot, boot_id: boot_id(run).await? })
}

/// By which the kernel is known until the machine is started anew.
pub(super) async fn boot_id(run: &Run<'_>) -> Result<String, StepError> {
    let command = Command::new(["cat", "/proc/sys/kernel/random/boot_id"]);
    let output = run.guest.transport().run(command).await.map_err(|error| trouble(error.into()))?;
    Ok(printable(String::from_utf8_lossy(&output.stdout).trim(), 60))
}
