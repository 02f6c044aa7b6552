//! The services of a swarm as targets, each one: its tasks come and go as Swarm likes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt};
use patchyard_types::{
    Digest, Health, HostId, Image, Mount, MountKind, OsRelease, PublishedPort, Refusal, Target, TargetId,
    TargetKind, TargetState, printable,
};
use serde_json::Value;

use super::raw::{Service, Task, published, tasks};
use super::traps::{healthcheck, traps};
use crate::DockerProvider;
use crate::client::ApiError;
use crate::names::{LABEL_ENVIRONMENT, LABEL_SERVICE};
use crate::read::json::{list, text, texts};
use crate::read::{NAME_LIMIT, PARALLEL, keyed_digest, reference::Reference, unknown_label};

/// Label that the engine gives to the containers of tasks: the service's id.
const SERVICE_ID: &str = "com.docker.swarm.service.id";
/// Label that `docker stack deploy` gives to services.
const STACK: &str = "com.docker.stack.namespace";

/// What a manager says of its swarm; nothing where the engine is none.
#[derive(Default)]
pub(crate) struct Services {
    /// Whether anybody was there to be asked.
    is_known: bool,
    found: Vec<Found>,
    networks: BTreeMap<String, String>,
}

struct Found {
    service: Service,
    healthcheck: Value,
    tasks: Vec<Task>,
}

impl Services {
    /// Asks a manager for all services of its swarm.
    pub async fn read(docker: &DockerProvider) -> Result<Self, ApiError> {
        let swarm = &docker.info["Swarm"];
        if swarm["LocalNodeState"] != "active" || swarm["ControlAvailable"] != true {
            return Ok(Self::default());
        }
        let client = &docker.client;
        let listed = match client.get(&["services"]).query("status", "1").json().await {
            // A swarm without a leader answers nothing. Its tasks run on, and are told of as on a worker.
            Err(ApiError::Status { .. }) => return Ok(Self::default()),
            listed => listed?,
        };
        let mut by_service: BTreeMap<String, Vec<Task>> = BTreeMap::new();
        for task in tasks(client, None).await? {
            by_service.entry(task.service().to_owned()).or_default().push(task);
        }
        let services: Vec<(Service, Vec<Task>)> = list(&listed)
            .map(|service| Service(service.clone()))
            .map(|service| {
                let tasks = by_service.remove(service.id()).unwrap_or_default();
                (service, tasks)
            })
            .collect();
        let read = futures_util::stream::iter(services).map(|(service, tasks)| async move {
            let healthcheck = healthcheck(client, &service).await?;
            Ok::<_, ApiError>(Found { service, healthcheck, tasks })
        });
        let found = read.buffered(PARALLEL).try_collect().await?;
        let networks = client.get(&["networks"]).json().await?;
        let named = list(&networks).map(|n| (text(&n["Id"]).to_owned(), text(&n["Name"]).to_owned()));
        Ok(Self { is_known: true, found, networks: named.collect() })
    }

    /// The service that a container is a task of, where that is known to the swarm. A service that was removed just
    /// now has some for a moment.
    pub fn of<'a>(&self, labels: &'a BTreeMap<String, String>) -> Option<&'a str> {
        labels.get(SERVICE_ID).map(String::as_str).filter(|_| self.is_known)
    }

    /// The services as targets. `containers` are the targets that their tasks on this engine would be.
    pub fn targets(&self, docker: &DockerProvider, containers: &[Target]) -> Vec<Target> {
        let mut by_service: BTreeMap<&str, Vec<&Target>> = BTreeMap::new();
        for container in containers {
            by_service.entry(self.of(&container.labels).unwrap_or_default()).or_default().push(container);
        }
        let cluster = docker.info["Swarm"]["Cluster"]["ID"].as_str().filter(|id| !id.is_empty());
        // Every manager of a swarm tells of the same services.
        let swarm = cluster.map_or_else(|| docker.host.clone(), |id| HostId::new(printable(id, 100)));
        let engine = Engine { docker, swarm: &swarm, networks: &self.networks };
        let target = |found: &Found| {
            let tasks = by_service.get(found.service.id()).map_or(&[][..], Vec::as_slice);
            engine.target(found, tasks)
        };
        self.found.iter().map(target).collect()
    }
}

struct Engine<'a> {
    docker: &'a DockerProvider,
    swarm: &'a HostId,
    networks: &'a BTreeMap<String, String>,
}

impl Engine<'_> {
    fn target(&self, found: &Found, containers: &[&Target]) -> Target {
        let Found { service, healthcheck, tasks } = found;
        let spec = service.spec();
        let name = printable(service.name(), NAME_LIMIT);
        let container = &service.template()["ContainerSpec"];
        let mut labels = texts(&container["Labels"]);
        labels.extend(texts(&spec["Labels"]));
        let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
        let shown = |name: &str| label(name).map(|value| printable(value, NAME_LIMIT));
        let of_order = text(service.update_config("Order"));
        Target {
            id: TargetId::new("docker", self.swarm, &name),
            provider: "docker".to_owned(),
            kind: TargetKind::Service,
            host: self.docker.host.clone(),
            host_name: self.docker.host_name.clone(),
            service: shown(LABEL_SERVICE).unwrap_or_else(|| name.clone()),
            project: shown(STACK),
            environment: shown(LABEL_ENVIRONMENT),
            object: service.id().to_owned(),
            image: image(service.image()),
            state: state(service, tasks),
            health: Health::None,
            os: os(service.image(), containers),
            mounts: list(&container["Mounts"]).map(mount).collect(),
            networks: self.networks(service),
            ports: ports(service),
            depends_on: Vec::new(),
            lives_in: Vec::new(),
            managers: Vec::new(),
            refusals: refusals(service, &labels, containers),
            alone: alone(of_order),
            traps: traps(service, healthcheck),
            disk_snapshots: patchyard_types::DiskSnapshots::Nobody,
            config: config_digest(spec, &self.docker.options.key),
            name,
            labels,
        }
    }

    fn networks(&self, service: &Service) -> Vec<String> {
        let attached = list(&service.template()["Networks"]).map(|network| text(&network["Target"]));
        let name = |id: &str| self.networks.get(id).map_or(id, String::as_str).to_owned();
        attached.map(name).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The keyed digest of a spec without what may differ between two looks at the same service: its image, and how many
/// tasks it has, which is an autoscaler's to change.
pub(super) fn config_digest(spec: &Value, key: &[u8; 32]) -> Digest {
    let mut spec = spec.clone();
    if let Some(container) = spec["TaskTemplate"]["ContainerSpec"].as_object_mut() {
        container.remove("Image");
    }
    if let Some(replicated) = spec["Mode"]["Replicated"].as_object_mut() {
        replicated.remove("Replicas");
    }
    keyed_digest(&spec, key)
}

/// `name:tag@sha256:…`, as Swarm pins it. A digest without a tag was its owner's choice, and stays the reference.
fn image(said: &str) -> Image {
    let parsed = Reference::parse(said);
    let digest = parsed.as_ref().and_then(|reference| reference.digest.clone());
    let has_tag = parsed.is_some_and(|reference| reference.tag.is_some());
    let reference = match said.split_once('@') {
        Some((reference, _)) if has_tag => reference,
        _ => said,
    };
    Image {
        reference: printable(reference, NAME_LIMIT),
        id: digest.clone().unwrap_or_else(|| printable(said, NAME_LIMIT)),
        digest,
        base: None,
    }
}

fn state(service: &Service, tasks: &[Task]) -> TargetState {
    let wanted = service.0["ServiceStatus"]["DesiredTasks"].as_u64();
    match wanted {
        Some(0) => TargetState::Exited,
        _ if tasks.iter().any(Task::is_running) => TargetState::Running,
        _ => TargetState::Restarting,
    }
}

/// The OS of a task on this engine that has the service's image.
fn os(image: &str, containers: &[&Target]) -> Option<OsRelease> {
    let reference = image.split('@').next().unwrap_or_default();
    let of_it =
        containers.iter().filter(|container| container.image.reference.split('@').next() == Some(reference));
    of_it
        .filter(|container| container.state == TargetState::Running)
        .find_map(|container| container.os.clone())
}

fn mount(mount: &Value) -> Mount {
    let kind = match text(&mount["Type"]) {
        "volume" => MountKind::Volume,
        "bind" => MountKind::Bind,
        "tmpfs" => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mount {
        kind,
        source: text(&mount["Source"]).to_owned(),
        destination: text(&mount["Target"]).to_owned(),
        writable: mount["ReadOnly"] != true,
    }
}

fn ports(service: &Service) -> Vec<PublishedPort> {
    let port = |(port, (host_port, _)): (u16, (u16, bool))| PublishedPort {
        host_ip: String::new(),
        host_port,
        port,
        protocol: "tcp".to_owned(),
        // Swarm keeps for a service what it has chosen.
        ephemeral: false,
    };
    published(service).into_iter().map(port).collect()
}

/// Swarm decides itself which comes first.
fn alone(order: &str) -> Vec<Refusal> {
    if order == "start-first" {
        return Vec::new();
    }
    vec![Refusal {
        code: "service_order".to_owned(),
        message: "Swarm decides by the service's own configuration: set update_config.order there".to_owned(),
    }]
}

/// Why a service is not updated.
fn refusals(service: &Service, labels: &BTreeMap<String, String>, containers: &[&Target]) -> Vec<Refusal> {
    let mut out = Vec::new();
    // Patchyard may run in one of its tasks.
    let own = containers.iter().flat_map(|container| &container.refusals);
    out.extend(own.filter(|refusal| refusal.code == "own_container").take(1).cloned());
    let mode = &service.spec()["Mode"];
    if mode["ReplicatedJob"].is_object() || mode["GlobalJob"].is_object() {
        out.push(Refusal {
            code: "service_job".to_owned(),
            message: "it is a job, which runs once: an update would run it again".to_owned(),
        });
    }
    if !service.template()["ContainerSpec"].is_object() {
        out.push(Refusal {
            code: "service_plugin".to_owned(),
            message: "its tasks are no containers: use `docker service update`".to_owned(),
        });
    }
    out.extend(busy(service));
    out.extend(unknown_label(labels.keys().map(String::as_str)));
    out
}

/// Why Swarm must not be given another update of the service now, if it must not.
pub(super) fn busy(service: &Service) -> Option<Refusal> {
    let name = printable(service.name(), 100);
    let (code, message) = match service.update_state() {
        "updating" | "rollback_started" => (
            "service_updating",
            format!("Swarm is updating it just now: wait, or look at docker service ps {name}"),
        ),
        "paused" | "rollback_paused" => (
            "service_paused",
            format!(
                "Swarm has paused its last update half way: docker service rollback {name} takes it back, docker \
                 service update {name} goes on"
            ),
        ),
        _ => return None,
    };
    Some(Refusal { code: code.to_owned(), message })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn the_tag_is_the_reference_and_the_pin_is_the_image() {
        let pinned = image(&format!("registry:5000/shop/web:1@{DIGEST}"));
        assert_eq!((pinned.reference.as_str(), pinned.id.as_str()), ("registry:5000/shop/web:1", DIGEST));
        assert_eq!(pinned.digest.as_deref(), Some(DIGEST));
        let chosen = image(&format!("web@{DIGEST}"));
        assert_eq!(chosen.reference, format!("web@{DIGEST}"));
        let unpinned = image("web:1");
        assert_eq!(
            (unpinned.reference.as_str(), unpinned.id.as_str(), unpinned.digest),
            ("web:1", "web:1", None)
        );
    }

    #[test]
    fn only_the_image_and_the_number_of_tasks_may_change_meanwhile() {
        let spec = |image: &str, replicas: u64, delay: u64| {
            json!({"TaskTemplate": {"ContainerSpec": {"Image": image, "Env": ["A=b"]}},
                "Mode": {"Replicated": {"Replicas": replicas}}, "UpdateConfig": {"Delay": delay}})
        };
        let digest = |spec: &Value| config_digest(spec, &[7; 32]);
        assert_eq!(digest(&spec("web:1", 1, 5)), digest(&spec("web:2", 3, 5)));
        assert_ne!(digest(&spec("web:1", 1, 5)), digest(&spec("web:1", 1, 6)));
    }

    #[test]
    fn a_service_that_swarm_has_in_hand_or_that_runs_once_is_refused() {
        let codes = |service: Value| -> Vec<String> {
            refusals(&Service(service), &BTreeMap::new(), &[]).into_iter().map(|r| r.code).collect()
        };
        let service = |state: &str, mode: Value| {
            json!({"Spec": {"Name": "web", "Mode": mode, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}},
                "UpdateStatus": {"State": state}})
        };
        let replicated = || json!({"Replicated": {"Replicas": 1}});
        assert_eq!(codes(service("completed", replicated())), [""; 0]);
        assert_eq!(codes(service("updating", replicated())), ["service_updating"]);
        assert_eq!(codes(service("paused", replicated())), ["service_paused"]);
        assert_eq!(codes(service("", json!({"ReplicatedJob": {}}))), ["service_job"]);
        assert_eq!(codes(json!({"Spec": {"Name": "p", "TaskTemplate": {}}})), ["service_plugin"]);
    }

    #[test]
    fn a_service_without_tasks_is_stopped() {
        let service = |wanted: u64| Service(json!({"ServiceStatus": {"DesiredTasks": wanted}}));
        let task = |state: &str| Task(json!({"DesiredState": "running", "Status": {"State": state}}));
        assert_eq!(state(&service(0), &[]), TargetState::Exited);
        assert_eq!(state(&service(2), &[task("preparing"), task("running")]), TargetState::Running);
        assert_eq!(state(&service(2), &[task("failed")]), TargetState::Restarting);
    }
}
