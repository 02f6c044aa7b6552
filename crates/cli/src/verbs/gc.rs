//! `gc`: removes what nothing needs any more.

use patchyard_app::gc::{Collection, Extent, Fate, collect};
use patchyard_app::{Error, Fleet, reach, size};

use crate::args::Gc;
use crate::exit::Exit;
use crate::json::GcDocument;
use crate::session::Session;
use crate::text::{count, name, remark};
use crate::ui::{RED, paint};

pub async fn run(session: &Session, args: &Gc) -> Result<Exit, Error> {
    let ui = &session.ui;
    let fleet = reach(&session.context).await?;
    let extent = if args.dry_run { Extent::Look } else { agreed(session, &fleet).await? };
    let found = collect(&session.context, &fleet, extent).await?;
    let failed = |(_, _, fate): &(_, _, Fate)| matches!(fate, Fate::Failed(_));
    let failed = !found.failed.is_empty() || found.leftovers.iter().any(failed);
    if ui.json {
        ui.document(&GcDocument::new(&found, args.dry_run));
    } else {
        let text = describe(&found, args.dry_run);
        ui.result(&text);
    }
    Ok(if failed { Exit::Unreachable } else { Exit::Done })
}

/// Volumes hold data: somebody has to agree before they go. Without anybody to ask they stay.
async fn agreed(session: &Session, fleet: &Fleet) -> Result<Extent, Error> {
    let ui = &session.ui;
    if ui.yes || !ui.interactive {
        return Ok(if ui.yes { Extent::Everything } else { Extent::WithoutVolumes });
    }
    let found = collect(&session.context, fleet, Extent::Look).await?;
    let volumes = found.leftovers.iter().filter(|(_, leftover, _)| leftover.holds_data());
    let volumes: Vec<_> = volumes.map(|(host, volume, _)| (name(host), name(&volume.name))).collect();
    if volumes.is_empty() {
        return Ok(Extent::WithoutVolumes);
    }
    for (host, volume) in &volumes {
        ui.say(&format!("volume {volume} on {host}: no container has it any more"));
    }
    let volumes = count(volumes.len(), "volume");
    Ok(match ui.confirm(&format!("Remove {volumes} and what is in them?")) {
        true => Extent::Everything,
        false => Extent::WithoutVolumes,
    })
}

fn describe(found: &Collection, dry_run: bool) -> String {
    let removed = if dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for (host, leftover, fate) in &found.leftovers {
        let what = format!("{} {} on {}", name(&leftover.kind), name(&leftover.name), name(host));
        text.push_str(&match fate {
            Fate::Found => format!("would remove {what}\n"),
            Fate::Removed => format!("removed {what}\n"),
            Fate::Kept => format!("kept {what}: it may hold data; --yes removes it\n"),
            Fate::Failed(reason) => format!("{} {what}: {}\n", paint(RED, "✘"), remark(reason)),
        });
    }
    if found.cache.files > 0 {
        let files = count(usize::try_from(found.cache.files).unwrap_or(usize::MAX), "file");
        text.push_str(&format!(
            "{removed} {files} of the package cache, {}\n",
            size::show(found.cache.bytes)
        ));
    }
    if found.plans > 0 {
        let plans = count(usize::try_from(found.plans).unwrap_or(usize::MAX), "old plan");
        text.push_str(&format!("{removed} {plans} that no rollout carried out\n"));
    }
    for (host, reason) in &found.failed {
        text.push_str(&format!("{} {}: {}\n", paint(RED, "✘"), name(host), remark(reason)));
    }
    if text.is_empty() {
        text.push_str("Nothing to remove.\n");
    }
    text
}
