//! What a machine is as a target, what it has, and what is pending on it.

use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::{Ask, ProviderError};
use patchyard_guest::{Guest, GuestError, Installed};
use patchyard_types::{
    Digest, DiskSnapshots, Health, Image, Inventory, PendingPatch, StartingState, Target, TargetId,
    TargetKind, TargetState, printable,
};

use crate::{HostProvider, Kept, words};

/// Label: its environment.
const ENVIRONMENT: &str = "io.patchyard.env";
/// How far the clocks may be apart, in seconds. By its clock a machine judges whether signatures and package lists are
/// still valid: with a slow one it takes old lists for the newest.
const CLOCKS_APART: i64 = 600;
/// How long another package manager is waited for when a question is asked.
const LOCK: Duration = Duration::from_secs(60);

pub(crate) fn target(host: &HostProvider) -> Target {
    let HostProvider { options, facts, host: id, .. } = host;
    let image = match &facts.os {
        Some(os) => {
            let release = format!("{} {}", os.id, os.version_id);
            Image {
                reference: printable(&os.pretty_name, 100),
                id: printable(release.trim(), 60),
                digest: None,
                base: None,
            }
        }
        None => Image { reference: "unknown".into(), id: "unknown".into(), digest: None, base: None },
    };
    Target {
        // By every way to it the same.
        id: TargetId::new("host", id, id.as_str()),
        name: options.name.clone(),
        provider: options.kind.to_owned(),
        kind: TargetKind::Host,
        host: id.clone(),
        host_name: options.name.clone(),
        service: options.service.clone().unwrap_or_else(|| options.name.clone()),
        project: None,
        environment: options.labels.get(ENVIRONMENT).cloned(),
        labels: options.labels.clone(),
        object: facts.machine_id.clone(),
        image,
        state: TargetState::Running,
        health: Health::None,
        os: facts.os.clone(),
        mounts: Vec::new(),
        networks: Vec::new(),
        ports: Vec::new(),
        depends_on: Vec::new(),
        lives_in: Vec::new(),
        managers: Vec::new(),
        refusals: Vec::new(),
        alone: Vec::new(),
        traps: Vec::new(),
        disk_snapshots: match &options.kept {
            None => DiskSnapshots::Nobody,
            Some(Kept { no_snapshot: Some(reason), .. }) => DiskSnapshots::Refused(printable(reason, 300)),
            Some(Kept { no_snapshot: None, .. }) => DiskSnapshots::Keeper,
        },
        // What of a machine a patch depends on are the versions that its patch set names.
        config: Digest::of(&(&facts.machine_id, &facts.platform)),
    }
}

pub(crate) async fn inventory(host: &HostProvider) -> Result<Inventory, ProviderError> {
    let no_answer = |error| words::no_answer(&host.options.name, error);
    let guest = Guest::open(Arc::clone(&host.transport)).await.map_err(no_answer)?;
    let installed = guest.installed().await.map_err(no_answer)?;
    let sources = guest.sources();
    let state = Digest::of(&(&installed.packages, &installed.unfinished, sources));
    Ok(Inventory {
        os: Some(guest.os().clone()),
        package_manager: Some(guest.manager()),
        packages: installed.packages.into(),
        sources: None,
        starting: StartingState {
            platform: host.facts.platform.clone(),
            image: target(host).image.id,
            packages: Some(state),
        },
    })
}

pub(crate) async fn pending(
    host: &HostProvider,
    inventory: &Inventory,
    ask: &Ask,
) -> Result<Vec<PendingPatch>, ProviderError> {
    let no_answer = |error: GuestError| words::no_answer(&host.options.name, error);
    clock(host)?;
    let guest = Guest::open(Arc::clone(&host.transport)).await.map_err(no_answer)?;
    let wait = LOCK.min(host.patience);
    match tokio::time::timeout(host.patience, guest.refresh(wait)).await {
        Ok(refreshed) => refreshed.map_err(no_answer)?,
        Err(_) => {
            return Err(ProviderError::NoAnswer {
                reason: format!(
                    "its package lists could not be read anew within {} s",
                    host.patience.as_secs()
                ),
                hint: "is a repository slow? defaults.timeouts.ask gives it more time".to_owned(),
            });
        }
    }
    let installed = Installed { packages: inventory.packages.to_vec(), unfinished: Vec::new() };
    guest.pending(&installed, ask, wait).await.map_err(no_answer)
}

/// A machine whose clock is wrong is not asked: its answer could be an old one.
fn clock(host: &HostProvider) -> Result<(), ProviderError> {
    let apart = host.facts.ahead.as_secs();
    if apart.abs() <= CLOCKS_APART {
        return Ok(());
    }
    let way = if apart < 0 { "behind" } else { "ahead of" };
    Err(ProviderError::NoAnswer {
        reason: format!(
            "its clock is {} min {way} this machine's: by its clock it judges whether package lists are valid",
            apart.abs() / 60
        ),
        hint: "set the clock that is wrong right, by NTP for example (timedatectl)".to_owned(),
    })
}
