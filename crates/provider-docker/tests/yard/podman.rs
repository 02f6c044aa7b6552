//! A Podman of one yard's own, from `lab/podman`: with root's rights, or those of a user who has none.

use std::path::Path;
use std::process::Command;

use super::{IMAGE, RealYard};

/// Whose Podman it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Root,
    /// A user without rights, whose containers are confined to that user's own ids.
    User,
}

/// Gone, with all that is on it, when this is dropped.
#[derive(Debug)]
pub struct Podman {
    name: String,
    whose: Whose,
    pub host: String,
}

impl Podman {
    /// Starts one that has the lab's image.
    pub fn start(name: &str, whose: Whose) -> Self {
        let mut podman = Self { name: name.to_owned(), whose, host: String::new() };
        podman.host = podman.lab("start", &[]);
        podman.lab("load", &[IMAGE]);
        podman
    }

    /// Runs Podman's own client, which must succeed, and returns what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        self.lab("run", args)
    }

    /// Creates a container of the lab's image by Podman's own client, with more options.
    pub fn create(&self, name: &str, greeting: &str, more: &[&str]) {
        let greeting = format!("GREETING={greeting}");
        let mut args = vec!["create", "--name", name, "-e", &greeting, "-l", "shop=yes"];
        args.extend(["-l", "com.docker.compose.image=sha256:of-the-old-image", "-p", "127.0.0.1::8080"]);
        args.extend(["--ulimit", "nofile=512:1024", "--ulimit", "nproc=4096:4096", "--tmpfs", "/scratch"]);
        args.extend(["--add-host", "shop.test:10.9.8.7", "-v", "/anonymous", "--restart", "unless-stopped"]);
        let named = format!("{name}-named:/named");
        args.extend(["-v", &named]);
        // A user without rights has no control groups of its own here.
        if self.whose == Whose::Root {
            args.extend(["--memory", "256m"]);
        }
        args.extend(more);
        args.push(IMAGE);
        self.run(&args);
    }

    fn command(&self, verb: &str) -> Command {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/podman");
        let mut command = Command::new(lab);
        command.args([verb, "--name", &self.name]);
        if self.whose == Whose::User {
            command.arg("--rootless");
        }
        command
    }

    fn lab(&self, verb: &str, args: &[&str]) -> String {
        let output = self.command(verb).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab/podman {verb} {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.command("stop").output());
    }
}

impl RealYard {
    /// A yard on a Podman of its own, with an ordinary target that has written something, which its plan carries, and
    /// whose plan restores its volumes.
    pub async fn on_podman(whose: Whose) -> Self {
        Self::on_podman_with(whose, &[]).await.planned_to_carry().await
    }

    /// The same with more options, not planned for yet.
    pub async fn on_podman_with(whose: Whose, more: &[&str]) -> Self {
        let name = Self::unique_name();
        let podman = Podman::start(&name, whose);
        let mut yard = Self::empty(name, Some(podman)).await;
        yard.reference = format!("localhost/{IMAGE}");
        yard.podman().create(&yard.name, "hello", more);
        yard.client().post(&["containers", &yard.name, "start"]).done().await.unwrap();
        yard
    }

    pub fn podman(&self) -> &Podman {
        self.podman.as_ref().expect("the yard is on Podman")
    }
}
