//! The judgement on one target: patched how, or left out why.

use std::collections::BTreeMap;

use patchyard_types::{
    Action, Assessment, Change, Data, Expected, Health, ImageUpdate, LeftOutReason, Method, NotAssessed,
    Order, PackageChange, PatchSet, PatchSetId, PendingPatch, PendingStatus, Refusal, Settings,
    StartingState, Target, TargetKind, TargetState, Unsaved, WritableLayer, printable,
};

use crate::data::VolumeUsers;
use crate::request::{Candidate, PlanRequest};
use crate::{beside, data, dependents, host, lint, losses, quarantine};

/// What becomes of a target.
pub enum Judgement {
    /// It is patched.
    Patch {
        action: Box<Action>,
        set: Box<PatchSet>,
        /// What else is pending and stays so, in words.
        note: Option<String>,
    },
    /// Nothing is pending.
    UpToDate,
    /// Something is pending, and the filter wants none of it.
    FilteredOut,
    /// It needs a patch, or nobody knows, and it gets none.
    LeftOut(LeftOutReason, String),
}

/// Ids of the patch sets met so far: thousands of targets share a few sets, and hashing one for each
/// target would cost more than all the rest of planning.
#[derive(Default)]
pub struct SetIds(BTreeMap<PatchSet, PatchSetId>);

impl SetIds {
    pub fn of(&mut self, set: &PatchSet) -> PatchSetId {
        match self.0.get(set) {
            Some(id) => *id,
            None => *self.0.entry(set.clone()).or_insert_with(|| set.id()),
        }
    }
}

/// Codes of refusals of targets that a run has in hand: one of this controller, one of another.
const UNFINISHED: [&str; 2] = ["in_hand", "foreign_run"];

/// Why a target is a run's that is not finished with it, if it is.
#[must_use]
pub fn unfinished(target: &Target) -> Option<&Refusal> {
    target.refusals.iter().find(|refusal| UNFINISHED.contains(&&*refusal.code))
}

/// Judges one candidate. The first reason found is the one that is told, the most fundamental first.
pub fn judge(
    candidate: &Candidate,
    request: &PlanRequest,
    users: &VolumeUsers<'_>,
    ids: &mut SetIds,
) -> Judgement {
    use Judgement::{LeftOut, UpToDate};
    let target = &candidate.target;
    if candidate.excluded {
        return LeftOut(LeftOutReason::Excluded, "excluded by its label or by --exclude".to_owned());
    }
    // Its patch is on it, perhaps, but may still be taken back: whatever is pending, it is nobody else's.
    if let Some(refusal) = unfinished(target) {
        return LeftOut(LeftOutReason::Refused, printable(&refusal.message, 400));
    }
    if let (TargetKind::Host, Some(detail)) = (target.kind, host::cannot_patch(target, &candidate.settings)) {
        // What is pending by that method is no question that it could be asked.
        return LeftOut(LeftOutReason::Refused, detail);
    }
    let image = candidate.settings.method == Method::Image;
    let up_to_date = if image {
        matches!(candidate.image_update, Ok(None))
    } else {
        matches!(&candidate.assessment, Assessment::Assessed { pending, .. } if pending.is_empty())
    };
    if up_to_date {
        return UpToDate;
    }
    if let Some(refusal) = target.refusals.iter().min() {
        return LeftOut(LeftOutReason::Refused, printable(&refusal.message, 400));
    }
    if let Some(detail) = host::cannot_patch(target, &candidate.settings) {
        return LeftOut(LeftOutReason::Refused, detail);
    }
    let change = if image { image_change(candidate) } else { package_change(candidate, request) };
    let Wanted { from, change, note } = match change {
        Ok(wanted) => wanted,
        Err(other) => return other,
    };
    if let Some(detail) = not_well(target) {
        return LeftOut(LeftOutReason::Unhealthy, detail);
    }
    if let Some(detail) = would_lose(&candidate.unsaved, candidate.settings.writable_layer) {
        return LeftOut(LeftOutReason::WritableLayer, detail);
    }
    if candidate.settings.data == Data::Restore
        && let Some(detail) = users.cannot_restore(target)
    {
        return LeftOut(LeftOutReason::Refused, detail);
    }
    if let Some(detail) = host::no_snapshot(target, &candidate.settings) {
        return LeftOut(LeftOutReason::Refused, detail);
    }
    if let Some((reason, detail)) = dependents::in_the_way(&candidate.settings, &candidate.dependents) {
        return LeftOut(reason, detail);
    }
    if let Some(detail) = beside::cannot_start_first(
        target,
        &candidate.dependents,
        &candidate.settings,
        &candidate.unsaved.paths,
    ) {
        return LeftOut(LeftOutReason::Refused, detail);
    }
    let set = PatchSet { from, change };
    // There is no layer on a machine; whether it has room, its package manager says before it begins.
    let limit = match target.kind {
        TargetKind::Host => u64::MAX,
        TargetKind::Container | TargetKind::Service => candidate.settings.max_layer,
    };
    if let Err(left_out) = check(&set.change, limit) {
        return left_out;
    }
    if let Some(entry) = quarantine::suspect(&request.quarantine, &target.service, &set) {
        return LeftOut(LeftOutReason::Quarantined, quarantine::explain(entry, &set));
    }
    let action = action(candidate, &set, ids.of(&set));
    Judgement::Patch { action: Box::new(action), set: Box::new(set), note }
}

struct Wanted {
    from: StartingState,
    change: Change,
    note: Option<String>,
}

fn image_change(candidate: &Candidate) -> Result<Wanted, Judgement> {
    let update = match &candidate.image_update {
        Ok(Some(update)) => update,
        Ok(None) => return Err(Judgement::UpToDate),
        Err(not_assessed) => return Err(unknown(not_assessed)),
    };
    let PatchSet { from, change } = image_set(&starting(candidate)?, update);
    Ok(Wanted { from, change, note: None })
}

/// The patch set that takes a newer image.
pub fn image_set(starting: &StartingState, update: &ImageUpdate) -> PatchSet {
    PatchSet {
        // What is installed plays no role for a new image: targets of one image share the set.
        from: StartingState { packages: None, ..starting.clone() },
        change: Change::Image {
            reference: update.reference.clone(),
            from: update.from.clone(),
            to: update.to.clone(),
        },
    }
}

fn package_change(candidate: &Candidate, request: &PlanRequest) -> Result<Wanted, Judgement> {
    let pending = match &candidate.assessment {
        Assessment::Assessed { pending, .. } => pending,
        Assessment::NotAssessed(not_assessed) => return Err(unknown(not_assessed)),
    };
    let from = starting(candidate)?;
    let (now, later): (Vec<&PendingPatch>, Vec<_>) =
        pending.iter().partition(|p| matches!(p.status, PendingStatus::Available | PendingStatus::Removal));
    let upgrades = || now.iter().filter(|p| p.status == PendingStatus::Available && p.installed.is_some());
    let wanted = |patch: &PendingPatch| candidate.narrowed || request.filter.wants(patch);
    if upgrades().next().is_none() {
        return Err(Judgement::LeftOut(LeftOutReason::Unsolvable, waiting(&later)));
    }
    let mut packages: Vec<PackageChange> = upgrades().filter(|p| wanted(p)).map(|p| change(p)).collect();
    if packages.is_empty() {
        let later: Vec<_> = later.into_iter().filter(|p| wanted(p)).collect();
        return Err(match later[..] {
            [] => Judgement::FilteredOut,
            _ => Judgement::LeftOut(LeftOutReason::Unsolvable, waiting(&later)),
        });
    }
    // Packages that come in new stay on a way back; what was removed would have to be installed by it.
    if candidate.target.kind == TargetKind::Host && now.iter().any(|p| p.status == PendingStatus::Removal) {
        let names: Vec<_> =
            now.iter().filter(|p| p.status == PendingStatus::Removal).map(|p| &*p.package).collect();
        return Err(Judgement::LeftOut(
            LeftOutReason::Unsolvable,
            format!("it would remove {}, which this release does not do on machines", names.join(", ")),
        ));
    }
    let removals: Vec<_> = now.iter().filter(|p| p.status == PendingStatus::Removal).collect();
    if !candidate.settings.allow_remove && !removals.is_empty() {
        let names: Vec<_> = removals.iter().map(|p| p.package.as_str()).take(10).collect();
        return Err(Judgement::LeftOut(
            LeftOutReason::Unsolvable,
            format!("it would remove {}: allow it with --allow-remove", names.join(", ")),
        ));
    }
    // What comes in new or goes is there because of an upgrade; which one, only the solver knows.
    packages.extend(
        now.iter().filter(|p| p.installed.is_none() || p.status == PendingStatus::Removal).map(|p| change(p)),
    );
    carry_over(candidate, &from, &mut packages)?;
    packages.sort_unstable();
    packages.dedup();
    let note = (!later.is_empty()).then(|| format!("left pending: {}", waiting(&later)));
    Ok(Wanted { from, change: Change::Packages(packages), note })
}

/// A new layer starts from the original base: what an earlier patch changed there has to be changed
/// again, or it would silently go back.
fn carry_over(
    candidate: &Candidate,
    from: &StartingState,
    packages: &mut Vec<PackageChange>,
) -> Result<(), Judgement> {
    let Some(base) = &candidate.target.image.base else { return Ok(()) };
    // Assessed against the base itself: everything is pending there, nothing to carry.
    if from.image == *base {
        return Ok(());
    }
    let Some(carried) = &candidate.carried else {
        return Err(Judgement::LeftOut(
            LeftOutReason::NotAssessed,
            "it runs an image patched by a patchyard whose records are not here, so that what it would \
             lose is not known: recreate it from its original image"
                .to_owned(),
        ));
    };
    let mut merged: BTreeMap<_, _> =
        carried.iter().map(|p| ((p.name.clone(), p.arch.clone()), p.clone())).collect();
    for package in packages.drain(..) {
        let key = (package.name.clone(), package.arch.clone());
        let from = merged.get(&key).map_or_else(|| package.from.clone(), |before| before.from.clone());
        merged.insert(key, PackageChange { from, ..package });
    }
    // What an earlier patch brought in and this one removes never was in the base.
    packages.extend(merged.into_values().filter(|p| p.from.is_some() || p.to.is_some()));
    Ok(())
}

fn starting(candidate: &Candidate) -> Result<StartingState, Judgement> {
    candidate.starting.clone().ok_or_else(|| {
        Judgement::LeftOut(LeftOutReason::NotAssessed, "what is installed could not be read".to_owned())
    })
}

fn unknown(not_assessed: &NotAssessed) -> Judgement {
    let NotAssessed { at: _, reason, hint } = not_assessed;
    let hint = if hint.is_empty() { String::new() } else { format!(": {}", printable(hint, 200)) };
    Judgement::LeftOut(LeftOutReason::NotAssessed, format!("{}{hint}", printable(reason, 400)))
}

/// What installing a pending patch changes.
pub fn change(patch: &PendingPatch) -> PackageChange {
    let removal = patch.status == PendingStatus::Removal;
    PackageChange {
        name: patch.package.clone(),
        arch: patch.arch.clone(),
        from: patch.installed.clone(),
        to: (!removal).then(|| patch.candidate.clone()),
        sha256: patch.sha256.filter(|_| !removal),
        security: patch.security,
        size: patch.size,
    }
}

/// What is pending and cannot be installed now, in words.
fn waiting(patches: &[&PendingPatch]) -> String {
    let mut parts = Vec::new();
    for (status, word) in [
        (PendingStatus::Held, "on hold"),
        (PendingStatus::Phased, "phased"),
        (PendingStatus::KeptBack, "kept back"),
    ] {
        let of: Vec<_> = patches.iter().filter(|p| p.status == status).collect();
        if of.is_empty() {
            continue;
        }
        let names: Vec<_> = of.iter().map(|p| p.package.as_str()).take(5).collect();
        let more = if of.len() > 5 { format!(" and {} more", of.len() - 5) } else { String::new() };
        let why = match status {
            PendingStatus::KeptBack => {
                of.iter().find(|p| !p.why.is_empty()).map(|p| format!(" ({})", printable(&p.why, 300)))
            }
            _ => None,
        };
        parts.push(format!("{word}: {}{more}{}", names.join(", "), why.unwrap_or_default()));
    }
    if parts.is_empty() { "the solver upgrades nothing".to_owned() } else { parts.join("; ") }
}

/// Why nothing could be judged on a target; nothing where it runs and is well.
#[must_use]
pub fn not_well(target: &Target) -> Option<String> {
    let state = match target.state {
        TargetState::Running if target.health == Health::Unhealthy => "its healthcheck fails",
        TargetState::Running => return None,
        TargetState::Paused => "it is paused",
        TargetState::Restarting => "it keeps restarting",
        TargetState::Created => "it was never started",
        TargetState::Exited => "it is stopped",
        TargetState::Dead => "the engine calls it dead",
    };
    Some(format!("{state}: there is nothing a patch could be judged by"))
}

/// Why recreation would lose what its writable layer holds, if it would and nobody said it may.
#[must_use]
pub fn would_lose(unsaved: &Unsaved, choice: WritableLayer) -> Option<String> {
    let Unsaved { paths, cannot_carry } = unsaved;
    if paths.is_empty() {
        return None;
    }
    let holds =
        format!("its writable layer holds data that recreation would lose: {}", losses::some_of(paths));
    match (choice, cannot_carry) {
        (WritableLayer::LeaveOut, _) => {
            Some(format!("{holds}; move it to a volume, or say writable_layer: carry or discard"))
        }
        (WritableLayer::Carry, Some(why)) => {
            Some(format!("{holds}; it cannot be carried: {}", printable(why, 300)))
        }
        (WritableLayer::Carry, None) | (WritableLayer::Discard, _) => None,
    }
}

/// What comes from targets and registries is believed only as far as the linter believes it.
fn check(change: &Change, max_layer: u64) -> Result<(), Judgement> {
    let Change::Packages(packages) = change else {
        return match lint::change_problems(change).first() {
            Some(problem) => Err(Judgement::LeftOut(LeftOutReason::NotAssessed, problem.clone())),
            None => Ok(()),
        };
    };
    let unsigned: Vec<_> = packages
        .iter()
        .filter(|p| p.to.is_some() && p.sha256.is_none())
        .map(|p| printable(&p.name, 80))
        .take(5)
        .collect();
    if !unsigned.is_empty() {
        return Err(Judgement::LeftOut(
            LeftOutReason::Unsolvable,
            format!("its package sources give no SHA-256 for {}: they cannot be pinned", unsigned.join(", ")),
        ));
    }
    if let Some(problem) = lint::change_problems(change).first() {
        return Err(Judgement::LeftOut(
            LeftOutReason::NotAssessed,
            format!("its package manager's answer makes no sense: {problem}"),
        ));
    }
    // The files as downloaded are less than what they unpack to: more than this can only be worse.
    let size: u64 = packages.iter().fold(0, |sum, p| sum.saturating_add(p.size));
    if size > max_layer {
        return Err(Judgement::LeftOut(
            LeftOutReason::TooLarge,
            format!("its packages alone take {size} bytes, max_layer allows {max_layer}"),
        ));
    }
    Ok(())
}

fn action(candidate: &Candidate, set: &PatchSet, id: PatchSetId) -> Action {
    let method = match set.change {
        Change::Packages(_) => host::package_method(candidate.target.kind),
        Change::Image { .. } => Method::Image,
        Change::Snapshot { .. } => Method::Restore,
    };
    let restored = match candidate.settings.data {
        Data::Restore => data::volumes(&candidate.target),
        Data::Keep => Vec::new(),
    };
    let mut action = skeleton(&candidate.target, &candidate.settings, method, id, &restored);
    action.writable_layer = match candidate.settings.writable_layer {
        // There is nothing to carry, or it would have been left out.
        WritableLayer::Carry if action.order == Order::StartFirst => WritableLayer::LeaveOut,
        choice => choice,
    };
    losses::add_writable_layer(&mut action.losses, action.writable_layer, &candidate.unsaved.paths);
    dependents::add(&mut action, &candidate.dependents);
    // Only a layer is built on something; a new image stands on its own.
    if method == Method::Image {
        action.expected.base = None;
    }
    action
}

/// An action with everything but its budget, which depends on the whole service. `restored` are the volumes
/// that a way back puts back; a target without any has nothing to save.
pub fn skeleton(
    target: &Target,
    settings: &Settings,
    method: Method,
    patch_set: PatchSetId,
    restored: &[String],
) -> Action {
    let mut checks = settings.checks.clone();
    checks.sort_unstable();
    let snapshot = host::snapshot(target, settings);
    Action {
        target: target.id.clone(),
        name: target.name.clone(),
        service: target.service.clone(),
        host: target.host.clone(),
        kind: target.kind,
        method,
        patch_set,
        expected: Expected::of(target),
        checks,
        verify_for: settings.verify_for,
        timeouts: settings.timeouts,
        max_layer: settings.max_layer,
        // A snapshot says itself what was in the writable layer.
        writable_layer: WritableLayer::LeaveOut,
        data: if restored.is_empty() { Data::Keep } else { Data::Restore },
        order: settings.order,
        drain: settings.drain.clone(),
        reboot: settings.reboot,
        way_back: settings.way_back,
        snapshot,
        max_unavailable: 1,
        losses: losses::losses(target, snapshot, method, restored),
        dependents: Vec::new(),
    }
}
