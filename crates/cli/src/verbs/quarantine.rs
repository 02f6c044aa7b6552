//! `quarantine`: what failed before, and letting it back in.

use patchyard_app::Error;
use patchyard_app::quarantine::{list, release};

use crate::args::{Quarantine, QuarantineVerb};
use crate::exit::Exit;
use crate::json::QuarantineDocument;
use crate::session::Session;
use crate::table::Table;
use crate::text::{ago, name, remark};
use crate::ui::{BOLD, paint};

pub async fn run(session: &Session, args: &Quarantine) -> Result<Exit, Error> {
    match &args.verb {
        Some(QuarantineVerb::Release { entries, reason }) => let_in(session, entries, reason).await,
        None => show(session).await,
    }
}

async fn show(session: &Session) -> Result<Exit, Error> {
    let ui = &session.ui;
    let entries = list(&session.context).await?;
    if ui.json {
        ui.document(&QuarantineDocument::listed(&entries));
    } else if entries.is_empty() {
        ui.result("Nothing is in quarantine.\n");
    } else {
        let now = session.context.clock.now();
        let mut table = Table::new(&["ENTRY", "SERVICE", "RUN", "SINCE", "WHAT FAILED"]);
        for (id, entry) in &entries {
            let versions: Vec<_> = entry.versions.iter().take(6).map(|version| name(version)).collect();
            let more = entry.versions.len().saturating_sub(6);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            table.row([
                id.to_string().into(),
                name(&entry.service).into(),
                entry.run.to_string().into(),
                ago(entry.at, now).into(),
                format!("{}{more}: {}", versions.join(", "), remark(&entry.reason)).into(),
            ]);
        }
        let next =
            format!("{} patchyard quarantine release ENTRY --reason …\n", paint(BOLD, "Let in again:"));
        ui.result(&format!("{}{next}", table.render(ui.width)));
    }
    Ok(Exit::Done)
}

async fn let_in(session: &Session, entries: &[String], reason: &str) -> Result<Exit, Error> {
    let released = release(&session.context, entries, reason).await?;
    if session.ui.json {
        session.ui.document(&QuarantineDocument::released(&released));
    } else {
        let line =
            |id: &patchyard_types::QuarantineId| format!("{id} is released: plans may contain it again\n");
        session.ui.result(&released.iter().map(|(id, _)| line(id)).collect::<String>());
    }
    Ok(Exit::Done)
}
