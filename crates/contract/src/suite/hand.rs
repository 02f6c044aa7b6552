//! A run that is driven by hand, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patchyard_types::{Direction, Plan, Probe, Record, RolloutId, RunId, Step, StepError};

use crate::{Call, Provider};

/// The run of a plan's first action.
pub(super) struct Hand {
    pub provider: Arc<dyn Provider>,
    pub plan: Arc<Plan>,
    pub rollout: u64,
    pub records: BTreeMap<Step, Record>,
    pub given_up: BTreeSet<Step>,
}

impl Hand {
    pub fn new(provider: Arc<dyn Provider>, plan: Arc<Plan>, rollout: u64) -> Self {
        Self { provider, plan, rollout, records: BTreeMap::new(), given_up: BTreeSet::new() }
    }

    pub fn call(&self, step: impl Into<Step>, direction: Direction) -> Call {
        Call {
            run: RunId { rollout: RolloutId(self.rollout), action: 0 },
            step: step.into(),
            direction,
            plan: Arc::clone(&self.plan),
            records: self.records.clone(),
            given_up: self.given_up.clone(),
            source: None,
            progress: None,
            dependent: None,
        }
    }

    pub async fn try_to(&mut self, step: impl Into<Step>, direction: Direction) -> Result<(), StepError> {
        let step = step.into();
        let record = self.provider.perform(&self.call(step, direction)).await?;
        if direction == Direction::Do {
            self.records.insert(step, record);
        }
        Ok(())
    }

    pub async fn doing(&mut self, step: impl Into<Step>) {
        let step = step.into();
        let outcome = self.try_to(step, Direction::Do).await;
        assert!(outcome.is_ok(), "do {step}: {outcome:?}");
    }

    pub async fn undoing(&mut self, step: impl Into<Step>) {
        let step = step.into();
        let outcome = self.try_to(step, Direction::Undo).await;
        assert!(outcome.is_ok(), "undo {step}: {outcome:?}");
    }

    pub async fn probing(&self, step: impl Into<Step>, direction: Direction) -> Probe {
        let step = step.into();
        match self.provider.probe(&self.call(step, direction)).await {
            Ok(probe) => probe,
            Err(error) => panic!("probe {step}: {error}"),
        }
    }
}
