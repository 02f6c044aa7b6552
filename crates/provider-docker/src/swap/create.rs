//! Create: the replacement, complete but not started, compared with what was meant. Whatever cannot
//! be brought back is refused here, before anything is stopped.

use std::collections::BTreeMap;

use patchyard_types::{Data, FailureKind, Method, Probe, Record, WritableLayer};
use serde_json::{Value, json};

use super::run::restart_policy;
use super::{Container, Run, Trouble, done_if, failed, last_words, preflight};
use crate::client::{ApiError, Client, EngineKind};
use crate::layer::image;
use crate::read::json::list;
use crate::spec::{self, CreateRequest, Inputs};
use crate::{carry, gc, injected, names, podman, read, save, snapshot, view};

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if old.is_up() {
        preflight::is_as_planned(run, &old)?;
    }
    let meant = intent(run, &old).await?;
    if let Some(found) = run.new_container().await? {
        if found.was_started() || is_whole(run, &old, &found, &meant).await? {
            return Ok(Record::Created { object: found.id().to_owned(), dependents: Vec::new() });
        }
        // A crash has left it half made.
        remove(run.client(), &found).await?;
    }
    let id = create(run, &meant).await?;
    let made = run.client().container(&id).await?;
    let made =
        made.ok_or_else(|| failed(FailureKind::Host, "its replacement was removed by somebody else"))?;
    let differences = is_as_meant(&made, &meant);
    if !differences.is_empty() {
        remove(run.client(), &made).await?;
        let listed: Vec<String> = differences.iter().take(5).map(ToString::to_string).collect();
        return Err(failed(
            FailureKind::Refused,
            format!("the engine cannot make it again as it is: {}", listed.join("; ")),
        ));
    }
    if run.is_start_first()
        && let Some(refusal) = read::alone(&made.0).into_iter().next()
    {
        remove(run.client(), &made).await?;
        return Err(failed(
            FailureKind::Refused,
            format!("two of it cannot run beside each other: {}", refusal.message),
        ));
    }
    if !is_from_snapshot(run) {
        injected::carry(run, &old.0, &id).await?;
    }
    gc::remember_volumes(run, &anonymous_volumes(&old.0))?;
    if run.action.writable_layer == WritableLayer::Carry {
        // What could not be carried is found out while the original still serves.
        carry::check(run, &old).await?;
    }
    if run.action.data == Data::Restore {
        save::check(run, &old).await?;
    }
    Ok(Record::Created { object: id, dependents: Vec::new() })
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    if run.action.writable_layer == WritableLayer::Carry {
        carry::clear(run).await;
    }
    view::clear_run(run).await;
    if run.action.data == Data::Restore {
        save::clear(run).await?;
    }
    let Some(new) = run.new_container().await? else { return Ok(Record::Nothing) };
    if !run.is_ours(&new) || new.name() != run.new_name() {
        return Err(failed(
            FailureKind::Host,
            format!(
                "the container {} is not removed: it bears another name than this run gave it",
                new.shown()
            ),
        ));
    }
    // Here, and not before it was stopped: the original serves again, and nobody waits. What a run leaves
    // of them are those of the target itself.
    if run.call.dependent.is_none() {
        last_words::keep(run, &new).await;
    }
    remove(run.client(), &new).await?;
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    let new = run.new_container().await?;
    if undone {
        return Ok(done_if(new.is_none()));
    }
    let Some(new) = new else { return Ok(Probe::NotDone) };
    let record = Record::Created { object: new.id().to_owned(), dependents: Vec::new() };
    let done = Probe::Done { record };
    if new.was_started() {
        return Ok(done);
    }
    let Some(old) = run.old().await? else { return Ok(super::gone()) };
    match intent(run, &old).await {
        // What a crash has left half made is made again.
        Ok(meant) => Ok(if is_whole(run, &old, &new, &meant).await? { done } else { Probe::NotDone }),
        Err(Trouble::Api(error)) => Err(error),
        // Doing it again will say why it cannot be.
        Err(Trouble::Step(_)) => Ok(Probe::NotDone),
    }
}

/// What is meant: the request, what it is compared with, the image.
struct Intent {
    request: CreateRequest,
    before: Value,
    image: Value,
}

async fn intent(run: &Run<'_>, old: &Container) -> Result<Intent, Trouble> {
    if run.call.dependent.is_some() {
        return unchanged(run, old).await;
    }
    let mut meant = intent_of(run, old).await?;
    if run.is_start_first() {
        meant.request = meant.request.running_beside(old.name());
        // It is compared with a predecessor that was not called so either.
        let networks = meant.before["NetworkSettings"]["Networks"].as_object_mut();
        for endpoint in networks.into_iter().flat_map(|networks| networks.values_mut()) {
            spec::drop_alias(endpoint, old.name());
        }
    }
    Ok(meant)
}

async fn intent_of(run: &Run<'_>, old: &Container) -> Result<Intent, Trouble> {
    let image_id = run.prepared()?;
    let missing = |what: &str, id: &str| {
        failed(
            FailureKind::Host,
            format!("the {what} image {} is not on the host any more", names::short_image(id)),
        )
    };
    let image = run.client().image(image_id).await?.ok_or_else(|| missing("prepared", image_id))?;
    let labels = labels(run, old);
    if run.action.method == Method::Restore {
        let kept = snapshot::kept_for(run)?;
        let reference = snapshot::reference(run, &kept).await?;
        let request = kept.request.again(old.name(), &reference, &labels).beside(&old.0);
        return Ok(Intent { request, before: kept.before, image });
    }
    let expected = &run.action.expected;
    let old_image = run.client().image(&expected.image).await?;
    let old_image = old_image.ok_or_else(|| missing("present", &expected.image))?;
    let reference = names::patched_tag(&expected.reference, &run.action.patch_set);
    if run.client().image(&reference).await?.is_none_or(|tagged| tagged["Id"].as_str() != Some(image_id)) {
        return Err(failed(FailureKind::Host, format!("somebody else has moved the tag {reference}")));
    }
    // A container that is held has its own policy in its replacement alone.
    let held = run.held().map(|policy| restart_policy(&policy));
    let request = spec::create_request(Inputs {
        container: &old.0,
        image: &old_image,
        host_name: run.docker.info["Name"].as_str().unwrap_or_default(),
        reference: &reference,
        followed: run.tag_follows().await?.then_some(image_id),
        restart_policy: held.as_ref(),
        labels: &labels,
    })
    .map_err(|refusal| failed(FailureKind::Refused, format!("cannot be swapped: {}", refusal.message)))?;
    Ok(Intent { request, before: old.0.clone(), image })
}

/// What is meant with a dependent: the same again, on the image it has, in the namespaces of the replacements
/// of those it lives in. The engine knows them by their ids.
async fn unchanged(run: &Run<'_>, old: &Container) -> Result<Intent, Trouble> {
    let image = run.client().image(old.image()).await?;
    let image = image.ok_or_else(|| failed(FailureKind::Host, "its image is not on the host any more"))?;
    let named = old.0["Config"]["Image"].as_str().unwrap_or_default();
    let leads_there = run.client().image(named).await?;
    let reference = match leads_there.is_some_and(|found| found["Id"].as_str() == Some(old.image())) {
        true => named.to_owned(),
        false => {
            // The tag has moved on since, and a pull is no reason to change it.
            let tag = names::unchanged_tag(&run.action.expected.reference, old.image());
            // The image bears no label of ours: a tag has to say whose the other one is.
            let whose = names::base_tag(&run.docker.options.controller, old.image());
            image::tag(run.client(), old.image(), &whose).await?;
            image::tag(run.client(), old.image(), &tag).await?;
            tag
        }
    };
    let held = run.held().map(|policy| restart_policy(&policy));
    let request = spec::create_request(Inputs {
        container: &old.0,
        image: &image,
        host_name: run.docker.info["Name"].as_str().unwrap_or_default(),
        reference: &reference,
        followed: None,
        restart_policy: held.as_ref(),
        labels: &labels(run, old),
    })
    .map_err(|refusal| failed(FailureKind::Refused, format!("cannot be made again: {}", refusal.message)))?;
    let request = request.in_namespaces_of(&successors(run).await?);
    Ok(Intent { request, before: old.0.clone(), image })
}

/// The ids of the containers that a dependent may live in, with those of their replacements.
async fn successors(run: &Run<'_>) -> Result<BTreeMap<String, String>, Trouble> {
    let owner = run.on_owner();
    let mut found = BTreeMap::new();
    for call in owner.dependents()?.into_iter().chain([owner]) {
        let other = Run::new(run.docker, &call)?;
        if let Some(new) = other.new_container().await? {
            found.insert(other.action.expected.object.clone(), new.id().to_owned());
        }
    }
    Ok(found)
}

fn labels(run: &Run<'_>, old: &Container) -> BTreeMap<String, String> {
    // Where it has got to on the way does not matter: the original is renamed only when the
    // replacement has been made.
    [
        (names::LABEL_CONTROLLER, run.docker.options.controller.clone()),
        (names::LABEL_RUN, run.call.run.to_string()),
        (names::LABEL_ROLE, names::ROLE_TARGET.to_owned()),
        (names::LABEL_TARGET, run.action.target.to_string()),
        (names::LABEL_NAME, old.name().to_owned()),
        (names::LABEL_REFERENCE, run.action.expected.reference.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Whether a replacement that was not started yet has everything.
async fn is_whole(
    run: &Run<'_>,
    old: &Container,
    made: &Container,
    meant: &Intent,
) -> Result<bool, ApiError> {
    // A snapshot's image has in it what Compose had put there.
    Ok(is_as_meant(made, meant).is_empty()
        && (is_from_snapshot(run) || injected::is_carried(run, &old.0, made.id()).await?))
}

/// Whether a replacement is made from a snapshot: a dependent never is, whatever is done to its owner.
fn is_from_snapshot(run: &Run<'_>) -> bool {
    run.action.method == Method::Restore && run.call.dependent.is_none()
}

fn is_as_meant(made: &Container, meant: &Intent) -> Vec<spec::Difference> {
    let mut differences = spec::compare(&meant.before, &meant.request, &meant.image, &made.0);
    if made.image() != meant.image["Id"].as_str().unwrap_or_default() {
        differences.push(spec::Difference { path: "Image".to_owned(), detail: String::new() });
    }
    differences
}

async fn create(run: &Run<'_>, meant: &Intent) -> Result<String, Trouble> {
    let (client, name) = (run.client(), run.new_name());
    let is_podman = client.kind() == EngineKind::Podman;
    let (body, networks) = meant.request.calls(is_podman || client.api().takes_several_endpoints());
    let create = match is_podman {
        true => client.podman_post(&["containers", "create"]).json_body(&podman::specification(
            &name,
            &body,
            &meant.image,
        )),
        false => client.post(&["containers", "create"]).query("name", &name).json_body(&body),
    };
    let created = create.json().await.map_err(|error| match error.status() {
        Some(400) => {
            failed(FailureKind::Refused, format!("the engine does not make it again as it is: {error}"))
        }
        _ => Trouble::from(error),
    })?;
    let id = created["Id"].as_str().ok_or_else(|| ApiError::protocol("a container without Id"))?;
    for network in networks {
        let body = json!({ "Container": id, "EndpointConfig": network.endpoint });
        client.post(&["networks", &network.name, "connect"]).json_body(&body).done().await?;
    }
    Ok(id.to_owned())
}

/// Removes a replacement, and the volumes that the engine made for it. Never with `v`: that would
/// judge by other rules which volumes are somebody else's.
pub(crate) async fn remove(client: &Client, new: &Container) -> Result<(), ApiError> {
    match client.delete(&["containers", new.id()]).query("v", "0").query("force", "1").done().await {
        Err(error) if error.is_not_found() => {}
        removed => removed?,
    }
    for volume in made_volumes(&new.0) {
        // One that is in use all the same is not ours to remove, and the engine knows.
        let _ = client.delete(&["volumes", &volume]).done().await;
    }
    Ok(())
}

/// The anonymous volumes that the engine made for a container. One that its settings name was there
/// before and holds data.
fn made_volumes(container: &Value) -> Vec<String> {
    let host = &container["HostConfig"];
    let binds = list(&host["Binds"]).filter_map(|bind| bind.as_str()?.split(':').next());
    let mounts = list(&host["Mounts"]).filter_map(|mount| mount["Source"].as_str());
    let named: Vec<&str> = binds.chain(mounts).collect();
    anonymous_volumes(container).into_iter().filter(|volume| !named.contains(&volume.as_str())).collect()
}

/// The volumes of a container whose names the engine made up.
pub(crate) fn anonymous_volumes(container: &Value) -> Vec<String> {
    list(&container["Mounts"])
        .filter(|mount| mount["Type"].as_str() == Some("volume"))
        .filter_map(|mount| mount["Name"].as_str())
        .filter(|name| spec::is_anonymous(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_was_there_before_is_never_removed() {
        let (ours, theirs, third) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        let volume = |name: &str| json!({"Type": "volume", "Name": name});
        let container = json!({
            "HostConfig": {"Binds": [format!("{theirs}:/data"), "named:/n"], "Mounts": [{"Type": "volume", "Source": third}]},
            "Mounts": [volume(&ours), volume(&theirs), volume(&third), volume("named")],
        });
        assert_eq!(made_volumes(&container), [ours]);
    }
}
