//! `patchyard.plan/v1`

use patchyard_types::{Action, Change, LeftOut, PackageChange, Plan, TagMove};
use serde::Serialize;

use super::word;

#[derive(Debug, Serialize)]
pub struct PlanDocument {
    schema: &'static str,
    digest: String,
    created_at: String,
    author: String,
    undoes: Option<String>,
    considered: usize,
    actions: Vec<ActionJson>,
    waves: Vec<WaveJson>,
    tags: Vec<TagJson>,
    left_out: Vec<LeftOutJson>,
    up_to_date: Vec<String>,
    estimate: EstimateJson,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ActionJson {
    target: String,
    id: String,
    service: String,
    host: String,
    method: String,
    patch_set: String,
    packages: Vec<PackageJson>,
    image: Option<ImageJson>,
    snapshot: Option<String>,
    checks: Vec<String>,
    verify_for_ms: u64,
    max_layer: u64,
    max_unavailable: usize,
    losses: Vec<LossJson>,
}

#[derive(Debug, Serialize)]
struct PackageJson {
    name: String,
    arch: String,
    from: Option<String>,
    to: Option<String>,
    sha256: Option<String>,
    security: bool,
    size: u64,
}

#[derive(Debug, Serialize)]
struct ImageJson {
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
    host: String,
    from: String,
}

#[derive(Debug, Serialize)]
pub struct LeftOutJson {
    target: String,
    id: String,
    reason: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct EstimateJson {
    builds: usize,
    total_ms: u64,
    longest_gap_ms: u64,
}

impl From<&Plan> for PlanDocument {
    fn from(plan: &Plan) -> Self {
        let actions = &plan.decisions.actions;
        let name = |index: &usize| actions.get(*index).map(|action| action.name.clone()).unwrap_or_default();
        let about = &plan.about;
        Self {
            schema: "patchyard.plan/v1",
            digest: plan.digest().to_string(),
            created_at: about.created_at.to_string(),
            author: about.author.clone(),
            undoes: about.undoes.map(|rollout| rollout.to_string()),
            considered: about.considered,
            actions: actions.iter().map(|action| action_json(plan, action)).collect(),
            waves: plan
                .decisions
                .waves
                .iter()
                .map(|wave| WaveJson { targets: wave.0.iter().map(name).collect() })
                .collect(),
            tags: plan.decisions.tags.iter().map(TagJson::from).collect(),
            left_out: about.left_out.iter().map(LeftOutJson::from).collect(),
            up_to_date: about.up_to_date.clone(),
            estimate: EstimateJson {
                builds: about.estimate.builds,
                total_ms: about.estimate.total.0,
                longest_gap_ms: about.estimate.longest_gap.0,
            },
            notes: about.notes.clone(),
        }
    }
}

fn action_json(plan: &Plan, action: &Action) -> ActionJson {
    let change = plan.patch_set(action).map(|set| &set.change);
    let (mut packages, mut image, mut snapshot) = (Vec::new(), None, None);
    match change {
        Some(Change::Packages(changes)) => packages = changes.iter().map(PackageJson::from).collect(),
        Some(Change::Image { reference, from, to }) => {
            image = Some(ImageJson { reference: reference.clone(), from: from.clone(), to: to.clone() });
        }
        Some(Change::Snapshot { snapshot: id }) => snapshot = Some(id.to_string()),
        None => {}
    }
    ActionJson {
        target: action.name.clone(),
        id: action.target.to_string(),
        service: action.service.clone(),
        host: action.host.to_string(),
        method: action.method.to_string(),
        patch_set: action.patch_set.to_string(),
        packages,
        image,
        snapshot,
        checks: action.checks.iter().map(|check| check.name.clone()).collect(),
        verify_for_ms: action.verify_for.0,
        max_layer: action.max_layer,
        max_unavailable: action.max_unavailable,
        losses: action
            .losses
            .iter()
            .map(|loss| LossJson { kind: loss.kind.clone(), detail: loss.detail.clone() })
            .collect(),
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

impl From<&TagMove> for TagJson {
    fn from(tag: &TagMove) -> Self {
        Self { reference: tag.reference.clone(), host: tag.host.to_string(), from: tag.from.clone() }
    }
}

impl From<&LeftOut> for LeftOutJson {
    fn from(left_out: &LeftOut) -> Self {
        let LeftOut { target, name, reason, detail } = left_out;
        Self { target: name.clone(), id: target.to_string(), reason: word(reason), detail: detail.clone() }
    }
}
