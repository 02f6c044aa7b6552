//! A place to build layers in: an image of the lab with settings of the test's own, a controller of
//! its own, and nothing left of either afterwards.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use patchyard_cache::FileCache;
use patchyard_contract::{Call, PackageCache, Provider};
use patchyard_provider_docker::client::{Environment, TarWriter, reader_body, resolve};
use patchyard_provider_docker::{DockerProvider, Options, names};
use patchyard_types::{
    About, Action, Arch, Budget, Change, Data, Decisions, Digest, Direction, Drain, Estimate, Expected,
    Failure, HostId, Method, Millis, Order, PackageChange, PatchSet, Plan, Probe, Record, RolloutId, RunId,
    StartingState, Step, StepError, SwapStep, TargetId, TargetKind, Timeouts, Wave, WritableLayer,
};
use serde_json::{Value, json};

/// The machine's engine.
pub const ENGINE: &str = "unix:///var/run/docker.sock";

/// One test's place.
pub struct Yard {
    pub provider: DockerProvider,
    pub cache: Arc<FileCache>,
    /// The image that is patched: its tag and its inspect document.
    pub tag: String,
    pub base: Value,
    pub plan: Plan,
    engine: String,
    controller: String,
    folder: PathBuf,
}

/// The lab's folder of repositories.
pub fn repositories() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| PathBuf::from(lab("packages", &[])))
}

/// Runs a script of the lab; what it prints.
pub fn lab(script: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab").join(script);
    let output = Command::new(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "lab/{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs Docker's own client; what it prints, or what it says when it fails.
pub fn docker_on(engine: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(["-H", engine]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A package of the lab: where it is, and what is planned of it.
pub fn deb(case: &str, name: &str, version: &str) -> PathBuf {
    repositories().join(case).join(format!("pool/lab/{name}_{version}_all.deb"))
}

impl Yard {
    /// A place with the lab's image `service`, with these instructions of a Dockerfile on top.
    pub async fn new(service: &str, instructions: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let controller = format!("lay{:03x}{number:02}", std::process::id() & 0xfff);
        let folder = std::env::temp_dir().join(format!("patchyard-{controller}"));
        std::fs::create_dir_all(&folder).unwrap();
        let lab_image = format!("patchyard-lab/{service}:1");
        if docker_on(ENGINE, &["image", "inspect", &lab_image]).is_err() {
            lab("services", &[service]);
        }
        let cache = Arc::new(FileCache::open(&folder.join("cache")).unwrap());
        let provider = connect(ENGINE, &controller, &cache, &folder).await;
        let tag = format!("patchyard-layer/{controller}:1");
        let mut yard = Self {
            provider,
            cache,
            tag,
            base: Value::Null,
            plan: plan(),
            engine: ENGINE.to_owned(),
            controller,
            folder,
        };
        yard.make_base(&format!("FROM {lab_image}\nLABEL lab.yard={}\n{instructions}\n", yard.controller))
            .await;
        yard
    }

    /// The same place, plan and controller on another engine, which has the image already.
    pub async fn twin(&self, engine: &str) -> Self {
        Self {
            provider: connect(engine, &self.controller, &self.cache, &self.folder).await,
            cache: self.cache.clone(),
            tag: self.tag.clone(),
            base: self.base.clone(),
            plan: self.plan.clone(),
            engine: engine.to_owned(),
            controller: self.controller.clone(),
            folder: self.folder.clone(),
        }
    }

    /// The engine's classic builder, without its client: it needs nothing else.
    async fn make_base(&mut self, dockerfile: &str) {
        let mut archive = TarWriter::new();
        archive.file("Dockerfile", 0o644, dockerfile.as_bytes()).unwrap();
        let client = self.provider.client();
        let build = client.post(&["build"]).query("t", &self.tag).query("networkmode", "none");
        let body = reader_body(Cursor::new(archive.finish()));
        let mut said = build.body("application/x-tar", body).lines().await.unwrap();
        while said.next().await.unwrap().is_some() {}
        self.base = self.image(&self.tag).await.unwrap();
        let expected = &mut self.plan.decisions.actions[0].expected;
        expected.image = self.base["Id"].as_str().unwrap().to_owned();
        expected.reference = self.tag.clone();
    }

    pub fn docker(&self, arguments: &[&str]) -> String {
        docker_on(&self.engine, arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
    }

    /// Puts a package into the cache and plans the change from one version to another.
    pub fn change(&mut self, deb: &Path, from: Option<&str>, to: &str) {
        let bytes = std::fs::read(deb).unwrap();
        let digest = Digest::of_bytes(&bytes);
        let scratch = self.cache.scratch().unwrap();
        std::fs::write(&scratch, &bytes).unwrap();
        self.cache.keep(&scratch, &digest).unwrap();
        let name = deb.file_name().unwrap().to_str().unwrap().split('_').next().unwrap();
        self.also(PackageChange {
            name: name.to_owned(),
            arch: Arch("all".to_owned()),
            from: from.map(str::to_owned),
            to: Some(to.to_owned()),
            sha256: Some(digest),
            security: false,
            size: bytes.len() as u64,
        });
    }

    /// Plans a removal.
    pub fn removal(&mut self, name: &str, from: &str) {
        self.also(PackageChange {
            name: name.to_owned(),
            arch: Arch("all".to_owned()),
            from: Some(from.to_owned()),
            to: None,
            sha256: None,
            security: false,
            size: 0,
        });
    }

    /// Adds a change to the plan's only patch set.
    pub fn also(&mut self, change: PackageChange) {
        let decisions = &mut self.plan.decisions;
        let (_, mut set) = decisions.patch_sets.pop_first().unwrap();
        let Change::Packages(changes) = &mut set.change else { unreachable!() };
        changes.push(change);
        changes.sort();
        set.from.image = decisions.actions[0].expected.image.clone();
        decisions.actions[0].patch_set = set.id();
        decisions.patch_sets.insert(set.id(), set);
    }

    /// `lab-web` 1.0 to 1.1 of a case.
    pub async fn of_case(case: &str) -> Self {
        let mut yard = Self::new(&format!("web-{case}"), "").await;
        yard.change(&deb(case, "lab-web", "1.1"), Some("1.0"), "1.1");
        yard
    }

    pub fn action(&mut self) -> &mut Action {
        &mut self.plan.decisions.actions[0]
    }

    pub fn call(&self) -> Call {
        Call {
            run: RunId { rollout: RolloutId(1), action: 0 },
            step: Step::Swap(SwapStep::Prepare),
            direction: Direction::Do,
            plan: Arc::new(self.plan.clone()),
            records: BTreeMap::new(),
            given_up: std::collections::BTreeSet::new(),
            source: None,
            progress: None,
            dependent: None,
        }
    }

    pub async fn prepare(&self) -> Result<Record, StepError> {
        self.provider.perform(&self.call()).await
    }

    pub async fn probe(&self) -> Probe {
        self.provider.probe(&self.call()).await.unwrap()
    }

    /// Prepares, and gives the image's inspect document.
    pub async fn patched(&self) -> Value {
        let record = self.prepare().await.unwrap_or_else(|error| panic!("{error}"));
        let Record::Prepared { image, .. } = &record else { panic!("{record:?}") };
        assert_eq!(self.probe().await, Probe::Done { record: record.clone() }, "the probe knows the same");
        self.image(image).await.unwrap()
    }

    /// Prepares, and gives the failure. Nothing may be left of it.
    pub async fn fails(&self) -> Failure {
        let failure = match self.prepare().await {
            Err(StepError::Failed(failure)) => failure,
            outcome => panic!("{outcome:?}"),
        };
        assert_eq!(self.probe().await, Probe::NotDone);
        assert_eq!(self.objects(), Vec::<String>::new(), "{failure}");
        assert!(failure.message.lines().count() == 1 && failure.message.len() < 3000, "{failure}");
        failure
    }

    pub async fn image(&self, name: &str) -> Option<Value> {
        self.provider.client().get(&["images", name, "json"]).json().await.ok()
    }

    /// The steps that made an image, newest first.
    pub async fn history(&self, image: &str) -> Vec<String> {
        let history = self.provider.client().get(&["images", image, "history"]).json().await.unwrap();
        let steps = history.as_array().unwrap().iter();
        steps.map(|step| step["CreatedBy"].as_str().unwrap().to_owned()).collect()
    }

    /// The patched image's tag.
    pub fn patched_tag(&self) -> String {
        names::patched_tag(&self.tag, &self.plan.decisions.actions[0].patch_set)
    }

    /// The builder's name.
    pub fn builder(&self) -> String {
        names::of_patch_set(&self.controller, &self.plan.decisions.actions[0].patch_set, "build").to_string()
    }

    /// Everything of this controller on the engine: containers, and images by their tags.
    pub fn objects(&self) -> Vec<String> {
        let label = format!("label=io.patchyard.controller={}", self.controller);
        let intermediate = format!("label=io.patchyard.intermediate={}", self.builder());
        let containers = self.docker(&["ps", "-a", "--filter", &label, "--format", "{{.Names}}"]);
        let image = "{{.Repository}}:{{.Tag}}";
        let images = self.docker(&["images", "--filter", &label, "--format", image]);
        let dangling = self.docker(&["images", "-a", "--filter", &intermediate, "--format", image]);
        [containers, images, dangling].iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    }

    /// Runs a command in a container of an image, with another entrypoint and no network.
    pub fn run_in(&self, image: &str, argv: &[&str]) -> String {
        let mut arguments = vec!["run", "--rm", "--network", "none", "--entrypoint", argv[0], image];
        arguments.extend(&argv[1..]);
        self.docker(&arguments)
    }

    /// What a service of the lab answers when a container of the image is started as it is.
    pub fn served_by(&self, image: &str) -> String {
        let container = self.docker(&["run", "-d", "-p", "127.0.0.1::8080", image]);
        let address = self.docker(&["port", &container, "8080/tcp"]);
        let answer = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            get(address.lines().next()?)
        });
        let logs = docker_on(&self.engine, &["logs", &container]);
        self.docker(&["rm", "-fv", &container]);
        answer.unwrap_or_else(|| panic!("no answer within 10 s: {logs:?}"))
    }
}

async fn connect(engine: &str, controller: &str, cache: &Arc<FileCache>, folder: &Path) -> DockerProvider {
    let options = Options {
        controller: controller.to_owned(),
        key: [7; 32],
        cache: cache.clone(),
        state_dir: folder.join("state"),
        name: None,
        memory: Arc::new(()),
        registries: std::collections::BTreeMap::new(),
    };
    let endpoint = resolve(Some(engine), &Environment::default()).unwrap();
    DockerProvider::connect(endpoint, options).await.unwrap()
}

fn get(address: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut connection = std::net::TcpStream::connect(address).ok()?;
    connection.write_all(b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

impl Drop for Yard {
    fn drop(&mut self) {
        let docker = |arguments: &[&str]| docker_on(&self.engine, arguments).unwrap_or_default();
        let label = format!("label=io.patchyard.controller={}", self.controller);
        for container in docker(&["ps", "-aq", "--filter", &label]).lines() {
            docker(&["rm", "-fv", container]);
        }
        for image in docker(&["images", "-q", "--filter", &label]).lines() {
            docker(&["rmi", "-f", image]);
        }
        // Of the image below, which may be another yard's.
        let bases = format!("reference={}", names::base_tag(&self.controller, "*"));
        for tag in docker(&["images", "--filter", &bases, "--format", "{{.Repository}}:{{.Tag}}"]).lines() {
            docker(&["rmi", tag]);
        }
        docker(&["rmi", &self.tag]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A plan for one target, with nothing in its patch set yet.
fn plan() -> Plan {
    let set = PatchSet {
        from: StartingState { platform: "linux/amd64".to_owned(), image: String::new(), packages: None },
        change: Change::Packages(Vec::new()),
    };
    let host = HostId::new("test");
    let action = Action {
        target: TargetId::new("docker", &host, "web"),
        name: "web".to_owned(),
        service: "web".to_owned(),
        host,
        kind: TargetKind::Container,
        method: Method::Layer,
        patch_set: set.id(),
        expected: Expected {
            object: "none".to_owned(),
            image: String::new(),
            config: Digest::of_bytes(b""),
            reference: String::new(),
            base: None,
        },
        checks: Vec::new(),
        verify_for: Millis::from_secs(1),
        timeouts: Timeouts {
            step: Millis::from_secs(300),
            healthy: Millis::from_secs(60),
            check: Millis::from_secs(5),
        },
        max_layer: 1 << 30,
        writable_layer: WritableLayer::LeaveOut,
        data: Data::Keep,
        order: Order::StopFirst,
        drain: Drain::default(),
        reboot: patchyard_types::Reboot::ServicesOnly,
        way_back: patchyard_types::WayBack::Required,
        snapshot: patchyard_types::SnapshotPolicy::Never,
        max_unavailable: 1,
        losses: Vec::new(),
        dependents: Vec::new(),
    };
    Plan {
        decisions: Decisions {
            version: 1,
            patch_sets: BTreeMap::from([(set.id(), set)]),
            actions: vec![action],
            waves: vec![Wave(vec![0])],
            tags: Vec::new(),
            max_failures: Budget::Count(0),
        },
        about: About {
            author: "test".to_owned(),
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            undoes: None,
            considered: 1,
            left_out: Vec::new(),
            up_to_date: Vec::new(),
            estimate: Estimate::default(),
            notes: Vec::new(),
        },
    }
}

/// The layers of an image.
pub fn layers(image: &Value) -> Vec<Value> {
    image["RootFS"]["Layers"].as_array().unwrap().clone()
}

/// An image's settings without the labels that Patchyard adds.
pub fn settings(image: &Value) -> Value {
    let mut config = image["Config"].clone();
    let labels = config["Labels"].as_object_mut().unwrap();
    labels.retain(|name, _| !name.starts_with("io.patchyard."));
    json!({
        "config": config, "architecture": image["Architecture"], "os": image["Os"], "author": image["Author"],
    })
}
