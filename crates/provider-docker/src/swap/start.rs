//! Start: the replacement.

use patchyard_types::{FailureKind, Probe, Record};

use super::{Run, Trouble, done_if, drain, failed, judge};
use crate::client::ApiError;
use crate::save;

/// What is said when the replacement is not there any more.
pub(crate) const REPLACEMENT_GONE: &str = "its replacement was removed by somebody else";

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let new = run.new_container().await?;
    let new = new.ok_or_else(|| failed(FailureKind::Host, REPLACEMENT_GONE))?;
    // One that was started and has ended is not started again: verifying will see it.
    if new.was_started() {
        return Ok(Record::Nothing);
    }
    // An engine that was restarted may have revived it, and a person may have been mistaken.
    if !run.is_start_first() && run.old().await?.is_some_and(|old| old.is_up()) {
        return Err(failed(
            FailureKind::Host,
            "the original runs again, and two must not run beside each other",
        ));
    }
    save::end_copying(run).await;
    let Err(error) = run.start(new.id()).await else { return Ok(Record::Nothing) };
    let ApiError::Status { message, .. } = &error else { return Err(judge(&error).into()) };
    match run.client().container(new.id()).await {
        Ok(Some(new)) if new.is_up() => Ok(Record::Nothing),
        Ok(Some(_)) => Err(failed(blame(message), format!("it could not be started: {message}"))),
        Ok(None) => Err(failed(FailureKind::Host, REPLACEMENT_GONE)),
        Err(unreachable) => Err(judge(&unreachable).into()),
    }
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let Some(new) = run.new_container().await? else { return Ok(Record::Nothing) };
    if new.is_up() {
        if run.is_start_first() {
            if run.old().await?.is_none_or(|old| !old.is_up()) {
                return Err(failed(
                    FailureKind::Host,
                    "the original does not run, and nobody else would serve",
                ));
            }
            drain::replacement(run, &new).await;
        }
        run.stop(new.id()).await?;
    }
    // A restarted engine must not revive it beside the original, who has its own policy by now, or on record.
    if (run.is_start_first() || run.held().is_some()) && run.is_revived(&new.restart_policy().0) {
        run.set_restart_policy(new.id(), &("no".to_owned(), 0)).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    let new = run.new_container().await?;
    Ok(match (undone, new) {
        (true, new) => done_if(!new.is_some_and(|new| new.is_up())),
        (false, Some(new)) => done_if(new.was_started()),
        (false, None) => {
            Probe::Failed { failure: patchyard_types::Failure::new(FailureKind::Host, REPLACEMENT_GONE) }
        }
    })
}

/// Whom an engine's refusal to start a container speaks against, by its words: what it says of the
/// host first, then what it says of the program in the image.
fn blame(message: &str) -> FailureKind {
    const HOST: [&str; 14] = [
        "port is already allocated",
        "address already in use",
        "cannot assign requested address",
        "driver failed programming external connectivity",
        "failed to create endpoint",
        "could not find an available",
        "failed to set up container networking",
        "error while mounting volume",
        "bind source path does not exist",
        "unable to apply cgroup configuration",
        "cannot allocate memory",
        "resource temporarily unavailable",
        "too many open files",
        "context canceled",
    ];
    const IMAGE: [&str; 10] = [
        "oci runtime create failed",
        "oci runtime attempted to invoke a command",
        "failed to create task",
        "failed to create shim task",
        "starting container process caused",
        "executable file not found",
        "exec format error",
        "unable to find user",
        "unable to find group",
        "no command specified",
    ];
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if message.contains("no space left on device") {
        FailureKind::NoSpace
    } else if says(&HOST) {
        FailureKind::Host
    } else if says(&IMAGE) {
        FailureKind::Check
    } else {
        FailureKind::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row: an engine's words (Docker 20.10 to 28, Podman 4.3), and whom they speak against.
    #[test]
    fn a_program_that_cannot_run_is_the_patchs_doing_and_a_taken_port_is_not() {
        let table = [
            (
                "driver failed programming external connectivity on endpoint web (3f): Bind for 0.0.0.0:80 failed: port is already allocated",
                FailureKind::Host,
            ),
            (
                "driver failed programming external connectivity on endpoint web: Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                FailureKind::Host,
            ),
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/usr/sbin/nginx\": stat /usr/sbin/nginx: no such file or directory: unknown",
                FailureKind::Check,
            ),
            (
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"x\": executable file not found in $PATH: unknown",
                FailureKind::Check,
            ),
            ("unable to find user app: no matching entries in passwd file", FailureKind::Check),
            // Podman's.
            (
                "runc: runc create failed: unable to start container process: exec: \"x\": stat x: no such file or directory: OCI runtime attempted to invoke a command that was not found",
                FailureKind::Check,
            ),
            ("rootlessport listen tcp 127.0.0.1:80: bind: address already in use", FailureKind::Host),
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: unable to apply cgroup configuration: mkdir: unknown",
                FailureKind::Host,
            ),
            (
                "error creating overlay mount to /var/lib/docker: no space left on device",
                FailureKind::NoSpace,
            ),
            ("network 20252b8eb271 not found", FailureKind::Host),
            ("something nobody has seen", FailureKind::Host),
        ];
        for (message, kind) in table {
            assert_eq!(blame(message), kind, "{message}");
        }
    }
}
