//! `patchyard.why/v1`: everything known about one target.

use patchyard_app::WhyReport;
use patchyard_app::rollouts::LastRun;
use patchyard_types::{Budget, Settings, Timeouts, Trap};
use serde::Serialize;

use super::plan::{DrainJson, PackageJson};
use super::quarantine::EntryJson;
use super::scan::{AssessmentJson, ImageUpdateJson, PendingJson, image_update, pending};
use super::target::TargetJson;
use super::{time, words};

/// What `why` explains.
#[derive(Debug, Serialize)]
pub struct WhyDocument {
    schema: &'static str,
    target: TargetJson,
    assessment: AssessmentJson,
    pending: Option<Vec<PendingJson>>,
    image_update: Option<ImageUpdateJson>,
    image_not_known: Option<String>,
    settings: SettingsJson,
    excluded: bool,
    ignored_labels: Vec<&'static str>,
    /// Paths that recreation would lose; `null` when they are not known.
    unsaved_paths: Option<Vec<String>>,
    unsaved_not_known: Option<String>,
    cannot_restore: Option<String>,
    dependents: Vec<String>,
    in_the_way: Option<String>,
    cannot_start_first: Option<String>,
    traps: Vec<TrapJson>,
    quarantine: Vec<EntryJson>,
    last_run: Option<LastRunJson>,
    reverted: bool,
}

#[derive(Debug, Serialize)]
struct SettingsJson {
    method: &'static str,
    verify_for_ms: u64,
    step_timeout_ms: u64,
    healthy_timeout_ms: u64,
    check_timeout_ms: u64,
    max_unavailable: String,
    max_failures: String,
    max_parallel: usize,
    allow_remove: bool,
    max_layer: u64,
    writable_layer: String,
    reboot: String,
    way_back: String,
    disk_snapshot: String,
    data: String,
    order: String,
    drain: DrainJson,
    /// Names only: what a check runs may hold what nobody else should read.
    checks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LastRunJson {
    run: String,
    method: &'static str,
    state: &'static str,
    at: Option<String>,
    packages: Vec<PackageJson>,
}

#[derive(Debug, Serialize)]
struct TrapJson {
    code: String,
    message: String,
}

impl From<&Trap> for TrapJson {
    fn from(trap: &Trap) -> Self {
        let Trap { code, message } = trap;
        Self { code: code.clone(), message: message.clone() }
    }
}

impl From<&WhyReport> for WhyDocument {
    fn from(report: &WhyReport) -> Self {
        let WhyReport {
            known,
            settings,
            excluded,
            ignored_labels,
            unsaved,
            cannot_restore,
            dependents,
            in_the_way,
            cannot_start_first,
            quarantine,
            last,
            reverted,
        } = report;
        let (image_update, image_not_known) = image_update(known);
        Self {
            schema: "patchyard.why/v1",
            target: TargetJson::from(&known.target),
            assessment: AssessmentJson::from(&known.assessment),
            pending: pending(&known.assessment),
            image_update,
            image_not_known,
            settings: SettingsJson::from(settings),
            excluded: *excluded,
            ignored_labels: ignored_labels.clone(),
            unsaved_paths: unsaved.as_ref().ok().map(|unsaved| unsaved.paths.clone()),
            unsaved_not_known: unsaved.as_ref().err().cloned(),
            cannot_restore: cannot_restore.clone(),
            dependents: dependents.clone(),
            in_the_way: in_the_way.clone(),
            cannot_start_first: cannot_start_first.clone(),
            traps: report.traps().iter().map(TrapJson::from).collect(),
            quarantine: quarantine.iter().map(EntryJson::from).collect(),
            last_run: last.as_ref().map(LastRunJson::from),
            reverted: *reverted,
        }
    }
}

impl From<&Settings> for SettingsJson {
    fn from(settings: &Settings) -> Self {
        let Settings {
            method,
            verify_for,
            timeouts: Timeouts { step, healthy, check },
            max_unavailable,
            max_failures,
            max_parallel,
            allow_remove,
            max_layer,
            writable_layer,
            data,
            order,
            drain,
            reboot,
            way_back,
            snapshot,
            checks,
        } = settings;
        Self {
            method: words::method(*method),
            verify_for_ms: verify_for.0,
            step_timeout_ms: step.0,
            healthy_timeout_ms: healthy.0,
            check_timeout_ms: check.0,
            max_unavailable: budget(*max_unavailable),
            max_failures: budget(*max_failures),
            max_parallel: *max_parallel,
            allow_remove: *allow_remove,
            max_layer: *max_layer,
            writable_layer: writable_layer.to_string(),
            reboot: reboot.to_string(),
            way_back: way_back.to_string(),
            disk_snapshot: snapshot.to_string(),
            data: data.to_string(),
            order: order.to_string(),
            drain: DrainJson::from(drain),
            checks: checks.iter().map(|check| check.name.clone()).collect(),
        }
    }
}

/// A budget as the configuration writes it: `2` or `25%`.
pub fn budget(budget: Budget) -> String {
    match budget {
        Budget::Count(count) => count.to_string(),
        Budget::Percent(percent) => format!("{percent}%"),
    }
}

impl From<&LastRun> for LastRunJson {
    fn from(last: &LastRun) -> Self {
        let LastRun { run, method, end, at, packages, in_effect: _, took_back: _ } = last;
        Self {
            run: run.to_string(),
            method: words::method(*method),
            state: words::run_end(*end),
            at: time(*at),
            packages: packages.iter().map(PackageJson::from).collect(),
        }
    }
}
