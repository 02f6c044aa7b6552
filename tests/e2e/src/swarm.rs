//! A swarm of one node, on an engine of one test's own, with a registry beside it.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::{Controller, PrivateEngine, Registry, free_port, unique};

/// How long Swarm may take for anything.
const PATIENCE: Duration = Duration::from_secs(180);

/// A swarm; gone when this is dropped.
pub struct Swarm {
    /// Goes before the engine does.
    registry: Registry,
    engine: PrivateEngine,
    /// The ports of its gossip are the same for all: there is one swarm on a machine at a time.
    _lock: File,
}

impl Swarm {
    /// Makes one.
    ///
    /// # Panics
    /// When the engine does not.
    #[must_use]
    pub fn start() -> Self {
        let lock = File::create(std::env::temp_dir().join("patchyard-e2e-swarm.lock")).expect("a lock file");
        flock(&lock, FlockOperation::LockExclusive).expect("nobody else has a swarm");
        let engine = PrivateEngine::start();
        let listen = format!("127.0.0.1:{}", free_port());
        engine.docker(["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", &listen]);
        Self { registry: Registry::start(false), engine, _lock: lock }
    }

    /// Its engine, which is its manager.
    #[must_use]
    pub const fn engine(&self) -> &PrivateEngine {
        &self.engine
    }

    /// Where its images are.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A Patchyard for it.
    #[must_use]
    pub fn controller(&self, defaults: &str) -> Controller {
        Controller::new(&self.engine).with_defaults(defaults)
    }

    /// Pushes the first version of a case, and makes a service of it that runs; returns its name.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn service(&self, case: &str, replicas: u64, options: &[&str]) -> String {
        self.registry.push(case, "1.0");
        let (name, count) = (unique(), replicas.to_string());
        let mut create = vec!["service", "create", "-d", "--name", &name, "--replicas", &count];
        create.extend(["--stop-grace-period", "2s"]);
        create.extend(options);
        let reference = self.registry.reference(case);
        create.push(&reference);
        let output = self.engine.command(create).output().expect("docker runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.wait(&name, "all tasks run", |swarm| swarm.running(&name).len() as u64 == replicas);
        name
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it never is.
    pub fn wait(&self, name: &str, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let tasks = || self.engine.docker(["service", "ps", "--no-trunc", name]);
            assert!(began.elapsed() < PATIENCE, "never so: {what}\n{}", tasks());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What Swarm says of a service.
    #[must_use]
    pub fn inspect(&self, name: &str) -> Value {
        self.engine.inspect("service", name)
    }

    /// A service's spec: everything that its owner has decided, and the image.
    #[must_use]
    pub fn spec(&self, name: &str) -> Value {
        self.inspect(name)["Spec"].take()
    }

    /// The digest that a service's spec pins.
    ///
    /// # Panics
    /// When it pins none.
    #[must_use]
    pub fn digest(&self, name: &str) -> String {
        digest_in(self.spec(name)["TaskTemplate"]["ContainerSpec"]["Image"].as_str().expect("an image"))
    }

    /// The digests that the running tasks of a service were made from.
    #[must_use]
    pub fn running(&self, name: &str) -> Vec<String> {
        let filter = "desired-state=running";
        let format = "{{.Image}} {{.CurrentState}}";
        let list = ["service", "ps", "--no-trunc", "--filter", filter, "--format", format, name];
        let lines = self.engine.list(list).into_iter();
        lines.filter(|line| line.contains(" Running ")).map(|line| digest_in(&line)).collect()
    }
}

/// `name:tag@DIGEST …`
fn digest_in(text: &str) -> String {
    let digest = text.split_once('@').map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
    digest.unwrap_or_else(|| panic!("no digest: {text}")).to_owned()
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.engine.try_docker(["swarm", "leave", "--force"]);
        // It was made for the swarm, and has nobody to go with.
        self.engine.try_docker(["network", "rm", "docker_gwbridge"]);
    }
}
