//! A container's files, read without its mounts.
//!
//! To answer an archive call, even one for the size of a single file, engines up to Docker 20.10 mount the
//! container's volumes and folders of the host into its file system, outside of the container. Whoever removes
//! the container at that moment has the engine delete *through* these mounts: the data of volumes, folders of
//! the host, read-only ones too (seen: docs/data-safety.md). So no archive call ever goes to a target that has
//! mounts. In its place stands a container that is never started: of the target's image, or, where the target
//! has written into its own layer, of a copy of that.

use std::sync::atomic::{AtomicU32, Ordering};

use patchyard_contract::ProviderError;
use patchyard_types::Digest;
use serde_json::{Value, json};

use crate::DockerProvider;
use crate::client::ApiError;
use crate::helpers::{Guard, remove_with_commits};
use crate::layer::image;
use crate::names::{PREFIX, ROLE_SHOW, controller8, labels_over, of_run};
use crate::read::json::{list, text};
use crate::swap::Run;
use crate::unsaved::{self, is_under};

/// The largest writable layer that is copied in order to read a target, in bytes.
pub(crate) const COPY_LIMIT: u64 = 1024 * 1024 * 1024;

/// What is too large then.
const WRITTEN: &str = "what it has written outside of its volumes";

/// Where package managers keep their state and configuration: what is mounted there is mounted, read-only, in what
/// stands for the target too.
pub(crate) const PLACES: [&str; 18] = [
    "/etc/apk",
    "/etc/apt",
    "/etc/dnf",
    "/etc/machine-id",
    "/etc/os-release",
    "/etc/pki",
    "/etc/ssl/certs",
    "/etc/yum.repos.d",
    "/etc/zypp",
    "/usr/lib/os-release",
    "/var/lib/dpkg",
    "/var/lib/apt/extended_states",
    "/usr/share/keyrings",
    "/usr/share/rpm",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/lib/apk",
    "/usr/lib/apk",
];

/// What may be asked for a container's files.
pub(crate) enum View {
    /// The target itself, by its id.
    Target(String),
    /// A container that stands for it; it goes when this is dropped.
    Made(Box<Guard>),
}

impl View {
    /// A view of a target; `container` is its inspect document.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] when it has written more than anybody would copy for this.
    pub async fn open(docker: &DockerProvider, container: &Value) -> Result<Self, ApiError> {
        let name = unique_name(&docker.options.controller, text(&container["Id"]));
        Self::named(docker, container, name, COPY_LIMIT).await
    }

    /// A view for a run, however much the container has written. Its name is the run's, so that what a crash has left
    /// is found by whoever goes on: a run has one view at a time.
    pub async fn of_run(run: &Run<'_>, container: &Value) -> Result<Self, ApiError> {
        if has_mounts(container) {
            clear_run(run).await;
        }
        Self::named(run.docker, container, name_of_run(run), u64::MAX).await
    }

    async fn named(
        docker: &DockerProvider,
        container: &Value,
        name: String,
        limit: u64,
    ) -> Result<Self, ApiError> {
        let id = text(&container["Id"]);
        if !has_mounts(container) {
            return Ok(Self::Target(id.to_owned()));
        }
        let guard = Guard::with_commits(docker, name);
        let is_touched = unsaved::is_touched(docker, container).await?;
        let image = image_for(&guard, container, is_touched, limit).await?;
        guard.create(request(&docker.options.controller, &image, needed(container))).await?;
        Ok(Self::Made(Box::new(guard)))
    }

    /// A view of an image, by its document.
    ///
    /// # Errors
    /// When the engine makes no container of it.
    pub async fn of_image(docker: &DockerProvider, image: &Value) -> Result<Self, ApiError> {
        let guard = Guard::new(docker, unique_name(&docker.options.controller, text(&image["Id"])));
        guard.create(request(&docker.options.controller, image, Vec::new())).await?;
        Ok(Self::Made(Box::new(guard)))
    }

    /// The container that may be asked, by its name or id.
    pub fn name(&self) -> &str {
        match self {
            Self::Target(id) => id,
            Self::Made(guard) => guard.name(),
        }
    }

    /// Removes what was made and waits until it is gone. Dropping does the same without waiting.
    pub async fn finish(self) {
        match self {
            Self::Target(_) => {}
            Self::Made(guard) => guard.finish().await,
        }
    }
}

/// The image that a helper needs to have a container's files: the container's own, or one, that goes with the helper, of what
/// the container has written on top of it.
///
/// # Errors
/// [`ApiError::TooLarge`] when that is more than `limit` bytes; when its image is no longer on the engine.
pub(crate) async fn image_for(
    helper: &Guard,
    container: &Value,
    is_touched: bool,
    limit: u64,
) -> Result<Value, ApiError> {
    let (client, id) = (&helper.docker().client, text(&container["Id"]));
    if !is_touched {
        return client.image(text(&container["Image"])).await?.ok_or_else(image_gone);
    }
    is_small(helper.docker(), id, limit).await?;
    image::commit(client, id, helper.name()).await
}

/// Removes the view of a run that a crash has left.
pub(crate) async fn clear_run(run: &Run<'_>) {
    remove_with_commits(run.docker, &name_of_run(run)).await;
}

fn name_of_run(run: &Run<'_>) -> String {
    of_run(&run.docker.options.controller, run.call.run, "show").to_string()
}

/// Two processes may look at the same target at the same time: no two views share a name.
fn unique_name(controller: &str, object: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let subject = Digest::of_bytes(object.as_bytes()).short(8);
    format!("{PREFIX}{}-{subject}-show-{}-{count}", controller8(controller), std::process::id())
}

/// Not "no such container", for which a 404 is taken.
fn image_gone() -> ApiError {
    ApiError::Status {
        code: 410,
        message: "its image is no longer on the engine: pull or build it again".to_owned(),
    }
}

async fn is_small(docker: &DockerProvider, id: &str, limit: u64) -> Result<(), ApiError> {
    if limit == u64::MAX {
        return Ok(());
    }
    let sized = docker.client.get(&["containers", id, "json"]).query("size", "1").json().await?;
    match sized["SizeRw"].as_u64() {
        Some(size) if size > limit => Err(ApiError::TooLarge { what: WRITTEN.to_owned(), limit }),
        _ => Ok(()),
    }
}

/// What is to be said to people when a target could not be read because it has written too much.
pub(crate) fn too_much_written(error: &ApiError) -> Option<ProviderError> {
    match error {
        ApiError::TooLarge { what, limit } if what == WRITTEN => Some(ProviderError::NoAnswer {
            reason: format!("{what} takes more than {} MiB", limit / (1024 * 1024)),
            hint: "keep its data in a volume".to_owned(),
        }),
        _ => None,
    }
}

/// Whether anything of the host or of others is mounted in a container. Its own temporary file systems die with it.
fn has_mounts(container: &Value) -> bool {
    list(&container["Mounts"]).any(|mount| text(&mount["Type"]) != "tmpfs")
}

/// Whether something mounted there hides a place of package managers, or a part of one.
pub(crate) fn is_at_places(at: &str) -> bool {
    PLACES.iter().any(|place| is_under(place, at) || is_under(at, place))
}

/// The mounts of a target at the places of package managers. A volume that is empty stays so.
pub(crate) fn needed(container: &Value) -> Vec<Value> {
    list(&container["Mounts"])
        .filter(|mount| is_at_places(text(&mount["Destination"])))
        .filter_map(|mount| {
            let (kind, at) = (text(&mount["Type"]), text(&mount["Destination"]));
            match kind {
                "volume" => {
                    Some(json!({"Type": kind, "Source": mount["Name"], "Target": at, "ReadOnly": true,
                    "VolumeOptions": {"NoCopy": true}}))
                }
                "bind" => {
                    Some(json!({"Type": kind, "Source": mount["Source"], "Target": at, "ReadOnly": true}))
                }
                _ => None,
            }
        })
        .collect()
}

/// The create request of a container that shows an image's files. Pure: everything it is made of comes in.
pub(crate) fn request(controller: &str, image: &Value, mut mounts: Vec<Value>) -> Value {
    // The engine would make volumes for these and copy the image's files there.
    for (place, _) in image["Config"]["Volumes"].as_object().into_iter().flatten() {
        if mounts.iter().all(|mount| mount["Target"] != place.as_str()) {
            mounts.push(json!({"Type": "tmpfs", "Target": place}));
        }
    }
    json!({
        "Image": text(&image["Id"]),
        "Entrypoint": ["never-started"],
        "Cmd": [],
        "Labels": labels_over(image, controller, ROLE_SHOW),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "none",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none", "Config": {}},
            "Mounts": mounts,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_shows_an_image_takes_nothing_of_it_but_its_files() {
        let config = json!({"Labels": {"traefik.enable": "true"}, "Volumes": {"/data": {}}});
        let request = request("1a2b", &json!({"Id": "sha256:b", "Config": config}), Vec::new());
        assert_eq!(request["Labels"]["traefik.enable"], "");
        assert_eq!(request["HostConfig"]["Mounts"], json!([{"Type": "tmpfs", "Target": "/data"}]));
    }

    #[test]
    fn only_what_package_managers_lean_on_is_mounted_again_and_never_to_be_written() {
        let mount =
            |kind: &str, at: &str| json!({"Type": kind, "Name": "v", "Source": "/s", "Destination": at});
        let container = json!({"Mounts": [mount("volume", "/data"), mount("bind", "/etc/apt/sources.list"),
            mount("volume", "/var/lib"), mount("bind", "/etc/nginx"), mount("tmpfs", "/etc/apt")]});
        let needed = needed(&container);
        let places: Vec<&str> = needed.iter().map(|mount| text(&mount["Target"])).collect();
        assert_eq!(places, ["/etc/apt/sources.list", "/var/lib"]);
        assert!(needed.iter().all(|mount| mount["ReadOnly"] == true));
        assert_eq!(needed[1]["VolumeOptions"]["NoCopy"], true);
    }

    #[test]
    fn a_container_with_nothing_but_its_own_file_systems_is_asked_itself() {
        let container = |kind: &str| json!({"Mounts": [{"Type": kind, "Destination": "/x"}]});
        assert!(has_mounts(&container("volume")) && has_mounts(&container("bind")));
        assert!(!has_mounts(&container("tmpfs")) && !has_mounts(&json!({"Mounts": []})));
        let name = unique_name("1A2B3C4D-x", "c1");
        assert!(crate::read::own::is_own_name(&name) && name != unique_name("1A2B3C4D-x", "c1"), "{name}");
    }
}
