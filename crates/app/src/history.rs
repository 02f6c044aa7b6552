//! History: past rollouts, newest first.

use jiff::Timestamp;
use patchyard_decide::rollout::RunSlot;
use patchyard_types::{Actor, PlanDigest, RolloutId, RunEnd};

use crate::rollouts::{Phase, Rollout};
use crate::{Context, Error};
use patchyard_plan::glob;

/// A rollout in one line.
pub struct Past {
    /// Its number.
    pub id: RolloutId,
    /// Its plan.
    pub plan: PlanDigest,
    /// The rollout it took back.
    pub undoes: Option<RolloutId>,
    /// What it is doing, or how it ended.
    pub phase: Phase,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who said yes.
    pub by: Option<Actor>,
    /// How its runs ended.
    pub ends: Vec<Option<RunEnd>>,
}

impl Past {
    /// How many of its runs ended so.
    #[must_use]
    pub fn count(&self, end: RunEnd) -> usize {
        self.ends.iter().filter(|found| **found == Some(end)).count()
    }
}

/// The newest rollouts, at most `limit` of those that touched targets with these names or globs.
///
/// # Errors
/// When the store cannot be read.
pub async fn history(context: &Context, names: &[String], limit: usize) -> Result<Vec<Past>, Error> {
    let mut past = Vec::new();
    for id in context.store.rollouts().await?.into_iter().rev() {
        if past.len() == limit {
            break;
        }
        let rollout = Rollout::read(&*context.store, id).await?;
        let touched = |name: &String| rollout.runs().any(|(_, action)| glob::matches(name, &action.name));
        if names.is_empty() || names.iter().any(touched) {
            past.push(line(rollout));
        }
    }
    Ok(past)
}

fn line(rollout: Rollout) -> Past {
    let Rollout { id, plan, state, phase } = rollout;
    Past {
        id,
        plan: plan.digest(),
        undoes: plan.about.undoes,
        phase,
        started_at: state.started_at,
        ended_at: state.ended_at,
        by: state.by,
        ends: state.runs.iter().map(RunSlot::end).collect(),
    }
}
