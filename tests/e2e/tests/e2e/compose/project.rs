//! A project of Compose on the machine's engine.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use patchyard_e2e_tests::{Compose, Engine, OwnImage, free_port, get, unique};
use serde_json::Value;

/// A project that is up; gone, with its images, when this is dropped.
pub(super) struct Project {
    pub compose: Compose,
    pub engine: Engine,
    pub name: String,
    port: u16,
    folder: tempfile::TempDir,
    images: Vec<OwnImage>,
    /// Their ids at the beginning.
    bases: Vec<String>,
}

/// A container of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub id: String,
    pub image: String,
    pub inspect: Value,
}

impl Project {
    /// Brings up a project of images of its own. `file` is its Compose file: `IMAGE0`, `IMAGE1`, … stand for the
    /// images, `PORT` for a port of this machine.
    pub fn up(compose: &Compose, cases: &[&str], file: &str) -> Self {
        Self::with_files(compose, cases, file, &[])
    }

    /// The same with more files beside it.
    pub fn with_files(compose: &Compose, cases: &[&str], file: &str, more: &[(&str, &str)]) -> Self {
        let engine = Engine::machine();
        let images: Vec<OwnImage> = cases.iter().map(|case| OwnImage::of(&engine, case)).collect();
        let bases = images.iter().map(|image| id_of(&engine, image.reference())).collect();
        let project = Self {
            compose: compose.clone(),
            engine,
            name: unique().replace('-', ""),
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            images,
            bases,
        };
        for (name, text) in more.iter().chain(&[("docker-compose.yml", file)]) {
            project.write(name, text);
        }
        project.run(&["up", "-d"]);
        project
    }

    /// Writes one of its files.
    pub fn write(&self, name: &str, text: &str) {
        let mut text = text.replace("PORT", &self.port.to_string());
        for (number, image) in self.images.iter().enumerate() {
            text = text.replace(&format!("IMAGE{number}"), image.reference());
        }
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.compose.command();
        command.args(["-p", &self.name]).args(args).current_dir(self.folder.path());
        command.env("DOCKER_HOST", self.engine.host()).env_remove("DOCKER_CONTEXT");
        command.env("COMPOSE_PROFILES", "tools").env("LAB_SECRET", "hush");
        command
    }

    /// Runs Compose, with the profile `tools`.
    pub fn run(&self, args: &[&str]) {
        run(args, self.command(args));
    }

    /// The same without any profile.
    pub fn run_without_profile(&self, args: &[&str]) {
        let mut command = self.command(args);
        command.env_remove("COMPOSE_PROFILES");
        run(args, command);
    }

    /// What selects its targets.
    pub fn selector(&self) -> String {
        format!("project={}", self.name)
    }

    /// What answers on its port.
    pub fn answer(&self) -> String {
        let began = Instant::now();
        loop {
            match get(self.port, "/") {
                Ok((200, answer)) => return answer,
                other => assert!(began.elapsed() < Duration::from_secs(60), "it does not answer: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its containers by service and number, running or not.
    ///
    /// # Panics
    /// When two have the same place.
    pub fn containers(&self) -> BTreeMap<String, Container> {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let mut containers = BTreeMap::new();
        for id in self.engine.list(["ps", "-aq", "--no-trunc", "--filter", &filter]) {
            let inspect = self.engine.inspect("container", &id);
            let label = |name: &str| {
                inspect["Config"]["Labels"][format!("com.docker.compose.{name}")].as_str().unwrap()
            };
            let place = format!("{}/{}", label("service"), label("container-number"));
            let image = inspect["Image"].as_str().unwrap().to_owned();
            let twin = containers.insert(place.clone(), Container { id, image, inspect });
            assert_eq!(twin, None, "two containers at {place}");
        }
        containers
    }

    /// The ids of its containers by place.
    pub fn ids(&self) -> BTreeMap<String, String> {
        self.containers().into_iter().map(|(place, container)| (place, container.id)).collect()
    }

    /// Makes sure that these containers are there and no others, and that all run, patched or not.
    pub fn are_all(&self, patched: bool, places: &[&str]) {
        let containers = self.containers();
        assert_eq!(containers.keys().collect::<Vec<_>>(), places);
        for (place, container) in containers {
            assert_eq!(container.inspect["State"]["Status"], "running", "{place}");
            assert_eq!(self.is_patched(&container), patched, "{place}: {}", container.image);
        }
    }

    /// Whether a container runs a patched image, and not one of the project's own.
    pub fn is_patched(&self, container: &Container) -> bool {
        let labels = &self.engine.inspect("image", &container.image)["Config"]["Labels"];
        match labels["io.patchyard.base"].as_str() {
            Some(base) => {
                assert!(self.bases.iter().any(|own| own == base), "built on {base}");
                true
            }
            None => {
                assert!(self.bases.contains(&container.image), "neither patched nor of the project");
                false
            }
        }
    }

    /// What its tags point at now: at the images of the beginning, or not.
    pub fn tags_have_moved(&self) -> Vec<bool> {
        let moved = |(image, base): (&OwnImage, &String)| id_of(&self.engine, image.reference()) != *base;
        self.images.iter().zip(&self.bases).map(moved).collect()
    }

    /// Points every tag at the image of the beginning again, as a pull or a rebuild does.
    pub fn put_tags_back(&self) {
        for (image, base) in self.images.iter().zip(&self.bases) {
            self.engine.docker(["tag", base, image.reference()]);
        }
    }

    /// What a command in the container of a service prints.
    pub fn exec(&self, service: &str, command: &[&str]) -> String {
        let containers = self.containers();
        let container = &containers[&format!("{service}/1")];
        let args = ["exec", "-u", "0", &container.id].into_iter().chain(command.iter().copied());
        let output = self.engine.command(args).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.command(&["down", "--volumes", "--timeout", "1"]).output());
    }
}

fn run(args: &[&str], mut command: Command) {
    let output = command.output().expect("Compose is installed: run lab/prepare");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn id_of(engine: &Engine, reference: &str) -> String {
    engine.inspect("image", reference)["Id"].as_str().unwrap().to_owned()
}
