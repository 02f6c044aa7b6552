//! An image registry of one test's own, with a tag that moves.

use std::path::PathBuf;

use crate::Engine;
use crate::lab::lab;

/// A registry on the loopback; gone, with what it stores, when this is dropped.
pub struct Registry {
    name: String,
    address: String,
    with_credentials: bool,
}

impl Registry {
    /// Starts one; with credentials it asks for a user and a password.
    #[must_use]
    pub fn start(with_credentials: bool) -> Self {
        let name = crate::unique();
        let address = lab("registry", Self::args("start", &name, with_credentials));
        Self { name, address, with_credentials }
    }

    fn args<'a>(verb: &'a str, name: &'a str, with_credentials: bool) -> Vec<&'a str> {
        let mut args = vec![verb, "--name", name];
        args.extend(with_credentials.then_some("--auth"));
        args
    }

    /// Its address: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the credentials are, for `DOCKER_CONFIG`.
    #[must_use]
    pub fn docker_config(&self) -> PathBuf {
        lab("registry", ["config", &self.address]).into()
    }

    /// Moves the tag of a case to one of its versions, and returns the version's digest.
    pub fn push(&self, case: &str, version: &str) -> String {
        lab("services", ["push", case, version, &self.address])
    }

    /// The tag of a case.
    #[must_use]
    pub fn reference(&self, case: &str) -> String {
        format!("{}/lab/web-{case}:stable", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // What was pulled from it, by every name it got that way.
        let engine = Engine::machine();
        let pulled = format!("reference={}/*/*", self.address);
        for image in ["{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"] {
            for name in engine.list(["images", "--filter", &pulled, "--format", image]) {
                engine.try_docker(["rmi", &name]);
            }
        }
        let args = Self::args("stop", &self.name, self.with_credentials);
        if std::thread::panicking() {
            let _ = std::panic::catch_unwind(|| lab("registry", args));
        } else {
            lab("registry", args);
        }
    }
}
