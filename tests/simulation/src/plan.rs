//! Plans for the simulated host, made by the real planner from what discovery and asking found.

use std::collections::BTreeMap;

use patchyard_contract::{Ask, Clock, Provider, ProviderError};
use patchyard_plan::{Candidate, DependentTarget, PatchFilter, PlanRequest, TagPolicy};
use patchyard_types::{
    Assessment, Budget, Data, Drain, Method, Millis, Order, Plan, Quarantine, QuarantineId, Reboot, Settings,
    TargetKind, Unsaved, WritableLayer,
};

/// How much may be down, how much may fail, and which comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one service, at the same time.
    pub max_unavailable: Budget,
    /// Of the whole rollout.
    pub max_failures: Budget,
    /// In every swap.
    pub order: Order,
}

impl Default for Limits {
    /// What happens without any configuration.
    fn default() -> Self {
        let Settings { max_unavailable, max_failures, order, .. } = Settings::default();
        Self { max_unavailable, max_failures, order }
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
    // What only a stopped container can give, one that still runs cannot be asked for.
    let (writable_layer, data) = match limits.order {
        Order::StopFirst => (WritableLayer::Carry, Data::Restore),
        Order::StartFirst => (WritableLayer::LeaveOut, Data::Keep),
    };
    let settings = Settings {
        max_unavailable: limits.max_unavailable,
        max_failures: limits.max_failures,
        writable_layer,
        data,
        order: limits.order,
        ..Settings::default()
    };
    let mut candidates = Vec::new();
    let everyone = provider.discover().await?;
    for target in everyone.clone() {
        let dependents = patchyard_plan::dependents(&target, &everyone);
        // The restart that takes a drain back would cut off who lives together.
        let drain = match dependents.is_empty() && target.lives_in.is_empty() {
            true => Drain { command: vec!["drain".into()], wait: Millis(0) },
            false => Drain::default(),
        };
        let inventory = provider.inventory(&target).await?;
        let pending = provider.pending(&target, &inventory, &Ask::default()).await?;
        candidates.push(Candidate {
            narrowed: false,
            unsaved: provider.unsaved(&target).await?,
            starting: Some(inventory.starting),
            assessment: Assessment::Assessed { at: clock.now(), pending },
            carried: None,
            image_update: Ok(None),
            settings: match target.kind {
                // What only containers have is none of its.
                TargetKind::Host => Settings {
                    method: Method::Packages,
                    reboot: Reboot::AsNeeded,
                    writable_layer: WritableLayer::LeaveOut,
                    data: Data::Keep,
                    order: Order::StopFirst,
                    ..settings.clone()
                },
                TargetKind::Container | TargetKind::Service => Settings { drain, ..settings.clone() },
            },
            excluded: false,
            dependents: dependents
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
