//! `patchyard.plan/v1`: what would be done to whom, in which order, and who is left out.

use patchyard_app::{PlanReport, RollbackReport, Unreachable};
use patchyard_types::{Action, Change, Dependent, Drain, LeftOut, PackageChange, Plan, TagMove};
use serde::Serialize;

use super::discover::UnreachableJson;
use super::why::budget;
use super::words;

/// A plan. It has one key `digest` and no other of that name: shell scripts look for it.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    schema: &'static str,
    digest: String,
    created_at: String,
    author: String,
    undoes: Option<String>,
    considered: usize,
    max_failures: String,
    actions: Vec<ActionJson>,
    waves: Vec<WaveJson>,
    tags: Vec<TagJson>,
    left_out: Vec<LeftOutJson>,
    up_to_date: Vec<String>,
    estimate: EstimateJson,
    notes: Vec<String>,
    /// Targets with pending patches of which the filter wants none.
    filtered_out: Vec<String>,
    /// Targets that somebody put back to their unpatched base.
    reverted: Vec<String>,
    unreachable: Vec<UnreachableJson>,
    /// Patches are pending somewhere, planned or not; `null` for a plan read from the store.
    any_pending: Option<bool>,
    /// Something is not known; `null` for a plan read from the store.
    any_unknown: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ActionJson {
    target: String,
    name: String,
    service: String,
    host_id: String,
    kind: &'static str,
    method: &'static str,
    patch_set: String,
    packages: Vec<PackageJson>,
    image: Option<ImageChangeJson>,
    snapshot: Option<String>,
    checks: Vec<String>,
    verify_for_ms: u64,
    step_timeout_ms: u64,
    max_layer: u64,
    writable_layer: String,
    data: String,
    order: String,
    drain: DrainJson,
    reboot: String,
    way_back: String,
    disk_snapshot: String,
    max_unavailable: usize,
    losses: Vec<LossJson>,
    /// Who lives in its namespaces and is made again with it.
    dependents: Vec<DependentJson>,
}

#[derive(Debug, Serialize)]
struct DependentJson {
    target: String,
    name: String,
    service: String,
    checks: Vec<String>,
    max_unavailable: usize,
}

/// A package that changes: `from` is `null` for a new one, `to` for one that is removed.
#[derive(Debug, Serialize)]
pub struct PackageJson {
    name: String,
    arch: String,
    from: Option<String>,
    to: Option<String>,
    sha256: Option<String>,
    security: bool,
    size: u64,
}

#[derive(Debug, Serialize)]
struct ImageChangeJson {
    reference: String,
    from: Option<String>,
    to: String,
}

#[derive(Debug, Serialize)]
struct LossJson {
    kind: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct WaveJson {
    targets: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TagJson {
    reference: String,
    host_id: String,
    from: String,
    after: Vec<String>,
}

/// A target that is not in the plan.
#[derive(Debug, Serialize)]
pub struct LeftOutJson {
    target: String,
    name: String,
    reason: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct EstimateJson {
    builds: usize,
    total_ms: u64,
    longest_gap_ms: u64,
}

impl From<&PlanReport> for PlanDocument {
    fn from(report: &PlanReport) -> Self {
        let PlanReport { plan, waits: _, filtered_out, unreachable, any_pending, any_unknown, reverted } =
            report;
        Self {
            filtered_out: filtered_out.clone(),
            reverted: reverted.clone(),
            unreachable: silent(unreachable),
            any_pending: Some(*any_pending),
            any_unknown: Some(*any_unknown),
            ..Self::from(plan)
        }
    }
}

impl From<&RollbackReport> for PlanDocument {
    fn from(report: &RollbackReport) -> Self {
        let RollbackReport { plan, fleet } = report;
        Self { unreachable: silent(&fleet.unreachable), ..Self::from(plan) }
    }
}

fn silent(unreachable: &[Unreachable]) -> Vec<UnreachableJson> {
    unreachable.iter().map(UnreachableJson::from).collect()
}

impl From<&Plan> for PlanDocument {
    fn from(plan: &Plan) -> Self {
        let Plan { decisions, about } = plan;
        let targets = |indices: &[usize]| {
            let target = |index: &usize| decisions.actions.get(*index).map(|a| a.target.to_string());
            indices.iter().filter_map(target).collect::<Vec<_>>()
        };
        let waves = decisions.waves.iter().map(|wave| WaveJson { targets: targets(&wave.0) });
        let tags = decisions.tags.iter().map(|tag| {
            let TagMove { host, reference, from, patch_set: _, image: _, after } = tag;
            TagJson {
                reference: reference.clone(),
                host_id: host.to_string(),
                from: from.clone(),
                after: targets(after),
            }
        });
        Self {
            schema: "patchyard.plan/v1",
            digest: plan.digest().to_string(),
            created_at: about.created_at.to_string(),
            author: about.author.clone(),
            undoes: about.undoes.map(|rollout| rollout.to_string()),
            considered: about.considered,
            max_failures: budget(decisions.max_failures),
            actions: decisions.actions.iter().map(|action| ActionJson::of(plan, action)).collect(),
            waves: waves.collect(),
            tags: tags.collect(),
            left_out: about.left_out.iter().map(LeftOutJson::from).collect(),
            up_to_date: about.up_to_date.clone(),
            estimate: EstimateJson {
                builds: about.estimate.builds,
                total_ms: about.estimate.total.0,
                longest_gap_ms: about.estimate.longest_gap.0,
            },
            notes: about.notes.clone(),
            filtered_out: Vec::new(),
            reverted: Vec::new(),
            unreachable: Vec::new(),
            any_pending: None,
            any_unknown: None,
        }
    }
}

/// What is done before a container is stopped. The program's name only: its arguments may hold what nobody else
/// should read.
#[derive(Debug, Serialize)]
pub struct DrainJson {
    program: Option<String>,
    wait_ms: u64,
}

impl From<&Drain> for DrainJson {
    fn from(Drain { command, wait }: &Drain) -> Self {
        Self { program: command.first().cloned(), wait_ms: wait.0 }
    }
}

impl ActionJson {
    fn of(plan: &Plan, action: &Action) -> Self {
        let Action {
            target,
            name,
            service,
            host,
            kind,
            method,
            patch_set,
            expected: _,
            checks,
            verify_for,
            timeouts,
            max_layer,
            writable_layer,
            data,
            order,
            drain,
            reboot,
            way_back,
            snapshot: disk_snapshot,
            max_unavailable,
            losses,
            dependents,
        } = action;
        let (mut packages, mut image, mut snapshot) = (Vec::new(), None, None);
        match plan.patch_set(action).map(|set| &set.change) {
            Some(Change::Packages(changes)) => packages = changes.iter().map(PackageJson::from).collect(),
            Some(Change::Image { reference, from, to }) => {
                let (reference, from, to) = (reference.clone(), from.clone(), to.clone());
                image = Some(ImageChangeJson { reference, from, to });
            }
            Some(Change::Snapshot { snapshot: id, .. }) => snapshot = Some(id.to_string()),
            None => {}
        }
        let losses = losses.iter().map(|l| LossJson { kind: l.kind.clone(), detail: l.detail.clone() });
        Self {
            target: target.to_string(),
            name: name.clone(),
            service: service.clone(),
            host_id: host.to_string(),
            kind: words::target_kind(*kind),
            method: words::method(*method),
            patch_set: patch_set.to_string(),
            packages,
            image,
            snapshot,
            checks: checks.iter().map(|check| check.name.clone()).collect(),
            verify_for_ms: verify_for.0,
            step_timeout_ms: timeouts.step.0,
            max_layer: *max_layer,
            writable_layer: writable_layer.to_string(),
            data: data.to_string(),
            order: order.to_string(),
            drain: DrainJson::from(drain),
            reboot: reboot.to_string(),
            way_back: way_back.to_string(),
            disk_snapshot: disk_snapshot.to_string(),
            max_unavailable: *max_unavailable,
            losses: losses.collect(),
            dependents: dependents.iter().map(DependentJson::from).collect(),
        }
    }
}

impl From<&Dependent> for DependentJson {
    fn from(dependent: &Dependent) -> Self {
        let Dependent { target, name, service, expected: _, checks, writable_layer: _, max_unavailable } =
            dependent;
        Self {
            target: target.to_string(),
            name: name.clone(),
            service: service.clone(),
            checks: checks.iter().map(|check| check.name.clone()).collect(),
            max_unavailable: *max_unavailable,
        }
    }
}

impl From<&PackageChange> for PackageJson {
    fn from(package: &PackageChange) -> Self {
        let PackageChange { name, arch, from, to, sha256, security, size } = package;
        Self {
            name: name.clone(),
            arch: arch.to_string(),
            from: from.clone(),
            to: to.clone(),
            sha256: sha256.as_ref().map(ToString::to_string),
            security: *security,
            size: *size,
        }
    }
}

impl From<&LeftOut> for LeftOutJson {
    fn from(left_out: &LeftOut) -> Self {
        let LeftOut { target, name, reason, detail } = left_out;
        Self {
            target: target.to_string(),
            name: name.clone(),
            reason: words::left_out(*reason),
            detail: detail.clone(),
        }
    }
}
