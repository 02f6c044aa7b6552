//! Containers, networks and providers for a test, gone afterwards.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use patchyard_cache::FileCache;
use patchyard_contract::{Memory, Provider};
use patchyard_provider_docker::client::{Endpoint, Environment, resolve};
use patchyard_provider_docker::{DockerProvider, Options};
use patchyard_types::Target;
use serde_json::{Value, json};

/// A name that no other test uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("pytest-{}-{}-{what}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a script of `lab/`, which must succeed; what it printed.
pub fn lab(script: &str, argv: &[&str]) -> String {
    let output = lab_command(script).args(argv).output().unwrap();
    assert!(output.status.success(), "{script} {argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The same, however it ends: for what has to go.
pub fn lab_command(script: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab").join(script))
}

/// The engine that `docker` would talk to.
pub fn endpoint() -> Endpoint {
    resolve(None, &Environment::of_process()).unwrap()
}

/// A provider with a state of its own.
pub struct Yard {
    pub docker: DockerProvider,
    pub controller: String,
    pub cache: Arc<FileCache>,
    _state: tempfile::TempDir,
}

pub async fn yard() -> Yard {
    yard_on(endpoint(), None).await
}

/// The same on an engine of the test's own, by the name that it has in the configuration.
pub async fn yard_on(endpoint: Endpoint, name: Option<&str>) -> Yard {
    yard_with(endpoint, name, Arc::new(())).await
}

/// The same with a memory.
pub async fn yard_with(endpoint: Endpoint, name: Option<&str>, memory: Arc<dyn Memory>) -> Yard {
    let state = tempfile::tempdir().unwrap();
    let cache = Arc::new(FileCache::open(&state.path().join("cache")).unwrap());
    // Eight characters that differ between tests that run at the same time.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let controller =
        format!("t{:05}{:02}", std::process::id() % 100_000, COUNT.fetch_add(1, Ordering::Relaxed) % 100);
    let options = Options {
        controller: controller.clone(),
        key: [7; 32],
        cache: cache.clone(),
        state_dir: state.path().to_owned(),
        name: name.map(str::to_owned),
        memory,
        registries: std::collections::BTreeMap::new(),
    };
    let docker = DockerProvider::connect(endpoint, options).await.unwrap();
    Yard { docker, controller, cache, _state: state }
}

/// Helpers that are kept for further questions go with it.
impl Drop for Yard {
    fn drop(&mut self) {
        let docker = self.docker.clone();
        let settle = move || tokio::runtime::Runtime::new().unwrap().block_on(docker.settle());
        std::thread::spawn(settle).join().unwrap();
    }
}

impl Yard {
    /// The target of a container.
    pub async fn target(&self, container: &Container) -> Target {
        let found = self.docker.discover().await.unwrap();
        found.into_iter().find(|target| target.name == container.name).expect("the container is discovered")
    }

    /// Names of this controller's helpers on the engine when its work is over.
    pub async fn left_helpers(&self) -> Vec<String> {
        self.docker.settle().await;
        self.helpers().await
    }

    /// Names of this controller's helpers on the engine.
    pub async fn helpers(&self) -> Vec<String> {
        let listed =
            self.docker.client().get(&["containers", "json"]).query("all", "1").json().await.unwrap();
        let names =
            listed.as_array().unwrap().iter().map(|c| c["Names"][0].as_str().unwrap_or_default().to_owned());
        names.filter(|name| name.contains(&self.controller)).collect()
    }

    /// Runs a command in a container, which must succeed.
    pub async fn run(&self, container: &Container, argv: &[&str]) -> String {
        let exec = patchyard_provider_docker::client::Exec {
            user: Some("0"),
            ..patchyard_provider_docker::client::Exec::new(argv)
        };
        let output = self.docker.client().exec(&container.name, &exec).await.unwrap();
        assert_eq!(output.exit, 0, "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A running container that idles; `more` is merged into the create request.
    pub async fn container(&self, image: &str, more: Value) -> Container {
        self.named(&unique("c"), image, more).await
    }

    /// The same under a name of one's own.
    pub async fn named(&self, name: &str, image: &str, more: Value) -> Container {
        let container = self.created(name, image, more).await;
        self.docker.client().post(&["containers", name, "start"]).done().await.unwrap();
        container
    }

    /// The same, not started.
    pub async fn created(&self, name: &str, image: &str, more: Value) -> Container {
        let mut request = json!({"Image": image, "StopSignal": "SIGKILL"});
        // The lab's static image has nothing but its own program.
        if !image.contains("scratch") {
            request["Entrypoint"] = json!(["sleep", "infinity"]);
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        let container = Container { name: name.to_owned() };
        let created = self
            .docker
            .client()
            .post(&["containers", "create"])
            .query("name", name)
            .json_body(&request)
            .json()
            .await;
        assert!(created.is_ok(), "{image}: {created:?}; has `lab/prepare` been run?");
        container
    }

    /// An image of a container as it is; goes with the guard, which must outlive the image's containers.
    pub async fn image_of(&self, container: &Container) -> Image {
        let name = unique("image");
        let commit = self.docker.client().post(&["commit"]).query("container", &container.name);
        commit.query("repo", &name).json_body(&json!({})).done().await.unwrap();
        Image { name }
    }

    /// A network; goes with the guard.
    pub async fn network(&self, what: &str) -> Network {
        let name = unique(what);
        let request = json!({"Name": name});
        self.docker.client().post(&["networks", "create"]).json_body(&request).done().await.unwrap();
        Network { name }
    }
}

/// A container that is removed when dropped.
pub struct Container {
    pub name: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// An image that is removed when dropped.
pub struct Image {
    pub name: String,
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", &self.name]);
    }
}

/// A network that is removed when dropped.
pub struct Network {
    pub name: String,
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.name]);
    }
}

/// Docker's own client, for what has to happen without a runtime.
fn docker(argv: &[&str]) {
    drop(Command::new("docker").args(argv).output());
}

/// A folder with a CA, a certificate for a server at `address` and one for a client.
pub fn certificates(folder: &Path, address: &str) {
    let openssl = |argv: &[&str]| {
        let output = Command::new("openssl").args(argv).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        &[
            &["req", "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem"][..],
            &key,
        ]
        .concat(),
    );
    for (name, extension) in [
        ("server", format!("subjectAltName=IP:{address}")),
        ("client", "extendedKeyUsage=clientAuth".to_owned()),
    ] {
        let (key_file, request, certificate) =
            (format!("{name}-key.pem"), format!("{name}.csr"), format!("{name}-cert.pem"));
        openssl(
            &[&["req", "-new", "-subj", "/CN=test", "-keyout", &key_file, "-out", &request][..], &key]
                .concat(),
        );
        std::fs::write(folder.join("ext"), extension).unwrap();
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-extfile",
            "ext",
            "-out",
            &certificate,
        ]);
    }
    std::fs::rename(folder.join("client-cert.pem"), folder.join("cert.pem")).unwrap();
    std::fs::rename(folder.join("client-key.pem"), folder.join("key.pem")).unwrap();
}
