//! `status`: rollouts that are under way or wait, or one of any kind.

use patchyard_app::rollouts::{Phase, open, what_next};
use patchyard_app::{Error, RolloutReport, audit, report};

use super::roll::{run_lines, summary};
use crate::args::RolloutArg;
use crate::exit::Exit;
use crate::json::{RolloutDocument, StatusDocument};
use crate::session::Session;
use crate::text::{ago, name, phase, phase_style};
use crate::ui::{BOLD, paint};

pub async fn run(session: &Session, args: &RolloutArg) -> Result<Exit, Error> {
    let (context, ui) = (&session.context, &session.ui);
    let ids = match args.rollout {
        Some(rollout) => vec![rollout],
        None => open(&*context.store, context.clock.now()).await?.into_iter().map(|line| line.id).collect(),
    };
    let mut reports = Vec::new();
    for id in ids {
        reports.push(report(context, id).await?);
    }
    if ui.json {
        let head = audit::head(context).await?;
        match (args.rollout, &reports[..]) {
            (Some(_), [report]) => ui.document(&RolloutDocument::new(report, head)),
            _ => ui.document(&StatusDocument::new(&reports, head)),
        }
    } else if reports.is_empty() {
        ui.result("No rollout is open.\n");
    } else {
        let text: String = reports.iter().map(|report| describe(session, report)).collect();
        ui.result(&text);
    }
    let waits = |report: &RolloutReport| match report.phase {
        Phase::NeedsAttention => Exit::Attention,
        _ => Exit::Done,
    };
    Ok(reports.iter().map(waits).fold(Exit::Done, Exit::and))
}

fn describe(session: &Session, report: &RolloutReport) -> String {
    let now = session.context.clock.now();
    let mut parts = vec![
        format!(
            "{} {}",
            paint(BOLD, &report.id.to_string()),
            paint(phase_style(report.phase), phase(report.phase))
        ),
        format!("plan {}", report.plan.short(6)),
    ];
    parts.extend(report.started_at.map(|at| format!("began {}", ago(at, now))));
    parts.extend(report.by.as_ref().map(|actor| name(&actor.0)));
    if let Some(undone) = report.undoes {
        parts.push(format!("takes back {undone}"));
    }
    let mut text = parts.join(" · ");
    text.push('\n');
    let column = report.runs.iter().map(|run| name(&run.name).chars().count()).max().unwrap_or(0);
    for run in &report.runs {
        text.push_str(&run_lines(&session.ui, run, column));
    }
    text.push_str(&summary(report));
    let mut next = |command: String| text.push_str(&format!("{} {command}\n", paint(BOLD, "Next:")));
    match report.phase {
        Phase::Paused | Phase::Interrupted => next(what_next(report.id, report.phase)),
        Phase::NeedsAttention => {
            let waiting =
                report.runs.iter().filter(|run| run.end == Some(patchyard_types::RunEnd::NeedsAttention));
            for run in waiting {
                next(format!("patchyard resolve {} --done|--undo|--close --reason …", run.run));
            }
        }
        Phase::Running => next(format!("patchyard log -f {}", report.id)),
        Phase::Ended(_) => {}
    }
    text
}
