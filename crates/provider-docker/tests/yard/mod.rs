//! A yard on the real engine: one container of the lab, the plan that patches it, and everything of
//! both taken away at the end.
//!
//! The lab's image `patchyard-lab/web-good:1` has to be there (`lab/prepare web-good`).

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    unused_imports,
    reason = "each test file uses a part of it; a failed unwrap is a failed test"
)]

mod podman;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use patchyard_cache::FileCache;
use patchyard_contract::suite::provider::Yard;
use patchyard_contract::{Ask, Call, Memory, Provider};
use patchyard_provider_docker::client::{Client, Environment, Exec, resolve};
use patchyard_provider_docker::{DockerProvider, Options};
use patchyard_types::{
    About, Action, Budget, Change, Data, Decisions, Dependent, Digest, Direction, Drain, Expected, Method,
    Millis, Order, PackageChange, PatchSet, Plan, Record, RolloutId, RunId, Snapshot, SnapshotId,
    StartingState, Step, StepError, SwapStep, TagMove, Target, TargetKind, Timeouts, Wave, WritableLayer,
};
use serde_json::{Value, json};

pub use podman::{Podman, Whose};

pub const IMAGE: &str = "patchyard-lab/web-good:1";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A target of its own on the real engine.
pub struct RealYard {
    pub docker: Arc<DockerProvider>,
    /// The target's container name.
    pub name: String,
    /// A tag of the lab's image of our own: images built for it bear its name.
    pub reference: String,
    pub controller: String,
    /// What its plans say about the writable layer.
    pub writable_layer: WritableLayer,
    /// What its plans say about its volumes.
    pub data: Data,
    /// Whether its plans move its tag.
    pub tag_follows: bool,
    /// What its plans say about order and drain.
    pub order: Order,
    pub drain: Drain,
    state: PathBuf,
    plan: Option<Arc<Plan>>,
    /// The Podman that it is on; else it is on the machine's Docker engine.
    podman: Option<Podman>,
}

impl RealYard {
    /// A yard with a target whose create request the caller completes, not planned for yet.
    pub async fn with(shape: impl FnOnce(&mut Value, &str)) -> Self {
        Self::of_image(IMAGE, shape).await
    }

    pub async fn of_image(image: &str, shape: impl FnOnce(&mut Value, &str)) -> Self {
        let yard = Self::not_started(image, shape).await;
        yard.client().post(&["containers", &yard.name, "start"]).done().await.unwrap();
        yard
    }

    /// A yard whose target is created and not started.
    pub async fn not_started(image: &str, shape: impl FnOnce(&mut Value, &str)) -> Self {
        let yard = Self::empty(Self::unique_name(), None).await;
        let tag = yard.client().post(&["images", image, "tag"]).query("repo", &yard.name).query("tag", "1");
        tag.done().await.expect("the lab's image is there: run lab/prepare");
        let mut body = json!({
            "Image": yard.reference,
            "Env": ["GREETING=hello"],
            "Labels": {"com.docker.compose.image": "sha256:of-the-old-image", "shop": "yes"},
            "ExposedPorts": {"8080/tcp": {}},
            "HostConfig": {
                "RestartPolicy": {"Name": "unless-stopped"},
                "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
                "Memory": 268_435_456, "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
                "Tmpfs": {"/scratch": ""}, "ExtraHosts": ["shop.test:10.9.8.7"],
                "Binds": [format!("{}-named:/named", yard.name)],
            },
            "Volumes": {"/anonymous": {}},
        });
        shape(&mut body, &yard.name);
        yard.create(&yard.name, &body).await;
        yard
    }

    /// A name that no other yard has.
    fn unique_name() -> String {
        // As many digits always: what is removed is found by this as a prefix.
        format!("pyswap-{}-{:04}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// A yard of this name without a target, on the Podman or the machine's Docker engine.
    async fn empty(name: String, podman: Option<Podman>) -> Self {
        // Eight characters that no other process of this test run has.
        let number: u32 = name.rsplit('-').next().unwrap().parse().unwrap();
        let controller = format!("{:05x}{number:03x}0000", std::process::id() & 0xf_ffff);
        let state = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(state.join("host")).unwrap();
        std::fs::write(state.join("host/file"), "of the host").unwrap();
        Self {
            docker: Arc::new(provider_on(podman.as_ref(), &controller, &state).await),
            reference: format!("{name}:1"),
            name,
            controller,
            writable_layer: WritableLayer::LeaveOut,
            data: Data::Keep,
            tag_follows: true,
            order: Order::StopFirst,
            drain: Drain::default(),
            state,
            plan: None,
            podman,
        }
    }

    /// A yard with an ordinary target, planned for.
    pub async fn ordinary() -> Self {
        let mut yard = Self::with(|_, _| {}).await;
        yard.plan_layer().await;
        yard
    }

    /// A yard with an ordinary target that has written something, which its plan carries, and whose plan
    /// restores its volumes.
    pub async fn carrying() -> Self {
        Self::with(|_, _| {}).await.planned_to_carry().await
    }

    /// The yard, with what its target has written, which its plan carries, and volumes that its plan restores.
    async fn planned_to_carry(mut self) -> Self {
        self.writable_layer = WritableLayer::Carry;
        self.data = Data::Restore;
        self.drain.command = vec!["true".to_owned()];
        self.sh("mkdir /srv/data; echo written > /srv/data/file; echo more >> /etc/motd").await;
        self.plan_layer().await;
        self
    }

    /// The same, with one in its network and another one in the process namespace of that one.
    pub async fn with_dependents() -> Self {
        let mut yard = Self::with(|body, _| {
            body["HostConfig"]["IpcMode"] = json!("shareable");
        })
        .await;
        yard.writable_layer = WritableLayer::Carry;
        yard.data = Data::Restore;
        yard.sh("mkdir /srv/data; echo written > /srv/data/file").await;
        let [side, third] = yard.others();
        let host = json!({
            "NetworkMode": format!("container:{}", yard.name), "IpcMode": format!("container:{}", yard.name),
            "RestartPolicy": {"Name": "always"},
        });
        let body = json!({"Image": yard.reference, "Cmd": ["sleep", "10000"], "StopSignal": "SIGKILL",
            "Volumes": {"/anonymous": {}}, "Healthcheck": {"Test": ["NONE"]}, "HostConfig": host});
        yard.run(&side, &body).await;
        let host = json!({"PidMode": format!("container:{side}"), "RestartPolicy": {"Name": "on-failure"}});
        let body = json!({"Image": yard.reference, "Cmd": ["sleep", "10000"], "StopSignal": "SIGKILL",
            "Healthcheck": {"Test": ["NONE"]}, "HostConfig": host});
        yard.run(&third, &body).await;
        yard.plan_layer().await;
        assert_eq!(yard.plan().decisions.actions[0].dependents.len(), 2);
        yard
    }

    /// The names of those who live in the target's namespaces, where there are any.
    pub fn others(&self) -> [String; 2] {
        ["side", "third"].map(|other| format!("{}-{other}", self.name))
    }

    /// Who lives in the target's namespaces, and in theirs.
    async fn dependents(&self, target: &Target) -> Vec<Dependent> {
        let mut involved = vec![target.object.clone()];
        let mut left = self.docker.discover().await.unwrap();
        let mut found = Vec::new();
        let lives_in =
            |other: &Target, involved: &[String]| other.lives_in.iter().any(|owner| involved.contains(owner));
        while let Some(at) = left.iter().position(|other| lives_in(other, &involved)) {
            let other = left.remove(at);
            involved.push(other.object.clone());
            found.push(Dependent {
                expected: Expected::of(&other),
                target: other.id,
                name: other.name,
                service: other.service,
                checks: Vec::new(),
                writable_layer: WritableLayer::LeaveOut,
                max_unavailable: 1,
            });
        }
        found
    }

    /// A yard with a target of which two can run beside each other, and whose plan starts the new one first. Its
    /// drain command leaves a mark that a restart takes away.
    pub async fn start_first() -> Self {
        let mut yard = Self::with(|body, _| two_can_run(body)).await;
        yard.order = Order::StartFirst;
        yard.drain.command = vec!["touch".to_owned(), "/scratch/draining".to_owned()];
        yard.plan_layer().await;
        yard
    }

    /// Runs a script as root in the target and returns what it prints.
    pub async fn sh(&self, script: &str) -> String {
        let argv = ["sh", "-ec", script];
        let exec = Exec { user: Some("0"), ..Exec::new(&argv) };
        let output = self.client().exec(&self.name, &exec).await.unwrap();
        assert_eq!(output.exit, 0, "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A folder of this machine that a container may be given, with a file in it.
    pub fn folder(&self) -> String {
        self.state.join("host").to_str().unwrap().to_owned()
    }

    pub fn client(&self) -> &Client {
        self.docker.client()
    }

    /// Creates a container.
    pub async fn create(&self, name: &str, body: &Value) -> String {
        let request = self.client().post(&["containers", "create"]).query("name", name).json_body(body);
        let created = request.json().await.unwrap_or_else(|error| panic!("{error}: {body:#}"));
        created["Id"].as_str().unwrap().to_owned()
    }

    /// Creates and starts a container.
    pub async fn run(&self, name: &str, body: &Value) -> String {
        let id = self.create(name, body).await;
        self.client().post(&["containers", &id, "start"]).done().await.unwrap();
        id
    }

    /// Removes the target, with the volumes that the engine made for it.
    pub async fn remove(&self) {
        let remove = self.client().delete(&["containers", &self.name]).query("force", "1").query("v", "1");
        remove.done().await.unwrap();
    }

    /// A container's inspect document; `Null` when there is none.
    pub async fn inspect(&self, name: &str) -> Value {
        self.client().get(&["containers", name, "json"]).json().await.unwrap_or(Value::Null)
    }

    pub async fn target(&self) -> Target {
        let all = self.docker.discover().await.unwrap();
        all.into_iter().find(|target| target.name == self.name).expect("the target is discovered")
    }

    /// Asks, fetches, and plans the layer.
    pub async fn plan_layer(&mut self) {
        let target = self.target().await;
        let inventory = self.docker.inventory(&target).await.unwrap();
        let pending = self.docker.pending(&target, &inventory, &Ask::default()).await.unwrap();
        let packages: Vec<PackageChange> = pending
            .into_iter()
            .map(|patch| PackageChange {
                name: patch.package,
                arch: patch.arch,
                from: patch.installed,
                to: Some(patch.candidate),
                sha256: patch.sha256,
                security: patch.security,
                size: patch.size,
            })
            .collect();
        assert!(!packages.is_empty(), "a patch is pending");
        self.docker.fetch(&target, &packages).await.unwrap();
        self.docker.settle().await;
        // A set of this yard's own, so that yards do not share images.
        let platform = format!("linux/amd64 of {}", self.name);
        let from = StartingState { platform, ..inventory.starting };
        let set = PatchSet { from, change: Change::Packages(packages) };
        self.plan_with(Method::Layer, set).await;
    }

    /// Plans to go back to a snapshot.
    pub async fn plan_restore(&mut self, snapshot: &SnapshotId) {
        let target = self.target().await;
        let from = StartingState { platform: String::new(), image: target.image.id, packages: None };
        let set = PatchSet {
            from,
            change: Change::Snapshot { snapshot: snapshot.clone(), image: None, packages: Vec::new() },
        };
        self.plan_with(Method::Restore, set).await;
    }

    pub async fn plan_with(&mut self, method: Method, set: PatchSet) {
        let target = self.target().await;
        let action = Action {
            target: target.id.clone(),
            name: target.name.clone(),
            service: target.service.clone(),
            host: target.host.clone(),
            kind: TargetKind::Container,
            method,
            patch_set: set.id(),
            expected: Expected::of(&target),
            checks: Vec::new(),
            verify_for: Millis::from_secs(1),
            timeouts: Timeouts {
                step: Millis::from_secs(300),
                healthy: Millis::from_secs(30),
                check: Millis::from_secs(10),
            },
            max_layer: 512 * 1024 * 1024,
            writable_layer: self.writable_layer,
            data: self.data,
            order: self.order,
            drain: self.drain.clone(),
            reboot: patchyard_types::Reboot::ServicesOnly,
            way_back: patchyard_types::WayBack::Required,
            snapshot: patchyard_types::SnapshotPolicy::Never,
            max_unavailable: 1,
            losses: Vec::new(),
            dependents: self.dependents(&target).await,
        };
        let tag = TagMove {
            host: target.host,
            reference: target.image.reference,
            from: target.image.id,
            patch_set: set.id(),
            image: None,
            after: vec![0],
        };
        let decisions = Decisions {
            version: 1,
            patch_sets: BTreeMap::from([(set.id(), set)]),
            actions: vec![action],
            waves: vec![Wave(vec![0])],
            tags: self.tag_follows.then_some(tag).into_iter().collect(),
            max_failures: Budget::Count(0),
        };
        let about = About {
            author: "test".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            undoes: None,
            considered: 1,
            left_out: Vec::new(),
            up_to_date: Vec::new(),
            estimate: patchyard_types::Estimate::default(),
            notes: Vec::new(),
        };
        self.plan = Some(Arc::new(Plan { decisions, about }));
    }

    /// Makes an image that differs from the target's in these instructions, and a plan to go to it.
    /// Returns its id.
    pub async fn plan_image(&mut self, tag: &str, changes: &[&str]) -> String {
        let id = derive(&self.reference, &format!("{}:{tag}", self.name), changes);
        // A set that is found built: an image of this repository by digest needs a registry.
        let set = PatchSet {
            from: StartingState {
                platform: String::new(),
                image: self.target().await.image.id,
                packages: None,
            },
            change: Change::Image {
                reference: self.reference.clone(),
                from: None,
                to: format!("sha256:{}", Digest::of_bytes(tag.as_bytes())),
            },
        };
        let own = format!("patchyard/{}", self.name);
        let tagged =
            self.client().post(&["images", &id, "tag"]).query("repo", &own).query("tag", &set.id().short(12));
        tagged.done().await.unwrap();
        self.plan_with(Method::Image, set).await;
        id
    }

    /// Runs a command in a container and returns what it prints.
    pub async fn exec(&self, name: &str, argv: &[&str]) -> String {
        let output = self.client().exec(name, &Exec::new(argv)).await.unwrap();
        assert_eq!(output.exit, 0, "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The volumes of ours on the engine.
    pub fn copies(&self) -> Vec<String> {
        let own = format!("patchyard-{}-", &self.controller[..8]);
        let listed = match &self.podman {
            Some(podman) => podman.run(&["volume", "ls", "-q"]),
            None => {
                let output = Command::new("docker").args(["volume", "ls", "-q"]).output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            }
        };
        listed.lines().filter(|name| name.starts_with(&own)).map(str::to_owned).collect()
    }

    /// A name of ours for the run of this yard: `patchyard-…-r1.1-old`.
    pub fn of_run(&self, part: &str) -> String {
        format!("patchyard-{}-r1.1-{part}", &self.controller[..8])
    }
}

#[async_trait::async_trait]
impl Yard for RealYard {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::clone(&self.docker) as Arc<dyn Provider>
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(self.plan.as_ref().expect("it was planned for"))
    }

    async fn serving(&self) -> Option<String> {
        let mut all = Vec::new();
        for name in std::iter::once(self.name.clone()).chain(self.others()) {
            let inspect = self.inspect(&name).await;
            if inspect.is_null() && name != self.name {
                continue;
            }
            if inspect["State"]["Running"].as_bool() != Some(true) {
                return None;
            }
            all.push(format!("{} {}", inspect["Id"], inspect["Image"]));
        }
        Some(all.join(", "))
    }

    async fn objects(&self) -> Vec<String> {
        let own = format!("patchyard-{}-", &self.controller[..8]);
        let listed = self.client().get(&["containers", "json"]).query("all", "1").json().await.unwrap();
        let mut found = Vec::new();
        for entry in listed.as_array().unwrap() {
            let name = entry["Names"][0].as_str().unwrap().trim_start_matches('/').to_owned();
            if name == self.name || self.others().contains(&name) || name.starts_with(&own) {
                let inspect = self.inspect(&name).await;
                let policy = &inspect["HostConfig"]["RestartPolicy"]["Name"];
                // Since Docker 26 the list is behind for the moment after a stop.
                found.push(format!("{} {name} {} {policy}", entry["Id"], inspect["State"]["Status"]));
            }
        }
        let images = self.client().get(&["images", "json"]).json().await.unwrap();
        let tags = images
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default());
        let snapshot = format!("patchyard/snapshot:{}", &self.controller[..8]);
        found.extend(
            // Podman says of images that name no registry that they are local.
            tags.filter_map(|tag| tag.as_str().filter(|tag| tag.contains(&snapshot)).map(str::to_owned)),
        );
        found.extend(self.copies().into_iter().map(|copy| format!("volume {copy}")));
        let files = std::fs::read_dir(self.state.join("snapshots")).into_iter().flatten().flatten();
        found.extend(files.map(|file| file.path().display().to_string()));
        found.sort();
        found
    }

    fn holds(&self) -> bool {
        self.podman.is_none()
    }

    async fn meddle(&self) {
        if let Some(podman) = &self.podman {
            self.remove().await;
            podman.create(&self.name, "goodbye", &[]);
            podman.run(&["start", &self.name]);
            return;
        }
        let before = self.inspect(&self.name).await;
        let mut body = before["Config"].clone();
        body["Env"] = json!(["GREETING=goodbye"]);
        body["HostConfig"] = before["HostConfig"].clone();
        self.remove().await;
        self.run(&self.name, &body).await;
    }
}

/// Takes from a create request what only one container can have.
pub fn two_can_run(body: &mut Value) {
    for (of, key) in [("HostConfig", "PortBindings"), ("HostConfig", "Binds")] {
        body[of].as_object_mut().unwrap().remove(key);
    }
    body.as_object_mut().unwrap().remove("Volumes");
}

/// A run driven by hand.
pub struct Hand<'a> {
    pub yard: &'a RealYard,
    pub run: RunId,
    pub records: BTreeMap<Step, Record>,
}

impl<'a> Hand<'a> {
    pub fn new(yard: &'a RealYard) -> Self {
        Self::of(yard, 1)
    }

    pub fn of(yard: &'a RealYard, rollout: u64) -> Self {
        Self { yard, run: RunId { rollout: RolloutId(rollout), action: 0 }, records: BTreeMap::new() }
    }

    /// A hand that has the image already.
    pub fn with_image(yard: &'a RealYard, image: &str) -> Self {
        let mut hand = Self::new(yard);
        let prepared = Record::Prepared { image: image.to_owned(), size: 0 };
        hand.records.insert(Step::Swap(SwapStep::Prepare), prepared);
        hand
    }

    pub fn call(&self, step: SwapStep, direction: Direction) -> Call {
        Call {
            run: self.run,
            step: Step::Swap(step),
            direction,
            plan: self.yard.plan(),
            records: self.records.clone(),
            given_up: std::collections::BTreeSet::new(),
            source: None,
            progress: None,
            dependent: None,
        }
    }

    pub async fn try_to(&mut self, step: SwapStep, direction: Direction) -> Result<Record, StepError> {
        let record = self.yard.docker.perform(&self.call(step, direction)).await?;
        if direction == Direction::Do {
            self.records.insert(Step::Swap(step), record.clone());
        }
        Ok(record)
    }

    pub async fn doing(&mut self, step: SwapStep) -> Record {
        let outcome = self.try_to(step, Direction::Do).await;
        outcome.unwrap_or_else(|error| panic!("do {step}: {error}"))
    }

    pub async fn undoing(&mut self, step: SwapStep) {
        self.try_to(step, Direction::Undo).await.unwrap_or_else(|error| panic!("undo {step}: {error}"));
    }

    /// Every step that was not done yet but verify, up to and with this one.
    pub async fn doing_up_to(&mut self, last: SwapStep) {
        let carries = self.yard.writable_layer == WritableLayer::Carry;
        let saves = self.yard.data == Data::Restore;
        let fills = saves && self.yard.plan().decisions.actions[0].method == Method::Restore;
        let drains = !self.yard.drain.is_nothing();
        let wanted = |step: &SwapStep| match step {
            SwapStep::Verify => false,
            SwapStep::Drain => drains,
            SwapStep::Save => saves,
            SwapStep::Fill => fills,
            SwapStep::Carry => carries,
            _ => true,
        };
        for step in SwapStep::in_order(self.yard.order).iter().copied() {
            if wanted(&step) && !self.records.contains_key(&Step::Swap(step)) {
                self.doing(step).await;
            }
            if step == last {
                break;
            }
        }
    }

    /// Goes through a whole swap and returns its snapshot.
    pub async fn swapped(&mut self) -> Snapshot {
        self.doing_up_to(SwapStep::Start).await;
        let snapshot = snapshot_of(self.doing(SwapStep::Snapshot).await);
        self.doing(SwapStep::Retire).await;
        snapshot
    }

    /// Takes back everything that was done up to the start.
    pub async fn back(&mut self) {
        let saves = self.yard.data == Data::Restore;
        let steps = [SwapStep::Start, SwapStep::Rename, SwapStep::Save, SwapStep::Hold, SwapStep::Stop];
        for step in steps.into_iter().filter(|step| saves || *step != SwapStep::Save) {
            self.undoing(step).await;
        }
        self.undoing(SwapStep::Create).await;
    }

    pub async fn probe(&self, step: SwapStep, direction: Direction) -> patchyard_types::Probe {
        self.yard.docker.probe(&self.call(step, direction)).await.unwrap()
    }
}

/// What is known of images, by all yards of a test program: a discovery sees the others' containers too, and reading
/// them anew is most of what it would cost the engine.
fn memory() -> Arc<dyn Memory> {
    static MEMORY: LazyLock<Arc<Mutex<BTreeMap<String, String>>>> = LazyLock::new(Arc::default);
    MEMORY.clone()
}

/// A provider on the engine that `docker` would talk to.
pub async fn provider(controller: &str, state: &Path) -> DockerProvider {
    provider_on(None, controller, state).await
}

async fn provider_on(podman: Option<&Podman>, controller: &str, state: &Path) -> DockerProvider {
    let options = Options {
        controller: controller.to_owned(),
        key: [7; 32],
        cache: Arc::new(FileCache::open(&state.join("cache")).unwrap()),
        state_dir: state.to_owned(),
        name: podman.map(|_| "podman-here".to_owned()),
        memory: memory(),
        registries: BTreeMap::new(),
    };
    let host = podman.map(|podman| podman.host.as_str());
    let endpoint = resolve(host, &Environment::of_process()).unwrap();
    DockerProvider::connect(endpoint, options).await.unwrap()
}

/// The snapshot on a step's record.
pub fn snapshot_of(record: Record) -> Snapshot {
    match record {
        Record::Snapshotted { snapshot } => *snapshot,
        other => panic!("{other:?}"),
    }
}

/// Makes an image that differs from another one in these instructions, and returns its id. What was
/// written into containers of that one is not in it.
pub fn derive(from: &str, to: &str, changes: &[&str]) -> String {
    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).output().unwrap();
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // The one instruction that a commit does not know.
    let (signal, changes): (Vec<&str>, Vec<&str>) =
        changes.iter().partition(|change| change.starts_with("STOPSIGNAL "));
    let signal = signal
        .iter()
        .flat_map(|signal| signal.split(' ').nth(1))
        .flat_map(|signal| ["--stop-signal", signal]);
    let container = docker(&["create"].into_iter().chain(signal).chain([from]).collect::<Vec<_>>());
    let changes = changes.into_iter().flat_map(|change| ["--change", change]);
    let args: Vec<&str> = ["commit"].into_iter().chain(changes).chain([container.as_str(), to]).collect();
    let id = docker(&args);
    docker(&["rm", &container]);
    id
}

/// The words of a failure.
pub fn failure(outcome: Result<Record, StepError>) -> patchyard_types::Failure {
    match outcome {
        Err(StepError::Failed(failure)) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

impl Drop for RealYard {
    fn drop(&mut self) {
        if self.podman.is_some() {
            // It takes everything else along.
            let _ = std::fs::remove_dir_all(&self.state);
            return;
        }
        let docker = |args: &[&str]| {
            let output = Command::new("docker").args(args).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let own = format!("patchyard-{}-", &self.controller[..8]);
        let ps = docker(&["ps", "-a", "--format", "{{.Names}}"]);
        for name in ps
            .lines()
            .filter(|name| **name == self.name || name.starts_with(&self.name) || name.starts_with(&own))
        {
            docker(&["rm", "-fv", name]);
        }
        let images = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let kept = ["snapshot", "base"].map(|what| format!("patchyard/{what}:{}", &self.controller[..8]));
        let ours = |tag: &str| {
            tag.contains(self.name.as_str()) || kept.iter().any(|kept| tag.starts_with(kept.as_str()))
        };
        for tag in images.lines().filter(|tag| ours(tag)) {
            docker(&["rmi", "--no-prune", tag]);
        }
        let noted = std::fs::read_dir(self.state.join("volumes")).into_iter().flatten().flatten();
        for volume in noted.filter_map(|entry| entry.file_name().into_string().ok()) {
            docker(&["volume", "rm", &volume]);
        }
        let volumes = docker(&["volume", "ls", "-q"]);
        let ours = |volume: &&str| volume.starts_with(&self.name) || volume.starts_with(&own);
        for volume in volumes.lines().filter(ours) {
            docker(&["volume", "rm", volume]);
        }
        let networks = docker(&["network", "ls", "--format", "{{.Name}}"]);
        for network in networks.lines().filter(|network| network.starts_with(&self.name)) {
            docker(&["network", "rm", network]);
        }
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
