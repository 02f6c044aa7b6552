//! Preflight: the target is as it was planned, fit to be judged, nobody else is at work on it, and
//! there is room. Changes nothing; the baseline is the caller's.

use patchyard_types::{FailureKind, Record, WritableLayer};
use serde_json::Value;

use super::{Container, GONE, Run, Trouble, failed};
use crate::{names, read, room, unsaved};

/// What has to be free besides the old container's writable layer: the new one's first writes, logs,
/// and the engine's own books.
const RESERVE: u64 = 64 * 1024 * 1024;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let Some(old) = run.old().await? else {
        return Err(failed(FailureKind::Precondition, why_gone(run).await?));
    };
    is_as_planned(run, &old)?;
    is_fit(&old)?;
    nobody_else_is_at_work(run, &old).await?;
    nobody_else_lives_in_it(run, &old).await?;
    has_written_nothing(run, &old).await?;
    there_is_room(run, &old).await?;
    Ok(Record::Nothing)
}

/// Whether a container is still the one that was planned for: its image and its settings.
pub(super) fn is_as_planned(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let expected = &run.action.expected;
    let changed =
        |what: &str| Err(failed(FailureKind::Precondition, format!("changed since planning: {what}")));
    if old.image() != expected.image {
        return changed("it runs another image");
    }
    if read::config_digest(&old.0, &run.docker.options.key) != expected.config {
        return changed("its settings are others: plan again");
    }
    Ok(())
}

async fn why_gone(run: &Run<'_>) -> Result<String, Trouble> {
    let successor = run.client().container(&run.action.name).await?;
    Ok(match successor {
        Some(_) => "changed since planning: it was recreated: plan again".to_owned(),
        None => GONE.to_owned(),
    })
}

fn is_fit(old: &Container) -> Result<(), Trouble> {
    let state = &old.0["State"];
    let is = |key: &str| state[key].as_bool() == Some(true);
    let unfit = if is("Restarting") {
        "it is restarting"
    } else if is("Paused") {
        "it is paused"
    } else if !is("Running") {
        "it is not running"
    } else if state["Health"]["Status"].as_str() == Some("unhealthy") {
        "its healthcheck says unhealthy"
    } else {
        return Ok(());
    };
    Err(failed(FailureKind::Precondition, format!("cannot be judged: {unfit}")))
}

/// Refuses a target on which another run, of this or another controller, has objects left: either its
/// replacement waits under a name of ours, or it is the replacement and its original waits.
async fn nobody_else_is_at_work(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let listed = run.client().get(&["containers", "json"]).query("all", "1").json().await?;
    let own = names::controller8(&run.docker.options.controller);
    for entry in listed.as_array().into_iter().flatten() {
        let name = entry["Names"][0].as_str().unwrap_or_default();
        let Some((controller, other, part)) = names::parse_run(name) else { continue };
        if controller == own && other == run.call.run {
            continue;
        }
        let is_replacement =
            entry["Labels"][names::LABEL_TARGET].as_str() == Some(run.action.target.as_str());
        let is_original = old.label(names::LABEL_RUN) == Some(&other.to_string())
            && old.label(names::LABEL_CONTROLLER).map(names::controller8).as_ref() == Some(&controller);
        let part = part.split('-').next().unwrap_or_default();
        if (part == "new" && is_replacement) || (part == "old" && is_original) {
            let whose = if controller == own {
                "this controller".to_owned()
            } else {
                format!("controller {controller}")
            };
            return Err(failed(
                FailureKind::Precondition,
                format!("run {other} of {whose} is unfinished on it: resume or resolve that one first"),
            ));
        }
    }
    Ok(())
}

/// Refuses a target in whose namespaces others live since it was planned: they would be cut off. Its
/// dependents are known, and made again with it.
async fn nobody_else_lives_in_it(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let (owner, _) = run.call.owner()?;
    let is_known = |id: &String| owner.dependents.iter().any(|other| other.expected.object == *id);
    let mut guests = read::guests_now(run.client(), &old.0).await?;
    guests.retain(|(id, _)| !is_known(id));
    if guests.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = guests.iter().map(|(_, name)| name.as_str()).collect();
    let names = patchyard_types::printable(&names.join(", "), 300);
    Err(failed(
        FailureKind::Precondition,
        format!(
            "changed since planning: other containers live in its namespaces and would be cut off ({names})"
        ),
    ))
}

/// Refuses a dependent that holds data by now: it is planned for as one that holds none, or none that counts.
async fn has_written_nothing(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    if run.call.dependent.is_none() || run.action.writable_layer == WritableLayer::Discard {
        return Ok(());
    }
    let paths = unsaved::unsaved_of_run(run, &old.0).await?.paths;
    if paths.is_empty() {
        return Ok(());
    }
    let some: Vec<&str> = paths.iter().take(3).map(String::as_str).collect();
    Err(failed(
        FailureKind::Precondition,
        format!(
            "changed since planning: its writable layer holds data that recreation would lose: {}",
            patchyard_types::printable(&some.join(", "), 300)
        ),
    ))
}

/// Looks whether the host has room for what is to come, where this process can see its disk.
async fn there_is_room(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let Some(free) = room::free_on_engine(run.docker) else { return Ok(()) };
    let sized = run.client().get(&["containers", old.id(), "json"]).query("size", "1").json().await?;
    let writable = sized["SizeRw"].as_u64().unwrap_or(0);
    let folder = run.docker.info["DockerRootDir"].as_str().unwrap_or_default();
    // The snapshot has a copy of it, and so has the new container where it is carried.
    let copies = if run.action.writable_layer == WritableLayer::Carry { 2 } else { 1 };
    enough(free, writable.saturating_mul(copies).saturating_add(RESERVE), folder)
}

/// Fails when less is free than needed.
pub(crate) fn enough(free: u64, needed: u64, folder: &str) -> Result<(), Trouble> {
    const MIB: u64 = 1024 * 1024;
    if free >= needed {
        return Ok(());
    }
    let message = format!(
        "not enough room on the engine's disk ({}): {} MiB are free, {} MiB are needed; `docker image prune` or `patchyard gc` may help",
        patchyard_types::printable(folder, 200),
        free / MIB,
        needed.div_ceil(MIB),
    );
    Err(failed(FailureKind::NoSpace, message))
}

/// The size of an image, in bytes.
pub(crate) fn image_size(image: &Value) -> u64 {
    image["Size"].as_u64().unwrap_or(0)
}
