//! Plans for the simulated host, made by the real planner from what discovery and asking found.

use std::collections::BTreeMap;

use patchyard_contract::{Ask, Clock, Provider, ProviderError};
use patchyard_plan::{Candidate, PatchFilter, PlanRequest, TagPolicy};
use patchyard_types::{Assessment, Budget, Plan, Settings, WritableLayer};

/// Plans for every target the provider finds.
///
/// # Errors
/// When the simulated host does not answer.
pub async fn plan(
    provider: &dyn Provider,
    clock: &dyn Clock,
    max_failures: Budget,
) -> Result<Plan, ProviderError> {
    let settings = Settings { max_failures, writable_layer: WritableLayer::Carry, ..Settings::default() };
    let mut candidates = Vec::new();
    for target in provider.discover().await? {
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
            target,
        });
    }
    let request = PlanRequest {
        candidates,
        others: Vec::new(),
        filter: PatchFilter::default(),
        quarantine: Vec::new(),
        tags: TagPolicy::Move,
        timings: BTreeMap::new(),
        author: "simulation".into(),
        at: clock.now(),
    };
    Ok(patchyard_plan::plan(&request).plan)
}
