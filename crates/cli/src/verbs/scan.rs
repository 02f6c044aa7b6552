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
    let request = ScanRequest {
        selection: args.targets.selection(),
        patches: filter(&args.patches),
        method: args.patches.method.map(Into::into),
        max_age: args.freshness.max_age(),
    };
    let words = args.targets.words().into_iter().chain(args.patches.words()).collect();
    let report = match scan_and_show(session, &request, table, words).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    let exit = exit(&report);
    Ok(match args.detailed_exitcode {
        true => exit.and(detailed(report.any_pending(), report.any_unknown())),
        false => exit,
    })
}

/// Scans and shows what was found in a table; an exit code instead when a signal ended it. The `words`
/// select the same for the verb that comes next.
pub async fn scan_and_show(
    session: &Session,
    request: &ScanRequest,
    table: fn(&ScanReport) -> Table,
    words: Vec<String>,
) -> Result<Result<ScanReport, Exit>, Error> {
    let ui = &session.ui;
    let line = Line::new(ui);
    let scanning = Box::pin(scan(&session.context, request, &line));
    let report = match session.until_signal(scanning).await? {
        Ok(report) => report,
        Err(exit) => return Ok(Err(exit)),
    };
    drop(line);
    if ui.json {
        ui.document(&ScanDocument::from(&report));
    } else {
        let mut text = head(session, &report);
        text.push_str(&table(&report).render(ui.width));
        text.push_str(&next(&report, request, &words));
        ui.result(&text);
    }
    Ok(Ok(report))
}

/// What a scan ends with, where nobody asks for details.
pub const fn exit(report: &ScanReport) -> Exit {
    if report.unreachable.is_empty() { Exit::Done } else { Exit::Unreachable }
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
    PatchFilter { security_only: patches.security_only, packages: patches.package.clone() }
}

fn table(report: &ScanReport) -> Table {
    let mut table = Table::new(&["TARGET", "HOST", "SERVICE", "PENDING", ">SECURITY", "NOTE"]);
    for scanned in &report.targets {
        let (pending, security) = pending(&[scanned]);
        let target = &scanned.known.target;
        table.row([
            name(&target.name).into(),
            name(&target.host_name).into(),
            name(&target.service).into(),
            pending,
            security,
            notes(&[scanned]).into(),
        ]);
    }
    if report.has_several_hosts() { table } else { table.without("HOST") }
}
