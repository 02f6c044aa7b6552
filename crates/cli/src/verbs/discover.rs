//! `discover`: which targets there are.

use patchyard_app::{Error, Fleet, discover};
use patchyard_types::{Health, Manager, Target, TargetState};

use super::overview::warnings;
use crate::args::Discover;
use crate::exit::Exit;
use crate::json::DiscoverDocument;
use crate::session::Session;
use crate::table::{Cell, Table};
use crate::text::{count, name, remark};
use crate::ui::{GREEN, RED, YELLOW, paint};

pub async fn run(session: &Session, args: &Discover) -> Result<Exit, Error> {
    let ui = &session.ui;
    let selection = args.targets.selection();
    let fleet = match session.until_signal(discover(&session.context, &selection)).await? {
        Ok(fleet) => fleet,
        Err(exit) => return Ok(exit),
    };
    if ui.json {
        ui.document(&DiscoverDocument::from(&fleet));
    } else {
        let mut text = hosts(&fleet);
        let table = table(&fleet.targets);
        let several = fleet.hosts.len() + fleet.unreachable.len() > 1;
        let table = if several { table } else { table.without("HOST") };
        text.push_str(&table.render(ui.width));
        text.push_str(&format!("{}\n", count(fleet.targets.len(), "target")));
        ui.result(&text);
    }
    Ok(if fleet.unreachable.is_empty() { Exit::Done } else { Exit::Unreachable })
}

fn hosts(fleet: &Fleet) -> String {
    let mut text: String =
        fleet.hosts.iter().map(|host| format!("{}\n", remark(&host.description))).collect();
    text.push_str(&warnings(&fleet.hosts));
    for host in &fleet.unreachable {
        text.push_str(&format!("{} {}\n", paint(RED, "✘"), remark(&host.error.to_string())));
    }
    text
}

fn table(targets: &[Target]) -> Table {
    let mut table = Table::new(&["TARGET", "HOST", "SERVICE", "STATE", "OS", "IMAGE", "NOTE"]);
    for target in targets {
        let os = target.os.as_ref().map(|os| format!("{} {}", os.id, os.version_id)).unwrap_or_default();
        table.row([
            name(&target.name).into(),
            name(&target.host_name).into(),
            name(&target.service).into(),
            state(target),
            name(&os).into(),
            name(&target.image.reference).into(),
            note(target).into(),
        ]);
    }
    table
}

/// What a target is doing, in a word.
pub fn state(target: &Target) -> Cell {
    match (target.state, target.health) {
        (TargetState::Running, Health::Unhealthy) => Cell::styled("unhealthy", RED),
        (TargetState::Running, Health::Starting) => Cell::styled("starting", YELLOW),
        (TargetState::Running, Health::Healthy) => Cell::styled("healthy", GREEN),
        (TargetState::Running, Health::None) => Cell::new("running"),
        (TargetState::Paused, _) => Cell::styled("paused", YELLOW),
        (TargetState::Restarting, _) => Cell::styled("restarting", RED),
        (TargetState::Created, _) => Cell::new("created"),
        (TargetState::Exited, _) => Cell::new("stopped"),
        (TargetState::Dead, _) => Cell::styled("dead", RED),
    }
}

/// Who else recreates, restarts or updates it. Compose keeps away until somebody calls it.
pub fn managers(target: &Target) -> impl Iterator<Item = String> + '_ {
    target.managers.iter().filter_map(|manager| match manager {
        Manager::Compose(_) => None,
        Manager::Watchtower(who) => Some(format!("Watchtower ({}) acts on it", name(who))),
        Manager::Systemd(unit) => Some(format!("systemd unit {}", name(unit))),
        Manager::Swarm(service) => Some(format!("Swarm service {}", name(service))),
    })
}

/// Who else acts on it, and why it is not patched.
fn note(target: &Target) -> String {
    let managers = managers(target);
    let refusals = target.refusals.iter().map(|refusal| remark(&refusal.message));
    managers.chain(refusals).collect::<Vec<_>>().join("; ")
}
