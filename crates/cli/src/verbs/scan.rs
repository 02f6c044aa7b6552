//! `scan`: what is unpatched, target by target.

use patchyard_app::{Error, PatchFilter, ScanReport, ScanRequest, scan};

use super::overview::{head, next, notes, pending};
use crate::args::{Patches, Scan};
use crate::exit::Exit;
use crate::json::ScanDocument;
use crate::progress::Line;
use crate::session::Session;
use crate::table::Table;
use crate::text::name;

pub async fn run(session: &Session, args: &Scan) -> Result<Exit, Error> {
    let ui = &session.ui;
    let request = ScanRequest {
        selection: args.targets.selection(),
        patches: filter(&args.patches),
        max_age: args.freshness.max_age(),
    };
    let line = Line::new(ui);
    let scanning = Box::pin(scan(&session.context, &request, &line));
    let report = match session.until_signal(scanning).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    drop(line);
    if ui.json {
        ui.document(&ScanDocument::from(&report));
    } else {
        let mut text = head(session, &report);
        text.push_str(&table(&report).render(ui.width));
        text.push_str(&next(&report));
        ui.result(&text);
    }
    let unreachable = if report.unreachable.is_empty() { Exit::Done } else { Exit::Unreachable };
    Ok(match args.detailed_exitcode {
        true => unreachable.and(detailed(report.any_pending(), report.any_unknown())),
        false => unreachable,
    })
}

/// Pending patches are told first: something can be done about them. Zero is said only of what is
/// known.
pub const fn detailed(pending: bool, unknown: bool) -> Exit {
    match (pending, unknown) {
        (true, _) => Exit::Pending,
        (false, true) => Exit::Unreachable,
        (false, false) => Exit::Done,
    }
}

/// The filter that the arguments mean.
pub fn filter(patches: &Patches) -> PatchFilter {
    PatchFilter {
        security_only: patches.security_only,
        packages: patches.package.clone(),
        method: patches.method.map(Into::into),
    }
}

fn table(report: &ScanReport) -> Table {
    let mut table = Table::new(&["TARGET", "SERVICE", "PENDING", ">SECURITY", "NOTE"]);
    for scanned in &report.targets {
        let (pending, security) = pending(&[scanned]);
        let target = &scanned.known.target;
        table.row([
            name(&target.name).into(),
            name(&target.service).into(),
            pending,
            security,
            notes(&[scanned]).into(),
        ]);
    }
    table
}
