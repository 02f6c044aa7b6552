//! The throw-away container in which a target's package manager is asked: made, filled, removed.
//!
//! It is of the target's image, idles in `sleep`, and goes by itself when that ends: a controller that
//! dies leaves nothing for long. It serves nobody: no ports, no labels of the image, no healthcheck.
//!
//! Its commands run as root. An engine in a hand-made chroot runs them in the root of the host, not of the
//! container: so they all run in a folder that only the helper has, and an engine that does not find it
//! there runs nothing.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use patchyard_assess::deb::apt::ask::ENVIRONMENT;
use patchyard_types::{Digest, Target};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::sources::Named;
use crate::DockerProvider;
use crate::client::{ApiError, Client, Exec, ExecOutput, TarWriter};
use crate::helpers::Guard;
use crate::names::{PREFIX, ROLE_ASK, controller8, labels_of_running};
use crate::read::json::{list, text};
use crate::unsaved::is_under;
use crate::view;

/// How long it lives at most, in seconds; everything it is asked has to end before.
pub(crate) const LIFETIME: i64 = 3600;

/// Variables of the target's environment that say how the network is reached.
const PROXIES: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// A running helper; removed when dropped, whatever happens.
pub(crate) struct Helper {
    guard: Guard,
    /// The folder that only it has.
    folder: String,
}

impl Helper {
    /// Creates and starts one of a target's image.
    pub(super) async fn start(
        docker: &DockerProvider,
        target: &Target,
        reach: &Reach,
        named: &Named,
    ) -> Result<Self, ApiError> {
        let image = docker.client.inspect_image(&target.image.id).await?;
        let guard = Guard::new(docker, unique_name(&docker.options.controller, &target.object));
        Self::of(guard, &image, reach, mounts(target, named)).await
    }

    /// The same with the files that a target has by now, all of them; `container` is its inspect document, and `is_touched` whether they
    /// are others than its image's.
    pub(super) async fn like(
        docker: &DockerProvider,
        container: &Value,
        is_touched: bool,
        reach: &Reach,
    ) -> Result<Self, ApiError> {
        let name = unique_name(&docker.options.controller, text(&container["Id"]));
        let guard = Guard::with_commits(docker, name);
        let image = view::image_for(&guard, container, is_touched, view::COPY_LIMIT).await?;
        Self::of(guard, &image, reach, view::needed(container)).await
    }

    /// The same of an image alone, by its document, without a network.
    pub async fn of_image(docker: &DockerProvider, image: &Value) -> Result<Self, ApiError> {
        let guard = Guard::new(docker, unique_name(&docker.options.controller, text(&image["Id"])));
        Self::of(guard, image, &Reach::over("none", &Value::Null), Vec::new()).await
    }

    async fn of(guard: Guard, image: &Value, reach: &Reach, mounts: Vec<Value>) -> Result<Self, ApiError> {
        let helper = Self { guard, folder: unique_folder() };
        let docker = helper.guard.docker();
        helper.guard.create(request(&docker.options.controller, image, reach, &mounts)).await?;
        helper.make_folder(&helper.folder).await?;
        let start = docker.client.post(&["containers", helper.name(), "start"]);
        start.timeout(Duration::from_secs(120)).done().await?;
        Ok(helper)
    }

    /// Its name, which the engine takes for its id.
    pub fn name(&self) -> &str {
        self.guard.name()
    }

    /// The folder in which its commands run, empty at first.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Makes a folder that only root may look into.
    pub async fn make_folder(&self, path: &str) -> Result<(), ApiError> {
        let mut folder = TarWriter::new();
        folder.directory(path.trim_start_matches('/'), 0o700)?;
        self.guard.docker().client.write(self.name(), "/", folder).await
    }

    /// Runs a command as root in it, in its folder.
    ///
    /// # Errors
    /// As [`Client::exec`].
    pub async fn run(&self, argv: &[&str], timeout: Duration, limit: usize) -> Result<ExecOutput, ApiError> {
        self.run_in(&self.folder, argv, timeout, limit).await
    }

    /// The same in a folder within its own.
    pub async fn run_in(
        &self,
        folder: &str,
        argv: &[&str],
        timeout: Duration,
        limit: usize,
    ) -> Result<ExecOutput, ApiError> {
        let env: Vec<String> = ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let exec = Exec { argv, user: Some("0"), env: &env, workdir: Some(folder), timeout, limit };
        self.guard.docker().client.exec(self.name(), &exec).await
    }

    /// Removes it and waits until it is gone. Dropping does the same without waiting.
    pub async fn finish(self) {
        self.guard.finish().await;
    }
}

/// Two processes may ask about the same target at the same time: no two helpers share a name.
fn unique_name(controller: &str, object: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let subject = Digest::of_bytes(object.as_bytes()).short(8);
    format!("{PREFIX}{}-{subject}-ask-{}-{count}", controller8(controller), std::process::id())
}

/// A folder that no other root has: its name is random.
fn unique_folder() -> String {
    format!("/.patchyard-{:016x}", RandomState::new().build_hasher().finish())
}

/// The network that the helper reaches repositories through: the target's own, unless it has none or
/// none that leads outside, which has `instead`.
async fn network(client: &Client, inspect: &Value, instead: &str) -> Result<String, ApiError> {
    let mode = text(&inspect["HostConfig"]["NetworkMode"]);
    // The latter two are what a user without rights has on Podman.
    if matches!(mode, "host" | "slirp4netns" | "pasta") {
        return Ok(mode.to_owned());
    }
    if matches!(mode, "" | "default" | "bridge") {
        return Ok("bridge".to_owned());
    }
    if mode == "none" || mode.starts_with("container:") {
        return Ok(instead.to_owned());
    }
    match client.get(&["networks", mode]).json().await {
        Ok(network) if network["Internal"].as_bool() != Some(true) => Ok(mode.to_owned()),
        Ok(_) => Ok(instead.to_owned()),
        Err(error) if error.is_not_found() => Ok(instead.to_owned()),
        Err(error) => Err(error),
    }
}

/// How a target reaches its package sources: everything of its settings that decides about that.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Reach {
    /// Variables that name proxies.
    env: Vec<String>,
    /// Of the host configuration.
    host: Map<String, Value>,
}

/// How a target reaches its package sources, by its inspect document.
pub(super) async fn reach(client: &Client, inspect: &Value) -> Result<Reach, ApiError> {
    Ok(Reach::over(&network(client, inspect, "bridge").await?, inspect))
}

/// The same for what runs programs that the target may have written: nowhere that it could not go itself.
pub(super) async fn reach_of_its_own(client: &Client, inspect: &Value) -> Result<Reach, ApiError> {
    Ok(Reach::over(&network(client, inspect, "none").await?, inspect))
}

impl Reach {
    fn over(network: &str, inspect: &Value) -> Self {
        let env = list(&inspect["Config"]["Env"])
            .map(text)
            .filter(|one| one.split_once('=').is_some_and(|(name, _)| PROXIES.contains(&name)))
            .map(str::to_owned);
        let mut host = Map::new();
        host.insert("NetworkMode".to_owned(), network.into());
        for key in ["Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Runtime", "UsernsMode"] {
            if !inspect["HostConfig"][key].is_null() {
                host.insert(key.to_owned(), inspect["HostConfig"][key].clone());
            }
        }
        Self { env: env.collect(), host }
    }
}

/// The create request. Pure: everything it is made of comes in.
fn request(controller: &str, image: &Value, reach: &Reach, mounts: &[Value]) -> Value {
    let mut host_config = json!({
        "AutoRemove": true,
        "Mounts": mounts,
        "LogConfig": {"Type": "none", "Config": {}},
        "CapDrop": ["ALL"],
        // What package managers need: files of other users, and apt's unprivileged user that downloads.
        "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": 256,
        "Memory": 2u64 << 30,
    });
    for (key, value) in &reach.host {
        host_config[key] = value.clone();
    }
    json!({
        "Image": text(&image["Id"]),
        "Entrypoint": ["sleep"],
        "Cmd": [LIFETIME.to_string()],
        "User": "0:0",
        "WorkingDir": "/",
        "Env": reach.env,
        "Labels": labels_of_running(image, controller, ROLE_ASK),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "HostConfig": host_config,
    })
}

/// Mounts of the target that its package sources lean on, read-only.
fn mounts(target: &Target, named: &Named) -> Vec<Value> {
    let needed = |place: &str| {
        let place = place.trim_end_matches('/');
        !place.is_empty()
            && named
                .files
                .iter()
                .chain(&named.repositories)
                .any(|path| is_under(path, place) || is_under(place, path))
    };
    let of_target = target.mounts.iter().filter(|mount| needed(&mount.destination));
    of_target
        .filter_map(|mount| {
            let kind = match mount.kind {
                patchyard_types::MountKind::Volume => "volume",
                patchyard_types::MountKind::Bind => "bind",
                _ => return None,
            };
            Some(json!({"Type": kind, "Source": mount.source, "Target": mount.destination, "ReadOnly": true}))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        serde_json::from_value(json!({
            "id": "docker:e/web", "name": "web", "provider": "docker", "host": "e", "host_name": "h",
            "service": "web", "project": null, "environment": null, "labels": {}, "object": "c1",
            "image": {"reference": "web:1", "id": "sha256:i", "digest": null, "base": null},
            "state": "running", "health": "none", "os": null, "networks": [], "ports": [], "depends_on": [],
            "lives_in": [], "managers": [], "refusals": [], "config": "00".repeat(32),
            "mounts": [
                {"kind": "bind", "source": "/host/repo", "destination": "/srv/repo", "writable": true},
                {"kind": "volume", "source": "data", "destination": "/data", "writable": true},
                {"kind": "tmpfs", "source": "", "destination": "/srv/keys", "writable": true},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_helper_takes_nothing_of_the_targets_that_it_does_not_need() {
        let inspect = json!({
            "Config": {"Env": ["http_proxy=http://proxy:3128", "SECRET=x"]},
            "HostConfig": {"Dns": ["10.0.0.2"], "PortBindings": {"80/tcp": []}, "Privileged": true},
        });
        let image = json!({"Id": "sha256:i", "Config": {"Labels": {"traefik.enable": "true"}}});
        let mut named = Named::default();
        named.read(b"deb [signed-by=/srv/keys/a.gpg] file:/srv/repo/bookworm ./");
        let reach = Reach::over("bridge", &inspect);
        let request = request("1a2b", &image, &reach, &mounts(&target(), &named));
        assert_eq!(request["Image"], "sha256:i");
        assert_eq!(request["Env"], json!(["http_proxy=http://proxy:3128"]));
        assert_eq!(request["Labels"]["traefik.enable"], "");
        assert_eq!(
            request["HostConfig"]["Mounts"],
            json!([{"Type": "bind", "Source": "/host/repo", "Target": "/srv/repo", "ReadOnly": true}])
        );
        let host = &request["HostConfig"];
        assert_eq!(
            (&host["Dns"], &host["PortBindings"], &host["Privileged"]),
            (&json!(["10.0.0.2"]), &Value::Null, &Value::Null)
        );
    }

    #[test]
    fn names_are_ours_and_never_the_same() {
        let (a, b) = (unique_name("1A2B3C4D-x", "c1"), unique_name("1A2B3C4D-x", "c1"));
        assert!(a != b && crate::read::own::is_own_name(&a), "{a}");
        assert_ne!(unique_folder(), unique_folder());
    }
}
