//! `history`: past rollouts, newest first.

use patchyard_app::{Error, Past, history};
use patchyard_types::RunEnd;

use crate::args::History;
use crate::exit::Exit;
use crate::json::HistoryDocument;
use crate::session::Session;
use crate::table::{Cell, Table};
use crate::text::{name, phase, phase_style, time};

pub async fn run(session: &Session, args: &History) -> Result<Exit, Error> {
    let ui = &session.ui;
    let past = history(&session.context, &args.names, args.limit).await?;
    if ui.json {
        ui.document(&HistoryDocument::from(&past[..]));
    } else if past.is_empty() {
        ui.result("No rollout yet.\n");
    } else {
        let mut table = Table::new(&["ROLLOUT", "PLAN", "BEGAN", "STATE", "RUNS"]);
        for rollout in &past {
            table.row([
                rollout.id.to_string().into(),
                rollout.plan.short(6).into(),
                rollout.started_at.map(time).unwrap_or_default().into(),
                Cell::styled(phase(rollout.phase), phase_style(rollout.phase)),
                runs(rollout).into(),
            ]);
        }
        ui.result(&table.render(ui.width));
    }
    Ok(Exit::Done)
}

fn runs(past: &Past) -> String {
    let numbers = [
        (RunEnd::Succeeded, "succeeded"),
        (RunEnd::RolledBack, "rolled back"),
        (RunEnd::Failed, "failed"),
        (RunEnd::Skipped, "skipped"),
        (RunEnd::NeedsAttention, "need attention"),
    ];
    let mut parts: Vec<String> = numbers
        .iter()
        .map(|(end, word)| (past.count(*end), word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    parts.extend(past.undoes.map(|rollout| format!("took back {rollout}")));
    parts.extend(past.by.as_ref().map(|actor| name(&actor.0)));
    parts.join(" · ")
}
