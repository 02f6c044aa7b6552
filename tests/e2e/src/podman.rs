//! A Podman of one test's own, with root's rights or with those of a user who has none.

use crate::{Engine, lab};

/// Gone, with all that is on it, when this is dropped. Asked as an [`Engine`], it answers Docker's own client.
#[derive(Debug)]
pub struct Podman {
    name: String,
    rootless: bool,
    engine: Engine,
}

impl Podman {
    /// Starts one that has these images of the machine's engine.
    #[must_use]
    pub fn start(rootless: bool, images: &[&str]) -> Self {
        let name = crate::unique();
        let engine = Engine::at(call(&name, rootless, "start", &[]));
        let podman = Self { name, rootless, engine };
        call(&podman.name, rootless, "load", images);
        podman
    }

    /// Runs Podman's own client and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn podman(&self, args: &[&str]) -> String {
        call(&self.name, self.rootless, "run", args)
    }
}

fn call(name: &str, rootless: bool, verb: &str, args: &[&str]) -> String {
    let whose: &[&str] = if rootless { &["--rootless"] } else { &[] };
    lab("podman", [&[verb, "--name", name], whose, args].concat())
}

impl std::ops::Deref for Podman {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What a failed test leaves must not hide why it failed.
        let _ = std::panic::catch_unwind(|| call(&self.name, self.rootless, "stop", &[]));
    }
}
