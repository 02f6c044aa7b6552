//! Hold: the original's restart policy becomes `no`, so that a restarted engine does not revive it
//! beside its replacement. Where the engine revives nobody of this policy (Podman), the policy stays.

use patchyard_types::{FailureKind, Probe, Record};

use super::{Container, Run, Trouble, done_if, failed, gone};
use crate::client::ApiError;

/// The policy of a container that nobody but us starts.
const HELD: &str = "no";

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    let policy = own_policy(run, &old).await?;
    if run.is_revived(&old.restart_policy().0) {
        run.set_restart_policy(old.id(), &(HELD.to_owned(), 0)).await?;
    }
    // Started first, nobody looks at it any more: an engine that was restarted since its stop has revived it.
    if run.is_start_first() && old.is_up() {
        run.somebody_else_serves().await?;
        run.stop(old.id()).await?;
    }
    Ok(Record::Held { policy: policy.0, retries: policy.1, dependents: Vec::new() })
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    // Any other policy than `no` is not one that we have set.
    if old.restart_policy().0 == HELD {
        let policy = match run.held() {
            Some(policy) => policy,
            None => own_policy(run, &old).await?,
        };
        if policy.0 != HELD {
            run.set_restart_policy(old.id(), &policy).await?;
        }
    }
    let policy = run.client().container(old.id()).await?.map(|old| old.restart_policy());
    match run.held() {
        Some(held) if policy.as_ref() != Some(&held) => Err(failed(
            FailureKind::Host,
            format!("the engine did not take back the restart policy {} of {}", held.0, old.shown()),
        )),
        _ => Ok(Record::Nothing),
    }
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    let Some(old) = run.old().await? else { return Ok(gone()) };
    let now = old.restart_policy();
    let own = own_policy(run, &old).await?;
    Ok(match undone {
        true => done_if(now == run.held().unwrap_or(own)),
        false if !run.is_revived(&now.0) => {
            Probe::Done { record: Record::Held { policy: own.0, retries: own.1, dependents: Vec::new() } }
        }
        false => Probe::NotDone,
    })
}

/// The policy the original had: its replacement was created with it, and keeps it when a crash has
/// lost the record.
async fn own_policy(run: &Run<'_>, old: &Container) -> Result<(String, u64), ApiError> {
    let now = old.restart_policy();
    if now.0 != HELD {
        return Ok(now);
    }
    Ok(run.new_container().await?.map_or(now, |new| new.restart_policy()))
}
