//! Plans for the simulated host, made by the real planner from what discovery and asking found.

use std::collections::BTreeMap;

use patchyard_contract::{Ask, Clock, Provider, ProviderError};
use patchyard_plan::{Candidate, DependentTarget, PatchFilter, PlanRequest, TagPolicy};
use patchyard_types::{
    Assessment, Budget, Data, Plan, Quarantine, QuarantineId, Settings, Unsaved, WritableLayer,
};

/// How much may be down, and how much may fail.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one service, at the same time.
    pub max_unavailable: Budget,
    /// Of the whole rollout.
    pub max_failures: Budget,
}

impl Default for Limits {
    /// What happens without any configuration.
    fn default() -> Self {
        let Settings { max_unavailable, max_failures, .. } = Settings::default();
        Self { max_unavailable, max_failures }
    }
}

/// Plans for every target the provider finds.
///
/// # Errors
/// When the simulated host does not answer.
pub async fn plan(
    provider: &dyn Provider,
    clock: &dyn Clock,
    limits: Limits,
    quarantine: Vec<(QuarantineId, Quarantine)>,
) -> Result<Plan, ProviderError> {
    let settings = Settings {
        max_unavailable: limits.max_unavailable,
        max_failures: limits.max_failures,
        writable_layer: WritableLayer::Carry,
        data: Data::Restore,
        ..Settings::default()
    };
    let mut candidates = Vec::new();
    let everyone = provider.discover().await?;
    for target in everyone.clone() {
        let inventory = provider.inventory(&target).await?;
        let pending = provider.pending(&target, &inventory, &Ask::default()).await?;
        candidates.push(Candidate {
            narrowed: false,
            unsaved: provider.unsaved(&target).await?,
            starting: Some(inventory.starting),
            assessment: Assessment::Assessed { at: clock.now(), pending },
            carried: None,
            image_update: Ok(None),
            settings: settings.clone(),
            excluded: false,
            dependents: patchyard_plan::dependents(&target, &everyone)
                .into_iter()
                .map(|dependent| DependentTarget {
                    target: dependent.clone(),
                    settings: settings.clone(),
                    excluded: false,
                    unsaved: Ok(Unsaved::default()),
                })
                .collect(),
            target,
        });
    }
    let request = PlanRequest {
        candidates,
        others: Vec::new(),
        filter: PatchFilter::default(),
        quarantine,
        tags: TagPolicy::Move,
        timings: BTreeMap::new(),
        author: "simulation".into(),
        at: clock.now(),
    };
    Ok(patchyard_plan::plan(&request).plan)
}
