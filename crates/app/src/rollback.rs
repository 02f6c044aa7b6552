//! Rolling back by hand: a plan and a rollout of its own.

use patchyard_plan::glob;
use patchyard_plan::{Planned, Restoration, RestoreRequest, TagPolicy, restore};
use patchyard_types::{LeftOut, LeftOutReason, Method, Plan, RolloutId, RunEnd, Snapshot, printable};

use crate::plan::store_plan;
use crate::rollouts::{self, Rollout};
use crate::settings::{Overrides, settle};
use crate::timings::timings;
use crate::{Context, Error, Fleet, fleet};

/// A rollback that has been planned and stored.
pub struct RollbackReport {
    /// The plan; without actions when everything is as it was already.
    pub plan: Plan,
    /// The hosts and targets it was made from.
    pub fleet: Fleet,
}

/// Plans to put back what a rollout changed, or named targets to their newest snapshots.
///
/// # Errors
/// When there is no such rollout or snapshot, no host answers, or the store fails.
pub async fn plan_rollback(
    context: &Context,
    subjects: &[String],
    overrides: &Overrides,
) -> Result<RollbackReport, Error> {
    let all = rollouts::snapshots(&*context.store).await?;
    let rollout = match subjects {
        [one] => one.parse::<RolloutId>().ok(),
        _ => None,
    };
    let (snapshots, missing) = match rollout {
        Some(id) => of_rollout(context, id, &all).await?,
        None => (of_targets(subjects, &all)?, Vec::new()),
    };
    let fleet = fleet::discover(context).await?;
    let restorations = snapshots.into_iter().map(|snapshot| {
        let target = fleet.targets.iter().find(|target| target.id == snapshot.target);
        let settings = match target {
            Some(target) => settle(&context.config, overrides, target).settings,
            // It is gone: the planner leaves it out and says so.
            None => context.config.defaults.clone(),
        };
        Restoration { snapshot, settings }
    });
    let request = RestoreRequest {
        restorations: restorations.collect(),
        targets: fleet.targets.clone(),
        undoes: rollout,
        tags: if context.config.keep_tags { TagPolicy::Keep } else { TagPolicy::Move },
        timings: timings(&*context.store).await?,
        author: context.actor.0.clone(),
        at: context.clock.now(),
    };
    let Planned { mut plan, waits: _, filtered_out: _ } = restore(&request);
    plan.about.left_out.extend(missing);
    if !plan.decisions.actions.is_empty() {
        store_plan(context, &plan).await?;
    }
    Ok(RollbackReport { plan, fleet })
}

/// The snapshots that the succeeded runs of a rollout took, and the runs whose snapshot is gone.
async fn of_rollout(
    context: &Context,
    id: RolloutId,
    all: &[Snapshot],
) -> Result<(Vec<Snapshot>, Vec<LeftOut>), Error> {
    let rollout = Rollout::read(&*context.store, id).await?;
    if !rollout.phase.is_over() {
        let hint = format!("patchyard abort {id} takes back what is running");
        return Err(Error::refused(format!("{id} is not over"), hint));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (run, action) in rollout.runs() {
        let end = rollout.state.runs.get(run.action).and_then(patchyard_decide::rollout::RunSlot::end);
        if end != Some(RunEnd::Succeeded) {
            continue;
        }
        match all.iter().find(|snapshot| snapshot.run == run) {
            Some(snapshot) => found.push(snapshot.clone()),
            None => missing.push(LeftOut {
                target: action.target.clone(),
                name: action.name.clone(),
                reason: LeftOutReason::Unsolvable,
                detail: match action.method {
                    Method::Restore => "its snapshot is gone: it was a rollback itself".to_owned(),
                    Method::Layer | Method::Image => "its snapshot is gone".to_owned(),
                },
            }),
        }
    }
    if found.is_empty() && missing.is_empty() {
        return Err(Error::input(format!("{id} changed nothing that is still there"), ""));
    }
    Ok((found, missing))
}

/// The newest snapshot of each target with one of these names.
fn of_targets(names: &[String], all: &[Snapshot]) -> Result<Vec<Snapshot>, Error> {
    let mut found: Vec<Snapshot> = Vec::new();
    for name in names {
        let mut any = false;
        // Newest first: the first of a target is the one.
        for snapshot in all.iter().filter(|snapshot| glob::matches(name, &snapshot.name)) {
            any = true;
            if found.iter().all(|known| known.target != snapshot.target) {
                found.push(snapshot.clone());
            }
        }
        if !any {
            let message =
                format!("there is no rollout and no snapshot of a target '{}'", printable(name, 80));
            return Err(Error::input(message, "patchyard snapshots"));
        }
    }
    Ok(found)
}
