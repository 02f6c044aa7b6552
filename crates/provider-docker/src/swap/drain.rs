//! Drain: whoever sends the original work finds out that it is going: a command in it, and a wait.

use std::time::Duration;

use patchyard_types::{FailureKind, Record, SwapStep, printable};

use super::{Container, Run, Trouble, failed, preflight};
use crate::client::{ApiError, Exec};

/// How much of the command's output is kept: its last words say why it failed.
const OUTPUT: usize = 16 * 1024;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if !old.is_up() {
        return Ok(Record::Nothing);
    }
    // As before the stop: what a person has changed since is left alone.
    preflight::is_as_planned(run, &old)?;
    run.somebody_else_serves().await?;
    run.note("draining", None);
    tell(run, &old).await?;
    wait(run).await;
    Ok(Record::Drained { since: since(&old) })
}

/// Nobody else knows how to take back what the command has told it: a restart does. One that has been started since
/// is not drained any more.
pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let Some(old) = run.old().await? else { return Ok(Record::Nothing) };
    let was_told = match run.record(SwapStep::Drain) {
        Some(Record::Drained { since: told }) => *told == since(&old),
        Some(_) => false,
        // It may have been. Whom nobody would stand in for, or whom a person has changed, is left to whoever confirms.
        None => run.somebody_else_serves().await.is_ok() && preflight::is_as_planned(run, &old).is_ok(),
    };
    if run.action.drain.command.is_empty() || !old.is_up() || !was_told {
        return Ok(Record::Nothing);
    }
    // Start-first the name has just moved, and who knows the old address still sends requests to it.
    if run.is_start_first() && run.record(SwapStep::Drain).is_none() {
        wait(run).await;
    }
    let limit = run.action.timeouts.step.as_duration();
    run.client().post(&["containers", old.id(), "restart"]).timeout(limit).done().await?;
    Ok(Record::Nothing)
}

/// Drains the replacement before it is taken out of service again. It may be broken: what it says does not count.
pub(super) async fn replacement(run: &Run<'_>, new: &Container) {
    if run.action.drain.is_nothing() {
        return;
    }
    run.note("draining the replacement", None);
    let _ = tell(run, new).await;
    wait(run).await;
}

/// Runs the command in a container, as the container's own user.
async fn tell(run: &Run<'_>, container: &Container) -> Result<(), Trouble> {
    let argv: Vec<&str> = run.action.drain.command.iter().map(String::as_str).collect();
    let Some(program) = argv.first() else { return Ok(()) };
    let program = printable(program, 100);
    let limit = run.action.timeouts.step.as_duration();
    let exec = Exec { timeout: limit, limit: OUTPUT, ..Exec::new(&argv) };
    let output = run.client().exec(container.id(), &exec).await.map_err(|error| match error {
        ApiError::Timeout { .. } => failed(
            FailureKind::Timeout,
            format!("its drain command {program} did not end within {}", run.action.timeouts.step),
        ),
        error => error.into(),
    })?;
    if output.exit == 0 {
        return Ok(());
    }
    let words = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let last = String::from_utf8_lossy(words).trim_end().rsplit('\n').next().unwrap_or_default().to_owned();
    Err(failed(
        FailureKind::Host,
        format!("its drain command {program} exited with {}: {}", output.exit, printable(&last, 200)),
    ))
}

async fn wait(run: &Run<'_>) {
    tokio::time::sleep(Duration::from_millis(run.action.drain.wait.0)).await;
}

/// Since when a container has been running: another moment, another process.
fn since(container: &Container) -> String {
    container.0["State"]["StartedAt"].as_str().unwrap_or_default().to_owned()
}
