//! Reboot: the machine is started anew, where something asks for it or the plan says always. Its boot id tells that it was.

use std::time::Duration;

use patchyard_assess::needs::measures;
use patchyard_contract::{Command, Transport, TransportError};
use patchyard_guest::needs;
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
    if restart::boot_id(run.guest.transport()).await? == before {
        send(run).await;
    }
    comes_up(run.guest.transport(), before, TRY_AGAIN).await?;
    Ok(Record::Nothing)
}

async fn send(run: &Run<'_>) {
    run.note("starting it anew");
    let sent = run.guest.transport().run(Command::new(["sh", "-c", ANEW])).await;
    // It may well go down before it has answered.
    drop(sent.map_err(|error| trouble(error.into())));
}

/// Whether the patch has started it anew, and something of the way back comes true only when it is once more: what runs is
/// the newer kernel.
pub(super) async fn is_needed_again(run: &Run<'_>) -> Result<bool, StepError> {
    let Some(before) = wanted(run) else { return Ok(false) };
    // Else it was somebody else who did.
    let is_ours = matches!(run.action.reboot, Reboot::AsNeeded | Reboot::Always);
    if !is_ours || restart::boot_id(run.guest.transport()).await? == before {
        return Ok(false);
    }
    let needs = needs::ask(run.guest.transport()).await.map_err(trouble)?;
    Ok(!measures(&needs, Reboot::AsNeeded).reboot.is_empty())
}

/// Starts it anew where that is needed again.
pub(super) async fn on_the_way_back(run: &Run<'_>) -> Result<(), StepError> {
    if !is_needed_again(run).await? {
        return Ok(());
    }
    let before = restart::boot_id(run.guest.transport()).await?;
    send(run).await;
    comes_up(run.guest.transport(), &before, TRY_AGAIN).await
}

/// Waits for another boot; the step's own timeout ends this. A machine that comes up may answer and let nobody in yet, or not
/// know its users yet. Who shows another key than before may be another machine: waiting does not make it this one, and the
/// packages are not to blame.
async fn comes_up(transport: &dyn Transport, before: &str, pause: Duration) -> Result<(), StepError> {
    loop {
        match restart::told_boot_id(transport).await {
            Ok(Some(now)) if now != before => return Ok(()),
            Err(error @ (TransportError::HostChanged { .. } | TransportError::HostUnknown { .. })) => {
                return Err(trouble(error.into()));
            }
            Ok(_) | Err(_) => tokio::time::sleep(pause).await,
        }
    }
}

pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, StepError> {
    let Some(before) = wanted(run) else { return Ok(Probe::Done { record: Record::Nothing }) };
    let is_done = restart::boot_id(run.guest.transport()).await? != before;
    Ok(if is_done { Probe::Done { record: Record::Nothing } } else { Probe::NotDone })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use patchyard_contract::Output;
    use patchyard_types::FailureKind;

    use super::*;

    /// A machine on its way up: each question has its own answer, the last one first.
    struct Waking(Mutex<Vec<Result<Output, TransportError>>>);

    #[async_trait]
    impl Transport for Waking {
        fn host(&self) -> &str {
            "db01"
        }

        async fn run(&self, _: Command) -> Result<Output, TransportError> {
            let answer = self.0.lock().ok().and_then(|mut answers| answers.pop());
            answer.unwrap_or_else(|| panic!("asked again after it was up"))
        }
    }

    #[tokio::test]
    async fn a_machine_that_lets_nobody_in_yet_is_waited_for() {
        let host = || "db01".to_owned();
        let says =
            |code, text: &str| Ok(Output { code, stdout: text.as_bytes().to_vec(), stderr: Vec::new() });
        let mut answers = vec![
            says(0, "one\n"),
            Err(TransportError::Unreachable { host: host(), reason: "connection refused".to_owned() }),
            Err(TransportError::SudoPassword { host: host() }),
            says(1, ""),
            says(0, "two\n"),
        ];
        answers.reverse();
        let machine = Waking(Mutex::new(answers));
        comes_up(&machine, "one", Duration::ZERO).await.unwrap();
        assert!(machine.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_shows_another_key_is_not_waited_for() {
        let machine = Waking(Mutex::new(vec![Err(TransportError::HostChanged { host: "db01".to_owned() })]));
        match comes_up(&machine, "one", Duration::ZERO).await {
            Err(StepError::Failed(failure)) => assert_eq!(failure.kind, FailureKind::Host),
            other => panic!("{other:?}"),
        }
    }
}
