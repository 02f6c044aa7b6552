//! Restart: services that run on files that were replaced, as systemd does it. Sessions, programs that are nobody's
//! services, and services whose restart would cut the machine off are left alone.

use patchyard_assess::needs::{Measures, measures};
use patchyard_contract::{Command, Transport, TransportError};
use patchyard_guest::{GuestError, needs};
use patchyard_types::{FailureKind, Reboot, Record, StepError, printable};

use super::{Run, failed, trouble};

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    let transport = run.guest.transport();
    let needs = needs::ask(transport).await.map_err(trouble)?;
    let Measures { restart: services, reexecute_init, reboot, left: _ } = measures(&needs, run.action.reboot);
    if !services.is_empty() {
        run.note(format!("restarting {}", printable(&services.join(", "), 200)));
    }
    match needs::restart(transport, &services, reexecute_init).await {
        Ok(()) => {}
        Err(GuestError::Failed { program, words, .. }) => {
            return Err(failed(FailureKind::Check, format!("{program}: {words}")));
        }
        Err(error) => return Err(trouble(error)),
    }
    // Where the plan does not let it be started anew, what asks for it is on record all the same.
    let reboot = if reboot.is_empty() { needs.reboot } else { reboot };
    Ok(Record::Restarted { services, reboot, boot_id: boot_id(transport).await? })
}

/// What taking packages back restarts, where the plan restarts anything: never the machine itself.
pub(super) async fn on_the_way_back(run: &Run<'_>) -> Result<Measures, StepError> {
    if run.action.reboot == Reboot::Never {
        return Ok(Measures::default());
    }
    let needs = needs::ask(run.guest.transport()).await.map_err(trouble)?;
    Ok(measures(&needs, Reboot::ServicesOnly))
}

/// By which a machine is known until it is started anew.
const BOOT: &str = concat!(include_str!("../boot.sh"), "boot");

/// What [`BOOT`] says.
pub(super) async fn boot_id(transport: &dyn Transport) -> Result<String, StepError> {
    let told = told_boot_id(transport).await.map_err(|error| trouble(error.into()))?;
    told.ok_or_else(|| StepError::Unknown("the machine does not say which boot this is".to_owned()))
}

/// The same; nothing where it does not say. One that goes down may fail to start even this, and nothing must not pass for
/// another boot.
pub(super) async fn told_boot_id(transport: &dyn Transport) -> Result<Option<String>, TransportError> {
    let output = transport.run(Command::new(["sh", "-c", BOOT])).await?;
    let boot_id = printable(String::from_utf8_lossy(&output.stdout).trim(), 60);
    Ok((output.success() && !boot_id.is_empty()).then_some(boot_id))
}
