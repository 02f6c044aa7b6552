//! `plan`: what would be done, and why not the rest.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_app::settings::Overrides;
use patchyard_app::{Error, PlanReport, PlanRequest, plan};
use patchyard_types::{
    Action, Change, LeftOut, LeftOutReason, Method, Order, PatchSetId, Plan, Reboot, SnapshotPolicy,
    TargetKind,
};

use super::overview::unreachable;
use super::scan::{detailed, filter};
use crate::args::{Plan as PlanArgs, Shape};
use crate::exit::Exit;
use crate::json::PlanDocument;
use crate::progress::Line;
use crate::session::Session;
use crate::text::{count, name, remark};
use crate::ui::{BOLD, DIM, Ui, YELLOW, paint};
use crate::wrap::wrap;

/// More waves than this are not listed one by one.
const WAVES: usize = 12;

pub async fn run(session: &Session, args: &PlanArgs) -> Result<Exit, Error> {
    let ui = &session.ui;
    let request = PlanRequest {
        selection: args.targets.selection(),
        patches: filter(&args.patches),
        overrides: overrides(args.patches.method.map(Into::into), &args.shape),
        max_age: args.freshness.max_age(),
    };
    let line = Line::new(ui);
    let planning = Box::pin(plan(&session.context, &request, &line));
    let report = match session.until_signal(planning).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    drop(line);
    if ui.json {
        ui.document(&PlanDocument::from(&report.plan));
    } else {
        let mut text = describe_report(session, &report);
        if !report.plan.decisions.actions.is_empty() {
            let next = format!("patchyard apply {}", short(&report.plan));
            text.push_str(&format!("{} {next}\n", paint(BOLD, "Next:")));
        }
        ui.result(&text);
    }
    let unreachable = if report.unreachable.is_empty() { Exit::Done } else { Exit::Unreachable };
    Ok(match args.detailed_exitcode {
        true => unreachable.and(detailed(report.any_pending, report.any_unknown)),
        false => unreachable,
    })
}

/// What the arguments say about the plan's shape.
pub fn overrides(method: Option<Method>, shape: &Shape) -> Overrides {
    let Shape {
        verify_for,
        step_timeout,
        max_unavailable,
        max_failures,
        max_parallel,
        max_layer,
        writable_layer,
        data,
        order,
        allow_remove,
    } = *shape;
    Overrides {
        method,
        verify_for,
        step_timeout,
        max_unavailable,
        max_failures,
        max_parallel,
        max_layer,
        writable_layer,
        data,
        order,
        allow_remove,
    }
}

/// The digits by which people call a plan.
pub fn short(plan: &Plan) -> String {
    plan.digest().short(6)
}

/// A plan and what was said beside it.
pub fn describe_report(session: &Session, report: &PlanReport) -> String {
    let mut text = unreachable(&report.unreachable);
    for target in &report.reverted {
        text.push_str(&format!("{} {} went back to its unpatched image\n", paint(YELLOW, "!"), name(target)));
    }
    text.push_str(&describe(session, &report.plan));
    if !report.filtered_out.is_empty() {
        let names: Vec<_> = report.filtered_out.iter().map(|target| name(target)).collect();
        push(&mut text, &session.ui, &format!("Nothing wanted: {}", names.join(", ")));
    }
    text
}

/// A plan as people read it.
pub fn describe(session: &Session, plan: &Plan) -> String {
    let ui = &session.ui;
    let (actions, about) = (&plan.decisions.actions, &plan.about);
    let mut text = String::new();
    if actions.is_empty() {
        text.push_str(match about.considered {
            0 => "Nothing to do: no target was found.\n",
            _ => "Nothing to do.\n",
        });
    } else {
        let mut parts = vec![
            format!("{} {}", paint(BOLD, "Plan"), paint(BOLD, &short(plan))),
            format!("{} of {}", actions.len(), count(about.considered, "target")),
        ];
        for (method, work) in [(Method::Layer, "build"), (Method::Image, "pull")] {
            let sets = actions.iter().filter(|action| action.method == method).map(|a| a.patch_set);
            match sets.collect::<BTreeSet<_>>().len() {
                0 => {}
                number => parts.push(count(number, work)),
            }
        }
        parts.push(format!("about {}", about.estimate.total));
        parts.push(format!("longest gap {}", about.estimate.longest_gap));
        text.push_str(&parts.join(" · "));
        text.push('\n');
        push_waves(&mut text, ui, plan);
        push_changes(&mut text, ui, plan);
        push_order(&mut text, ui, plan);
        push_way_back(&mut text, session, plan);
    }
    push_left_out(&mut text, ui, &about.left_out);
    if !about.up_to_date.is_empty() {
        let names: Vec<_> = about.up_to_date.iter().map(|target| name(target)).collect();
        push(&mut text, ui, &format!("Up to date: {}", names.join(", ")));
    }
    for note in &about.notes {
        push(&mut text, ui, &remark(note));
    }
    text
}

/// Who is left out and why: those with one reason together, a line for each reason.
fn push_left_out(text: &mut String, ui: &Ui, left_out: &[LeftOut]) {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for left in left_out {
        // Unknown is never zero: the word itself has to stand there.
        let unknown = if left.reason == LeftOutReason::NotAssessed { "not assessed: " } else { "" };
        let reason = format!("{unknown}{}", remark(&left.detail));
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name(&left.name)),
            None => reasons.push((reason, vec![name(&left.name)])),
        }
    }
    let line = |(reason, names): &(String, Vec<String>)| format!("{} ({reason})", names.join(", "));
    match &reasons[..] {
        [] => {}
        [only] => push(text, ui, &format!("Left out: {}", line(only))),
        several => {
            push(text, ui, "Left out:");
            for one in several {
                push_at(4, text, ui, &line(one));
            }
        }
    }
}

/// A paragraph, two columns in, that fits the terminal.
fn push(text: &mut String, ui: &Ui, paragraph: &str) {
    push_at(2, text, ui, paragraph);
}

/// The same so many columns in; its other lines stand two columns further.
fn push_at(indent: usize, text: &mut String, ui: &Ui, paragraph: &str) {
    let room = ui.width.map(|width| width.saturating_sub(indent + 2));
    for (index, line) in wrap(paragraph, room).iter().enumerate() {
        text.push_str(&" ".repeat(if index == 0 { indent } else { indent + 2 }));
        text.push_str(line);
        text.push('\n');
    }
}

fn push_waves(text: &mut String, ui: &Ui, plan: &Plan) {
    let names = |wave: &patchyard_types::Wave| {
        let actions = wave.0.iter().filter_map(|index| plan.decisions.actions.get(*index));
        actions.map(named).collect::<Vec<_>>().join(", ")
    };
    let waves = &plan.decisions.waves;
    let shown = waves.iter().take(WAVES).enumerate();
    let mut steps: Vec<String> =
        shown.map(|(index, wave)| format!("{} {}", index + 1, names(wave))).collect();
    if waves.len() > WAVES {
        steps.push(format!("… {} more", waves.len() - WAVES));
    }
    let order = if waves.len() > 1 { "   one wave after the other" } else { "" };
    push(text, ui, &format!("{}{}", steps.join(" → "), paint(DIM, order)));
}

/// An action's target, and who is made again with it.
fn named(action: &Action) -> String {
    let with: Vec<_> = action.dependents.iter().map(|dependent| name(&dependent.name)).collect();
    match with.is_empty() {
        true => name(&action.name),
        false => format!("{} (with {})", name(&action.name), with.join(", ")),
    }
}

/// What changes, patch set by patch set.
fn push_changes(text: &mut String, ui: &Ui, plan: &Plan) {
    let mut sets: BTreeMap<&PatchSetId, Vec<&Action>> = BTreeMap::new();
    for action in &plan.decisions.actions {
        sets.entry(&action.patch_set).or_default().push(action);
    }
    for (id, actions) in sets {
        let Some(set) = plan.decisions.patch_sets.get(id) else { continue };
        let names: Vec<_> = actions.iter().map(|action| name(&action.name)).collect();
        push(text, ui, &format!("{}: {}", names.join(", "), change(&set.change)));
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::Packages(packages) => {
            let security = packages.iter().filter(|package| package.security).count();
            let removed: Vec<_> =
                packages.iter().filter(|package| package.to.is_none()).map(|p| name(&p.name)).collect();
            let shown = packages.iter().filter(|package| package.to.is_some()).take(4).map(|package| {
                format!("{} {}", name(&package.name), name(package.to.as_deref().unwrap_or_default()))
            });
            let mut text = format!("{} ({security} security)", count(packages.len(), "package"));
            text.push_str(&format!(": {}", shown.collect::<Vec<_>>().join(", ")));
            if packages.len() - removed.len() > 4 {
                text.push_str(", …");
            }
            if !removed.is_empty() {
                text.push_str(&format!("; REMOVES {}", removed.join(", ")));
            }
            text
        }
        Change::Image { reference, to, .. } => format!("newer image {} {}", name(reference), name(to)),
        Change::Snapshot { snapshot, .. } => format!("back to snapshot {}", name(&snapshot.0)),
    }
}

/// Whose new container runs beside the old one.
fn push_order(text: &mut String, ui: &Ui, plan: &Plan) {
    let first = plan.decisions.actions.iter().filter(|action| action.order == Order::StartFirst);
    let names: Vec<_> = first.map(|action| name(&action.name)).collect();
    if !names.is_empty() {
        let line =
            format!("Start-first, two beside each other until the new one is good: {}", names.join(", "));
        push(text, ui, &line);
    }
}

/// What is restarted on a machine.
const fn restarts(reboot: Reboot) -> &'static str {
    match reboot {
        Reboot::ServicesOnly => "services that run on replaced files; no machine (reboot: services-only)",
        Reboot::Never => "nothing (reboot: never)",
        Reboot::AsNeeded => {
            "services that run on replaced files; the machine where a kernel or a package asks for it (reboot: as-needed)"
        }
        Reboot::Always => "the machine (reboot: always)",
    }
}

/// What a way back keeps and loses: said before the yes.
fn push_way_back(text: &mut String, session: &Session, plan: &Plan) {
    let ui = &session.ui;
    let actions = &plan.decisions.actions;
    let keep_for = session.context.config.retention.keep_for;
    let restore = actions.iter().all(|action| action.method == Method::Restore);
    let way_back = if restore { "the present state is kept as a snapshot" } else { "snapshots" };
    if actions.iter().any(|action| action.kind != TargetKind::Host) {
        let restored = actions.iter().flat_map(|action| &action.losses).any(|loss| loss.kind == "data");
        let except = if restored { ", except those named here" } else { "" };
        push(
            text,
            ui,
            &format!("Way back: {way_back}, kept {keep_for}. Volumes are NOT rolled back{except}."),
        );
    }
    let machines: Vec<&Action> = actions.iter().filter(|action| action.kind == TargetKind::Host).collect();
    if let [first, ..] = &machines[..] {
        let names: Vec<_> = machines.iter().map(|action| name(&action.name)).collect();
        let line = format!(
            "Way back of {}: packages, their previous versions put back, kept {keep_for}. Data is NOT rolled back.",
            names.join(", ")
        );
        push(text, ui, &line);
        let saved = machines.iter().filter(|action| action.snapshot == SnapshotPolicy::Required);
        let saved: Vec<_> = saved.map(|action| name(&action.name)).collect();
        if !saved.is_empty() {
            let line = format!(
                "Second way back of {}: a snapshot of the disks, taken before the patch, gone back to where packages do not bring it back.",
                saved.join(", ")
            );
            push(text, ui, &line);
        }
        push(text, ui, &format!("Restarts: {}", restarts(first.reboot)));
    }
    let mut losses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for action in actions {
        for loss in &action.losses {
            losses.entry(remark(&loss.detail)).or_default().insert(name(&action.name));
        }
    }
    for (detail, targets) in losses {
        let names: Vec<_> = targets.into_iter().collect();
        push_at(4, text, ui, &paint(DIM, &format!("{}: {detail}", names.join(", "))));
    }
}

#[cfg(test)]
mod tests {
    use patchyard_types::{HostId, TargetId};

    use super::*;

    #[test]
    fn who_is_left_out_stands_below_the_title_also_where_lines_are_short() {
        let left_out = |name: &str, detail: &str| LeftOut {
            target: TargetId::new("sim", &HostId::new("h"), name),
            name: name.into(),
            reason: LeftOutReason::Unsolvable,
            detail: detail.into(),
        };
        let both = [
            left_out("db", "everything that is pending is on hold"),
            left_out("legacy", "it would remove apt: allow it with --allow-remove"),
        ];
        let mut ui = Ui::new(clap::ColorChoice::Never, false, false);
        ui.width = Some(50);
        let mut text = String::new();
        push_left_out(&mut text, &ui, &both);
        assert_eq!(
            text,
            "  Left out:\n    db (everything that is pending is on hold)\n    \
             legacy (it would remove apt: allow it with\n      --allow-remove)\n"
        );
    }
}
