//! The volumes of a container that a way back puts back, and the volumes that hold their copies.

use patchyard_types::{FailureKind, SavedVolume, printable};
use serde_json::{Value, json};

use crate::client::ApiError;
use crate::names::{
    LABEL_CONTROLLER, LABEL_ROLE, LABEL_RUN, LABEL_TARGET, LABEL_VOLUME, ROLE_SAVE, controller8, of_run,
    parse_run,
};
use crate::read::json::{list, text};
use crate::swap::{Container, Run, Trouble, failed};

/// The volumes that a container may write to, sorted.
pub(super) fn volumes(container: &Value) -> Vec<String> {
    let written = list(&container["Mounts"])
        .filter(|mount| text(&mount["Type"]) == "volume" && mount["RW"].as_bool() != Some(false));
    let mut volumes: Vec<String> =
        written.map(|mount| text(&mount["Name"]).to_owned()).filter(|name| !name.is_empty()).collect();
    volumes.sort_unstable();
    volumes.dedup();
    volumes
}

/// Refuses what could not be put back as a whole: folders of the host, volumes of which the engine keeps
/// only the way to them, volumes that others change meanwhile.
pub(super) async fn are_ours_alone(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let refuse = |why: String| failed(FailureKind::Refused, format!("its data cannot be restored: {why}"));
    let kind = |mount: &Value| text(&mount["Type"]).to_owned();
    let elsewhere = list(&old.0["Mounts"])
        .find(|mount| mount["RW"].as_bool() != Some(false) && !["volume", "tmpfs"].contains(&&*kind(mount)));
    if let Some(mount) = elsewhere {
        let at = printable(text(&mount["Destination"]), 200);
        return Err(refuse(format!("the mount at {at} is no volume: mount it read-only, or say data: keep")));
    }
    for volume in volumes(&old.0) {
        let found = run.client().get(&["volumes", &volume]).json().await?;
        let has_options = found["Options"].as_object().is_some_and(|options| !options.is_empty());
        if text(&found["Driver"]) != "local" || has_options {
            return Err(refuse(format!(
                "volume {} is kept somewhere else (driver {}, with options): say data: keep",
                printable(&volume, 100),
                printable(text(&found["Driver"]), 60),
            )));
        }
    }
    nobody_else_uses(run, old, &volumes(&old.0)).await
}

/// Refuses volumes that another running container has mounted.
pub(super) async fn nobody_else_uses(
    run: &Run<'_>,
    old: &Container,
    volumes: &[String],
) -> Result<(), Trouble> {
    let running = run.client().get(&["containers", "json"]).json().await?;
    for entry in list(&running).filter(|entry| text(&entry["Id"]) != old.id()) {
        let mounted: Vec<&str> = list(&entry["Mounts"]).map(|mount| text(&mount["Name"])).collect();
        if let Some(volume) = volumes.iter().find(|volume| mounted.contains(&volume.as_str())) {
            let name = text(&entry["Names"][0]).trim_start_matches('/');
            return Err(failed(
                FailureKind::Refused,
                format!(
                    "its data cannot be restored: {} uses volume {}, too: stop that one first, or say data: keep",
                    printable(name, 100),
                    printable(volume, 100)
                ),
            ));
        }
    }
    Ok(())
}

/// The name of the copy of a run's volume.
pub(super) fn copy_name(run: &Run<'_>, number: usize) -> String {
    of_run(&run.docker.options.controller, run.call.run, &format!("save-{number}")).to_string()
}

/// Whether a volume is a copy that a controller has made, and of which run.
pub(crate) fn run_of_copy(controller: &str, name: &str) -> Option<patchyard_types::RunId> {
    let (whose, run, part) = parse_run(name)?;
    (whose == controller8(controller) && part.starts_with("save-")).then_some(run)
}

/// Makes an empty volume for a copy. None of this name may be there: the engine would hand out that one.
pub(super) async fn create(run: &Run<'_>, name: &str, volume: &str) -> Result<(), Trouble> {
    let body = json!({"Name": name, "Driver": "local", "Labels": {
        LABEL_CONTROLLER: run.docker.options.controller,
        LABEL_RUN: run.call.run,
        LABEL_ROLE: ROLE_SAVE,
        LABEL_TARGET: run.action.target,
        LABEL_VOLUME: volume,
    }});
    Ok(run.client().post(&["volumes", "create"]).json_body(&body).done().await?)
}

/// Removes every copy that a run has made.
pub(super) async fn remove_of_run(run: &Run<'_>) -> Result<(), ApiError> {
    let labels = [
        format!("{LABEL_CONTROLLER}={}", run.docker.options.controller),
        format!("{LABEL_RUN}={}", run.call.run),
    ];
    let filters = json!({ "label": labels }).to_string();
    let found = run.client().get(&["volumes"]).query("filters", &filters).json().await?;
    for volume in list(&found["Volumes"]) {
        let name = text(&volume["Name"]);
        if run_of_copy(&run.docker.options.controller, name) == Some(run.call.run) {
            remove(run.client(), name).await?;
        }
    }
    Ok(())
}

/// Removes a volume; gone already is fine.
pub(crate) async fn remove(client: &crate::client::Client, name: &str) -> Result<(), ApiError> {
    match client.delete(&["volumes", name]).done().await {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}

/// The first of these copies that is not there any more, or is not what it is said to be.
pub(crate) async fn missing<'a>(
    client: &crate::client::Client,
    saved: &'a [SavedVolume],
) -> Result<Option<&'a SavedVolume>, ApiError> {
    for one in saved {
        match client.get(&["volumes", &one.copy]).json().await {
            Ok(found) if found["Labels"][LABEL_VOLUME].as_str() == Some(&one.volume) => {}
            Err(error) if !error.is_not_found() => return Err(error),
            _ => return Ok(Some(one)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_volumes_that_can_be_written_are_saved_each_once() {
        let mount =
            |kind: &str, name: &str, writable: bool| json!({"Type": kind, "Name": name, "RW": writable});
        let container = json!({"Mounts": [mount("volume", "b", true), mount("volume", "a", true),
            mount("volume", "b", false), mount("volume", "read", false), mount("bind", "", true)]});
        assert_eq!(volumes(&container), ["a", "b"]);
    }

    #[test]
    fn a_copy_is_known_by_its_name() {
        let run: patchyard_types::RunId = "R1.2".parse().unwrap();
        assert_eq!(run_of_copy("1a2b3c4d-ee", "patchyard-1a2b3c4d-r1.2-save-0"), Some(run));
        assert_eq!(run_of_copy("99887766-ee", "patchyard-1a2b3c4d-r1.2-save-0"), None);
        assert_eq!(run_of_copy("1a2b3c4d-ee", "patchyard-1a2b3c4d-r1.2-old"), None);
        assert_eq!(run_of_copy("1a2b3c4d-ee", "shop_data"), None);
    }
}
