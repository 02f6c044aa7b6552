//! Without a verb: what there is and what is unpatched, service by service.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_app::{Error, Host, PatchFilter, ScanReport, ScanRequest, Scanned, Unreachable};
use patchyard_types::{Assessment, Method, MountKind, PendingPatch, PendingStatus, TargetKind, TargetState};

use super::discover::managers;
use super::scan::{exit, scan_and_show};
use crate::args::Overview;
use crate::exit::Exit;
use crate::session::Session;
use crate::table::{Cell, Table};
use crate::text::{count, name, remark};
use crate::ui::{BOLD, DIM, GREEN, RED, YELLOW, paint};

pub async fn run(session: &Session, args: &Overview) -> Result<Exit, Error> {
    let request = ScanRequest {
        selection: args.select.selection(Vec::new()),
        patches: PatchFilter::default(),
        method: None,
        max_age: args.freshness.max_age(),
    };
    let report = scan_and_show(session, &request, services, args.select.words()).await?;
    Ok(report.map_or_else(|exit| exit, |report| exit(&report)))
}

/// Hosts, numbers, and which configuration applies.
pub fn head(session: &Session, report: &ScanReport) -> String {
    let services: BTreeSet<&str> = report.targets.iter().map(|s| s.known.target.service.as_str()).collect();
    let hosts: Vec<_> = report.hosts.iter().map(|host| remark(&host.description)).collect();
    let config = match &session.context.config.file {
        Some(file) => file.display().to_string(),
        None => "no config file, defaults apply".to_owned(),
    };
    let parts =
        [paint(BOLD, &hosts.join(", ")), things(&report.targets), count(services.len(), "service"), config];
    let mut text = parts.join(" · ");
    text.push('\n');
    text.push_str(&warnings(&report.hosts));
    text.push_str(&unreachable(&report.unreachable));
    text
}

/// How many there are, of each kind.
fn things(targets: &[Scanned]) -> String {
    let machines = targets.iter().filter(|s| s.known.target.kind == TargetKind::Host).count();
    match (targets.len() - machines, machines) {
        (containers, 0) => count(containers, "container"),
        (0, machines) => count(machines, "machine"),
        (containers, machines) => {
            format!("{}, {}", count(containers, "container"), count(machines, "machine"))
        }
    }
}

/// A line for everybody else who updates one of the hosts.
pub fn warnings(hosts: &[Host]) -> String {
    hosts.iter().flat_map(Host::warnings).map(|text| format!("{} {text}\n", paint(YELLOW, "!"))).collect()
}

/// One line for each host that did not answer.
pub fn unreachable(hosts: &[Unreachable]) -> String {
    let line = |host: &Unreachable| {
        format!("{} {}; what is on it is not known\n", paint(RED, "✘"), remark(&host.error.to_string()))
    };
    hosts.iter().map(line).collect()
}

fn services(report: &ScanReport) -> Table {
    let mut table = Table::new(&["SERVICE", "HOST", "RUNNING", "PENDING", ">SECURITY", "NOTE"]);
    let mut services: Vec<(&str, Vec<&Scanned>)> = Vec::new();
    // In the order of the report: what was reverted comes first.
    for scanned in &report.targets {
        let service = scanned.known.target.service.as_str();
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, targets)) => targets.push(scanned),
            None => services.push((service, vec![scanned])),
        }
    }
    for (service, targets) in services {
        let running = targets.iter().filter(|s| s.known.target.state == TargetState::Running).count();
        let style = if running == targets.len() { crate::ui::PLAIN } else { YELLOW };
        let (pending, security) = pending(&targets);
        let hosts: BTreeSet<_> = targets.iter().map(|s| name(&s.known.target.host_name)).collect();
        table.row([
            name(service).into(),
            hosts.into_iter().collect::<Vec<_>>().join(", ").into(),
            Cell::styled(format!("{running}/{}", targets.len()), style),
            pending,
            security,
            notes(&targets).into(),
        ]);
    }
    if report.has_several_hosts() { table } else { table.without("HOST") }
}

/// What is pending on any of these targets: packages, or a newer image where that is how they are
/// patched; and the number of those from security suites.
pub fn pending(targets: &[&Scanned]) -> (Cell, Cell) {
    let unknown = targets.iter().filter(|scanned| !scanned.is_known()).count();
    if unknown == targets.len() {
        return (Cell::styled("not assessed", YELLOW), Cell::new(""));
    }
    let (images, layers): (Vec<&Scanned>, Vec<&Scanned>) =
        targets.iter().copied().partition(|scanned| scanned.method == Method::Image);
    let mut packages: BTreeMap<(&str, &str, &str), &PendingPatch> = BTreeMap::new();
    for patch in layers.iter().flat_map(|scanned| scanned.available()) {
        packages.insert((&patch.package, &patch.arch.0, &patch.candidate), patch);
    }
    let new = packages.values().filter(|patch| patch.installed.is_none()).count();
    let security = packages.values().filter(|patch| patch.security).count();
    let mut parts = Vec::new();
    match (packages.len() - new, new) {
        (0, 0) => {}
        (upgrades, 0) => parts.push(upgrades.to_string()),
        (upgrades, new) => parts.push(format!("{upgrades} + {new} new")),
    }
    if images.iter().any(|scanned| scanned.is_pending()) {
        parts.push("newer image".to_owned());
    }
    let style = if parts.is_empty() { GREEN } else { crate::ui::PLAIN };
    if parts.is_empty() {
        parts.push("none".to_owned());
    }
    if unknown > 0 {
        parts.push(format!("{unknown} not assessed"));
    }
    let security_style = if security > 0 { RED } else { DIM };
    (Cell::styled(parts.join(", "), style), Cell::styled(security.to_string(), security_style))
}

/// What is worth knowing, the most urgent first; each remark once.
pub fn notes(targets: &[&Scanned]) -> String {
    let mut notes: Vec<String> = Vec::new();
    let mut tell = |note: String| {
        if !notes.contains(&note) {
            notes.push(note);
        }
    };
    for scanned in targets {
        let target = &scanned.known.target;
        if scanned.reverted.is_some() {
            tell(format!("{} went back to its unpatched image", name(&target.name)));
        }
        if let Some(rollout) = scanned.taken_back
            && scanned.is_pending()
        {
            tell(format!("rolled back by hand ({rollout})"));
        }
        if let Some((id, _)) = &scanned.quarantined {
            tell(format!("failed before: patchyard quarantine release {id} lets it in again"));
        }
        let unknown = match (&scanned.known.assessment, &scanned.known.image_update) {
            (_, Err(unknown)) if scanned.method == Method::Image => Some(unknown),
            (Assessment::NotAssessed(unknown), _) if scanned.method != Method::Image => Some(unknown),
            _ => None,
        };
        if let Some(unknown) = unknown {
            let hint = if unknown.hint.is_empty() { String::new() } else { format!(": {}", unknown.hint) };
            tell(remark(&format!("{}{hint}", unknown.reason)));
        }
        for refusal in &target.refusals {
            tell(remark(&refusal.message));
        }
        managers(target).for_each(&mut tell);
    }
    let of = |status| {
        let all = targets.iter().flat_map(|scanned| scanned.pending()).filter(move |p| p.status == status);
        all.map(|patch| patch.package.as_str()).collect::<BTreeSet<_>>().len()
    };
    for (status, word) in [
        (PendingStatus::Held, "held"),
        (PendingStatus::Phased, "phased"),
        (PendingStatus::KeptBack, "kept back"),
    ] {
        match of(status) {
            0 => {}
            number => tell(format!("{number} {word}")),
        }
    }
    let newer = |scanned: &&Scanned| matches!(scanned.known.image_update, Ok(Some(_)));
    if targets.iter().any(|scanned| newer(scanned) && scanned.method != Method::Image) {
        tell("newer image: --method image".to_owned());
    }
    let volume = |scanned: &&Scanned| {
        let mounts = &scanned.known.target.mounts;
        mounts.iter().any(|mount| mount.kind == MountKind::Volume && mount.writable)
    };
    let to_patch = |scanned: &&&Scanned| scanned.is_pending();
    if targets.iter().filter(to_patch).any(volume) {
        tell("volume kept; old version may not read newer data".to_owned());
    }
    notes.join("; ")
}

/// What to do next, after a look at everything or at a selection.
pub fn next(report: &ScanReport, request: &ScanRequest, words: &[String]) -> String {
    if report.targets.is_empty() && report.unreachable.is_empty() {
        return match request.selection.is_everything() {
            true => "No containers.\n".to_owned(),
            false => "No target is selected by that; patchyard discover shows what there is.\n".to_owned(),
        };
    }
    if report.any_pending() && !report.any_to_plan() {
        format!("All that is pending failed before. {} patchyard quarantine\n", paint(BOLD, "Next:"))
    } else if report.any_pending() {
        let plan = ["patchyard plan"].into_iter().chain(words.iter().map(String::as_str));
        format!("{} {}\n", paint(BOLD, "Next:"), plan.collect::<Vec<_>>().join(" "))
    } else if report.any_unknown() {
        "Nothing is pending where it is known; what is not assessed is not known.\n".to_owned()
    } else if report.unwanted > 0 {
        let wanted = match request.patches.packages.is_empty() {
            true => "No security patch",
            false => "No such patch",
        };
        match report.unwanted {
            1 => format!("{wanted} is pending; 1 other is.\n"),
            others => format!("{wanted} is pending; {others} others are.\n"),
        }
    } else {
        "Everything is up to date.\n".to_owned()
    }
}
