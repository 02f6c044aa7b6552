//! Docker engines to test on: the machine's, and private ones whose objects can be counted.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

use crate::lab::{lab, printed, run};

/// An engine, by its address.
#[derive(Debug, Clone)]
pub struct Engine {
    host: String,
}

impl Engine {
    /// The machine's own engine; started when none answers. Other tests use it too.
    #[must_use]
    pub fn machine() -> Self {
        static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        Self { host: HOST.get_or_init(|| lab("engine", ["start"])).clone() }
    }

    /// The one at an address.
    pub(crate) const fn at(host: String) -> Self {
        Self { host }
    }

    /// Its address, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Runs the engine's own client, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker<const N: usize>(&self, args: [&str; N]) -> String {
        printed(&mut self.command(args))
    }

    /// Runs the engine's own client, however that ends.
    pub fn try_docker<const N: usize>(&self, args: [&str; N]) -> Output {
        run(&mut self.command(args))
    }

    /// The engine's own client with arguments.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        // Debian's own client comes first: a much newer one refuses some flags on an older engine.
        let debian = std::path::Path::new("/usr/bin/docker");
        let mut command = Command::new(if debian.exists() { debian } else { "docker".as_ref() });
        command.args(args).env("DOCKER_HOST", &self.host).env_remove("DOCKER_CONTEXT");
        command
    }

    /// What the engine says about an object.
    ///
    /// # Panics
    /// When it does not exist.
    #[must_use]
    pub fn inspect(&self, kind: &str, name: &str) -> Value {
        let text = self.docker([kind, "inspect", name]);
        let mut list: Vec<Value> = serde_json::from_str(&text).expect("inspect prints JSON");
        list.pop().expect("one object")
    }

    /// The lines that a listing prints.
    pub fn list<const N: usize>(&self, args: [&str; N]) -> Vec<String> {
        self.docker(args).lines().map(str::to_owned).collect()
    }

    /// Everything there is on it.
    #[must_use]
    pub fn objects(&self) -> Objects {
        let set = |lines: Vec<String>| lines.into_iter().collect();
        Objects {
            containers: set(self.list(["ps", "-a", "--format", "{{.Names}} {{.State}}"])),
            images: set(self.list([
                "images",
                "-a",
                "--no-trunc",
                "--format",
                "{{.Repository}}:{{.Tag}} {{.ID}}",
            ])),
            volumes: set(self.list(["volume", "ls", "-q"])),
            networks: set(self.list(["network", "ls", "--format", "{{.Name}}"])),
        }
    }

    /// The containers and images that carry a label: names and references.
    pub(crate) fn labelled(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        let mut found = self.list(["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        found.extend(self.list([
            "images",
            "-a",
            "--filter",
            &filter,
            "--format",
            "{{.Repository}}:{{.Tag}}",
        ]));
        found.sort();
        found
    }

    /// Removes every object that carries a label or was made from something that does.
    pub(crate) fn remove_labelled(&self, label: &str) {
        let filter = format!("label={label}");
        for container in self.list(["ps", "-aq", "--filter", &filter]) {
            let volumes = "{{range .Mounts}}{{if .Name}}{{.Name}} {{end}}{{end}}";
            let volumes = self.try_docker(["inspect", "--format", volumes, &container]);
            self.try_docker(["rm", "-fv", &container]);
            // A volume that a replacement has named is spared by `rm -v`.
            for volume in String::from_utf8_lossy(&volumes.stdout).split_whitespace() {
                self.try_docker(["volume", "rm", volume]);
            }
        }
        for image in self.list(["images", "-aq", "--filter", &filter]) {
            self.try_docker(["rmi", "-f", &image]);
        }
    }
}

/// Everything there is on an engine, in words that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// Names and states.
    pub containers: BTreeSet<String>,
    /// References and ids.
    pub images: BTreeSet<String>,
    /// Names.
    pub volumes: BTreeSet<String>,
    /// Names.
    pub networks: BTreeSet<String>,
}

impl Objects {
    /// What is here and was not there.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<String> {
        let new = |kind: &str, now: &BTreeSet<String>, then: &BTreeSet<String>| {
            now.difference(then).map(|name| format!("{kind} {name}")).collect::<Vec<_>>()
        };
        [
            new("container", &self.containers, &before.containers),
            new("image", &self.images, &before.images),
            new("volume", &self.volumes, &before.volumes),
            new("network", &self.networks, &before.networks),
        ]
        .concat()
    }
}

/// An engine of one test's own; gone, with all that is on it, when this is dropped.
#[derive(Debug)]
pub struct PrivateEngine {
    name: String,
    engine: Engine,
}

impl PrivateEngine {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one whose data lies on a disk of its own, as `lab/engine --disk` has it.
    #[must_use]
    pub fn on_disk(disk: &str) -> Self {
        Self::start_with(&["--disk", disk])
    }

    fn start_with(options: &[&str]) -> Self {
        let name = crate::unique();
        let host = lab("engine", ["start", "--private", &name].iter().chain(options));
        Self { name, engine: Engine { host } }
    }

    /// Copies images of the machine's engine into it.
    pub fn load<S: AsRef<str>>(&self, images: &[S]) {
        let mut args = vec!["load", "--private", &self.name];
        args.extend(images.iter().map(AsRef::as_ref));
        lab("engine", args);
    }

    /// Kills its daemon, as a crash would.
    pub fn kill(&self) {
        lab("engine", ["kill", "--private", &self.name]);
    }

    /// Starts its daemon again on the same data.
    pub fn restart(&self) {
        lab("engine", ["restart", "--private", &self.name]);
    }
}

impl std::ops::Deref for PrivateEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a failed test leaves must not hide why it failed.
            let _ = std::panic::catch_unwind(|| lab("engine", ["stop", "--private", &self.name]));
        } else {
            lab("engine", ["stop", "--private", &self.name]);
        }
    }
}
