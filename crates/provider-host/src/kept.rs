//! Machines that somebody keeps: what their snapshots are called, and what their silence means. One that does not answer any more is
//! broken where its keeper answers, and waited for where that does not either.

use std::time::{Duration, Instant};

use patchyard_contract::{Command, Keeper, KeeperError, ProviderError, TransportError};
use patchyard_types::{Action, Failure, FailureKind, ObjectName, RunId, StepError};

use crate::HostProvider;
use crate::patch::failed;

/// Between two tries to reach it.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// The least that a machine may be silent: its agent or its network may be restarted.
const LEAST: Duration = Duration::from_secs(30);

/// What becomes of a machine that has not answered.
pub(crate) enum Silence {
    /// It answers again.
    Over,
    /// Nobody knows: its keeper does not answer either, or nobody keeps it.
    Unknown,
    /// Its keeper answers, and it does not: why. That it does not run says nothing about what was changed in it.
    Broken(Failure),
}

/// How long a machine may be silent, as its action says.
pub(crate) fn patience(action: &Action) -> Duration {
    action.timeouts.healthy.as_duration().max(LEAST)
}

/// Waits for a machine that has not answered.
pub(crate) async fn silence(host: &HostProvider, limit: Duration) -> Silence {
    let Some(kept) = &host.options.kept else { return Silence::Unknown };
    let began = Instant::now();
    loop {
        if answers(host).await {
            return Silence::Over;
        }
        match kept.keeper.is_running().await {
            Err(_) => return Silence::Unknown,
            // A machine that is started anew may be off for a moment.
            Ok(false) if began.elapsed() >= LEAST => {
                return Silence::Broken(Failure::new(FailureKind::Host, "it does not run any more"));
            }
            Ok(true) if began.elapsed() >= limit => {
                let words = format!("it runs, and nothing inside has answered for {} s", limit.as_secs());
                return Silence::Broken(Failure::new(FailureKind::Check, words));
            }
            Ok(_) => {}
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Whether somebody is there: whoever refuses is.
async fn answers(host: &HostProvider) -> bool {
    let asked = host.transport.run(Command::new(["true"])).await;
    !matches!(asked, Err(TransportError::Unreachable { .. } | TransportError::TimedOut { .. }))
}

/// Starts a machine that somebody has powered off, and waits until it answers.
pub(crate) async fn wake(host: &HostProvider, action: &Action) -> Result<(), StepError> {
    let Some(kept) = &host.options.kept else { return Ok(()) };
    if kept.keeper.is_running().await.map_err(trouble)? {
        return Ok(());
    }
    kept.keeper.start().await.map_err(trouble)?;
    // Whoever goes on finds out what it is worth.
    let _ = silence(host, patience(action)).await;
    Ok(())
}

/// What the snapshots of a controller's runs are called, the run's own part left out.
pub(crate) fn prefix(controller: &str) -> String {
    let controller: String = controller.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("patchyard-{}-", controller.to_lowercase())
}

/// What the snapshot of a run is called: `patchyard-1a2b3c4d-r12.3`, with the first eight letters and digits of the
/// controller's id.
pub(crate) fn name(controller: &str, run: RunId) -> ObjectName {
    ObjectName::new(format!("{}{run}", prefix(controller)).to_lowercase())
}

/// Who keeps it.
pub(crate) fn keeper(host: &HostProvider) -> Result<&dyn Keeper, StepError> {
    match &host.options.kept {
        Some(kept) => Ok(&*kept.keeper),
        None => Err(failed(
            FailureKind::Precondition,
            "nobody is known any more who could take a snapshot of its disks: plan again",
        )),
    }
}

/// What a keeper's error means for a step.
pub(crate) fn trouble(error: KeeperError) -> StepError {
    match error {
        KeeperError::Unreachable(reason) => StepError::Unknown(reason),
        KeeperError::NoSpace(reason) => failed(FailureKind::NoSpace, reason),
        KeeperError::Refused(reason) => failed(FailureKind::Host, reason),
    }
}

/// Removes the snapshot of a run; what was written since stays.
pub(crate) async fn forget(host: &HostProvider, name: &str) -> Result<(), ProviderError> {
    keeper_of(host, name)?.forget(name).await.map_err(|error| no_answer(host, error))
}

/// The bytes that the snapshot of a run takes.
pub(crate) async fn takes(host: &HostProvider, name: &str) -> Result<Option<u64>, ProviderError> {
    keeper_of(host, name)?.takes(name).await.map_err(|error| no_answer(host, error))
}

/// Whoever has that snapshot.
fn keeper_of<'a>(host: &'a HostProvider, name: &str) -> Result<&'a dyn Keeper, ProviderError> {
    match &host.options.kept {
        Some(kept) => Ok(&*kept.keeper),
        None => Err(ProviderError::NoAnswer {
            reason: format!("{name} is with who keeps the machine, who is not in the configuration any more"),
            hint: "name its libvirt or its Incus under hosts".to_owned(),
        }),
    }
}

/// What a keeper's error means for a question.
pub(crate) fn no_answer(host: &HostProvider, error: KeeperError) -> ProviderError {
    match error {
        KeeperError::Unreachable(reason) => {
            ProviderError::Unreachable { host: host.options.name.clone(), reason }
        }
        KeeperError::NoSpace(reason) | KeeperError::Refused(reason) => {
            ProviderError::NoAnswer { reason, hint: String::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_snapshot_is_found_again_by_the_run() {
        let name = name("1A2b-3c4d-eeee", "R12.3".parse().unwrap());
        assert_eq!(name.as_str(), "patchyard-1a2b3c4d-r12.3");
    }
}
