//! `snapshots`: what can be put back, and removing it.

use patchyard_app::snapshots::{Pruned, apply_retention, list, prune};
use patchyard_app::{Error, reach, size};
use patchyard_types::Snapshot;

use crate::args::{Snapshots, SnapshotsVerb};
use crate::exit::Exit;
use crate::json::SnapshotsDocument;
use crate::session::Session;
use crate::table::Table;
use crate::text::{ago, name, remark};
use crate::ui::{BOLD, RED, paint};

pub async fn run(session: &Session, args: &Snapshots) -> Result<Exit, Error> {
    match &args.verb {
        Some(SnapshotsVerb::Prune { snapshots, dry_run }) => remove(session, snapshots, *dry_run).await,
        None => show(session, &args.names).await,
    }
}

async fn show(session: &Session, names: &[String]) -> Result<Exit, Error> {
    let ui = &session.ui;
    let snapshots = list(&session.context, names).await?;
    if ui.json {
        ui.document(&SnapshotsDocument::listed(&snapshots));
    } else if snapshots.is_empty() {
        ui.result("No snapshots.\n");
    } else {
        let mut table = Table::new(&["SNAPSHOT", "TARGET", "TAKEN", ">SIZE", "IMAGE"]);
        let now = session.context.clock.now();
        for snapshot in &snapshots {
            table.row([
                name(&snapshot.id.0).into(),
                name(&snapshot.name).into(),
                ago(snapshot.at, now).into(),
                room(snapshot).into(),
                name(&snapshot.reference).into(),
            ]);
        }
        let next = format!("{} patchyard rollback TARGET\n", paint(BOLD, "Back:"));
        ui.result(&format!("{}{next}", table.render(ui.width)));
    }
    Ok(Exit::Done)
}

/// What it takes. Layers of disks grow with what is written, on a host that is not asked.
fn room(snapshot: &Snapshot) -> String {
    match snapshot.disks {
        Some(_) => "grows".to_owned(),
        None => size::show(snapshot.size),
    }
}

async fn remove(session: &Session, names: &[String], dry_run: bool) -> Result<Exit, Error> {
    let ui = &session.ui;
    let fleet = reach(&session.context).await?;
    let pruned = if names.is_empty() {
        apply_retention(&session.context, &fleet, dry_run).await?
    } else {
        prune(&session.context, &fleet, names, dry_run).await?
    };
    if ui.json {
        ui.document(&SnapshotsDocument::pruned(&pruned, dry_run));
    } else if pruned.is_empty() {
        ui.result("Nothing to remove.\n");
    } else {
        ui.result(&pruned.iter().map(|pruned| line(pruned, dry_run)).collect::<String>());
    }
    let failed = pruned.iter().any(|pruned| pruned.failed.is_some());
    Ok(if failed { Exit::Unreachable } else { Exit::Done })
}

fn line(pruned: &Pruned, dry_run: bool) -> String {
    let snapshot = format!("{} of {}", name(&pruned.snapshot.id.0), name(&pruned.snapshot.name));
    match &pruned.failed {
        Some(reason) => format!("{} {snapshot}: {}\n", paint(RED, "✘"), remark(reason)),
        None if dry_run => format!("would remove {snapshot}\n"),
        None => format!("removed {snapshot}\n"),
    }
}
