//! `patchyard.scan/v1`: what is pending on each target, or why that is not known.

use patchyard_app::rollouts::LastRun;
use patchyard_app::{Known, ScanReport, Scanned};
use patchyard_types::{Assessment, ImageUpdate, NotAssessed, PendingPatch, PendingStatus};
use serde::Serialize;

use super::discover::{HostJson, UnreachableJson};
use super::target::{ImageJson, OsJson, note};
use super::{some, time, words};

/// What `scan` found; also the overview's document.
#[derive(Debug, Serialize)]
pub struct ScanDocument {
    schema: &'static str,
    at: String,
    hosts: Vec<HostJson>,
    unreachable: Vec<UnreachableJson>,
    targets: Vec<ScannedJson>,
    totals: TotalsJson,
}

#[derive(Debug, Serialize)]
struct ScannedJson {
    id: String,
    name: String,
    provider: String,
    host: String,
    host_id: String,
    service: String,
    environment: Option<String>,
    os: Option<OsJson>,
    image: ImageJson,
    state: &'static str,
    health: &'static str,
    note: Option<String>,
    /// How many packages are installed, where that could be read.
    installed: Option<usize>,
    /// How a plan would patch it.
    method: &'static str,
    assessment: AssessmentJson,
    pending: Option<Vec<PendingJson>>,
    image_update: Option<ImageUpdateJson>,
    image_not_known: Option<String>,
    reverted: Option<RevertedJson>,
    taken_back: Option<String>,
    /// The entry of the quarantine that keeps what is pending out of plans.
    quarantined: Option<String>,
}

/// Whether the target's package manager could be asked.
#[derive(Debug, Serialize)]
pub struct AssessmentJson {
    state: &'static str,
    at: String,
    reason: Option<String>,
    hint: Option<String>,
}

/// One pending patch.
#[derive(Debug, Serialize)]
pub struct PendingJson {
    package: String,
    arch: String,
    installed: Option<String>,
    candidate: Option<String>,
    security: bool,
    status: &'static str,
    held: bool,
    phased: bool,
    kept_back: bool,
    why: Option<String>,
    size: u64,
    origin: String,
    sha256: Option<String>,
}

/// A newer image behind the same tag.
#[derive(Debug, Serialize)]
pub struct ImageUpdateJson {
    reference: String,
    from: Option<String>,
    to: String,
}

/// Somebody has put the unpatched base back since this run patched it.
#[derive(Debug, Serialize)]
struct RevertedJson {
    run: String,
    at: Option<String>,
}

/// Sums over the assessed targets; `null` where there is nothing known to sum.
#[derive(Debug, Default, Serialize)]
struct TotalsJson {
    targets: usize,
    assessed: usize,
    not_assessed: usize,
    unreachable: usize,
    /// Patches that can be installed now, new packages included.
    pending: Option<usize>,
    new: Option<usize>,
    security: Option<usize>,
    /// Patches that are held, phased or kept back.
    held_back: Option<usize>,
    image_updates: usize,
    /// Every target that was asked about is assessed and every host answered.
    complete: bool,
}

impl From<&ScanReport> for ScanDocument {
    fn from(report: &ScanReport) -> Self {
        let ScanReport { at, hosts, unreachable, targets, unwanted: _ } = report;
        Self {
            schema: "patchyard.scan/v1",
            at: at.to_string(),
            hosts: hosts.iter().map(HostJson::from).collect(),
            unreachable: unreachable.iter().map(UnreachableJson::from).collect(),
            targets: targets.iter().map(ScannedJson::from).collect(),
            totals: totals(report),
        }
    }
}

fn totals(report: &ScanReport) -> TotalsJson {
    let all = || report.targets.iter().flat_map(Scanned::pending);
    let available = || report.targets.iter().flat_map(Scanned::available);
    let assessed = report.targets.iter().filter(|scanned| is_assessed(&scanned.known.assessment)).count();
    let complete = !report.any_unknown();
    // Nothing was asked for, or something is known: only then is a sum an answer.
    let known = |sum: usize| (complete || assessed > 0).then_some(sum);
    let held_back = |patch: &&PendingPatch| {
        matches!(patch.status, PendingStatus::Held | PendingStatus::Phased | PendingStatus::KeptBack)
    };
    TotalsJson {
        targets: report.targets.len(),
        assessed,
        not_assessed: report.targets.len() - assessed,
        unreachable: report.unreachable.len(),
        pending: known(available().count()),
        new: known(available().filter(|patch| patch.installed.is_none()).count()),
        security: known(available().filter(|patch| patch.security).count()),
        held_back: known(all().filter(held_back).count()),
        image_updates: report.targets.iter().filter(|s| matches!(s.known.image_update, Ok(Some(_)))).count(),
        complete,
    }
}

const fn is_assessed(assessment: &Assessment) -> bool {
    matches!(assessment, Assessment::Assessed { .. })
}

impl From<&Scanned> for ScannedJson {
    fn from(scanned: &Scanned) -> Self {
        let Scanned { known, method, reverted, taken_back, quarantined } = scanned;
        let Known { target, inventory, assessment, narrowed: _, image_update: _ } = known;
        let (image_update, image_not_known) = image_update(known);
        Self {
            id: target.id.to_string(),
            name: target.name.clone(),
            provider: target.provider.clone(),
            host: target.host_name.clone(),
            host_id: target.host.to_string(),
            service: target.service.clone(),
            environment: target.environment.clone(),
            os: target.os.as_ref().map(OsJson::from),
            image: ImageJson::from(&target.image),
            state: words::target_state(target.state),
            health: words::health(target.health),
            note: note(target),
            installed: inventory.as_ref().ok().map(|inventory| inventory.packages.len()),
            method: words::method(*method),
            assessment: AssessmentJson::from(assessment),
            pending: pending(assessment),
            image_update,
            image_not_known,
            reverted: reverted.as_ref().map(RevertedJson::from),
            taken_back: taken_back.map(|rollout| rollout.to_string()),
            quarantined: quarantined.as_ref().map(|(id, _)| id.to_string()),
        }
    }
}

/// What is pending; `None` when nobody knows.
pub fn pending(assessment: &Assessment) -> Option<Vec<PendingJson>> {
    match assessment {
        Assessment::Assessed { at: _, pending } => Some(pending.iter().map(PendingJson::from).collect()),
        Assessment::NotAssessed(_) => None,
    }
}

/// A newer image, and why nobody knows of one.
pub fn image_update(known: &Known) -> (Option<ImageUpdateJson>, Option<String>) {
    match &known.image_update {
        Ok(update) => (update.as_ref().map(ImageUpdateJson::from), None),
        Err(NotAssessed { at: _, reason, hint: _ }) => (None, Some(reason.clone())),
    }
}

impl From<&LastRun> for RevertedJson {
    fn from(last: &LastRun) -> Self {
        Self { run: last.run.to_string(), at: time(last.at) }
    }
}

impl From<&Assessment> for AssessmentJson {
    fn from(assessment: &Assessment) -> Self {
        match assessment {
            Assessment::Assessed { at, pending: _ } => {
                Self { state: "assessed", at: at.to_string(), reason: None, hint: None }
            }
            Assessment::NotAssessed(NotAssessed { at, reason, hint }) => Self {
                state: "not_assessed",
                at: at.to_string(),
                reason: Some(reason.clone()),
                hint: some(hint),
            },
        }
    }
}

impl From<&PendingPatch> for PendingJson {
    fn from(patch: &PendingPatch) -> Self {
        let PendingPatch { package, arch, installed, candidate, security, origin, status, size, sha256, why } =
            patch;
        Self {
            package: package.clone(),
            arch: arch.to_string(),
            installed: installed.clone(),
            candidate: some(candidate),
            security: *security,
            status: words::pending_status(*status),
            held: *status == PendingStatus::Held,
            phased: *status == PendingStatus::Phased,
            kept_back: *status == PendingStatus::KeptBack,
            why: some(why),
            size: *size,
            origin: origin.clone(),
            sha256: sha256.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&ImageUpdate> for ImageUpdateJson {
    fn from(update: &ImageUpdate) -> Self {
        let ImageUpdate { reference, from, to } = update;
        Self { reference: reference.clone(), from: from.clone(), to: to.clone() }
    }
}
