//! Rolling back by hand: a plan and a rollout of its own.

use std::collections::BTreeMap;

use patchyard_plan::glob;
use patchyard_plan::{Planned, Restoration, RestoreRequest, TagPolicy, restore};
use patchyard_types::{
    Data, LeftOut, LeftOutReason, Method, Plan, RolloutId, RunEnd, RunId, Snapshot, TargetId, printable,
};

use crate::dependents::{Dependents, guests};
use crate::plan::store_plan;
use crate::rollouts::{self, LastRun, Rollout};
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

/// Plans to put back what a rollout changed, named targets to where they were before their last patch, or
/// named runs to the snapshots that they took.
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
    let Chosen { snapshots, missing, notes } = match rollout {
        Some(id) => of_rollout(context, id, &all).await?,
        None => of_targets(context, subjects, all).await?,
    };
    let fleet = fleet::discover(context).await?;
    let dependents = Dependents {
        context,
        fleet: &fleet,
        overrides,
        spared: &[],
        guests: guests(&fleet.targets),
        held: rollouts::in_hand(&*context.store, context.clock.now()).await?,
    };
    let mut restorations = Vec::new();
    for snapshot in snapshots {
        let target = fleet.targets.iter().find(|target| target.id == snapshot.target);
        let (settings, dependents) = match target {
            Some(target) => {
                (settle(&context.config, overrides, target).settings, dependents.of(target).await)
            }
            // It is gone: the planner leaves it out and says so.
            None => (context.config.defaults.clone(), Vec::new()),
        };
        restorations.push(Restoration { snapshot, settings, dependents });
    }
    let request = RestoreRequest {
        restorations,
        targets: fleet.targets.clone(),
        undoes: rollout,
        keep_data: overrides.data == Some(Data::Keep),
        tags: if context.config.keep_tags { TagPolicy::Keep } else { TagPolicy::Move },
        timings: timings(&*context.store).await?,
        author: context.actor.0.clone(),
        at: context.clock.now(),
    };
    let Planned { mut plan, waits: _, filtered_out: _ } = restore(&request);
    plan.about.left_out.extend(missing);
    plan.about.notes.extend(notes);
    if !plan.decisions.actions.is_empty() {
        store_plan(context, &plan).await?;
    }
    Ok(RollbackReport { plan, fleet })
}

/// The snapshots that the succeeded runs of a rollout took, and the runs whose snapshot is gone.
async fn of_rollout(context: &Context, id: RolloutId, all: &[Snapshot]) -> Result<Chosen, Error> {
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
                    Method::Layer | Method::Image | Method::Packages => "its snapshot is gone".to_owned(),
                },
            }),
        }
    }
    if found.is_empty() && missing.is_empty() {
        return Err(Error::input(format!("{id} changed nothing that is still there"), ""));
    }
    Ok(Chosen { snapshots: found, missing, notes: Vec::new() })
}

/// For each target with one of these names, the snapshot that its last patch left behind; for the
/// name of a run, the snapshot which that run took.
async fn of_targets(context: &Context, names: &[String], all: Vec<Snapshot>) -> Result<Chosen, Error> {
    let held = rollouts::in_hand(&*context.store, context.clock.now()).await?;
    let last = rollouts::last_successes(&*context.store).await?;
    let mut chosen = Chosen::default();
    for name in names {
        if let Ok(run) = name.parse::<RunId>() {
            let snapshot = all.iter().find(|snapshot| snapshot.run == run);
            let Some(snapshot) = snapshot else {
                return Err(Error::input(format!("there is no snapshot {run}"), "patchyard snapshots"));
            };
            if let Some(held) = held.get(&snapshot.target) {
                return Err(held.refusal());
            }
            chosen.snapshots.push(snapshot.clone());
            continue;
        }
        // What its last patch is, is not decided yet.
        if let Some(held) = held.values().find(|held| glob::matches(name, &held.name)) {
            return Err(held.refusal());
        }
        let mut named: BTreeMap<&TargetId, &Snapshot> = BTreeMap::new();
        for snapshot in all.iter().filter(|snapshot| glob::matches(name, &snapshot.name)) {
            named.entry(&snapshot.target).or_insert(snapshot);
        }
        if named.is_empty() {
            let message =
                format!("there is no rollout and no snapshot of a target '{}'", printable(name, 80));
            return Err(Error::input(message, "patchyard snapshots"));
        }
        for (target, newest) in named {
            chosen.back_one_patch(target, newest, last.get(target), &all);
        }
    }
    Ok(chosen)
}

/// What a rollback goes back to, and why not the rest.
#[derive(Default)]
struct Chosen {
    snapshots: Vec<Snapshot>,
    missing: Vec<LeftOut>,
    notes: Vec<String>,
}

impl Chosen {
    /// Chooses the snapshot that takes a target's last patch back. One that a rollback took is none:
    /// it would bring the patch again.
    fn back_one_patch(
        &mut self,
        target: &TargetId,
        newest: &Snapshot,
        last: Option<&LastRun>,
        all: &[Snapshot],
    ) {
        let name = &newest.name;
        let Some(last) = last else {
            // The run that took it ended otherwise after all: a person closed it, or took it back.
            self.missing.push(LeftOut {
                target: target.clone(),
                name: name.clone(),
                reason: LeftOutReason::Unsolvable,
                detail: format!(
                    "no run of it has succeeded, so there is no patch to take back; patchyard rollback {} goes \
                     back to the snapshot that this run took all the same",
                    newest.run
                ),
            });
            return;
        };
        let snapshot = last.in_effect.last().map(|run| (run, all.iter().find(|s| s.run == *run)));
        match snapshot {
            Some((_, Some(snapshot))) => {
                if self.snapshots.iter().all(|known| known.id != snapshot.id) {
                    self.snapshots.push(snapshot.clone());
                }
            }
            Some((run, None)) => self.missing.push(LeftOut {
                target: target.clone(),
                name: name.clone(),
                reason: LeftOutReason::Unsolvable,
                detail: format!(
                    "the snapshot of its last patch ({run}) is gone; patchyard snapshots {name} shows the others, \
                     and each can be named"
                ),
            }),
            None => self.notes.push(format!(
                "{name} was put back already; patchyard rollback {} undoes that",
                last.run
            )),
        }
    }
}
