//! `patchyard.scan/v1`

use patchyard_app::{Known, ScanReport, Scanned};
use patchyard_types::{Assessment, ImageUpdate, NotAssessed, PendingPatch, PendingStatus};
use serde::Serialize;

use super::discover::HostJson;
use super::target::TargetJson;
use super::{UnreachableJson, word};

#[derive(Debug, Serialize)]
pub struct ScanDocument {
    schema: &'static str,
    at: String,
    hosts: Vec<HostJson>,
    unreachable: Vec<UnreachableJson>,
    targets: Vec<ScannedJson>,
}

#[derive(Debug, Serialize)]
pub struct ScannedJson {
    #[serde(flatten)]
    target: TargetJson,
    /// Somebody has put the unpatched base back since this run patched it.
    reverted_since: Option<String>,
    #[serde(flatten)]
    known: KnownJson,
}

/// What is known about a target's patches.
#[derive(Debug, Serialize)]
pub struct KnownJson {
    assessment: AssessmentJson,
    pending: Vec<PendingJson>,
    image_update: Option<ImageUpdateJson>,
    image_not_known: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct AssessmentJson {
    state: &'static str,
    at: String,
    reason: Option<String>,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct PendingJson {
    package: String,
    arch: String,
    installed: Option<String>,
    candidate: String,
    security: bool,
    origin: String,
    held: bool,
    phased: bool,
    kept_back: bool,
    removal: bool,
    status: String,
    why: String,
    size: u64,
    sha256: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ImageUpdateJson {
    reference: String,
    from: Option<String>,
    to: String,
}

impl From<&ScanReport> for ScanDocument {
    fn from(report: &ScanReport) -> Self {
        Self {
            schema: "patchyard.scan/v1",
            at: report.at.to_string(),
            hosts: report.hosts.iter().map(HostJson::from).collect(),
            unreachable: report.unreachable.iter().map(UnreachableJson::from).collect(),
            targets: report.targets.iter().map(ScannedJson::from).collect(),
        }
    }
}

impl From<&Scanned> for ScannedJson {
    fn from(scanned: &Scanned) -> Self {
        Self {
            target: TargetJson::from(&scanned.known.target),
            reverted_since: scanned.reverted.as_ref().map(|last| last.run.to_string()),
            known: KnownJson::from(&scanned.known),
        }
    }
}

impl From<&Known> for KnownJson {
    fn from(known: &Known) -> Self {
        let (image_update, image_not_known) = match &known.image_update {
            Ok(update) => (update.as_ref().map(ImageUpdateJson::from), None),
            Err(NotAssessed { at: _, reason, hint: _ }) => (None, Some(reason.clone())),
        };
        let pending = match &known.assessment {
            Assessment::Assessed { pending, .. } => pending.iter().map(PendingJson::from).collect(),
            Assessment::NotAssessed(_) => Vec::new(),
        };
        Self { assessment: AssessmentJson::from(&known.assessment), pending, image_update, image_not_known }
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
                hint: Some(hint.clone()).filter(|hint| !hint.is_empty()),
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
            candidate: candidate.clone(),
            security: *security,
            origin: origin.clone(),
            held: *status == PendingStatus::Held,
            phased: *status == PendingStatus::Phased,
            kept_back: *status == PendingStatus::KeptBack,
            removal: *status == PendingStatus::Removal,
            status: word(status),
            why: why.clone(),
            size: *size,
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
