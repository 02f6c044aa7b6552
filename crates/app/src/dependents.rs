//! What the planner has to know of those who are made again with a target: they live in its namespaces.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use patchyard_plan::DependentTarget;
use patchyard_types::{Refusal, Target, TargetId, Unsaved, printable};

use crate::rollouts::{self, InHand};
use crate::select::answers_to;
use crate::settings::{Overrides, settle};
use crate::{Context, Fleet};

/// How the dependents of targets are found out about.
pub(crate) struct Dependents<'a> {
    pub context: &'a Context,
    pub fleet: &'a Fleet,
    pub overrides: &'a Overrides,
    /// Names that were said to be spared.
    pub spared: &'a [String],
    /// Everybody who lives in the namespaces of others, selected or not.
    pub guests: Vec<&'a Target>,
    /// What open rollouts have in hand.
    pub held: BTreeMap<TargetId, InHand>,
}

impl Dependents<'_> {
    /// Those of one target, in their order.
    pub async fn of(&self, target: &Target) -> Vec<DependentTarget> {
        let found = patchyard_plan::dependents(target, self.guests.iter().copied());
        join_all(found.into_iter().map(|dependent| self.know(dependent.clone()))).await
    }

    async fn know(&self, mut target: Target) -> DependentTarget {
        let settled = settle(&self.context.config, self.overrides, &target);
        target.refusals.extend(settled.refusals);
        if let Some(held) = self.held.get(&target.id) {
            target.refusals.push(in_hand(held));
        }
        let unsaved = match self.fleet.provider(&target.host) {
            // A target that is refused may not be readable, and need not be.
            Some(provider) if target.refusals.is_empty() => {
                provider.unsaved(&target).await.map_err(|error| {
                    let error = printable(&error.to_string(), 400);
                    format!("what it has written cannot be read: {error}")
                })
            }
            _ => Ok(Unsaved::default()),
        };
        let spared = self.spared.iter().any(|name| answers_to(&target, name));
        DependentTarget { target, settings: settled.settings, excluded: settled.excluded || spared, unsaved }
    }
}

/// Those of all targets who live in the namespaces of others: few, of however many.
pub(crate) fn guests(everyone: &[Target]) -> Vec<&Target> {
    everyone.iter().filter(|target| !target.lives_in.is_empty()).collect()
}

/// Why nobody touches a target that an open rollout has in hand.
pub(crate) fn in_hand(held: &InHand) -> Refusal {
    let next = rollouts::what_next(held.rollout, held.phase);
    let message = format!("{} is not finished with it: {next}", held.rollout);
    Refusal { code: "in_hand".to_owned(), message }
}
