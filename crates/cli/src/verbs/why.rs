//! `why`: what is pending on a target, and why it is or is not patched.

use patchyard_app::{Error, WhyReport, size, why, would_lose};
use patchyard_types::{Assessment, Order, PendingPatch, PendingStatus, TargetKind};

use super::discover::managers;
use super::scan::filter;
use crate::args::Why;
use crate::exit::Exit;
use crate::json::WhyDocument;
use crate::progress::Line;
use crate::session::Session;
use crate::table::{Cell, Table};
use crate::text::{ago, name, remark};
use crate::ui::{BOLD, PLAIN, RED, YELLOW, paint};

pub async fn run(session: &Session, args: &Why) -> Result<Exit, Error> {
    let ui = &session.ui;
    let line = Line::new(ui);
    let patches = filter(&args.patches);
    let method = args.patches.method.map(Into::into);
    let asking = why(&session.context, &args.target, &patches, method, args.freshness.max_age(), &line);
    let report = match session.until_signal(Box::pin(asking)).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    drop(line);
    if ui.json {
        ui.document(&WhyDocument::from(&report));
        return Ok(Exit::Done);
    }
    let mut text = about(session, &report);
    text.push_str(&packages(&report).render(ui.width));
    for line in obstacles(&report) {
        text.push_str(&format!("{} {line}\n", paint(YELLOW, "!")));
    }
    ui.result(&text);
    Ok(Exit::Done)
}

fn about(session: &Session, report: &WhyReport) -> String {
    let target = &report.known.target;
    let os = target.os.as_ref().map_or_else(|| "OS not known".to_owned(), |os| name(&os.pretty_name));
    let order = match report.settings.order {
        Order::StopFirst => "",
        Order::StartFirst => " · start-first",
    };
    let image = match target.kind {
        TargetKind::Container | TargetKind::Service => format!("{} · ", name(&target.image.reference)),
        // Its system is all that it is made from.
        TargetKind::Host => String::new(),
    };
    let mut text = format!(
        "{} · service {} · {image}{os} · method {}{order}\n",
        paint(BOLD, &name(&target.name)),
        name(&target.service),
        report.settings.method,
    );
    match &report.known.assessment {
        Assessment::Assessed { at, pending } => {
            let when = ago(*at, session.context.clock.now());
            let what = if pending.is_empty() { "nothing is pending" } else { "pending" };
            text.push_str(&format!("Its package manager was asked {when}: {what}\n"));
        }
        Assessment::NotAssessed(unknown) => {
            text.push_str(&format!("{} {}\n", paint(YELLOW, "Not assessed:"), remark(&unknown.reason)));
            if !unknown.hint.is_empty() {
                text.push_str(&format!("{} {}\n", paint(BOLD, "Next:"), remark(&unknown.hint)));
            }
        }
    }
    match &report.known.image_update {
        Ok(Some(update)) => {
            text.push_str(&format!("Newer image: {} is {} now\n", name(&update.reference), name(&update.to)));
        }
        Ok(None) => {}
        Err(unknown) => text.push_str(&format!("Newer image: not known: {}\n", remark(&unknown.reason))),
    }
    text
}

fn packages(report: &WhyReport) -> Table {
    let mut table = Table::new(&["PACKAGE", "INSTALLED", "CANDIDATE", ">SIZE", "WHY"]);
    if let Assessment::Assessed { pending, .. } = &report.known.assessment {
        for patch in pending {
            table.row([
                Cell::styled(name(&patch.package), if patch.security { RED } else { PLAIN }),
                name(patch.installed.as_deref().unwrap_or("–")).into(),
                name(&patch.candidate).into(),
                size::show(patch.size).into(),
                reason(patch).into(),
            ]);
        }
    }
    table
}

fn reason(patch: &PendingPatch) -> String {
    let status = match patch.status {
        PendingStatus::Available if patch.installed.is_none() => "comes in new, as a dependency",
        PendingStatus::Available if patch.security => "security",
        PendingStatus::Available => "newer version",
        PendingStatus::Held => "on hold: an administrator does not want it changed",
        PendingStatus::Phased => "phased: its turn has not come",
        PendingStatus::KeptBack => "kept back: it would need a removal",
        PendingStatus::Removal => "would be removed",
    };
    let parts = [status, &remark(&patch.why), &remark(&patch.origin)];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" · ")
}

/// Everything that keeps it out of a plan, or that its owner may not expect.
fn obstacles(report: &WhyReport) -> Vec<String> {
    let mut found = Vec::new();
    let target = &report.known.target;
    if report.reverted {
        let run = report.last.as_ref().map(|last| format!(" by {}", last.run)).unwrap_or_default();
        found.push(format!("it was patched{run}, and went back to its unpatched image since"));
    }
    if report.excluded {
        found.push("its label io.patchyard.exclude takes it out".to_owned());
    }
    found.extend(target.refusals.iter().map(|refusal| remark(&refusal.message)));
    found.extend(managers(target));
    match &report.unsaved {
        Ok(unsaved) => {
            let lost = would_lose(unsaved, report.settings.writable_layer);
            found.extend(lost.map(|detail| remark(&detail)));
        }
        Err(reason) => found.push(format!("what it has written cannot be read: {}", remark(reason))),
    }
    if !report.dependents.is_empty() {
        let names: Vec<_> = report.dependents.iter().take(5).map(|dependent| name(dependent)).collect();
        let names = names.join(", ");
        found.push(format!("in its namespaces live, and with it are made again: {names}"));
    }
    found.extend(report.in_the_way.iter().map(|detail| remark(detail)));
    found.extend(report.cannot_restore.iter().map(|detail| remark(detail)));
    found.extend(report.cannot_start_first.iter().map(|detail| remark(detail)));
    found.extend(report.traps().iter().map(|trap| remark(&trap.message)));
    for (id, entry) in &report.quarantine {
        let versions: Vec<_> = entry.versions.iter().take(5).map(|version| name(version)).collect();
        found.push(format!("in quarantine ({id}, {}): {}", entry.run, versions.join(", ")));
    }
    for label in &report.ignored_labels {
        found.push(format!("its label {label} is passed over: the configuration does not let it"));
    }
    found
}
