//! Projects of Compose (version 1, the distribution's own): patched in the order that they need, and what Compose
//! does with them afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use patchyard_e2e_tests::{Controller, Engine, OwnImage, free_port, get, unique};
use serde_json::Value;

/// A project of two services of which one needs the other; gone when this is dropped.
struct Project {
    engine: Engine,
    name: String,
    folder: tempfile::TempDir,
    port: u16,
    _images: [OwnImage; 2],
}

impl Project {
    fn up(engine: &Engine) -> Self {
        let images = ["web-many-01", "web-many-02"].map(|case| OwnImage::of(engine, case));
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let [web, db] = images.each_ref().map(OwnImage::reference);
        // By its name the first would be patched first.
        let file = format!(
            "version: '2.4'\nservices:\n  app:\n    image: {web}\n    depends_on: [db]\n    \
             ports: ['127.0.0.1:{port}:8080']\n  db:\n    image: {db}\n    volumes: ['data:/var/lib/db']\n\
             volumes: {{data: {{}}}}\n"
        );
        std::fs::write(folder.path().join("docker-compose.yml"), file).unwrap();
        let project =
            Self { engine: engine.clone(), name: unique().replace('-', ""), folder, port, _images: images };
        project.compose(&["up", "-d"]);
        project
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.args(["-p", &self.name]).args(args).current_dir(self.folder.path());
        command.env("DOCKER_HOST", self.engine.host());
        command
    }

    fn compose(&self, args: &[&str]) {
        let output = self.command(args).output().expect("docker-compose is installed: run lab/prepare");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn app(&self) -> String {
        let answer = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            get(self.port, "/").ok()
        });
        answer.expect("the app answers").1
    }

    /// The containers of the project, running or not.
    fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let mut names =
            self.engine.list(["ps", "-a", "--filter", &filter, "--format", "{{.Names}} {{.State}}"]);
        names.sort();
        names
    }

    fn expected(&self) -> [String; 2] {
        ["app", "db"].map(|service| format!("{}_{service}_1 running", self.name))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.command(&["down", "--volumes", "--timeout", "1"]).output());
    }
}

fn selector(project: &Project) -> String {
    format!("project={}", project.name)
}

#[test]
fn what_a_service_needs_is_patched_before_it_and_compose_keeps_the_patch() {
    let engine = Engine::machine();
    let project = Project::up(&engine);
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s");
    let plan =
        controller.run(["plan", "--json", "-l", &selector(&project)]).expect(0).json("patchyard.plan/v1");
    let waves: Vec<Vec<&str>> = plan["waves"].as_array().unwrap().iter().map(names_of).collect();
    assert_eq!(waves, [["db/1"], ["app/1"]], "{plan:#}");

    controller.run(["apply", "--yes", "-l", &selector(&project)]).expect(0);
    assert_eq!(project.app(), "lab-good-01 1.1\n");
    assert_eq!(project.containers(), project.expected());
    // Compose 1 hashes the image's id into what it compares: it recreates once, from the tag that has moved.
    for again in [&["up", "-d"][..], &["up", "-d"], &["up", "-d", "--scale", "db=2"], &["up", "-d"]] {
        project.compose(again);
        assert_eq!(project.app(), "lab-good-01 1.1\n", "after {again:?}");
    }
    project.compose(&["down"]);
    project.compose(&["up", "-d"]);
    assert_eq!(
        (project.app(), project.containers()),
        ("lab-good-01 1.1\n".to_owned(), project.expected().to_vec())
    );
    let scan =
        controller.run(["scan", "--json", "-l", &selector(&project)]).expect(0).json("patchyard.scan/v1");
    assert_eq!(scan["totals"]["pending"], 0, "{scan:#}");
}

#[test]
fn after_a_rollback_compose_keeps_the_old_version() {
    let engine = Engine::machine();
    let project = Project::up(&engine);
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s");
    controller.run(["apply", "--yes", "-l", &selector(&project)]).expect(0);
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    assert_eq!(project.app(), "lab-good-01 1.0\n");
    for again in [&["up", "-d"][..], &["down"], &["up", "-d"]] {
        project.compose(again);
    }
    assert_eq!(
        (project.app(), project.containers()),
        ("lab-good-01 1.0\n".to_owned(), project.expected().to_vec())
    );
}

/// Service and number of a wave's targets.
fn names_of(wave: &Value) -> Vec<&str> {
    let ids = wave["targets"].as_array().unwrap().iter().filter_map(Value::as_str);
    ids.filter_map(|id| id.splitn(3, '/').nth(2)).collect()
}
