//! Applying: which plan is meant, may it begin, begin it.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use patchyard_plan::{lint, unfinished};
use patchyard_types::{Action, Method, Plan, RolloutId, printable};

use crate::rollouts;
use crate::select::answers_to;
use crate::{Context, Error, Fleet, fleet, snapshots};

/// Fewer digits are taken for a name: `db` and `cafe` are good names.
const SHORTEST_PREFIX: usize = 4;

/// What an argument of `apply` means.
pub enum Meant {
    /// A stored plan.
    Plan(Box<Plan>),
    /// Names or globs of targets, or all of them: plan first.
    Targets,
}

/// Finds out what the arguments mean.
///
/// # Errors
/// When one could be both a plan and a target, or several plans.
pub async fn what_is_meant(context: &Context, names: &[String]) -> Result<Meant, Error> {
    let [name] = names else { return Ok(Meant::Targets) };
    if !could_be_a_plan(name) {
        return Ok(Meant::Targets);
    }
    let Some(plan) = find(context, name).await? else { return Ok(Meant::Targets) };
    // A plan needs no hosts to be found; only a name does, and a silent host could have it.
    let fleet = fleet::discover(context).await?;
    if fleet.targets.iter().any(|target| answers_to(target, name)) {
        let digest = plan.digest().short(12);
        return Err(Error::input(
            format!("'{name}' is a plan and a target"),
            format!("write --plan {digest} for the plan, or host/{name} for the target"),
        ));
    }
    Ok(Meant::Plan(Box::new(plan)))
}

/// Whether a plan's digest could start like that.
#[must_use]
pub fn could_be_a_plan(name: &str) -> bool {
    name.len() >= SHORTEST_PREFIX && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The plan whose digest starts with these digits.
///
/// # Errors
/// When there is none.
pub async fn plan_named(context: &Context, prefix: &str) -> Result<Plan, Error> {
    let shown = printable(prefix, 70);
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::input(format!("'{shown}' is not a plan's digest"), "patchyard plan"));
    }
    find(context, prefix)
        .await?
        .ok_or_else(|| Error::input(format!("there is no plan {shown}"), "patchyard plan makes one"))
}

async fn find(context: &Context, prefix: &str) -> Result<Option<Plan>, Error> {
    let prefix = prefix.to_ascii_lowercase();
    match &context.store.find_plans(&prefix).await?[..] {
        [] => Ok(None),
        [one] => Ok(context.store.load_plan(one).await?),
        several => {
            let shown: Vec<_> = several.iter().take(5).map(|digest| digest.short(12)).collect();
            Err(Error::input(
                format!("{} plans start with {prefix}: {}", several.len(), shown.join(", ")),
                "write more digits",
            ))
        }
    }
}

/// Begins a plan's rollout, without doing anything yet.
///
/// # Errors
/// When the plan is broken or empty, a host of it is out of reach, or a rollout that is not over, of this
/// controller or another one, has one of its targets in hand.
pub async fn begin(context: &Context, fleet: &Fleet, plan: &Plan) -> Result<RolloutId, Error> {
    let findings = lint(plan).into_iter().filter(|finding| finding.severity == lint::Severity::Error);
    if let Some(finding) = findings.into_iter().next() {
        let message = format!("plan {} is broken: {finding}", plan.digest().short(6));
        return Err(Error::input(message, "patchyard plan makes a new one"));
    }
    if plan.decisions.actions.is_empty() {
        return Err(Error::input("the plan has nothing to do", ""));
    }
    for action in &plan.decisions.actions {
        if fleet.provider(&action.host).is_none() {
            return Err(match fleet.unreachable.first() {
                Some(silent) => silent.error.clone().into(),
                None => patchyard_engine::EngineError::NoProvider { host: action.host.clone() }.into(),
            });
        }
    }
    refuse_what_is_in_hand(context, fleet, plan).await?;
    // The way back needs no room that has not been taken already, and must not lose the snapshot that it goes back to.
    let patched = plan.decisions.actions.iter().filter(|action| action.method != Method::Restore);
    snapshots::have_room(context, fleet, &patched.map(|action| &action.host).collect()).await?;
    Ok(context.engine(fleet.providers()).begin(plan, context.actor.clone()).await?)
}

/// A target that an open rollout has begun with is that rollout's until it is over.
async fn refuse_what_is_in_hand(context: &Context, fleet: &Fleet, plan: &Plan) -> Result<(), Error> {
    let actions = &plan.decisions.actions;
    let held = rollouts::in_hand(&*context.store, context.clock.now()).await?;
    if let Some(held) = actions.iter().flat_map(Action::disturbed).find_map(|target| held.get(target)) {
        return Err(held.refusal());
    }
    // What another controller has in hand is written on its targets, and nowhere here.
    let hosts: BTreeSet<_> = actions.iter().map(|action| &action.host).collect();
    let found = hosts.into_iter().filter_map(|host| fleet.provider(host)).map(|host| host.discover());
    let planned: BTreeSet<_> = actions.iter().flat_map(Action::disturbed).collect();
    for target in try_join_all(found).await?.iter().flatten().filter(|t| planned.contains(&t.id)) {
        if let Some(refusal) = unfinished(target) {
            let (name, why) = (printable(&target.name, 80), printable(&refusal.message, 400));
            return Err(Error::refused(format!("{name} is in other hands: {why}"), ""));
        }
    }
    Ok(())
}
